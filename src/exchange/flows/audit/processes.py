"""Processes beside this one, for what is read by the hundred thousand entries."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import Final, TypeVar

ENTRIES_EACH: Final = 4_096
"""Entries for which a process of its own is worth its start."""

_P = TypeVar("_P")
_T = TypeVar("_T")


def worth(entries: int) -> int:
    """How many processes so many entries are worth, of those that run at once here."""
    return max(1, min(os.cpu_count() or 1, entries // ENTRIES_EACH))


def pool(jobs: int) -> Executor:
    """Processes, each begun when there is work for it. Not by fork: threads that run here would not come along.

    They look for cycles of garbage as seldom as this one.
    """
    return ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=gc.set_threshold, initargs=gc.get_threshold()
    )


def in_order(executor: Executor, work: Callable[[_P], _T], parts: Iterable[_P], ahead: int) -> Iterator[_T]:
    """Results in the order of the parts.

    Args:
        executor: Works on them.
        work: What is done with each.
        parts: Taken as they are needed.
        ahead: How many wait, or are done and not yet taken: so much is in memory.
    """
    rest = iter(parts)
    waiting = [executor.submit(work, part) for part in islice(rest, ahead)]
    while waiting:
        done = waiting.pop(0).result()
        waiting += [executor.submit(work, part) for part in islice(rest, 1)]
        yield done
