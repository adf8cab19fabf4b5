"""C2SP tlog-tiles: a log as files of 256 hashes and of 256 entries, by the names that any tiles client knows.

    tile/0/x001/x234/067            a full tile of leaf hashes, 256 of them
    tile/1/005.p/4                  the first 4 hashes of a tile of level 1: each the root of a full tile of level 0
    tile/entries/x001/234.p/8       8 entries, each behind its length in two bytes

A tile of level L holds the roots of complete subtrees of 256**L entries. Which files a tree of some size has follows
from the size alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import parse_decimal
from exchange.tlog.tree import MAX_SIZE

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
"""Hashes of a full tile, entries of a full bundle."""

MAX_LEVEL: Final = 7
"""Highest level of a tree of at most 2**63 entries."""

MAX_ENTRY_BYTES: Final = 65_535
"""Bytes of an entry: its length is written in two bytes."""

_NUMBER = re.compile(r"(?:x\d{3}/)*\d{3}", re.ASCII)
_PATH = re.compile(r"(?P<room>tile/(?:\d|entries))/(?P<number>(?:x\d{3}/)*\d{3})(?:\.p/(?P<width>\d{1,3}))?", re.ASCII)


def number_path(number: int) -> str:
    """A number in groups of three digits: 1234067 is ``x001/x234/067``."""
    if not 0 <= number <= MAX_SIZE >> HEIGHT:
        raise LogFormatError(f"tile number out of range: {number}")
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    return "/".join(reversed(groups))


def parse_number(path: str) -> int:
    """Read what ``number_path`` wrote.

    Raises:
        LogFormatError: Any other spelling.
    """
    if len(path) > 40 or not _NUMBER.fullmatch(path):
        raise LogFormatError("a tile number is groups of three digits, all but the last behind an x")
    number = int(path.replace("x", "").replace("/", ""))
    if number_path(number) != path:
        raise LogFormatError("a tile number in another spelling")
    return number


def file_name(number: int, width: int, suffix: str = "") -> str:
    """Name of a full or partial file below its room: ``x001/234``, ``x001/234.p/8``."""
    if not 1 <= width <= WIDTH:
        raise LogFormatError(f"a tile has 1 to {WIDTH} parts, not {width}")
    partial = "" if width == WIDTH else f".p/{width}"
    return number_path(number) + partial + suffix


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """A run of at most 256 entries, or of hashes of one level.

    Attributes:
        number: Which, from 0.
        width: How many; 256 in all but the last.
    """

    number: int
    width: int

    @property
    def first(self) -> int:
        """Index of its first entry or hash."""
        return self.number * WIDTH

    @property
    def end(self) -> int:
        """Index behind its last one."""
        return self.number * WIDTH + self.width

    def name(self, suffix: str = "") -> str:
        """Its file below its room; see ``file_name``."""
        return file_name(self.number, self.width, suffix)


def runs(count: int, start: int = 0) -> Iterator[Run]:
    """The runs of so many entries or hashes, the partial one last.

    Args:
        count: Entries or hashes.
        start: Number of the first run to give.
    """
    full, rest = divmod(count, WIDTH)
    for number in range(start, full):
        yield Run(number, WIDTH)
    if rest and start <= full:
        yield Run(full, rest)


def hashes_at(size: int, level: int) -> int:
    """How many hashes the level has in a tree of some size: 256**level entries each."""
    return size >> (HEIGHT * level)


def levels(size: int) -> range:
    """Levels that have tiles in a tree of some size, lowest first."""
    return range(-(-size.bit_length() // HEIGHT))


def run_of(size: int, number: int, level: int = 0) -> Run | None:
    """One run of a level in a tree of some size; None when there is none."""
    width = min(WIDTH, hashes_at(size, level) - number * WIDTH)
    return Run(number, width) if number >= 0 and width > 0 else None


def tile_path(level: int, run: Run) -> str:
    """Path of a tile of hashes."""
    if not 0 <= level <= MAX_LEVEL:
        raise LogFormatError(f"tile level out of range: {level}")
    return f"tile/{level}/{run.name()}"


def bundle_path(run: Run) -> str:
    """Path of a bundle of entries."""
    return f"tile/entries/{run.name()}"


def parse_path(path: str) -> tuple[int | None, Run]:
    """Level (None for a bundle of entries) and run of a path.

    Raises:
        LogFormatError: No path of a tile or bundle in its one spelling.
    """
    match = _PATH.fullmatch(path)
    if not match:
        raise LogFormatError("not a path of a tile or bundle")
    width = WIDTH if match["width"] is None else parse_decimal(match["width"])
    if match["width"] is not None and not 1 <= width < WIDTH:
        raise LogFormatError("a partial tile has 1 to 255 parts")
    run = Run(parse_number(match["number"]), width)
    level = None if match["room"] == "tile/entries" else int(match["room"][5:])
    if level is not None and level > MAX_LEVEL:
        raise LogFormatError(f"tile level out of range: {level}")
    return level, run


def pack(entries: Iterable[bytes]) -> bytes:
    """A bundle: each entry behind its length as a big-endian uint16.

    Raises:
        LogFormatError: An entry is larger than ``MAX_ENTRY_BYTES``.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise LogFormatError(f"an entry of {len(entry)} bytes; a bundle takes {MAX_ENTRY_BYTES}")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def unpack(data: bytes, count: int | None = None) -> list[bytes]:
    """The entries of a bundle.

    Args:
        data: The bundle.
        count: How many it must hold; None for any number.

    Raises:
        LogFormatError: An entry is cut off, or there are more or fewer.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        begin = at + 2
        at = begin + int.from_bytes(data[at:begin], "big")
        if at > len(data) or begin > len(data):
            raise LogFormatError(f"entry {len(entries)} of the bundle is cut off")
        entries.append(data[begin:at])
    if count is not None and len(entries) != count:
        raise LogFormatError(f"the bundle holds {len(entries)} entries, not {count}")
    return entries
