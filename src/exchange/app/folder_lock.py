"""One process at a time on a node's data folder: the node itself, or a command that changes the database under it."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from exchange.domain.problems import ExchangeError


class AlreadyRunningError(ExchangeError):
    """Another process serves this data folder."""

    reason = "NODE_RUNNING"


@contextlib.contextmanager
def one_process(folder: Path) -> Iterator[None]:
    """One process for each node folder: the lock is the kernel's, so a killed process leaves none behind.

    Raises:
        AlreadyRunningError: Another process holds it.
    """
    path = folder / "lock"
    path.touch(mode=0o600)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyRunningError(str(folder)) from None
        yield
