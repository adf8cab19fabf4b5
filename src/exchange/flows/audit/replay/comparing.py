"""Registers made again, beside those of a node or of an export: by digests first, row by row where they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes
from typing import Any, Final, Protocol

from exchange.storage.registers.canonical import (
    PAGE_ROWS,
    REGISTERS,
    Bucket,
    RegisterPosition,
    RegisterRow,
    RowReader,
)

SALT_BYTES: Final = 32
MAX_ROWS: Final = 1_000
"""Differing rows that are told one by one; the others are counted."""


class Registers(Protocol):
    """The registers that are compared with."""

    def position(self) -> RegisterPosition:
        """Where they stand now."""
        ...

    def runs(self, register: str, salt: bytes, after: str) -> tuple[Sequence[Bucket], bool]:
        """Runs of rows behind a key by their digests, and whether these are the last ones."""
        ...

    def rows(self, register: str, after: str, until: str) -> Iterator[RegisterRow]:
        """Rows behind a key up to another one."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not the same on both sides.

    Attributes:
        key: Its key, a JSON list.
        made: The row that the logs give; None where they give none.
        found: The row that stands there; None where none does.
    """

    register: str
    key: str
    made: dict[str, Any] | None
    found: dict[str, Any] | None

    @property
    def row(self) -> dict[str, Any]:
        """The row that tells where it comes from: the made one, where there is one."""
        row = self.made or self.found
        assert row is not None
        return row

    def columns(self) -> str:
        """The columns that differ, with what the logs give and what stands there."""
        made, found = self.made or {}, self.found or {}
        names = [name for name in sorted(made | found) if made.get(name) != found.get(name)]
        return ", ".join(f"{name}: {_short(made.get(name))} / {_short(found.get(name))}" for name in names)


def compare(made: RowReader, found: Registers, registers: Sequence[str] = tuple(REGISTERS)) -> Iterator[Difference]:
    """Every row that differs, in order of register and key.

    Args:
        made: The registers that the logs give.
        found: Those that are compared with.
        registers: Names of the tables.
    """
    salt = token_bytes(SALT_BYTES)
    for register in registers:
        after, complete = "", False
        while not complete:
            runs, complete = found.runs(register, salt, after)
            for run in runs:
                digest, count = sha256(salt), 0
                for row in _between(made, register, after, run.last):
                    digest.update(row.line.encode() + b"\n")
                    count += 1
                if (count, digest.digest()) != (run.rows, run.digest):
                    yield from _rows(
                        register, _between(made, register, after, run.last), found.rows(register, after, run.last)
                    )
                after = run.last
            complete = complete or not runs
        yield from _rows(register, _between(made, register, after, ""), iter(()))


def _between(reader: RowReader, register: str, after: str, until: str) -> Iterator[RegisterRow]:
    """Rows of any number, page by page."""
    while True:
        last = ""
        for row in reader.rows(register, after, until, PAGE_ROWS):
            last = row.key
            yield row
        if not last:
            return
        after = last


def _rows(register: str, made: Iterator[RegisterRow], found: Iterator[RegisterRow]) -> Iterator[Difference]:
    theirs = {row.key: row.line for row in found}
    for row in made:
        line = theirs.pop(row.key, None)
        if line != row.line:
            yield Difference(register, row.key, _read(row.line), None if line is None else _read(line))
    for key, line in theirs.items():
        yield Difference(register, key, None, _read(line))


def _read(line: str) -> dict[str, Any]:
    """A row's columns; a line that is none has its text for one."""
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    return row if isinstance(row, dict) else {"": line}


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"
