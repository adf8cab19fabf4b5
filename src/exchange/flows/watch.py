"""Following what one sent and what arrives: at least once, in order, from any cursor.

A wake-up says only "look again"; what is new is read from the tables, behind the cursor. So nothing is lost by a
wake-up that got lost, and a cursor goes on behind a restart. A journal of another epoch means that the registers
were made anew after a restore: then positions mean something else, and the watcher begins from the first one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import AGENCIES_CHANGED, AccessDenied
from exchange.flows.events import LOG_GREW, REGISTERS_CHANGED
from exchange.flows.queries.exchanged.records import check_enum
from exchange.flows.queries.exchanged.submissions import submission_messages
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.flows.queries.ground.views import record_views
from exchange.flows.trust.revocations import REVOCATIONS_CHANGED
from exchange.storage.intake import submissions
from exchange.storage.logs import journal, log_store
from exchange.storage.queries import Connection, outcomes, records, standing
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_service_pb2 import WatchRecordsRequest, WatchRecordsResponse
from exchange.v1.submission_service_pb2 import WatchSubmissionsRequest, WatchSubmissionsResponse

HEARTBEAT_SECONDS = 15.0
"""How often an idle stream says that it is alive: well within what proxies and firewalls forget."""

TICK_SECONDS = 1.0
"""How long a stream sleeps at most before it looks whether the node stops."""

PACE_SECONDS = 0.05
"""How long a woken stream waits, so that a busy node's many commits make one read."""

ROWS_AT_ONCE = 200
"""Rows of one read: a few hundred kB of messages, a few milliseconds of database."""

ENTRIES_AT_ONCE = 1_000
"""Entries of a log that one read looks through for the caller's own."""

_Message = TypeVar("_Message", WatchRecordsResponse, WatchSubmissionsResponse)


class WatchEnded(ExchangeError):
    """The node stops, or serves nobody for now: watch again from the last cursor."""

    reason = "SHUTTING_DOWN"


class WatchFlow:
    """Streams for agencies.

    Args:
        reading: What queries stand on.
        executor: Threads that read for watchers.
        unavailable: Says why agencies are not served now, as a reason code; empty while they are.
    """

    def __init__(
        self,
        reading: Reading,
        executor: Executor,
        unavailable: Callable[[], str] = lambda: "",
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        self._reading = reading
        self._executor = executor
        self._unavailable = unavailable
        self._heartbeat = heartbeat

    def records(self, asked: Asked, request: WatchRecordsRequest) -> AsyncGenerator[WatchRecordsResponse, None]:
        """Records that arrived and were applied, or whose decision changed, in the order of effects.

        Raises:
            Refused: The cursor is not one of ours, or a kind is unknown.
            AccessDenied: The agency was suspended, its time is over, or its certificate ended or was revoked.
            WatchEnded: The node stops.
        """
        return self._follow(asked, _Records(self._reading, asked, request), (REGISTERS_CHANGED,), WatchRecordsResponse)

    def submissions(
        self, asked: Asked, request: WatchSubmissionsRequest
    ) -> AsyncGenerator[WatchSubmissionsResponse, None]:
        """The caller's submissions, each again whenever it was accepted, delivered or decided.

        Raises:
            Refused: The cursor is not one of ours.
            AccessDenied: The agency was suspended, its time is over, or its certificate ended or was revoked.
            WatchEnded: The node stops.
        """
        source = _Submissions(self._reading, asked, request)
        return self._follow(asked, source, (LOG_GREW, REGISTERS_CHANGED), WatchSubmissionsResponse)

    async def _follow(
        self, asked: Asked, source: _Source[_Message], topics: Sequence[str], make: type[_Message]
    ) -> AsyncGenerator[_Message, None]:
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            # The loop may be gone while the node stops.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(woken.set)

        ends = [
            self._reading.node.events.listen(topic, wake) for topic in (*topics, AGENCIES_CHANGED, REVOCATIONS_CHANGED)
        ]
        try:
            await loop.run_in_executor(self._executor, source.open)
            said_caught_up = False
            silent_since = loop.time()
            while True:
                woken.clear()
                self._check(asked)
                messages = await loop.run_in_executor(self._executor, source.read)
                for message in messages:
                    self._check(asked)
                    yield message
                if messages:
                    silent_since = loop.time()
                if not source.caught_up:
                    continue
                if not said_caught_up:
                    said_caught_up = True
                    yield _caught_up(make, self._now(), source.cursor())
                    silent_since = loop.time()
                elif loop.time() - silent_since >= self._heartbeat:
                    yield _heartbeat(make, self._now(), source.cursor())
                    silent_since = loop.time()
                remaining = max(0.0, silent_since + self._heartbeat - loop.time())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(TICK_SECONDS, remaining + 0.001)):
                        await woken.wait()
                await asyncio.sleep(PACE_SECONDS)
        finally:
            for end in ends:
                end()

    def _now(self) -> datetime:
        return self._reading.node.clock()

    def _check(self, asked: Asked) -> None:
        if self._reading.node.stopping.is_set():
            raise WatchEnded
        reason = self._unavailable()
        if reason:
            ended = WatchEnded()
            ended.reason = reason
            raise ended
        ended_for = self._reading.book.standing(asked.caller.name, self._now())
        if ended_for is not None:
            raise AccessDenied(ended_for)
        asked.still_served()


def _caught_up(make: type[_Message], at: datetime, cursor: str) -> _Message:
    message = make(cursor=cursor)
    message.caught_up.at.FromDatetime(at)
    return message


def _heartbeat(make: type[_Message], at: datetime, cursor: str) -> _Message:
    message = make(cursor=cursor)
    message.heartbeat.at.FromDatetime(at)
    return message


class _Source(Protocol[_Message]):
    """What a stream reads from."""

    caught_up: bool

    def open(self) -> None: ...

    def cursor(self) -> str: ...

    def read(self) -> list[_Message]: ...


@dataclass(slots=True)
class _Records:
    """Register rows behind a cursor: [journal epoch, number of the last row change]."""

    reading: Reading
    asked: Asked
    request: WatchRecordsRequest
    caught_up: bool = False
    _epoch: int = 0
    _seq: int = 0
    _looked: bool = True

    @property
    def _question(self) -> str:
        return f"watch-records|{self.asked.caller}"

    def open(self) -> None:
        """Take up the position."""
        for place, kind in enumerate(self.request.kinds):
            check_enum(Kind, kind, f"kinds[{place}]")
            if kind == Kind.KIND_UNSPECIFIED:
                raise Refused([Problem("ENUM_UNSPECIFIED", f"kinds[{place}]")])
        position = self.reading.tokens.read(
            self._question, self.request.cursor, reason="CURSOR_INVALID", place="cursor"
        )
        with self.reading.node.database.read() as connection:
            self._epoch = journal.head(connection).epoch
            if position is not None:
                self._seq = position[1] if position[0] == self._epoch else 0
            elif not self.request.from_start:
                self._seq = records.newest_seq(connection)

    def cursor(self) -> str:
        """Where the stream stands."""
        return self.reading.tokens.make(self._question, [self._epoch, self._seq])

    def read(self) -> list[WatchRecordsResponse]:
        """What is new, at most ``ROWS_AT_ONCE`` rows; ``caught_up`` says whether that was all."""
        readable = self.reading.book.readable(self.asked.caller.name, self.request.kinds)
        with self.reading.node.database.read() as connection:
            epoch = journal.head(connection).epoch
            if epoch != self._epoch:
                self._epoch, self._seq = epoch, 0
            newest = records.newest_seq(connection)
            rows = records.changed_after(
                connection, sorted(readable), after=self._seq, until=newest, limit=ROWS_AT_ONCE
            )
            self.caught_up = len(rows) < ROWS_AT_ONCE
            visible = [
                row
                for row in rows
                if self.reading.book.may_read(self.asked.caller.name, row.kind, row.area, row.tombstone) is None
            ]
            views = record_views(connection, self.reading, visible, self.asked.words)
        self.reading.readers.shown(self.asked.caller.name, views)
        messages = []
        for row, view in zip(visible, views, strict=True):
            self._seq = row.seq
            messages.append(WatchRecordsResponse(record=view, cursor=self.cursor()))
        self._seq = newest if self.caught_up else rows[-1].seq
        return messages


@dataclass(slots=True)
class _Submissions:
    """Three positions: [journal epoch, last submission, {log: entries known as delivered}, last decision]."""

    reading: Reading
    asked: Asked
    request: WatchSubmissionsRequest
    caught_up: bool = False
    _epoch: int = 0
    _seq: int = 0
    _delivered: dict[int, int] = field(default_factory=dict)
    _decided: int = 0

    @property
    def _question(self) -> str:
        return f"watch-submissions|{self.asked.caller}"

    def open(self) -> None:
        """Take up the position."""
        position = self.reading.tokens.read(
            self._question, self.request.cursor, reason="CURSOR_INVALID", place="cursor"
        )
        with self.reading.node.database.read() as connection:
            self._epoch = journal.head(connection).epoch
            if position is not None:
                if position[0] == self._epoch:
                    self._place(position)
            elif not self.request.from_start:
                self._seq = submissions.newest_seq(connection)
                self._delivered = standing.cosigned_sizes(connection, self._logs(connection))
                self._decided = outcomes.newest_decision(connection)

    def _place(self, position: Sequence[Any]) -> None:
        _, self._seq, delivered, self._decided = position
        self._delivered = {int(log): size for log, size in delivered.items()}

    def cursor(self) -> str:
        """Where the stream stands."""
        delivered = {str(log): size for log, size in self._delivered.items() if size}
        return self.reading.tokens.make(self._question, [self._epoch, self._seq, delivered, self._decided])

    @staticmethod
    def _logs(connection: Connection) -> list[int]:
        return [log.id for log in log_store.heads(connection) if log.use == "outbound"]

    def read(self) -> list[WatchSubmissionsResponse]:
        """What is new: first what was accepted, then what was delivered, then what was decided."""
        with self.reading.node.database.read() as connection:
            epoch = journal.head(connection).epoch
            if epoch != self._epoch:
                self._epoch, self._seq, self._decided = epoch, 0, 0
                self._delivered.clear()
            self.caught_up = True
            return [*self._accepted(connection), *self._newly_delivered(connection), *self._newly_decided(connection)]

    def _messages(self, connection: Connection, steps: list[tuple[int, Callable[[], None]]]) -> list[Any]:
        """Messages for submissions by number, each with the cursor behind it."""
        rows = {row.seq: row for row in submissions.by_seqs(connection, sorted({seq for seq, _ in steps}))}
        found = {
            row.seq: message
            for row, message in zip(
                rows.values(), submission_messages(connection, list(rows.values()), self.asked.words), strict=True
            )
        }
        messages = []
        for seq, advance in steps:
            advance()
            if seq in found:
                messages.append(WatchSubmissionsResponse(submission=found[seq], cursor=self.cursor()))
        return messages

    def _accepted(self, connection: Connection) -> list[WatchSubmissionsResponse]:
        newest = submissions.newest_seq(connection)
        rows = submissions.page(connection, self.asked.caller.name, before=None, after=self._seq, limit=ROWS_AT_ONCE)
        messages = []
        for row, message in zip(rows, submission_messages(connection, rows, self.asked.words), strict=True):
            self._seq = row.seq
            messages.append(WatchSubmissionsResponse(submission=message, cursor=self.cursor()))
        if len(rows) == ROWS_AT_ONCE:
            self.caught_up = False
        else:
            self._seq = newest
        return messages

    def _newly_delivered(self, connection: Connection) -> list[WatchSubmissionsResponse]:
        messages: list[WatchSubmissionsResponse] = []
        for log_id, size in sorted(standing.cosigned_sizes(connection, self._logs(connection)).items()):
            begin = self._delivered.get(log_id, 0)
            end = min(size, begin + ENTRIES_AT_ONCE)
            if begin >= end:
                continue
            steps = []
            for index, seq in outcomes.submissions_in(connection, log_id, begin, end, self.asked.caller.name):
                # What was accepted behind the cursor comes as accepted, and then again as delivered.
                steps.append((seq, self._advance(log_id, index + 1)))
            for start in range(0, len(steps), ROWS_AT_ONCE):
                messages += self._messages(connection, steps[start : start + ROWS_AT_ONCE])
            self._delivered[log_id] = end
            if end < size:
                self.caught_up = False
        return messages

    def _advance(self, log_id: int, size: int) -> Callable[[], None]:
        def advance() -> None:
            self._delivered[log_id] = size

        return advance

    def _newly_decided(self, connection: Connection) -> list[WatchSubmissionsResponse]:
        messages: list[WatchSubmissionsResponse] = []
        decisions = outcomes.decided_after(connection, self._decided, ROWS_AT_ONCE)
        for decision in decisions:
            for start in range(decision.first, decision.end, ENTRIES_AT_ONCE):
                own = outcomes.submissions_in(
                    connection,
                    decision.log_id,
                    start,
                    min(decision.end, start + ENTRIES_AT_ONCE),
                    self.asked.caller.name,
                )
                messages += self._messages(connection, [(seq, _stay) for _, seq in own])
            self._decided = decision.seq
            if len(messages) >= ENTRIES_AT_ONCE:
                break
        if decisions and (len(decisions) == ROWS_AT_ONCE or self._decided != decisions[-1].seq):
            self.caught_up = False
        if messages:
            messages[-1].cursor = self.cursor()
        return messages


def _stay() -> None:
    """A message within a decision: its cursor is still before the decision."""
