"""The folders of a watched folder: made, held by one process, written durably."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchange.domain.problems import Problem, Refused
from exchange.storage.files.spool import PART, sync, write_whole

FILE_MODE: Final = 0o660
"""Less what the umask takes away: an office's folder may be read by those who share it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie.

    Attributes:
        root: The watched folder.
    """

    root: Path

    @property
    def drop(self) -> Path:
        """Files to be submitted; refused ones stay."""
        return self.root / "drop"

    @property
    def results(self) -> Path:
        """Files that were answered, each with its answer."""
        return self.root / "results"

    @property
    def arrivals(self) -> Path:
        """What the other side stated."""
        return self.root / "arrivals"

    @property
    def taken(self) -> Path:
        """A file on its way from ``drop/`` to ``results/``."""
        return self.root / ".taken"

    @property
    def fetched(self) -> Path:
        """Attachments that are being fetched: they go on where they were cut."""
        return self.root / ".fetched"

    @property
    def state(self) -> Path:
        """What a watcher remembers."""
        return self.root / ".state.json"

    def prepare(self) -> None:
        """Make the folders, remove what was half written, and put back what was on its way.

        Raises:
            OSError: They can not be made or written.
        """
        for folder in (self.drop, self.results, self.arrivals, self.taken, self.fetched):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.root, self.results, self.arrivals):
            for path in list(folder.iterdir()):
                if path.name.endswith(PART) and path.is_file():
                    path.unlink()
        self.put_back()

    def put_back(self) -> None:
        """Whatever left ``drop/`` and is not in ``results/`` yet is dropped again; nothing is overwritten."""
        for path in sorted(self.taken.iterdir()):
            target = self.drop / path.name
            if not target.exists():
                path.rename(target)
                sync(self.drop)

    def free(self) -> int:
        """Bytes that are free."""
        return shutil.disk_usage(self.root).free

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """One watcher for a folder: the lock is the kernel's, so a killed one leaves none behind.

        Raises:
            Refused: ``FOLDER_WATCHED``.
        """
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Refused([Problem("FOLDER_WATCHED", str(self.root))]) from None
            yield
        finally:
            os.close(handle)


def write(target: Path, content: bytes) -> None:
    """Write a file: whole or not at all, and on disk when this returns."""
    write_whole(target, content, FILE_MODE)
