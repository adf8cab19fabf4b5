"""Waking those who wait: loops and watchers learn that a log grew, and look for themselves what is new."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exchange.storage.engine.transaction import LogHead


class EventHub:
    """Topics with listeners. A wake-up says only "look again": losing none matters, counting them does not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[Hashable, list[Callable[[], None]]] = {}
        self._sizes: dict[int, int] = {}

    def listen(self, topic: Hashable, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` whenever the topic is notified, from any thread; returns what ends that.

        ``wake`` must not block and must not raise.
        """
        with self._lock:
            self._listeners.setdefault(topic, []).append(wake)

        def end() -> None:
            with self._lock:
                listeners = self._listeners.get(topic, [])
                if wake in listeners:
                    listeners.remove(wake)
                if not listeners:
                    self._listeners.pop(topic, None)

        return end

    def notify(self, topic: Hashable) -> None:
        """Wake everybody who listens to the topic."""
        with self._lock:
            listeners = list(self._listeners.get(topic, ()))
        for wake in listeners:
            wake()

    def has_new_size(self, log: LogHead) -> bool:
        """Whether a log has another size than when it was told of last, or was not told of before."""
        with self._lock:
            known = self._sizes.get(log.id)
            self._sizes[log.id] = log.size
        return known != log.size


LOG_GREW = "log-grew"
"""Topic: some log got entries or a cosigned checkpoint."""

ENTRIES_CAME = "entries-came"
"""Topic: there may be entries to apply, for some log has another size, or a mirror a cosigned checkpoint. A cosignature
under a log of ours changes nothing for apply."""

REGISTERS_CHANGED = "registers-changed"
"""Topic: apply finished a step."""

ATTACHMENTS_LISTED = "attachments-listed"
"""Topic: apply finished a step that lists attachments, or shows again what was withheld: some may be missing."""


def lane_grew(peer: str, lane: int) -> Hashable:
    """Topic: our log towards a peer in one lane got entries or a cosigned checkpoint."""
    return ("lane-grew", peer, lane)


def tell_grown(events: EventHub, grown: Iterable[LogHead]) -> None:
    """Wake whoever waits for logs that a commit made grow; a lane's sender is not woken for those of others."""
    topics: dict[Hashable, None] = {}
    for log in grown:
        topics[LOG_GREW] = None
        if events.has_new_size(log) or log.use == "mirror":
            topics[ENTRIES_CAME] = None
        if log.use == "outbound":
            topics[lane_grew(log.peer, log.lane)] = None
    for topic in topics:
        events.notify(topic)
