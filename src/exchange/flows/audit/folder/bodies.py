"""Archives of bodies: ``absent.tsv``, then for each entry in order ``<index>.body`` and ``<index>.salt``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final

from exchange.flows.audit.folder import ustar
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.names import ABSENT
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import parse_decimal

ABSENT_NAME: Final = "absent.tsv"
SALT_BYTES: Final = 32

MAX_BODY_BYTES: Final = 16 << 20
"""Bytes of a body that is read: several times what a node takes."""

MAX_ABSENT_BYTES: Final = 256 << 20
"""Bytes of the list of absent bodies: a tail that nobody cosigned may be long."""


@dataclass(frozen=True, slots=True)
class Absent:
    """An entry whose body is not in the folder.

    Attributes:
        index: The entry.
        reason: ``ERASED``, ``MISSING``, ``WITHHELD`` or ``OUT_OF_SCOPE``.
        record_id: The record; empty where the entry can not be read.
    """

    index: int
    reason: str
    record_id: str

    def line(self) -> str:
        """The line in ``absent.tsv``."""
        return f"{self.index}\t{self.reason}\t{self.record_id}\n"


# Not frozen: a frozen one takes four times as long to make, and one is made for every entry.
@dataclass(slots=True)
class Body:
    """A body of the folder.

    Attributes:
        index: The entry.
        body: The record's exact bytes.
        salt: 32 bytes.
        offset: Where the body begins in the archive.
        salt_offset: Where the salt begins.
    """

    index: int
    body: bytes
    salt: bytes
    offset: int
    salt_offset: int


def write_absent(absent: Mapping[int, Absent]) -> bytes:
    """The member ``absent.tsv``."""
    text = "".join(absent[index].line() for index in sorted(absent))
    return ustar.member(ABSENT_NAME, text.encode("utf-8"))


def write_body(index: int, body: bytes, salt: bytes) -> bytes:
    """The two members of one entry."""
    return ustar.member(f"{index}.body", body) + ustar.member(f"{index}.salt", salt)


class ArchiveDigest:
    """What was read of one archive in one digest, by which a second reading of it is compared."""

    def __init__(self) -> None:
        self._hash = sha256()

    def take(self, index: int, salt: bytes, body: bytes) -> None:
        """The next body that is there."""
        self._hash.update(b"%d %d %d " % (index, len(salt), len(body)) + salt + body)

    def end(self, absent: Iterable[tuple[int, str]]) -> bytes:
        """The digest.

        Args:
            absent: Index and reason of the entries without body, in order.
        """
        self._hash.update("".join(f"{index} {reason}\n" for index, reason in absent).encode())
        return self._hash.digest()


class BodyArchive:
    """One archive that is open.

    Args:
        file: The archive.
        path: Its path, for errors.
        first: Index of the first entry that it is about.
        end: Index behind the last one.

    Raises:
        FolderUnreadable: It does not begin with a sound list of absent bodies.
    """

    def __init__(self, file: BinaryIO, path: str, first: int, end: int) -> None:
        self._reader = ustar.Reader(file, path)
        self._path = path
        self._first, self._end = first, end
        self._members = self._reader.members()
        self.absent: Mapping[int, Absent] = self._read_absent()
        """Entries without body here, by index."""

    def bodies(self) -> Iterator[Body]:
        """Every body in order, one at a time in memory. Of this and ``indices`` one may be walked, once.

        Raises:
            FolderUnreadable: A member that is out of order, cut off or not of the form; an entry that has neither a
                body nor a reason.
        """
        awaited = self._first
        while True:
            while awaited in self.absent:
                awaited += 1
            held = self._reader.take(f"{awaited}.body", MAX_BODY_BYTES) if awaited < self._end else None
            if held is None:
                one = self._following(awaited)
                if one is None:
                    return
                held = one.offset, self._reader.content(one, MAX_BODY_BYTES)
            offset, body = held
            beside = self._reader.take(f"{awaited}.salt", SALT_BYTES) or self._salt(awaited, offset + len(body))
            salt_offset, salt = beside
            if len(salt) != SALT_BYTES:
                raise self._no_salt(awaited, offset + len(body))
            yield Body(awaited, body, salt, offset, salt_offset)
            awaited += 1

    def indices(self) -> Iterator[int]:
        """Entries whose bodies are here, by the headers alone; see ``bodies``."""
        awaited = self._first
        while True:
            while awaited in self.absent:
                awaited += 1
            one = self._following(awaited)
            if one is None:
                return
            self._following_salt(awaited, one.offset + one.size)
            yield awaited
            awaited += 1

    def _following(self, awaited: int) -> ustar.Member | None:
        """The body of the awaited entry; None behind the last one."""
        found = next(self._members, None)
        if found is None:
            if awaited != self._end:
                raise FolderUnreadable(self._path, f"neither a body of {awaited} nor why there is none")
            return None
        if found.name != f"{awaited}.body" or awaited >= self._end:
            raise FolderUnreadable(self._path, f"{found.name} instead of the body of {awaited}", found.offset)
        return found

    def _following_salt(self, index: int, end: int) -> ustar.Member:
        """The salt behind a body that ends there."""
        beside = next(self._members, None)
        if beside is None or beside.name != f"{index}.salt" or beside.size != SALT_BYTES:
            raise self._no_salt(index, end)
        return beside

    def _salt(self, index: int, end: int) -> tuple[int, bytes]:
        beside = self._following_salt(index, end)
        return beside.offset, self._reader.content(beside, SALT_BYTES)

    def _no_salt(self, index: int, end: int) -> FolderUnreadable:
        return FolderUnreadable(self._path, f"no salt of {index} behind its body", end)

    def _read_absent(self) -> dict[int, Absent]:
        found = next(self._members, None)
        if found is None or found.name != ABSENT_NAME:
            raise FolderUnreadable(self._path, f"does not begin with {ABSENT_NAME}", 0)
        data = self._reader.content(found, MAX_ABSENT_BYTES)
        absent: dict[int, Absent] = {}
        last, at = self._first - 1, found.offset
        for line in data.splitlines(keepends=True):
            each = _absent_of(line)
            if each is None or not last < each.index < self._end:
                raise FolderUnreadable(self._path, "no sound line about an absent body", at)
            absent[each.index] = each
            last, at = each.index, at + len(line)
        return absent


def _absent_of(line: bytes) -> Absent | None:
    try:
        index, reason, record_id = line.decode("ascii").removesuffix("\n").split("\t")
        found = Absent(parse_decimal(index), reason, record_id)
    except (ValueError, LogFormatError):
        return None
    sound = reason in ABSENT and len(record_id) <= 64 and record_id.isprintable()
    return found if sound and found.line().encode("ascii") == line else None
