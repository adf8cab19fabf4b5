"""A document as rows of text: what every reader makes and every adapter takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from exchange.domain.problems import Problem


class CellKind(Enum):
    """What the file says a cell is."""

    TEXT = "text"
    NUMBER = "number"
    """Text is the stored number in 15 digits, as programs show it, without exponent."""
    DATE = "date"
    """Text is ``YYYY-MM-DD``, with ``THH:MM:SS`` where the time of day is not midnight."""
    BOOLEAN = "boolean"
    """Text is ``TRUE`` or ``FALSE``."""
    ERROR = "error"
    """Text is the error, as in ``#N/A``."""
    NO_VALUE = "no_value"
    """A formula that was saved without its result; the text is empty."""
    NESTED = "nested"
    """JSON that is no scalar and no list of scalars; the text is empty."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell that is not blank.

    Attributes:
        address: ``Sheet1!C5``; ``C5`` in CSV, ``rows[3].CF_WSH`` in JSON.
        text: As the file has it, neither trimmed nor normalised.
    """

    address: str
    text: str
    kind: CellKind = CellKind.TEXT


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetRow:
    """One row that is not blank.

    Attributes:
        number: From 1, as spreadsheet programs count; in JSON the header is 0 and objects count from 1.
        place: ``Sheet1!A5``, ``line 5`` or ``rows[5]``.
        cells: By column number from 1; blank cells are absent.
    """

    number: int
    place: str
    cells: Mapping[int, Cell]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """One sheet; the whole document in CSV and JSON.

    Attributes:
        rows: Rows that are not blank, in order. A merged range shows its text in each of its cells that lies in
            a row and column in use.
        hidden: Whether the sheet is hidden from whoever opens the workbook.
    """

    name: str
    rows: tuple[SheetRow, ...]
    hidden: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """One document.

    Attributes:
        form: ``xlsx``, ``csv`` or ``json``.
        encoding: ``utf-8``, ``utf-8-sig`` or ``gb18030``; empty for a workbook.
        delimiter: Of CSV; empty otherwise.
        remarks: What was seen and is no row.
    """

    form: str
    sheets: tuple[Sheet, ...]
    encoding: str = ""
    delimiter: str = ""
    remarks: tuple[Problem, ...] = ()


@lru_cache(maxsize=1024)
def column_letters(column: int) -> str:
    """Letters of a column number from 1: 1 is ``A``, 27 is ``AA``."""
    letters = ""
    while column > 0:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def in_words(text: str, limit: int = 60) -> str:
    """A text as it may stand in a problem: one line, no control characters, cut at ``limit`` characters."""
    line = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= limit else line[: limit - 1] + "…"
