"""Clocks of `make bench`: real time, processor time and resident memory of every process of a run. Linux only."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
"""Ticks a second in which the kernel counts processor time."""


class Meter:
    """A clock that can be stopped, over real time and the processor time of every process of the run."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = {"client": os.getpid(), **pids}
        self._wall = 0.0
        self._cpu = dict.fromkeys(self._pids, 0.0)
        self._begin: tuple[float, dict[str, float]] | None = None
        self._points: list[tuple[float, float, float]] = [(0.0, 0.0, 0.0)]
        self._memory: dict[str, dict[str, int]] = {}
        self.note_memory(0)

    def _read(self) -> tuple[float, dict[str, float]]:
        return time.perf_counter(), {name: cpu_seconds(pid) for name, pid in self._pids.items()}

    def go(self) -> None:
        """The clock goes on."""
        self._begin = self._read()

    def _now(self) -> tuple[float, dict[str, float]]:
        assert self._begin is not None
        wall, cpu = self._read()
        return self._wall + wall - self._begin[0], {
            name: self._cpu[name] + cpu[name] - self._begin[1][name] for name in cpu
        }

    def stop(self) -> None:
        """The clock stands."""
        self._wall, self._cpu = self._now()

    def point(self, accepted: int, delivered: int) -> None:
        """So much was accepted, and of that delivered, by now.

        Half of a record's work lies before its acceptance, roughly: a client that runs ahead of delivery must not
        make the first records look dear and the last ones cheap.
        """
        wall, cpu = self._now()
        self._points.append(((accepted + delivered) / 2, wall, sum(cpu.values())))

    def note_memory(self, records: int) -> None:
        """Resident memory of the nodes after so many records."""
        self._memory[str(records)] = {name: resident_bytes(pid) for name, pid in self._pids.items() if name != "client"}

    def result(self, retried: int) -> dict[str, Any]:
        """Rates, costs and memory."""
        count = self._points[-1][0]
        quarter = [self._at(count * part / 4) for part in (1, 3, 4)]
        walls, costs = ([point[place] for point in quarter] for place in (0, 1))
        return {
            "seconds": self._wall,
            "records_per_s": count / self._wall,
            "cpu_us_per_record": {name: spent / count * 1e6 for name, spent in self._cpu.items()},
            "first_quarter_per_s": count / 4 / walls[0],
            "last_quarter_per_s": count / 4 / (walls[2] - walls[1]),
            "first_quarter_cpu_us": costs[0] / count * 4e6,
            "last_quarter_cpu_us": (costs[2] - costs[1]) / count * 4e6,
            "rss_bytes": self._memory,
            "retried_calls": retried,
        }

    def _at(self, records: float) -> tuple[float, float]:
        """Clocks at which so much was done, between two looks."""
        for before, after in zip(self._points, self._points[1:], strict=False):
            if after[0] >= records:
                share = (records - before[0]) / max(1.0, after[0] - before[0])
                return before[1] + share * (after[1] - before[1]), before[2] + share * (after[2] - before[2])
        return self._points[-1][1:]


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; Linux only."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def tree_bytes(pid: int) -> int:
    """Memory of a process and all that it started; what they share counts once. Linux only."""
    total, waiting = 0, [pid]
    while waiting:
        each = waiting.pop()
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
            for task in Path(f"/proc/{each}/task").iterdir():
                waiting += map(int, (task / "children").read_text(encoding="ascii").split())
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            continue  # it has ended
    return total
