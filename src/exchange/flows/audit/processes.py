"""Processes beside this one, for what is read by the hundred thousand entries."""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from importlib import import_module
from itertools import chain, islice
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


class Helpers:
    """Processes that help once they have begun: they need a second or two for it, in which this one works alone.

    Args:
        executor: The processes.
        modules: What they read before they say that they have begun.
    """

    def __init__(self, executor: Executor, *modules: str) -> None:
        self.executor = executor
        self._begun = executor.submit(_begin, modules)

    @property
    def have_begun(self) -> bool:
        """Whether work that is given to them is begun at once."""
        return self._begun.done()

    def in_order(self, work: Callable[[_P], _T], parts: Iterable[_P], ahead: int) -> Iterator[_T]:
        """Results in the order of the parts: made here until they have begun, and by them from then on."""
        rest = iter(parts)
        for part in rest:
            if self.have_begun:
                yield from in_order(self.executor, work, chain((part,), rest), ahead)
                return
            yield work(part)


def _begin(modules: Iterable[str]) -> None:
    for each in modules:
        import_module(each)


def in_order(executor: Executor, work: Callable[[_P], _T], parts: Iterable[_P], ahead: int) -> Iterator[_T]:
    """Results in the order of the parts.

    Args:
        executor: Works on them.
        work: What is done with each.
        parts: Taken as they are needed.
        ahead: How many wait, or are done and not yet taken: so much is in memory.
    """
    rest = iter(parts)
    waiting = deque((part, _submitted(executor, work, part)) for part in islice(rest, ahead))
    while waiting:
        part, result = waiting.popleft()
        try:
            done = work(part) if result is None else result.result()
        except BrokenExecutor:
            # A process was killed, by the system when memory ran out: the work is done here.
            done = work(part)
        waiting += [(part, _submitted(executor, work, part)) for part in islice(rest, 1)]
        yield done


def _submitted(executor: Executor, work: Callable[[_P], _T], part: _P) -> Future[_T] | None:
    try:
        return executor.submit(work, part)
    except BrokenExecutor:
        return None
