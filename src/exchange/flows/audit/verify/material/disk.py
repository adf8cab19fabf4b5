"""What an exported folder holds of its logs, as far as it can be read; where it can not, the place and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final

from exchange.flows.audit.folder import names, ustar
from exchange.flows.audit.folder.about import LogAbout, check_extent, read_about
from exchange.flows.audit.folder.bodies import Absent, ArchiveDigest, Body, BodyArchive
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.verify.material.tree_check import root_of, split
from exchange.tlog import tiles
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import MAX_NOTE_BYTES, parse_decimal
from exchange.tlog.tree import HASH_SIZE, NodeId, root_at

MAX_PROMISED_BYTES: Final = 256 * 1024 * 1024
"""Bytes of the entries that are promised: what waits while a peer is away for days."""

HELD_BYTES: Final = 4 << 20
"""Archives of bodies up to this size are read at once: of 256 bodies of usual size, some hundred kibibytes."""

KEPT_TILES: Final = 64
"""Tiles that a process keeps for roots: those of the levels above, and the newest of the lowest."""


@dataclass(slots=True)
class Entries:
    """A bundle: offset and bytes of each entry that is readable.

    Attributes:
        problem: Offset from which on it is not; None when all of it is.
        absent: There is no such file.
        digest: SHA-256 of the file's bytes.
    """

    file: str
    found: list[tuple[int, bytes]] = field(default_factory=list)
    problem: int | None = None
    absent: bool = False
    digest: bytes = b""


class Bodies:
    """The bodies beside some entries, taken in order, one at a time in memory.

    Args:
        path: The archive.
        archive: None where there is none, or it can not be read.
        problem: Why not.
    """

    def __init__(self, path: str, archive: BodyArchive | None, problem: FolderUnreadable | None) -> None:
        self.file = path
        self.there = archive is not None or problem is not None
        self.problem = problem
        self.absent: Mapping[int, Absent] = archive.absent if archive else {}
        self._bodies = archive.bodies() if archive else iter(())
        self._digest = ArchiveDigest()
        self._next = self._take()

    def of(self, index: int) -> Body | None:
        """The body of an entry; indices rise."""
        while self._next is not None and self._next.index < index:
            self._next = self._take()
        return self._next if self._next is not None and self._next.index == index else None

    def _take(self) -> Body | None:
        try:
            taken = next(self._bodies, None)
        except FolderUnreadable as error:
            self.problem = error
            return None
        if taken is not None:
            self._digest.take(taken.index, taken.salt, taken.body)
        return taken

    def digest(self) -> bytes:
        """Of the bodies, all of them taken, and of those that are absent."""
        return self._digest.end((index, each.reason) for index, each in sorted(self.absent.items()))


@dataclass(slots=True)
class Notes:
    """Cosigned checkpoints: offset, size and note of each.

    Attributes:
        problem: Why the rest can not be read.
        closed: The archive can not be opened, so there may be no end of them.
    """

    file: str
    found: list[tuple[int, int, bytes]] = field(default_factory=list)
    problem: FolderUnreadable | None = None
    closed: bool = False


class Material:
    """An exported folder.

    Args:
        folder: Where it is.

    Raises:
        FolderUnreadable: ``export.json`` is not there or not in its form.
    """

    def __init__(self, folder: Path) -> None:
        self._disk = Disk(folder)
        self._about = about = read_about(self._disk)
        self.node = about.node
        self.domain = about.domain
        self.logs = about.logs
        self.whole = about.is_whole
        self._tile = lru_cache(KEPT_TILES)(self._read_tile)

    def check_extent(self) -> None:
        """See ``about.check_extent``: whoever walks all bundles asks once."""
        check_extent(self._disk, self._about)

    def _read(self, path: str, limit: int) -> bytes | None:
        try:
            return self._disk.read(path, limit)
        except FolderUnreadable:
            return None  # what can not be read is not there: whoever needs it says so

    def checkpoint(self, log: LogAbout) -> bytes | None:
        """The newest cosigned checkpoint."""
        return self._read(f"{log.folder}/{names.CHECKPOINT}", MAX_NOTE_BYTES)

    def tile(self, log: LogAbout, level: int, run: tiles.Run) -> tuple[str, bytes | None]:
        """Path and bytes of a tile; None when it is not there."""
        path = f"{log.folder}/{tiles.tile_path(level, run)}"
        return path, self._read(path, tiles.WIDTH * HASH_SIZE)

    def entries(self, log: LogAbout, run: tiles.Run) -> Entries:
        """A bundle of entries."""
        path = f"{log.folder}/{tiles.bundle_path(run)}"
        data = self._read(path, tiles.WIDTH * (tiles.MAX_ENTRY_BYTES + 2))
        if data is None:
            return Entries(file=path, absent=True)
        entries = unframed(data, path, run.width)
        entries.digest = sha256(data).digest()
        return entries

    def promised(self, log: LogAbout) -> Entries:
        """The entries beyond the checkpoint."""
        path = f"{log.folder}/{names.PROMISED_ENTRIES}"
        data = self._read(path, MAX_PROMISED_BYTES)
        return Entries(file=path, absent=True) if data is None else unframed(data, path, log.promised)

    @contextmanager
    def bodies(self, log: LogAbout, run: tiles.Run) -> Iterator[Bodies]:
        """The bodies beside a bundle."""
        path = f"{log.folder}/{names.BODIES}/{run.name('.tar')}"
        with self._bodies(path, run.first, run.end) as found:
            yield found

    @contextmanager
    def promised_bodies(self, log: LogAbout) -> Iterator[Bodies]:
        """The bodies of the entries beyond the checkpoint."""
        path = f"{log.folder}/{names.PROMISED_BODIES}"
        with self._bodies(path, log.size, log.size + log.promised) as found:
            yield found

    @contextmanager
    def _bodies(self, path: str, first: int, end: int) -> Iterator[Bodies]:
        try:
            size = self._disk.size(path)
        except FolderUnreadable as error:
            yield Bodies(path, None, error)
            return
        if size is None:
            yield Bodies(path, None, None)
            return
        with self._disk.open(path) as opened:
            file = BytesIO(opened.read(size)) if size <= HELD_BYTES else opened
            try:
                archive = BodyArchive(file, path, first, end)
            except FolderUnreadable as error:
                yield Bodies(path, None, error)
                return
            yield Bodies(path, archive, None)

    def notes(self, log: LogAbout, number: int) -> Notes | None:
        """One archive of cosigned checkpoints; None when there is none of that number."""
        path = f"{log.folder}/{names.NOTES}/{tiles.number_path(number)}.tar"
        notes = Notes(file=path)
        try:
            if self._disk.size(path) is None:
                return None
        except FolderUnreadable as error:
            return Notes(file=path, problem=error, closed=True)
        try:
            with self._disk.open(path) as file:
                for each in _notes_in(ustar.Reader(file, path), path):
                    notes.found.append(each)
        except FolderUnreadable as error:
            notes.problem = error
        return notes

    def root_at(self, log: LogAbout, size: int) -> bytes | None:
        """Root of a log's tree at a size up to that of its checkpoint, by its tiles; None when one is not there."""
        if not 0 <= size <= log.size:
            return None
        try:
            return root_at(size, lambda nodes: [self._node(log, node) for node in nodes])
        except _TileMissing:
            return None

    def _node(self, log: LogAbout, node: NodeId) -> bytes:
        level, index = node
        tile_level, rest = divmod(level, tiles.HEIGHT)
        first = index << rest
        run = tiles.run_of(log.size, first // tiles.WIDTH, tile_level)
        hashes = self._tile(log, tile_level, run) if run is not None else None
        if hashes is None:
            raise _TileMissing
        return root_of(hashes[first % tiles.WIDTH :][: 1 << rest])

    def _read_tile(self, log: LogAbout, level: int, run: tiles.Run) -> Sequence[bytes] | None:
        _, data = self.tile(log, level, run)
        return split(data) if data is not None and len(data) == run.width * HASH_SIZE else None


class _TileMissing(Exception):
    """A tile is not there, or not of its size."""


def unframed(data: bytes, path: str, count: int) -> Entries:
    """A bundle's entries as far as they are readable, each with its offset."""
    entries = Entries(file=path)
    at = 0
    while at < len(data):
        begin = at + 2
        end = begin + int.from_bytes(data[at:begin], "big")
        if end > len(data) or begin > len(data) or len(entries.found) == count:
            entries.problem = at
            return entries
        entries.found.append((at, data[begin:end]))
        at = end
    if len(entries.found) != count:
        entries.problem = at
    return entries


def _notes_in(reader: ustar.Reader, path: str) -> Iterator[tuple[int, int, bytes]]:
    last = -1
    for member in reader.members():
        size = _number(member.name)
        if size <= last:
            raise FolderUnreadable(path, f"{member.name} is out of order", member.offset)
        last = size
        yield member.offset, size, reader.content(member, MAX_NOTE_BYTES)


def _number(name: str) -> int:
    """A number as members are named by; -1 for anything else."""
    try:
        return parse_decimal(name)
    except LogFormatError:
        return -1
