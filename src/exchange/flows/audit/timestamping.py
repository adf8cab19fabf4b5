"""Time stamps on checkpoints: a third party's word for when a log's head was there at the latest.

Optional, and never in the way: the loop has a task of its own, and nothing waits for it. While the service is away the
node goes on, an alarm is open, and what was cosigned meanwhile waits. When it is back, one token over the newest
checkpoint of each log covers all of it; since when the oldest entry had waited for it is kept with the token, so that
the gap is seen for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from exchange.crypto.timestamps import timestamp_request, verify_timestamp
from exchange.domain.problems import ExchangeError
from exchange.flows.context import Node
from exchange.flows.instants import micros
from exchange.storage.engine.database import DATABASE_ERRORS, Connection
from exchange.storage.engine.transaction import LogHead
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import log_store, timestamps
from exchange.storage.logs.timestamps import StoredTimestamp

AWAY = "TIMESTAMPS_AWAY"

LOOK_SECONDS = 30.0
"""How often the loop looks for what is due, and asks again after a failure."""

_log = structlog.get_logger(__name__)


class TimeService(Protocol):
    """A time-stamping authority; whatever goes wrong there leaves as an ``ExchangeError``."""

    url: str

    def ask(self, request: bytes) -> bytes:
        """The answer to a DER request."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A log whose newest checkpoint has no token.

    Attributes:
        since: When the oldest entry that no token covers was cosigned, in microseconds.
        last: Time of the newest token, in microseconds; 0 without one.
    """

    log: LogHead
    size: int
    note: bytes
    since: int
    last: int


def waiting(connection: Connection) -> Iterator[Due]:
    """Every log with a checkpoint beyond its newest token."""
    for log in log_store.heads(connection):
        note = log_store.last_checkpoint(connection, log.id)
        if note is None:
            continue
        token = timestamps.newest(connection, log.id)
        stamped = token.size if token is not None else 0
        if note.size <= stamped:
            continue
        oldest = log_store.first_checkpoint_covering(connection, log.id, stamped + 1)
        assert oldest is not None
        last = token.stamped_at if token is not None else 0
        yield Due(log=log, size=note.size, note=note.note, since=oldest.cosigned_at, last=last)


class TimestampLoop:
    """Has checkpoints stamped.

    Args:
        node: The node.
        service: Where.
        roots: Reads the certificates of the authorities that are believed, PEM; asked anew for each turn.
        interval: Seconds between two tokens of one log that grows.
        raise_: Opens an alarm: code, object, detail.
        clear: Clears it: code, object.
    """

    def __init__(
        self,
        node: Node,
        service: TimeService,
        roots: Callable[[], bytes],
        interval: float,
        raise_: Callable[[str, str, str], None],
        clear: Callable[[str, str], None],
    ) -> None:
        self._node = node
        self._service = service
        self._roots = roots
        self._interval = interval
        self._raise = raise_
        self._clear = clear

    async def run(self) -> None:
        """Stamp what is due until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.once, self._node.clock())
            except DATABASE_ERRORS as error:
                _log.warning("timestamps-unwritten", error=str(error)[:200])
            await asyncio.sleep(min(LOOK_SECONDS, self._interval))

    def once(self, now: datetime) -> int:
        """Have the logs stamped that are due; gives how many were. A failure ends the turn and opens the alarm."""
        with self._node.database.read() as connection:
            due = [each for each in waiting(connection) if micros(now) - each.last >= self._interval * 1_000_000]
        for done, each in enumerate(due):
            try:
                self._stamp(each)
            except (ExchangeError, OSError) as error:
                detail = f"{getattr(error, 'reason', type(error).__name__)} {error}"[:300]
                _log.warning("timestamp-refused", log=each.log.origin, detail=detail)
                self._raise(AWAY, self._service.url, detail)
                return done
        if due:
            self._clear(AWAY, self._service.url)
        return len(due)

    def _stamp(self, due: Due) -> None:
        request = timestamp_request(due.note)
        token = self._service.ask(request.der)
        # Verified before it is kept: a token that nobody can check closes no gap.
        verified = verify_timestamp(token, due.note, self._roots(), nonce=request.nonce)
        stored = StoredTimestamp(
            log_id=due.log.id,
            size=due.size,
            note=due.note,
            token=token,
            stamped_at=micros(verified.at),
            since=due.since,
            service=self._service.url,
        )
        self._node.writer.call(timestamps.put, stored, WorkClass.BACKGROUND)
