"""Strict reading of table files: every cell is of the type asked for, and none is left unread."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import TypeVar

from exchange.domain.problems import ExchangeError, Problem

_Cell = TypeVar("_Cell")


class TableError(ExchangeError):
    """A table file is ill-formed. Each problem's place starts with the file's name."""

    reason = "TABLE_INVALID"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        if not self.problems:
            raise ValueError("a table error names at least one problem")
        super().__init__("; ".join(f"{p.place}: {p.detail}" for p in self.problems))


class Row:
    """One TOML table. Reading a cell takes it; :meth:`end` refuses whatever nobody asked for.

    Every method raises :class:`TableError` with the cell's place when the cell is missing or of another type.
    """

    def __init__(self, cells: Mapping[str, object], place: str) -> None:
        self.place = place
        self._cells = dict(cells)

    def wrong(self, key: str, detail: str) -> TableError:
        """The error that names this row's cell ``key``."""
        place = f"{self.place}.{key}" if key else self.place
        return TableError([Problem(TableError.reason, place, detail)])

    def has(self, key: str) -> bool:
        """Whether the cell is there and not read yet."""
        return key in self._cells

    def names(self) -> tuple[str, ...]:
        """Names of the cells not read yet, as written."""
        return tuple(self._cells)

    def _take(self, key: str, kind: type[_Cell], what: str) -> _Cell:
        if key not in self._cells:
            raise self.wrong(key, "missing")
        value = self._cells.pop(key)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"must be {what}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty; ``default`` where the cell is missing."""
        if default is not None and key not in self._cells:
            return default
        value = self._take(key, str, "a text")
        if not value.strip() or value != value.strip():
            raise self.wrong(key, "must not be empty or begin or end with a blank")
        return value

    def one_of(self, key: str, allowed: Iterable[str], default: str | None = None) -> str:
        """A text from a closed list."""
        value = self.text(key, default)
        choices = tuple(allowed)
        if value not in choices:
            raise self.wrong(key, f"must be one of {', '.join(choices)}")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        return self._take(key, bool, "true or false") if key in self._cells else default

    def whole(self, key: str) -> int:
        """A whole number."""
        return self._take(key, int, "a whole number")

    def day(self, key: str) -> date | None:
        """A date written as text, ``YYYY-MM-DD``; None where the cell is missing."""
        if key not in self._cells:
            return None
        value = self.text(key)
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise self.wrong(key, "must be a date, YYYY-MM-DD") from None
        if day.isoformat() != value:
            raise self.wrong(key, "must be a date, YYYY-MM-DD")
        return day

    def decimal(self, key: str) -> Decimal | None:
        """A decimal number written as text; None where the cell is missing."""
        if key not in self._cells:
            return None
        value = self.text(key)
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise self.wrong(key, "must be a decimal number in quotes") from None
        if not number.is_finite() or "e" in value.lower() or "_" in value:
            raise self.wrong(key, "must be a decimal number in quotes")
        return number

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts without repetition; empty where the cell is missing."""
        if key not in self._cells:
            return ()
        values = self._take(key, list, "a list of texts")
        found: list[str] = []
        for value in values:
            if not isinstance(value, str) or not value.strip() or value != value.strip():
                raise self.wrong(key, "must be a list of texts, none empty")
            if value in found:
                raise self.wrong(key, f"lists {value} twice")
            found.append(value)
        return tuple(found)

    def row(self, key: str) -> Row:
        """A table within this one."""
        return Row(self._take(key, dict, "a table"), f"{self.place}.{key}")

    def rows(self, key: str) -> Iterator[Row]:
        """An array of tables; empty where the cell is missing."""
        if key not in self._cells:
            return
        for number, value in enumerate(self._take(key, list, "an array of tables")):
            if not isinstance(value, dict):
                raise self.wrong(key, "must be an array of tables")
            yield Row(value, f"{self.place}.{key}[{number}]")

    def end(self) -> None:
        """Refuse cells that nobody read: a misspelt key must not be silently without effect."""
        for key in self._cells:
            raise self.wrong(key, "unknown key")


def open_table(name: str, content: bytes) -> Row:
    """Parse one table file.

    Args:
        name: File name, for the place of errors.
        content: UTF-8 TOML 1.0.

    Raises:
        TableError: It is not UTF-8 or not TOML.
    """
    try:
        cells = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TableError([Problem(TableError.reason, name, str(error))]) from None
    return Row(cells, name)
