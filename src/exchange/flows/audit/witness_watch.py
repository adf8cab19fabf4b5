"""Watching that our journal and local log go on being witnessed: a witness that stops is an alarm.

What nobody has witnessed could be rewritten unseen. So what counts is how long the oldest entry waits, not when the
witness was last heard of: a journal that did not grow needs no witness.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from exchange.flows.context import Node
from exchange.storage.engine.database import DATABASE_ERRORS
from exchange.storage.logs import log_store

LIMIT_SECONDS = 180.0
"""How long entries may wait for a witness: several turns, so that a restart of the peer is no alarm."""

WITNESS_STOPPED = "WITNESS_STOPPED"
USES = ("journal", "local")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A size that waits to be witnessed, and since when."""

    size: int
    since: datetime


class WitnessWatch:
    """Watches one peer as our witness.

    Args:
        node: The node.
        peer: The witness.
        limit: Seconds that an entry may wait.
        raise_: Opens an alarm: code, object, detail.
        clear: Clears it: code, object.
    """

    def __init__(
        self,
        node: Node,
        peer: str,
        raise_: Callable[[str, str, str], None],
        clear: Callable[[str, str], None],
        *,
        limit: float = LIMIT_SECONDS,
    ) -> None:
        self._node = node
        self._peer = peer
        self._raise = raise_
        self._clear = clear
        self._limit = limit
        self._marks: dict[str, _Mark] = {}

    async def run(self, seconds: float) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self.look, self._node.clock())
            except DATABASE_ERRORS as error:
                _log.warning("witness-unwatched", error=str(error)[:200])

    def look(self, now: datetime) -> None:
        """Look at both logs once."""
        for use in USES:
            self._look(use, now)

    def _look(self, use: str, now: datetime) -> None:
        about = f"{self._peer}/{use}"
        peer = self._node.peers.get(self._peer)
        if peer is None:
            return
        with self._node.database.read() as connection:
            log = log_store.current(connection, use)
            if log is None:
                return
            last = log_store.last_checkpoint(connection, log.id, peer.witness.name)
        witnessed = last.size if last is not None else 0
        mark = self._marks.get(log.origin)
        if witnessed >= log.size:
            self._marks.pop(log.origin, None)
            self._clear(WITNESS_STOPPED, about)
        elif mark is None or witnessed >= mark.size:
            self._marks[log.origin] = _Mark(log.size, now)
            if mark is not None:
                self._clear(WITNESS_STOPPED, about)
        elif (now - mark.since).total_seconds() > self._limit:
            waiting = f"{log.size - witnessed} entries from #{witnessed}, {mark.since.isoformat(timespec='seconds')}"
            self._raise(WITNESS_STOPPED, about, waiting)
