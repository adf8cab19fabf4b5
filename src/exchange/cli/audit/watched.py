"""Bars on standard error, one for each part of long work, while somebody looks at it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from exchange.cli.texts import word
from exchange.flows.audit.watching import Seen, Watch, unwatched

SHOWN_S: Final = 0.1
"""Seconds between two looks: what is done meanwhile is counted, and nothing more, for each of a million entries."""


@contextmanager
def watched() -> Iterator[Watch]:
    """Shows what it is told; on no terminal nothing. The bars are gone when the work is done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield unwatched
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        yield lambda part, total: _counting(bars, bars.add_task(word("audit_part", part), total=total), total)


def _counting(bars: Progress, task: TaskID, total: int) -> Seen:
    done, shown = 0, time.monotonic()

    def seen(count: int) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if now >= shown + SHOWN_S or done >= total:
            bars.update(task, completed=done)
            shown = now

    return seen
