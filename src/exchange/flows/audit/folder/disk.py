"""Reading a disk that somebody else wrote: no link is followed, only regular files are opened, sizes are bounded."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.names import is_legal

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

MAX_DEPTH = 32
"""Folders within one another: an origin's components and a tile's number are fewer."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The folder as files.

    Attributes:
        root: The folder.
    """

    root: Path

    def size(self, path: str) -> int | None:
        """Bytes of a file; None when there is none.

        Raises:
            FolderUnreadable: The path leads through a link, or to what is no file.
        """
        found = self._lstat(path)
        return found.st_size if found else None

    def read(self, path: str, limit: int) -> bytes | None:
        """A whole file; None when there is none.

        Raises:
            FolderUnreadable: It is larger than ``limit``, no file, or behind a link.
        """
        found = self._lstat(path)
        if found is None:
            return None
        with self._opened(path) as file:
            # Not the limit at once: room for all of it would be made, and given back, for every small file.
            data = file.read(min(limit, found.st_size) + 1)
            if len(data) > found.st_size:
                data += file.read(limit + 1 - len(data))  # it has grown since
        if len(data) > limit:
            raise FolderUnreadable(path, f"more than {limit} bytes", limit)
        return data

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """A file to be read piece by piece.

        Raises:
            FolderUnreadable: There is none, it is no regular file, or the path leads through a link.
        """
        if self._lstat(path) is None:
            raise FolderUnreadable(path, "not there")
        with self._opened(path) as file:
            yield file

    @contextmanager
    def _opened(self, path: str) -> Iterator[BinaryIO]:
        """A path that ``_lstat`` has looked at."""
        try:
            handle = os.open(f"{self.root}/{path}", _READ)
        except OSError as error:
            raise FolderUnreadable(path, error.strerror or "unreadable") from None
        with os.fdopen(handle, "rb") as file:
            yield file

    def files(self, under: str = "") -> Iterator[str]:
        """Paths of all files below a folder, in order of their bytes.

        Raises:
            FolderUnreadable: A link, a device, or a name that no export writes.
        """
        if under and not self._is_folder(under):
            return
        yield from self._files(under, 0)

    def _files(self, under: str, depth: int) -> Iterator[str]:
        if depth > MAX_DEPTH:
            raise FolderUnreadable(under, "folders too deep")
        with os.scandir(self.root / under) as found:
            # As if each folder's name ended in its slash: so whole paths come in the order of their bytes.
            entries = sorted(found, key=lambda each: os.fsencode(each.name) + b"/" * each.is_dir(follow_symlinks=False))
        for entry in entries:
            path = f"{under}/{entry.name}" if under else entry.name
            if not is_legal(path):
                raise FolderUnreadable(path, "a name that no export writes")
            if entry.is_symlink():
                raise FolderUnreadable(path, "a link")
            if entry.is_dir(follow_symlinks=False):
                yield from self._files(path, depth + 1)
            elif entry.is_file(follow_symlinks=False):
                yield path
            else:
                raise FolderUnreadable(path, "not a regular file")

    def _is_folder(self, path: str) -> bool:
        try:
            return all(stat.S_ISDIR(os.lstat(self.root / part).st_mode) for part in _parts(path))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _lstat(self, path: str) -> os.stat_result | None:
        if not is_legal(path):
            raise FolderUnreadable(path, "a name that no export writes")
        try:
            *folders, _ = _parts(path)
            for folder in folders:
                if not stat.S_ISDIR(os.lstat(f"{self.root}/{folder}").st_mode):
                    raise FolderUnreadable(path, f"{folder} is no folder")
            found = os.lstat(f"{self.root}/{path}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderUnreadable(path, error.strerror or "unreadable") from None
        if not stat.S_ISREG(found.st_mode):
            raise FolderUnreadable(path, "not a regular file")
        return found


def _parts(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[: count + 1]) for count in range(len(names))]
