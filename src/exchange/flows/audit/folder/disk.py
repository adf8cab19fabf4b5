"""Reading a disk that somebody else wrote: no link is followed, only regular files are opened, sizes are bounded.

A path is walked component by component with each folder held open, so that nothing which is exchanged meanwhile leads
out of the folder; what was opened is looked at itself, and a pipe is never waited for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.names import is_legal

MAX_DEPTH: Final = 32
"""Folders within one another: an origin's components and a tile's number are fewer."""

MAX_FILES: Final = 8_000_000
"""Files and folders of one disk: of a billion entries there are fewer."""

_FILE: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_DIRECTORY", 0)
_BY_HANDLE: Final = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd

STRANGE_NAME: Final = "a name that no export writes"
NO_FILE: Final = "not a regular file"
LINK: Final = "a link"
LINKED: Final = "has another name, too: somebody may change it from there"
"""Told of a file that is read all the same: its bytes are what they are."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk of the disk met.

    Attributes:
        path: Within the folder.
        problem: Why it is not read; empty for a file that is.
        linked: It is a file that has another name, too.
    """

    path: str
    problem: str = ""
    linked: bool = False


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
            FolderUnreadable: There is none, it is no regular file, behind a link, or it can not be read.
        """
        if self._lstat(path) is None:
            raise FolderUnreadable(path, "not there")
        with self._opened(path) as file:
            yield file

    @contextmanager
    def _opened(self, path: str) -> Iterator[BinaryIO]:
        """A path that ``_lstat`` has looked at."""
        try:
            handle = self._open(path)
        except OSError as error:
            raise FolderUnreadable(path, error.strerror or "unreadable") from None
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise FolderUnreadable(path, NO_FILE)
        with os.fdopen(handle, "rb") as file:
            try:
                yield file
            except OSError as error:
                raise FolderUnreadable(path, error.strerror or "unreadable") from None

    def _open(self, path: str) -> int:
        if not _BY_HANDLE:
            return os.open(self.root / path, _FILE)
        *folders, name = path.split("/")
        at = os.open(self.root, os.O_RDONLY)
        try:
            for folder in folders:
                below = os.open(folder, _FOLDER, dir_fd=at)
                os.close(at)
                at = below
            return os.open(name, _FILE, dir_fd=at)
        finally:
            os.close(at)

    def files(self, under: str = "") -> Iterator[str]:
        """Paths of all files below a folder, in order of their bytes.

        Raises:
            FolderUnreadable: A link, a device, or a name that no export writes.
        """
        for found in self.walk(under):
            if found.problem:
                raise FolderUnreadable(found.path, found.problem)
            yield found.path

    def walk(self, under: str = "") -> Iterator[Found]:
        """Everything below a folder but folders, in order of the bytes of the paths; what is strange with its problem.

        Nothing strange is opened, followed or gone into.
        """
        if under and not self._is_folder(under):
            return
        for count, found in enumerate(self._walk(under, 0)):
            if count >= MAX_FILES:
                yield Found(found.path, f"more than {MAX_FILES} files")
                return
            yield found

    def _walk(self, under: str, depth: int) -> Iterator[Found]:
        if depth > MAX_DEPTH:
            yield Found(under, "folders too deep")
            return
        try:
            with os.scandir(self.root / under) as found:
                # As if each folder's name ended in its slash: so whole paths come in the order of their bytes.
                entries = sorted(
                    islice(found, MAX_FILES + 1),
                    key=lambda each: os.fsencode(each.name) + b"/" * each.is_dir(follow_symlinks=False),
                )
        except OSError as error:
            yield Found(under, error.strerror or "unreadable")
            return
        for entry in entries:
            path = f"{under}/{entry.name}" if under else entry.name
            if not is_legal(path):
                yield Found(path, STRANGE_NAME)
            elif entry.is_symlink():
                yield Found(path, LINK)
            elif entry.is_dir(follow_symlinks=False):
                yield from self._walk(path, depth + 1)
            elif entry.is_file(follow_symlinks=False):
                yield Found(path, linked=entry.stat(follow_symlinks=False).st_nlink > 1)
            else:
                yield Found(path, NO_FILE)

    def _is_folder(self, path: str) -> bool:
        try:
            return all(stat.S_ISDIR(os.lstat(self.root / part).st_mode) for part in _parts(path))
        except OSError:
            return False

    def _lstat(self, path: str) -> os.stat_result | None:
        if not is_legal(path):
            raise FolderUnreadable(path, STRANGE_NAME)
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
            raise FolderUnreadable(path, NO_FILE)
        return found


def _parts(path: str) -> list[str]:
    names = path.split("/")
    return ["/".join(names[: count + 1]) for count in range(len(names))]
