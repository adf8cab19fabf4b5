"""The registers of an exported folder. They are what the audited unit says that they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.storage.registers.canonical import (
    BUCKET_ROWS,
    PAGE_ROWS,
    REGISTERS,
    Bucket,
    RegisterPosition,
    RegisterRow,
    encode,
)
from exchange.storage.registers.lines import RowOrder, is_integer, key_of_line

MAX_LINE: Final = 8 << 20
"""Bytes of one row: a body has 1 MiB, and its bytes are in hex."""

MAX_POSITION: Final = 4_096


class ExportedRegisters:
    """Registers by the files of a folder, read in order.

    Args:
        folder: The folder ``registers`` of an export, or the export itself.

    Raises:
        FolderUnreadable: They are not there.
    """

    def __init__(self, folder: Path) -> None:
        inner = folder / names.REGISTERS
        self._disk = Disk(inner if inner.is_dir() else folder)
        self._hashes: dict[str, Any] = {}
        self._read: dict[str, str] = {}
        self._position = self._read_position()
        self._begins: dict[tuple[str, str], int] = {}
        self._orders: dict[str, RowOrder] = {}

    def _read_position(self) -> RegisterPosition:
        data = self._disk.read(names.POSITION, MAX_POSITION)
        if data is None:
            raise FolderUnreadable(f"{names.REGISTERS}/{names.POSITION}", "not there: exported without registers")
        self._read[names.POSITION] = sha256(data).hexdigest()
        try:
            told = json.loads(data.decode("utf-8"))
            journal, size, next_change = told["journal"], told["size"], told["next_change"]
        except (ValueError, KeyError, TypeError, RecursionError):
            journal, size, next_change = "", None, None
        if not (isinstance(journal, str) and is_integer(size) and is_integer(next_change)):
            raise FolderUnreadable(f"{names.REGISTERS}/{names.POSITION}", "not of the form")
        return RegisterPosition(journal, size, next_change)

    def position(self) -> RegisterPosition:
        """Where they stood when they were exported."""
        return self._position

    def runs(self, register: str, salt: bytes, after: str) -> tuple[Sequence[Bucket], bool]:
        """Runs of rows behind a key by their digests, and whether these are the last ones."""
        found: list[Bucket] = []
        path = f"{register}.jsonl"
        whole = self._hashes.setdefault(path, sha256()) if after else sha256()
        self._hashes[path] = whole
        lines = islice(self._lines(register, after), PAGE_ROWS)
        count = 0
        while part := list(islice(lines, BUCKET_ROWS)):
            text = b"".join(row.line.encode() + b"\n" for row, _ in part)
            whole.update(text)
            digest = sha256(salt + text).digest()
            last, end = part[-1]
            found.append(Bucket(last.key, len(part), digest))
            self._begins[register, last.key] = end
            count += len(part)
        if count < PAGE_ROWS:
            self._read[path] = whole.hexdigest()
        return found, count < PAGE_ROWS

    def changed(self, listed: Mapping[str, str]) -> list[str]:
        """Paths of files that, as far as they were read to their end, are not as they were before.

        Args:
            listed: SHA-256 in hex by path within the export.
        """
        read = {f"{names.REGISTERS}/{path}": digest for path, digest in self._read.items()}
        return sorted(path for path, digest in read.items() if listed.get(path, digest) != digest)

    def rows(self, register: str, after: str, until: str) -> Iterator[RegisterRow]:
        """Rows behind a key up to another one, in the order of the file."""
        for row, _ in self._lines(register, after):
            yield row
            if row.key == until:
                return

    def _lines(self, register: str, after: str) -> Iterator[tuple[RegisterRow, int]]:
        """Rows from where a run ended, each with the place behind it."""
        path = f"{register}.jsonl"
        if self._disk.size(path) is None:
            raise FolderUnreadable(f"{names.REGISTERS}/{path}", "not there")
        order = self._orders.setdefault(register, RowOrder(REGISTERS[register]))
        begin = self._begins.get((register, after), 0) if after else 0
        last = order.place(json.loads(after)) if begin else None
        with self._disk.open(path) as file:
            file.seek(begin)
            while (line := _line(file, path)) is not None:
                key = key_of_line(line, REGISTERS[register])
                place = order.place(key) if key is not None else None
                # Behind one another: what is compared run by run would be read again and again otherwise.
                if key is None or place is None or (last is not None and place <= last):
                    at = file.tell() - len(line) - 1
                    raise FolderUnreadable(f"{names.REGISTERS}/{path}", "a line that is no row, or out of order", at)
                last = place
                yield RegisterRow(encode(key), line.decode("utf-8")), file.tell()


def _line(file: BinaryIO, path: str) -> bytes | None:
    """The next line without its end; None behind the last one."""
    line = file.readline(MAX_LINE)
    if line and not line.endswith(b"\n"):
        raise FolderUnreadable(f"{names.REGISTERS}/{path}", "a line without an end", file.tell())
    return line[:-1] if line else None
