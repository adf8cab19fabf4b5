"""Writes tables as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

_NEEDS_GUARD = re.compile(r"'+[=+\-@\t\r]|[=+\-@\t\r]")
_PLAIN_NUMBER = re.compile(r"-[0-9]+(?:\.[0-9]+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class OutSheet:
    """A table to write.

    Attributes:
        title: A line above the headings; only in workbooks.
        rows: Texts, one for each heading; empty means blank.
        numeric: Columns from 1 whose plain numbers are written as numbers. Never columns of codes.
        choices: By column from 1: texts of its drop-down list.
        suggested: Columns whose list only suggests: other texts may be typed.
        notes: Lines of the notes sheet.
    """

    name: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    numeric: Collection[int] = ()
    choices: Mapping[int, Sequence[str]] = field(default_factory=dict)
    suggested: Collection[int] = ()
    notes: Sequence[str] = ()


def guard(text: str) -> str:
    """The text for a CSV cell: with an apostrophe where a spreadsheet program would read it as a formula.

    Plain negative numbers stay as they are. :func:`exchange_sheets.csv_reading.unguard` takes it away again.
    """
    if _NEEDS_GUARD.match(text) and not _PLAIN_NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def csv_bytes(grid: Sequence[Sequence[str]], *, encoding: str, delimiter: str = ",") -> bytes:
    """Rows of texts as CSV (RFC 4180, CRLF). A row of blanks is an empty line.

    Raises:
        UnicodeEncodeError: The encoding has no form for a character; UTF-8 and GB 18030 have one for each.
    """
    target = io.StringIO(newline="")
    writer = csv.writer(target, delimiter=delimiter, lineterminator="\r\n")
    for values in grid:
        if any(values):
            writer.writerow([guard(value) for value in values])
        else:
            target.write("\r\n")
    return target.getvalue().encode(encoding)


def write_csv(sheet: OutSheet, *, encoding: str = "utf-8-sig") -> bytes:
    """A table as CSV: headings, then rows; with byte order mark, so that spreadsheet programs see that it is UTF-8."""
    return csv_bytes([sheet.headings, *sheet.rows], encoding=encoding)


def write_json(sheet: OutSheet) -> bytes:
    """A table as JSON (RFC 8259): a list of objects, blank cells left out, every value a text."""
    rows = [
        {heading: text for heading, text in zip(sheet.headings, values, strict=True) if text} for values in sheet.rows
    ]
    return (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode()
