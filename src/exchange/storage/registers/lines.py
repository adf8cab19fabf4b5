"""Lines of registers that others wrote: each a row in its one spelling, or none."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Column, Table

from exchange.storage.registers.canonical import encode
from exchange.storage.registers.registers import LOG_COLUMNS

MAX_INTEGER: Final = 1 << 63
"""Numbers of a row are smaller: a database has no larger ones."""

_HEX: Final = re.compile(r"(?:[0-9a-f]{2})*", re.ASCII)


class RowOrder:
    """The order in which a register's rows are exported: numbers by size, text by its bytes, logs as they come.

    Args:
        table: The register.
    """

    def __init__(self, table: Table) -> None:
        self._by_log = table.primary_key.columns[0].name in LOG_COLUMNS
        self._logs: dict[str, int] = {}

    def place(self, key: Sequence[Any]) -> tuple[int | bytes, ...]:
        """Where a row belongs, to be compared with another one of the register."""
        first, *rest = key
        if self._by_log:
            first = self._logs.setdefault(first, len(self._logs))
        return tuple(each if isinstance(each, int) else each.encode("utf-8") for each in (first, *rest))


def key_of_line(line: bytes, table: Table) -> list[Any] | None:
    """The key of a row; None for what is no row of the register in its one spelling."""
    try:
        text = line.decode("utf-8")
        row = json.loads(text)
        same = isinstance(row, dict) and encode(row) == text
    except (ValueError, RecursionError):
        return None
    if not same or row.keys() != set(table.columns.keys()):
        return None
    if not all(_is_value(column, row[column.name]) for column in table.columns):
        return None
    return [row[column.name] for column in table.primary_key.columns]


def _is_value(column: Column[Any], value: object) -> bool:
    if value is None:
        return bool(column.nullable)
    if column.name in LOG_COLUMNS:
        return isinstance(value, str)
    wanted = column.type.python_type
    if wanted is bytes:
        return isinstance(value, str) and _HEX.fullmatch(value) is not None
    return is_integer(value) if wanted is int else type(value) is wanted


def is_integer(value: object) -> bool:
    """Whether a value is a number that a database has."""
    return type(value) is int and -MAX_INTEGER <= value < MAX_INTEGER
