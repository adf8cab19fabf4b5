"""Uncompressed ustar archives in one spelling: the same members are the same bytes.

A header is 512 bytes: name, mode 0644, uid, gid and mtime 0, size; regular files only. Two blocks of zeroes end it.
A reader writes each header again and compares, so that nothing hides in one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from exchange.flows.audit.folder.errors import FolderUnreadable

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)

MAX_MEMBER_BYTES: Final = 1 << 30
"""Bytes of one member: what eleven octal digits tell is more."""

_COPY_BYTES: Final = 1 << 20


_OWNER: Final = b"0000644\0" + b"0000000\0" * 2
_TIME: Final = b"%011o\0" % 0
_REST: Final = b"0" + bytes(100) + b"ustar\0" + b"00" + bytes(64) + b"0000000\0" * 2 + bytes(167)
"""What stands behind the checksum: regular file, no link, magic, no owner's name, no device, no prefix."""

_SUM: Final = sum(_OWNER) + sum(_TIME) + sum(b" " * 8) + sum(_REST)
"""What every header adds to its checksum, whose own field counts as spaces."""


def header(name: str, size: int) -> bytes:
    """Header of a member.

    Raises:
        ValueError: The name is not ASCII, empty or over 100 characters, or the size is out of range.
    """
    encoded = name.encode("ascii")
    if not 1 <= len(encoded) <= 100 or not 0 <= size <= MAX_MEMBER_BYTES:
        raise ValueError(f"no member {name} of {size} bytes")
    length = b"%011o\0" % size
    checksum = b"%06o\0 " % (_SUM + sum(encoded) + sum(length))
    return encoded.ljust(100, b"\0") + _OWNER + length + _TIME + checksum + _REST


def padding(size: int) -> bytes:
    """Zeroes behind a member's bytes."""
    return bytes(-size % BLOCK)


def member(name: str, content: bytes) -> bytes:
    """A member: header, bytes, padding."""
    return header(name, len(content)) + content + padding(len(content))


@dataclass(frozen=True, slots=True)
class Member:
    """A member as its header tells.

    Attributes:
        name: As it is spelled.
        size: Bytes.
        offset: Where its bytes begin in the archive.
    """

    name: str
    size: int
    offset: int


class Reader:
    """Reads one archive from its beginning to its end.

    Args:
        file: The archive, at its beginning.
        path: Its path, for errors.
    """

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self._path = path
        self._at = 0
        self._passed: Member | None = None
        self._padding: bytes | None = None

    def take(self, name: str, limit: int) -> tuple[int, bytes] | None:
        """Where the bytes of the next member begin, and these bytes, when it is the one that is awaited.

        None when it has another name, more than ``limit`` bytes, or when anything at it is wrong: nothing was passed
        over then, and ``members`` tells what is there.

        Raises:
            FolderUnreadable: The member before it is cut off.
        """
        self._pass()
        file, begin = self._file, self._at + BLOCK
        file.seek(self._at)
        block = file.read(BLOCK)
        try:
            size = int(block[124:135], 8)
            if size > limit or header(name, size) != block:
                return None
        except ValueError:
            return None
        whole = size + -size % BLOCK
        data = file.read(whole)
        if len(data) != whole or data[size:] != padding(size):
            return None
        self._at = begin + whole
        return begin, data[:size]

    def members(self) -> Iterator[Member]:
        """Every further member in order. Its bytes are read by ``content`` before the next is asked for, or passed.

        Raises:
            FolderUnreadable: A header in another spelling, a member that is cut off, or something behind the end.
        """
        while True:
            self._pass()
            self._file.seek(self._at)
            block = self._file.read(BLOCK)
            if block == END[:BLOCK]:
                if self._file.read(BLOCK + 1) != END[BLOCK:]:
                    raise FolderUnreadable(self._path, "something behind the end of the archive", self._at)
                return
            self._passed, self._padding = self._parse(block), None
            yield self._passed

    def _pass(self) -> None:
        """Go behind the member that was told last, which ends in zeroes only."""
        found = self._passed
        if found is None:
            return
        pad, end = padding(found.size), found.offset + found.size
        if self._padding is None:
            self._file.seek(end)
            self._padding = self._file.read(len(pad))
        if self._padding != pad:
            raise FolderUnreadable(self._path, f"{found.name} is cut off, or something stands behind it", end)
        self._at, self._passed = end + len(pad), None

    def content(self, found: Member, limit: int) -> bytes:
        """Bytes of a member.

        Raises:
            FolderUnreadable: More than ``limit``, or cut off.
        """
        if found.size > limit:
            raise FolderUnreadable(self._path, f"{found.name} has more than {limit} bytes", found.offset)
        # With its padding, so that a member costs one read and not three.
        pad = padding(found.size)
        self._file.seek(found.offset)
        data = self._file.read(found.size + len(pad))
        if len(data) < found.size:
            raise FolderUnreadable(self._path, f"{found.name} is cut off", found.offset)
        self._padding = data[found.size :]
        return data[: found.size]

    def _parse(self, block: bytes) -> Member:
        try:
            name = block[:100].rstrip(b"\0").decode("ascii")
            size = int(block[124:135], 8)
            same = len(block) == BLOCK and header(name, size) == block
        except ValueError:
            same = False
        if not same:
            raise FolderUnreadable(self._path, "no header of an archive member in its one spelling", self._at)
        return Member(name, size, self._at + BLOCK)
