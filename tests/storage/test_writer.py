"""The writer: group commit, classes, bounds, and what a caller is told when something fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from exchange.storage.engine import writer as module
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import LogHead, Transaction
from exchange.storage.engine.writer import (
    DatabaseAwayError,
    OutcomeUnknownError,
    WorkClass,
    Writer,
    WriterBusyError,
    WriterClosedError,
)
from exchange.storage.logs import log_store
from tests.rigs.postgres import PostgresServer
from tests.storage.logs import ORIGIN, Append, append, append_then_fail

SQLITE_ONLY = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


class Gate:
    """Holds the writer, so that a test can fill its queues and see what one batch takes."""

    def __init__(self, writer: Writer) -> None:
        self._open = threading.Event()
        held = threading.Event()

        def hold(_tx: Transaction, payloads: Sequence[None]) -> list[None]:
            held.set()
            self._open.wait(20)
            return [None] * len(payloads)

        writer.submit(hold, None, WorkClass.URGENT)
        assert held.wait(20)

    def open(self) -> None:
        """Let the writer go on."""
        self._open.set()


def size(database: Database) -> int:
    """Entries in the log."""
    with database.read() as connection:
        head = log_store.head(connection, ORIGIN)
        return head.size if head else 0


def batches(database: Database, work: Callable[[Writer], list[Future[Any]]]) -> tuple[list[int], list[Any]]:
    """Sizes of the batches that some commands, queued together, were committed in, and their results."""
    sizes: list[int] = []
    writer = Writer(database, on_commit=lambda _logs, commands: sizes.append(commands))
    try:
        gate = Gate(writer)
        futures = work(writer)
        gate.open()
        results = [future.exception(20) or future.result(20) for future in futures]
    finally:
        writer.close()
    return sizes[1:], results


def test_waiting_commands_share_one_commit(database: Database) -> None:
    """A hundred callers that wait together cost one transaction, and get indices in the order they came."""
    sizes, results = batches(
        database,
        lambda writer: [writer.submit(append, Append((b"%d" % n,)), WorkClass.REGISTRY) for n in range(100)],
    )
    assert sizes == [100]
    assert results == list(range(100))


def test_a_batch_is_bounded_in_commands_and_rows(database: Database) -> None:
    """No more than 256 commands and 4,096 rows in one transaction."""
    sizes, _ = batches(
        database,
        lambda writer: [writer.submit(append, Append((b"%d" % n,)), WorkClass.REGISTRY) for n in range(600)],
    )
    assert sizes == [256, 256, 88]
    sizes, _ = batches(
        database,
        lambda writer: [writer.submit(append, Append((b"x",)), WorkClass.REGISTRY, rows=1_500) for _ in range(5)],
    )
    assert sizes == [2, 2, 1]


def test_one_bad_command_fails_alone(database: Database) -> None:
    """An unforeseen error rolls the batch back; the others are run again and succeed, the bad one tells its error."""
    _, results = batches(
        database,
        lambda writer: [
            writer.submit(append_then_fail if n == 3 else append, Append((b"%d" % n,)), WorkClass.REGISTRY)
            for n in range(6)
        ],
    )
    assert [result for result in results if isinstance(result, int)] == [0, 1, 2, 3, 4]
    assert isinstance(results[3], RuntimeError)
    assert size(database) == 5


def test_a_refused_command_fails_alone_in_its_batch(database: Database) -> None:
    """An exception as a result is that command's answer; the batch is committed once."""

    def choosy(tx: Transaction, payloads: Sequence[Append]) -> list[object]:
        return [ValueError("no") if payload.entries == (b"2",) else append(tx, [payload])[0] for payload in payloads]

    sizes, results = batches(
        database,
        lambda writer: [writer.submit(choosy, Append((b"%d" % n,)), WorkClass.REGISTRY) for n in range(4)],
    )
    assert sizes == [4]
    assert [result if isinstance(result, int) else type(result) for result in results] == [0, 1, ValueError, 2]


def test_urgent_goes_first_and_the_others_take_turns(database: Database) -> None:
    """A queue full of telemetry holds up neither an alert nor somebody who waits at a screen."""
    order: list[str] = []

    def note(_tx: Transaction, payloads: Sequence[str]) -> list[None]:
        order.extend(payloads)
        return [None] * len(payloads)

    def work(writer: Writer) -> list[Future[Any]]:
        futures = [writer.submit(note, "telemetry", WorkClass.TELEMETRY, rows=100) for _ in range(50)]
        futures += [writer.submit(note, "background", WorkClass.BACKGROUND, rows=100) for _ in range(50)]
        futures += [writer.submit(note, "registry", WorkClass.REGISTRY, rows=100) for _ in range(2)]
        futures += [writer.submit(note, "interactive", WorkClass.INTERACTIVE) for _ in range(2)]
        return [*futures, *(writer.submit(note, "urgent", WorkClass.URGENT) for _ in range(3))]

    batches(database, work)
    assert order[:3] == ["urgent"] * 3
    assert sorted(order[3:7]) == ["background", "interactive", "registry", "telemetry"]
    assert set(order[11:]) == {"telemetry", "background"}


def test_full_queues_say_so_and_other_classes_go_on(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class is full by commands or by rows; that is told at once, and only to callers of that class."""
    monkeypatch.setattr(module, "QUEUE_COMMANDS", 10)
    monkeypatch.setattr(module, "QUEUE_ROWS", 100)
    writer = Writer(database)
    try:
        gate = Gate(writer)
        futures = [writer.submit(append, Append((b"x",)), WorkClass.TELEMETRY) for _ in range(10)]
        with pytest.raises(WriterBusyError):
            writer.submit(append, Append((b"x",)), WorkClass.TELEMETRY)
        futures.append(writer.submit(append, Append((b"x",)), WorkClass.REGISTRY, rows=90))
        with pytest.raises(WriterBusyError):
            writer.submit(append, Append((b"x",)), WorkClass.REGISTRY, rows=20)
        assert writer.queued() == 11
        gate.open()
        assert sorted(future.result(20) for future in futures) == list(range(11))
        # What was written makes room again.
        assert writer.call(append, Append((b"x",)), WorkClass.REGISTRY, rows=90) == 11
    finally:
        writer.close()


def test_a_command_larger_than_the_queue_is_taken_when_it_is_alone(writer: Writer) -> None:
    """A bound never locks a command out for ever."""
    assert writer.call(append, Append((b"x",)), WorkClass.REGISTRY, rows=10**6) == 0


def test_closing_writes_what_waits(database: Database) -> None:
    """Whoever was let in gets an answer; whoever comes later is told that the node stops."""
    writer = Writer(database)
    gate = Gate(writer)
    futures = [writer.submit(append, Append((b"x",)), WorkClass.TELEMETRY) for _ in range(20)]
    closing = threading.Thread(target=writer.close)
    closing.start()
    while not writer._closing:
        closing.join(0.01)
    with pytest.raises(WriterClosedError):
        writer.submit(append, Append((b"x",)), WorkClass.TELEMETRY)
    gate.open()
    closing.join(20)
    assert [future.result(1) for future in futures] == list(range(len(futures)))
    assert size(database) == len(futures)


def test_a_caller_that_went_away_before_its_turn_asked_for_nothing(database: Database) -> None:
    """Cancelled before it was taken: not written. Cancelled later: written, and the writer lives on."""
    writer = Writer(database)
    try:
        gate = Gate(writer)
        futures = [writer.submit(append, Append((b"%d" % n,)), WorkClass.REGISTRY) for n in range(3)]
        assert futures[1].cancel()
        gate.open()
        assert [futures[0].result(20), futures[2].result(20)] == [0, 1]
        assert not futures[0].cancel()
        assert writer.call(append, Append((b"x",))) == 2
    finally:
        writer.close()


def test_a_listener_that_fails_takes_nobody_with_it(database: Database) -> None:
    """What was committed is answered, whatever the one who is told of commits does with it."""

    def fail(_logs: Sequence[LogHead], _commands: int) -> None:
        raise RuntimeError("nobody listens")

    writer = Writer(database, on_commit=fail)
    try:
        assert writer.call(append, Append((b"x",))) == 0
        assert writer.call(append, Append((b"y",))) == 1
    finally:
        writer.close()


def _failing_commit(
    database: Database, *, after: bool, text: str = "connection lost", skip: int = 0
) -> Callable[[], None]:
    """Make one COMMIT raise, before or after it has happened, after some that pass. Returns what ends that."""
    left = [skip]

    def commit(connection: Connection) -> None:
        left[0] -= 1
        if left[0] == -1:
            if after:
                connection.connection.commit()
            raise OperationalError("COMMIT", {}, Exception(text))

    event.listen(database._writer, "commit", commit)
    return lambda: event.remove(database._writer, "commit", commit)


@pytest.mark.parametrize("after", [False, True], ids=["not committed", "committed"])
def test_a_failed_commit_is_an_unknown_outcome_for_the_whole_batch(database: Database, *, after: bool) -> None:
    """Everybody in the batch hears that nobody knows; the next call reads the heads as they are and goes on."""
    writer = Writer(database)
    try:
        writer.call(append, Append((b"first",)))
        end = _failing_commit(database, after=after, skip=1)
        gate = Gate(writer)
        futures = [writer.submit(append, Append((b"%d" % n,)), WorkClass.REGISTRY) for n in range(3)]
        gate.open()
        assert all(isinstance(future.exception(20), OutcomeUnknownError) for future in futures)
        end()
        standing = size(database)
        assert writer.call(append, Append((b"next",))) == standing
        assert standing == (4 if after else 1)
    finally:
        writer.close()


@SQLITE_ONLY
def test_an_io_error_ends_the_process_once(database: Database) -> None:
    """After an I/O error at COMMIT the page cache can not be trusted: the owner is told, once."""
    fatal: list[BaseException] = []
    writer = Writer(database, on_fatal=fatal.append)
    try:
        for _ in range(2):
            end = _failing_commit(database, after=False, text="disk I/O error")
            with pytest.raises(OutcomeUnknownError):
                writer.call(append, Append((b"x",)))
            end()
        assert len(fatal) == 1
        assert isinstance(fatal[0], DBAPIError)
    finally:
        writer.close()


@SQLITE_ONLY
def test_nobody_waits_for_a_writer_that_could_not_start(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection at the start: the owner is told, and commands are refused instead of waiting for ever."""
    fatal: list[BaseException] = []
    began = threading.Event()

    def unreachable() -> Connection:
        began.wait(20)
        raise OperationalError("connect", {}, Exception("unreachable"))

    monkeypatch.setattr(database, "writer_connection", unreachable)
    writer = Writer(database, on_fatal=fatal.append)
    waiting = writer.submit(append, Append((b"x",)), WorkClass.REGISTRY)
    began.set()
    assert isinstance(waiting.exception(20), WriterClosedError)
    writer.close()
    assert len(fatal) == 1
    with pytest.raises(WriterClosedError):
        writer.submit(append, Append((b"x",)), WorkClass.REGISTRY)


@SQLITE_ONLY
def test_a_database_that_somebody_else_holds_is_tried_again_by_the_caller(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction can be begun: nothing was stored, the caller hears so, and the writer goes on afterwards."""
    monkeypatch.setattr("exchange.storage.engine.database.BUSY_TIMEOUT_MS", 300)
    tries: list[Any] = []

    def begin(connection: Any) -> None:
        tries.append(connection)
        connection.execute("BEGIN IMMEDIATE")

    monkeypatch.setattr("exchange.storage.engine.database._begin_immediate", begin)
    mine = Database(str(database.url))
    writer = Writer(mine)
    try:
        writer.call(append, Append((b"first",)))
        holder = database.writer_connection()
        with holder.begin():
            tries.clear()
            futures = [writer.submit(append, Append((b"x",)), WorkClass.REGISTRY)]
            while writer.queued():
                threading.Event().wait(0.005)
            futures += [writer.submit(append, Append((b"x",)), WorkClass.REGISTRY) for _ in range(3)]
            assert all(isinstance(future.exception(20), DatabaseAwayError) for future in futures)
        # One for each batch: alone, no command would fare better.
        assert len(tries) == 2
        holder.close()
        assert writer.call(append, Append((b"next",))) == 1
    finally:
        writer.close()
        mine.dispose()


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_a_lost_connection_is_told_and_made_anew(database: Database, writer: Writer, postgres: PostgresServer) -> None:
    """The server ends our session: the batch under way is told to try again, and the next one is written."""
    writer.call(append, Append((b"first",)))

    def lose(tx: Transaction, payloads: Sequence[None]) -> list[None]:
        tx.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        return [None] * len(payloads)

    with pytest.raises(DatabaseAwayError):
        writer.call(lose, None)
    assert writer.call(append, Append((b"next",))) == 1
    assert size(database) == 2
