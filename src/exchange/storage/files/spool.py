"""Folders through which files go to and from a peer: written whole or not at all, and read as if by a stranger's hand.

out/         what is to be carried; a file stays until it is answered, or a courier has taken it away
sent/        our own copies of calls, so that what was lost on the way is put into ``out/`` again
in/          where a courier puts what came
set-aside/   what is no parcel for us, named with the reason; the oldest goes when there is too much
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OUT, SENT, IN, SET_ASIDE = "out", "sent", "in", "set-aside"

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700

MAX_LISTED: Final = 4_096
"""Files of ``in/`` that one look sees: more wait for the next one."""

MAX_SET_ASIDE: Final = 256
"""Files that are kept set aside."""

MAX_SET_ASIDE_BYTES: Final = 256 << 20
"""Bytes of files that are kept set aside."""

PART: Final = ".part"
"""Ends the name of a file that is being written."""

_UNSAFE = re.compile(r"[^a-z0-9.-]")


@dataclass(frozen=True, slots=True)
class Found:
    """A file of ``in/`` as it was seen: it counts as whole when two looks see the same."""

    name: str
    size: int
    changed: int


class Spool:
    """The folders of one peer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folders, for their owner alone, and remove what a crash left half written.

        Raises:
            OSError: They can not be made.
        """
        for name in (OUT, SENT, IN, SET_ASIDE):
            (self.folder / name).mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        for name in (OUT, SENT):
            for path in list((self.folder / name).iterdir()):
                if path.name.endswith(PART):
                    path.unlink(missing_ok=True)

    # -- out -------------------------------------------------------------------------------------------------

    def put(self, name: str, data: bytes, *, keep: bool) -> None:
        """Write a file to be carried; on disk when this returns.

        Args:
            name: Its name.
            data: Its content.
            keep: Whether a copy is kept, for ``again``.
        """
        if keep:
            self._write(SENT, name, data)
            self.again(name)
        else:
            self._write(OUT, name, data)

    def again(self, name: str) -> bool:
        """Put a kept file into ``out/`` once more; False when there is no copy."""
        kept, target = self.folder / SENT / name, self.folder / OUT / name
        part = target.with_name(name + PART)
        try:
            part.unlink(missing_ok=True)
            os.link(kept, part)
        except FileNotFoundError:
            return False
        except OSError:
            # Another file system, or one without links: a copy does as well.
            self._write(OUT, name, kept.read_bytes())
            return True
        part.replace(target)
        sync(target.parent)
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Give a file that waits, and its kept copy, another content; one that was taken away is not put out for it."""
        out = self.is_out(name)
        if (self.folder / SENT / name).exists():
            self._write(SENT, name, data)
        if out:
            self._write(OUT, name, data)

    def is_out(self, name: str) -> bool:
        """Whether a file still waits to be taken."""
        return (self.folder / OUT / name).exists()

    def drop(self, name: str) -> None:
        """A file need not be carried any more."""
        (self.folder / OUT / name).unlink(missing_ok=True)
        (self.folder / SENT / name).unlink(missing_ok=True)

    def written(self, folder: str = OUT) -> list[str]:
        """Names in ``out/`` or ``sent/``, oldest first where names say when."""
        return sorted(path.name for path in (self.folder / folder).iterdir() if not path.name.endswith(PART))

    def waiting(self, name: str) -> bytes | None:
        """Content of a file that is to be carried, kept or in ``out/``; None when there is none."""
        try:
            return (self.folder / SENT / name).read_bytes()
        except FileNotFoundError:
            return self.read_out(name)

    def read_out(self, name: str) -> bytes | None:
        """Content of a file in ``out/``; None when it is gone: it was answered meanwhile."""
        try:
            return (self.folder / OUT / name).read_bytes()
        except FileNotFoundError:
            return None

    def size_out(self, name: str) -> int:
        """Bytes of a file in ``out/``; 0 when it is gone."""
        try:
            return (self.folder / OUT / name).stat().st_size
        except OSError:
            return 0

    def _write(self, folder: str, name: str, data: bytes) -> None:
        write_whole(self.folder / folder / name, data)

    # -- in --------------------------------------------------------------------------------------------------

    def arrived(self) -> list[Found]:
        """What lies in ``in/``, but for files that a courier is writing under a name of its own (.part, .tmp)."""
        found: list[Found] = []
        with os.scandir(self.folder / IN) as entries:
            for entry in entries:
                if entry.name.endswith((PART, ".tmp")) or entry.name.startswith("."):
                    continue
                if len(found) >= MAX_LISTED:
                    break
                seen = entry.stat(follow_symlinks=False)
                found.append(Found(entry.name, seen.st_size if stat.S_ISREG(seen.st_mode) else -1, seen.st_mtime_ns))
        return found

    def read(self, name: str, limit: int) -> bytes | None:
        """Content of a file of ``in/``; None for one that is no plain file or longer than the limit.

        Raises:
            OSError: It can not be read, or is gone.
        """
        # Neither a link that leads elsewhere nor a pipe that never ends is followed.
        handle = os.open(self.folder / IN / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            seen = os.fstat(file.fileno())
            if not stat.S_ISREG(seen.st_mode) or seen.st_size > limit:
                return None
            return file.read(limit + 1)

    def bring(self, source: Path, limit: int) -> bool:
        """Copy a file from a disk into ``in/``, whole and on disk when this returns; False for one that is no file.

        Raises:
            OSError: It can not be read or written.
        """
        if not stat.S_ISREG(source.lstat().st_mode):
            return False
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                return False
            data = file.read(limit)
        self._write(IN, source.name, data)
        if os.geteuid() == 0:
            # Carried by the administrator, read by the node's own user.
            owner = (self.folder / IN).stat()
            os.chown(self.folder / IN / source.name, owner.st_uid, owner.st_gid)
        return True

    def take(self, name: str) -> None:
        """A file of ``in/`` has had its effect."""
        (self.folder / IN / name).unlink(missing_ok=True)

    def set_aside(self, name: str, reason: str, at: int) -> None:
        """Take a file out of the way; the new name has the time and the reason.

        Raises:
            OSError: It can not be renamed.
        """
        safe = _UNSAFE.sub("_", name.lower())[:80]
        target = self.folder / SET_ASIDE / f"{at:016d}.{safe}.{reason.lower().replace('_', '-')}"
        (self.folder / IN / name).rename(target)
        self._bound_set_aside()

    def _bound_set_aside(self) -> None:
        held = sorted((path for path in (self.folder / SET_ASIDE).iterdir()), key=lambda path: path.name)
        sizes = [path.lstat().st_size for path in held]
        left, total = len(held), sum(sizes)
        for path, size in zip(held, sizes, strict=True):
            if left <= MAX_SET_ASIDE and total <= MAX_SET_ASIDE_BYTES:
                return
            if not path.is_dir() or path.is_symlink():
                path.unlink(missing_ok=True)
                left, total = left - 1, total - size

    def set_aside_names(self) -> Iterator[str]:
        """What is set aside."""
        return (path.name for path in (self.folder / SET_ASIDE).iterdir())


def write_whole(target: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Write a file, for its owner alone unless told otherwise: whole or not at all, and on disk when this returns."""
    part = target.with_name(target.name + PART)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(target)
    sync(target.parent)


def sync(folder: Path) -> None:
    """A rename is on disk when its folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
