"""The one writer: queues by class of work, group commit, set-based.

A batch is one transaction in three steps: each handler reads what all its commands need, decides each command in
plain code, and hands over rows; the rows of all handlers are then written, one statement per table. A command that
is refused never reaches a write, so it fails alone. An error that nobody foresaw rolls the batch back and each
command is run again alone.

What a caller may rely on: when a future has a result, the transaction that made it is on disk.
"""

from __future__ import annotations

import enum
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from exchange.domain.problems import ExchangeError
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import LogHead, Transaction

_log = structlog.get_logger(__name__)

BATCH_COMMANDS = 256
"""Most commands in one transaction: bounds what a rollback repeats."""

BATCH_ROWS = 4_096
"""Most rows in one transaction, as the commands estimate them: bounds memory and the time of one commit."""

QUEUE_COMMANDS = 2_048
"""Commands that may wait in one class; more are answered RESOURCE_EXHAUSTED."""

QUEUE_ROWS = 65_536
"""Rows that may wait in one class, for the same reason: a command may carry a thousand of them."""


RECONNECT_S = 30
"""Seconds that the writer tries to reach the database again after a failed commit, before the process gives up."""


class WorkClass(enum.IntEnum):
    """Classes of work. The first goes first; the others take turns."""

    URGENT = 0
    INTERACTIVE = 1
    REGISTRY = 2
    TELEMETRY = 3
    BACKGROUND = 4


class WriterBusyError(ExchangeError):
    """The class's queue is full: try again later."""

    reason = "RESOURCE_EXHAUSTED"


class OutcomeUnknownError(ExchangeError):
    """COMMIT failed: what was asked may or may not have been stored. Send the same call, with the same key, again."""

    reason = "OUTCOME_UNKNOWN"


class DatabaseAwayError(ExchangeError):
    """The database did not take the command, and nothing of it was stored. Send the same call again."""

    reason = "TRY_AGAIN"


class WriterClosedError(ExchangeError):
    """The node is shutting down."""

    reason = "SHUTTING_DOWN"


class Handler(Protocol):
    """Carries out all commands of one sort in a batch, set-based.

    Returns one result for each payload, in order; an exception as a result fails that command alone.
    """

    def __call__(self, tx: Transaction, payloads: Sequence[Any], /) -> Sequence[Any]:
        """Carry out the payloads inside the batch's transaction."""
        ...


@dataclass(slots=True)
class _Command:
    handler: Handler
    payload: Any
    rows: int
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """Owns the writing connection and its thread.

    Args:
        database: Where to write.
        on_commit: Called after each commit with the logs that grew and the number of commands; must not block.
        on_fatal: Called once when an I/O error makes the process unfit to go on; it should exit and start anew.
    """

    def __init__(
        self,
        database: Database,
        *,
        on_commit: Callable[[Sequence[LogHead], int], None] | None = None,
        on_fatal: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._database = database
        self._on_commit = on_commit
        self._on_fatal = on_fatal
        self._queues: dict[WorkClass, deque[_Command]] = {cls: deque() for cls in WorkClass}
        self._rows: dict[WorkClass, int] = dict.fromkeys(WorkClass, 0)
        self._condition = threading.Condition()
        self._closing = False
        self._turn = 0
        self._fatal = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def submit(self, handler: Handler, payload: Any, work: WorkClass, *, rows: int = 1) -> Future[Any]:
        """Queue one command.

        Args:
            handler: Carries it out, together with the others of its sort.
            payload: Whatever the handler takes.
            work: Class of work.
            rows: Estimate of the rows that it writes.

        Raises:
            WriterBusyError: The queue of that class is full.
            WriterClosedError: The node is shutting down.
        """
        command = _Command(handler, payload, rows)
        with self._condition:
            if self._closing:
                raise WriterClosedError
            queue = self._queues[work]
            if len(queue) >= QUEUE_COMMANDS or (queue and self._rows[work] + rows > QUEUE_ROWS):
                raise WriterBusyError
            queue.append(command)
            self._rows[work] += rows
            self._condition.notify()
        return command.future

    def call(self, handler: Handler, payload: Any, work: WorkClass = WorkClass.INTERACTIVE, *, rows: int = 1) -> Any:
        """Queue one command and wait for its result."""
        return self.submit(handler, payload, work, rows=rows).result()

    def queued(self) -> int:
        """Commands that wait."""
        with self._condition:
            return sum(len(queue) for queue in self._queues.values())

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join()

    # -- the thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            connection = self._database.writer_connection()
            try:
                while (batch := self._take()) is not None:
                    if batch:
                        connection = self._carry_out(connection, batch)
            finally:
                connection.close()
        except Exception as error:  # noqa: BLE001 - whatever it was, nobody may wait for this thread any more
            self._tell_fatal(error)
        finally:
            self._refuse_all()

    def _tell_fatal(self, error: BaseException) -> None:
        """Once: the process is to exit, and every later error is the same one."""
        if not self._fatal:
            self._fatal = True
            _log.critical("writer-unfit", error=str(error), kind=type(error).__name__)
            if self._on_fatal:
                self._on_fatal(error)

    def _refuse_all(self) -> None:
        """The thread ends: whoever still waits is told, and nobody is let in."""
        with self._condition:
            self._closing = True
            left = [command for queue in self._queues.values() for command in queue]
            for queue in self._queues.values():
                queue.clear()
        for command in left:
            if command.future.set_running_or_notify_cancel():
                command.future.set_exception(WriterClosedError())

    def _take(self) -> list[_Command] | None:
        with self._condition:
            while not any(self._queues.values()):
                if self._closing:
                    return None
                self._condition.wait()
            batch: list[_Command] = []
            rows = 0
            urgent = self._queues[WorkClass.URGENT]
            others = [cls for cls in WorkClass if cls is not WorkClass.URGENT]
            while len(batch) < BATCH_COMMANDS:
                work = WorkClass.URGENT if urgent else self._next_turn(others)
                if work is None or (batch and rows + self._queues[work][0].rows > BATCH_ROWS):
                    break
                command = self._queues[work].popleft()
                self._rows[work] -= command.rows
                # A caller that went away before its turn has asked for nothing; from here on it can not any more.
                if command.future.set_running_or_notify_cancel():
                    rows += command.rows
                    batch.append(command)
            return batch

    def _next_turn(self, classes: Sequence[WorkClass]) -> WorkClass | None:
        for step in range(len(classes)):
            work = classes[(self._turn + step) % len(classes)]
            if self._queues[work]:
                self._turn = (self._turn + step + 1) % len(classes)
                return work
        return None

    def _carry_out(self, connection: Connection, batch: list[_Command]) -> Connection:
        """Run a batch; alone, command by command, where it fails as a whole."""
        try:
            results, grown = self._attempt(connection, batch)
        except _CommitFailedError as failure:
            return self._give_up(connection, batch, failure)
        except Exception as error:  # noqa: BLE001 - a handler's fault is its command's answer
            if _is_fatal(error) or not _rolled_back(connection):
                return self._give_up(connection, batch, error)
            if len(batch) == 1 or _is_away(error):
                for command in batch:
                    command.future.set_exception(_answer_of(error))
                return connection
            for command in batch:
                connection = self._carry_out(connection, [command])
            return connection
        try:
            if self._on_commit:
                self._on_commit(grown, len(batch))
        except Exception as error:  # noqa: BLE001 - what was committed is committed, whoever can not hear of it
            _log.error("commit-not-told", error=str(error), kind=type(error).__name__)
        for command, result in zip(batch, results, strict=True):
            if isinstance(result, BaseException):
                command.future.set_exception(result)
            else:
                command.future.set_result(result)
        return connection

    def _attempt(self, connection: Connection, batch: list[_Command]) -> tuple[list[Any], Sequence[LogHead]]:
        groups: dict[Handler, list[int]] = {}
        for position, command in enumerate(batch):
            groups.setdefault(command.handler, []).append(position)
        results: list[Any] = [None] * len(batch)
        try:
            begun = connection.begin()
        except DBAPIError as error:
            raise _NotBegunError from error
        tx = Transaction(connection, is_sqlite=self._database.is_sqlite)
        for handler, positions in groups.items():
            answers = handler(tx, [batch[position].payload for position in positions])
            for position, answer in zip(positions, answers, strict=True):
                results[position] = answer
        tx.flush()
        # Asked before the commit: a head that no handler needed is read only now, and a read begins a transaction.
        grown = tx.grown
        try:
            begun.commit()
        except Exception as error:
            raise _CommitFailedError from error
        return results, grown

    def _give_up(self, connection: Connection, batch: list[_Command], error: BaseException) -> Connection:
        """The outcome of a commit is unknown: nobody is told more than that, and nothing cached survives."""
        unknown = OutcomeUnknownError()
        unknown.__cause__ = error
        for command in batch:
            command.future.set_exception(unknown)
        connection.invalidate()
        connection.close()
        cause = error.__cause__ or error
        if _is_fatal(cause):
            self._tell_fatal(cause)
        deadline = time.monotonic() + RECONNECT_S
        while True:
            try:
                return self._database.writer_connection()
            except DBAPIError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


class _CommitFailedError(Exception):
    """COMMIT itself raised."""


class _NotBegunError(Exception):
    """No transaction could be begun: the database is away, or somebody else holds it."""


def _rolled_back(connection: Connection) -> bool:
    """Roll back; False when even that failed: then nobody knows what the connection is in."""
    try:
        connection.rollback()
    except DBAPIError:
        return False
    return True


def _is_away(error: BaseException) -> bool:
    """Whether no command of a batch can do better alone: there is no connection, or no transaction."""
    return isinstance(error, _NotBegunError) or (isinstance(error, DBAPIError) and error.connection_invalidated)


def _answer_of(error: Exception) -> Exception:
    """What the caller of a command is told: the fault itself, unless it is the database's and will pass."""
    if not isinstance(error, _NotBegunError) and not _will_pass(error):
        return error
    away = DatabaseAwayError()
    away.__cause__ = error
    return away


_SQLITE_PASSING = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
_POSTGRESQL_PASSING = ("08", "40", "53", "55", "57")
"""Classes of SQLSTATE: connection, rollback of concurrent transactions, resources, locks, operator's intervention."""


def _will_pass(error: Exception) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    code = getattr(error.orig, "sqlite_errorcode", None)
    state = getattr(error.orig, "sqlstate", None) or ""
    # The low byte of SQLite's code is the primary one.
    passing = code is not None and code & 0xFF in _SQLITE_PASSING
    return passing or error.connection_invalidated or state[:2] in _POSTGRESQL_PASSING


def _is_fatal(error: BaseException) -> bool:
    """An I/O error of the disk: what the page cache holds can not be trusted any more."""
    text = str(error).lower()
    return isinstance(error, DBAPIError) and ("disk i/o error" in text or "malformed" in text)
