"""MANIFEST: every file with its size and two digests, sorted by the bytes of its path.

path TAB size TAB sha256 in hex TAB sm3 in hex
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO, Final

from exchange.crypto.sealing import Sm3
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.names import MANIFEST, MAX_PATH, is_legal
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import parse_decimal

MAX_LINE: Final = MAX_PATH + 160
PIECE: Final = 1 << 20
"""Bytes hashed at once."""

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """One file.

    Attributes:
        path: Within the folder.
        size: Bytes.
        sha256: In hex.
        sm3: In hex.
    """

    path: str
    size: int
    sha256: str
    sm3: str

    def line(self) -> str:
        """The line with its end."""
        return f"{self.path}\t{self.size}\t{self.sha256}\t{self.sm3}\n"


def digests(file: BinaryIO) -> tuple[int, str, str]:
    """Size, SHA-256 and SM3 of what is left of a file."""
    size, one, other = 0, sha256(), Sm3()
    while piece := file.read(PIECE):
        size += len(piece)
        one.update(piece)
        other.update(piece)
    return size, one.hexdigest(), other.digest().hex()


def line_of(disk: Disk, path: str) -> ManifestLine:
    """The line of a file as it lies on the disk."""
    with disk.open(path) as file:
        return ManifestLine(path, *digests(file))


def read(disk: Disk) -> Iterator[ManifestLine]:
    """The lines of MANIFEST, in its order.

    Raises:
        FolderUnreadable: There is none, or a line is not of the form or out of order.
    """
    with disk.open(MANIFEST) as file:
        at, last = 0, b""
        while raw := file.readline(MAX_LINE + 1):
            found = _parse(raw)
            if found is None or found.path.encode() <= last:
                raise FolderUnreadable(MANIFEST, "no sound line, or out of order", at)
            yield found
            at, last = at + len(raw), found.path.encode()


def _parse(raw: bytes) -> ManifestLine | None:
    try:
        path, size, one, other = raw.decode("utf-8").removesuffix("\n").split("\t")
        found = ManifestLine(path, parse_decimal(size), one, other)
    except (ValueError, LogFormatError):
        return None
    sound = is_legal(path) and _DIGEST.fullmatch(one) and _DIGEST.fullmatch(other)
    return found if sound and found.line().encode("utf-8") == raw else None
