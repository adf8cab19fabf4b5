"""How complete an answer is: for each peer and lane, up to when everything that it stated is in the registers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from exchange.flows.context import Node
from exchange.flows.instants import micros, timestamp
from exchange.storage.queries import Connection, standing
from exchange.storage.registers import registers
from exchange.v1.freshness_pb2 import Freshness
from exchange.v1.kind_pb2 import Lane

STALE_AFTER_SECONDS = 900
"""A quarter of an hour: what is older is called stale unless the node file says otherwise."""

KEPT_SECONDS = 0.25
"""How long one reading serves all answers: an answer may look that much older than it is, and never fresher."""

LANES = (Lane.LANE_URGENT, Lane.LANE_REGISTRY, Lane.LANE_TELEMETRY)


def _never(_peer: str, _lane: int) -> tuple[int, int] | None:
    return None


class FreshnessReader:
    """Reads how complete the registers are.

    Args:
        node: The node.
        stale_after: Seconds after which knowledge of a peer counts as stale.
        confirmed: Gives for a peer and lane the size of its log that it last showed us, and when, in microseconds:
            what proves that an idle lane is complete. None where nothing was shown.
    """

    def __init__(
        self,
        node: Node,
        stale_after: float = STALE_AFTER_SECONDS,
        confirmed: Callable[[str, int], tuple[int, int] | None] = _never,
    ) -> None:
        self._node = node
        self._stale_after = round(stale_after * 1_000_000)
        self._confirmed = confirmed
        self._lock = threading.Lock()
        self._kept: tuple[float, list[Freshness]] = (float("-inf"), [])

    def read(self, now: datetime, lanes: Sequence[int] = LANES) -> list[Freshness]:
        """One line for each peer and lane, peers in order of name. Read before the rows that it is said of."""
        with self._lock:
            at, lines = self._kept
            if time.monotonic() - at > KEPT_SECONDS:
                with self._node.database.read() as connection:
                    lines = self._lines(connection)
                self._kept = (time.monotonic(), lines)
        limit = micros(now) - self._stale_after
        found = []
        for line in lines:
            if line.lane in lanes:
                shown = Freshness()
                shown.CopyFrom(line)
                shown.stale = not line.HasField("complete_until") or line.complete_until.ToMicroseconds() < limit
                found.append(shown)
        return found

    def forget(self) -> None:
        """Read anew at the next question."""
        with self._lock:
            self._kept = (float("-inf"), [])

    def _lines(self, connection: Connection) -> list[Freshness]:
        positions = registers.next_indices(connection)
        mirrors = standing.current_mirrors(connection)
        lines = []
        for peer in self._node.peers.names():
            for lane in LANES:
                log = mirrors.get((peer, lane))
                line = Freshness(peer=peer, lane=lane)
                if log is not None:
                    applied = positions.get(log.id, 0)
                    line.mirrored, line.applied = log.size, applied
                    until = standing.complete_until(connection, log.id, applied)
                    shown = self._confirmed(peer, lane)
                    if shown is not None and shown[0] <= applied:
                        until = max(until or 0, shown[1])
                    if until is not None:
                        line.complete_until.CopyFrom(timestamp(until))
                lines.append(line)
        return lines


def stale_peers(lines: Sequence[Freshness], lane: int) -> Mapping[str, bool]:
    """Whether each peer's knowledge of one lane is stale."""
    return {line.peer: line.stale for line in lines if line.lane == lane}
