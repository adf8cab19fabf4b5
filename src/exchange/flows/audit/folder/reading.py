"""The one way in which the folder is read: by verify, replay, import, reconcile and report.

Nothing here verifies a signature or a hash. What comes back has its form, its place and bounded size, no more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from exchange.flows.audit.folder import manifest, names, ustar
from exchange.flows.audit.folder.about import About, LogAbout, read_about
from exchange.flows.audit.folder.bodies import BodyArchive
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.manifest import ManifestLine
from exchange.tlog import tiles
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import MAX_NOTE_BYTES, parse_decimal
from exchange.tlog.tiles import Run
from exchange.tlog.tree import HASH_SIZE

MAX_BUNDLE_BYTES: Final = tiles.WIDTH * (2 + tiles.MAX_ENTRY_BYTES)
MAX_LEAVES_BYTES: Final = 64 << 20
"""Bytes of the kept leaves of 256 steps."""

NOTES_EACH: Final = 256
"""Notes of one archive."""


@dataclass(frozen=True, slots=True)
class LogFolder:
    """One log of the folder.

    Attributes:
        disk: Where it lies.
        about: What export.json says of it.
    """

    disk: Disk
    about: LogAbout

    def path(self, name: str) -> str:
        """Path of one of its files within the folder."""
        return f"{self.about.folder}/{name}"

    def checkpoint(self) -> bytes | None:
        """The signed note; None when nothing is proven of this log."""
        return self.disk.read(self.path(names.CHECKPOINT), MAX_NOTE_BYTES)

    def tile_path(self, level: int, run: Run) -> str:
        """Path of a tile of hashes within the folder."""
        return self.path(tiles.tile_path(level, run))

    def tile(self, level: int, run: Run) -> bytes | None:
        """A tile's bytes as they lie there, of whatever length up to that of a full one; None when there is none."""
        return self.disk.read(self.tile_path(level, run), tiles.WIDTH * HASH_SIZE)

    def bundle_path(self, run: Run) -> str:
        """Path of a bundle within the folder."""
        return self.path(tiles.bundle_path(run))

    def bundle(self, run: Run) -> list[bytes] | None:
        """The entries of a bundle; None when there is none.

        Raises:
            FolderUnreadable: It is cut off, or does not hold as many entries as its name says.
        """
        path = self.bundle_path(run)
        data = self.disk.read(path, MAX_BUNDLE_BYTES)
        if data is None:
            return None
        try:
            return tiles.unpack(data, run.width)
        except LogFormatError as error:
            raise FolderUnreadable(path, str(error)) from None

    def bodies_path(self, run: Run) -> str:
        """Path of a bundle's archive of bodies within the folder."""
        return self.path(f"{names.BODIES}/{run.name('.tar')}")

    @contextmanager
    def bodies(self, run: Run) -> Iterator[BodyArchive | None]:
        """The bodies of a bundle; None when there is no archive."""
        path = self.bodies_path(run)
        if self.disk.size(path) is None:
            yield None
            return
        with self.disk.open(path) as file:
            yield BodyArchive(file, path, run.first, run.end)

    def notes(self, above: int = 0) -> Iterator[tuple[int, bytes]]:
        """Every stored cosigned note with the size that its name tells, in order.

        Args:
            above: Only those of larger sizes.

        Raises:
            FolderUnreadable: An archive is not of the form.
        """
        number, last = 0, 0
        while True:
            path = self.path(f"{names.NOTES}/{tiles.number_path(number)}.tar")
            if self.disk.size(path) is None:
                return
            with self.disk.open(path) as file:
                reader = ustar.Reader(file, path)
                for found in reader.members():
                    size = _size_of(path, found)
                    if size <= last:
                        raise FolderUnreadable(path, f"the note of {size} behind that of {last}", found.offset)
                    last = size
                    if size > above:
                        yield size, reader.content(found, MAX_NOTE_BYTES)
            number += 1

    def leaves(self, run: Run) -> list[tuple[int, bytes]]:
        """Digest leaves that were kept beside the steps of a journal's bundle; empty when there are none.

        Raises:
            FolderUnreadable: The file is cut off or out of order.
        """
        return self._read_leaves(f"{names.LEAVES}/{run.name()}", run.first, run.end)

    def promised_leaves(self) -> list[tuple[int, bytes]]:
        """The same of a journal's promised entries.

        Raises:
            FolderUnreadable: The file is cut off or out of order.
        """
        size = self.about.size
        return self._read_leaves(names.PROMISED_LEAVES, size, size + self.about.promised)

    def _read_leaves(self, name: str, first: int, stop: int) -> list[tuple[int, bytes]]:
        path = self.path(name)
        data = self.disk.read(path, MAX_LEAVES_BYTES) or b""
        found: list[tuple[int, bytes]] = []
        at, last = 0, first - 1
        while at < len(data):
            index = int.from_bytes(data[at : at + 8], "big")
            begin = at + 12
            end = begin + int.from_bytes(data[at + 8 : begin], "big")
            if end > len(data) or begin > len(data) or not last < index < stop:
                raise FolderUnreadable(path, "leaves cut off or out of order", at)
            found.append((index, data[begin:end]))
            at, last = end, index
        return found

    def promised(self) -> Iterator[bytes]:
        """Entries beyond the checkpoint, in order; nothing is proven of them.

        Raises:
            FolderUnreadable: The file is cut off, or does not hold as many as export.json says.
        """
        if not self.about.promised:
            return
        path = self.path(names.PROMISED_ENTRIES)
        with self.disk.open(path) as file:
            for number in range(self.about.promised):
                yield _framed(file, path, number)
            if file.read(1):
                raise FolderUnreadable(path, "more entries than export.json says", file.tell() - 1)

    @contextmanager
    def promised_bodies(self) -> Iterator[BodyArchive | None]:
        """The bodies of what is promised; None when there is no archive."""
        path = self.path(names.PROMISED_BODIES)
        if self.disk.size(path) is None:
            yield None
            return
        with self.disk.open(path) as file:
            yield BodyArchive(file, path, self.about.size, self.about.size + self.about.promised)


def _framed(file: BinaryIO, path: str, number: int) -> bytes:
    begin = file.tell()
    length = file.read(2)
    entry = file.read(int.from_bytes(length, "big"))
    if len(length) != 2 or len(entry) != int.from_bytes(length, "big"):
        raise FolderUnreadable(path, f"entry {number} is cut off", begin)
    return entry


def _size_of(path: str, found: ustar.Member) -> int:
    try:
        return parse_decimal(found.name)
    except LogFormatError:
        raise FolderUnreadable(path, f"{found.name} is not the size of a checkpoint", found.offset) from None


class Folder:
    """An exported folder.

    Args:
        root: Where it lies.

    Raises:
        FolderUnreadable: Its export.json is not there or not of the form.
    """

    def __init__(self, root: Path) -> None:
        self.disk = Disk(root)
        self.about: About = read_about(self.disk)
        self.logs = tuple(LogFolder(self.disk, each) for each in self.about.logs)

    def log(self, origin: str) -> LogFolder | None:
        """The log of that origin."""
        return next((each for each in self.logs if each.about.origin == origin), None)

    def manifest(self) -> Iterator[ManifestLine]:
        """What MANIFEST says of each file."""
        return manifest.read(self.disk)
