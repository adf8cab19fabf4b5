"""The disk watermark: a disk that fills up is a condition to be told of, not a crash.

Below the first mark telemetry is refused, then registry, urgent last. Delivery, mirroring and answers go on: they are
what empties queues, and what a peer has sent must not be refused for our disk.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exchange.domain.problems import Problem
from exchange.flows.alarms import Alarms
from exchange.v1.kind_pb2 import Lane

LOOK_EVERY_S = 2.0
"""Seconds for which a measurement counts: a disk does not lose a gigabyte in that time here."""

CLEAR_ABOVE = 1.05
"""Factor of the first mark above which the alarm is cleared, so that it does not flap at the mark."""

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Free bytes below which each lane is refused."""

    telemetry: int
    registry: int
    urgent: int


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write on the disk of a folder."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Watermark:
    """Watches the disk of one folder.

    Args:
        folder: The node's data folder.
        marks: When to refuse what.
        alarms: Where a low disk is told; None: nowhere.
        measure: Measures the free bytes of a folder.
    """

    def __init__(
        self,
        folder: Path,
        marks: Marks,
        alarms: Alarms | None = None,
        measure: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._folder = folder
        self._marks: Mapping[int, int] = {
            Lane.LANE_TELEMETRY: marks.telemetry,
            Lane.LANE_REGISTRY: marks.registry,
            Lane.LANE_URGENT: marks.urgent,
        }
        self._highest = max(marks.telemetry, marks.registry, marks.urgent)
        self._alarms = alarms
        self._measure = measure
        self._lock = threading.Lock()
        self._free = self._highest
        self._next_look = 0.0

    def admit(self, lane: int) -> Problem | None:
        """Why nothing is taken for a lane now, or None. Cheap: it looks at the disk every few seconds."""
        free = self.free()
        mark = self._marks.get(lane, self._marks[Lane.LANE_REGISTRY])
        if free >= mark:
            return None
        return Problem("DISK_WATERMARK", "", f"{free // MIB} MiB < {mark // MIB} MiB")

    def free(self) -> int:
        """Free bytes, as last measured."""
        now = time.monotonic()
        if now >= self._next_look and self._lock.acquire(blocking=False):
            try:
                self._look()
                self._next_look = now + LOOK_EVERY_S
            finally:
                self._lock.release()
        return self._free

    def _look(self) -> None:
        try:
            self._free = self._measure(self._folder)
        except OSError as error:
            # Nothing is known of the disk, so the last measurement stands; the database will say what is wrong.
            self._raise(str(error))
            return
        if self._free < self._highest:
            self._raise(f"{self._free // MIB} MiB")
        elif self._alarms and self._free >= self._highest * CLEAR_ABOVE:
            self._alarms.clear("DISK_LOW", str(self._folder))

    def _raise(self, detail: str) -> None:
        if self._alarms:
            self._alarms.raise_("DISK_LOW", str(self._folder), detail)
