"""Who is woken by what a commit did."""

from __future__ import annotations

from collections.abc import Hashable

from exchange.flows.events import ENTRIES_CAME, LOG_GREW, EventHub, lane_grew, tell_grown
from exchange.storage.engine.transaction import LogHead
from exchange.tlog.tree import Frontier
from exchange.v1.kind_pb2 import Lane

LANE = Lane.LANE_REGISTRY
OURS, THEIRS = lane_grew("sc", LANE), lane_grew("cq", LANE)


def _head(number: int, use: str, peer: str, size: int) -> LogHead:
    return LogHead(number, f"log {number}", use, peer, LANE, 1, size, Frontier(), retired=False)


def test_a_cosignature_wakes_who_waits_for_it_and_not_what_applies_entries() -> None:
    """Our log with new entries is for both; with a cosignature alone it is for the others; a mirror always for both."""
    hub = EventHub()
    woken: list[Hashable] = []
    for topic in (ENTRIES_CAME, LOG_GREW, OURS, THEIRS):
        hub.listen(topic, lambda topic=topic: woken.append(topic))  # type: ignore[misc]

    def told(head: LogHead) -> set[Hashable]:
        woken.clear()
        tell_grown(hub, [head])
        assert len(set(woken)) == len(woken)
        return set(woken)

    assert told(_head(1, "outbound", "sc", 3)) == {ENTRIES_CAME, LOG_GREW, OURS}
    assert told(_head(1, "outbound", "sc", 3)) == {LOG_GREW, OURS}
    assert told(_head(2, "outbound", "sc", 3)) == {ENTRIES_CAME, LOG_GREW, OURS}
    assert told(_head(1, "outbound", "sc", 4)) == {ENTRIES_CAME, LOG_GREW, OURS}
    assert told(_head(1, "outbound", "sc", 2)) == {ENTRIES_CAME, LOG_GREW, OURS}, "cut in a recovery"
    for _ in range(2):
        assert told(_head(3, "mirror", "cq", 5)) == {ENTRIES_CAME, LOG_GREW}
