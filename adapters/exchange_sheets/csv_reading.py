"""Reads CSV: UTF-8 with or without byte order mark, or GB 18030; comma or tab."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

from exchange_sheets import limits
from exchange_sheets.book import Book, Cell, Sheet, SheetRow, column_letters
from exchange_sheets.counting import DAMAGED, ENCODING, TOO_LARGE, Budget, refused

UTF8_MARK: Final = b"\xef\xbb\xbf"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
SHEET_NAME: Final = "csv"


def decode(content: bytes) -> tuple[str, str]:
    """Text and encoding of a document.

    UTF-8 is tried first because Chinese text in GB 18030 is almost never valid UTF-8, while the reverse is common.

    Raises:
        DocumentRefused: It is in neither encoding, or holds control characters that no text file has.
    """
    if content.startswith(_UTF16_MARKS):
        raise refused(ENCODING, "UTF-16")
    for encoding in ("utf-8-sig",) if content.startswith(UTF8_MARK) else ("utf-8", "gb18030"):
        try:
            text = content.decode(encoding, "strict")
        except UnicodeDecodeError:
            continue
        if _CONTROL.search(text):
            raise refused(ENCODING, "control characters")
        return text, encoding
    raise refused(ENCODING, "neither UTF-8 nor GB 18030")


def unguard(text: str) -> str:
    """Take away the apostrophe that keeps a spreadsheet program from reading text as a formula."""
    return text[1:] if _GUARDED.match(text) else text


def read_csv(content: bytes) -> Book:
    """Read CSV.

    Raises:
        DocumentRefused: It is over a limit, in another encoding, or its quotes do not match.
    """
    if len(content) > limits.MAX_FILE_BYTES:
        raise refused(TOO_LARGE, f"more than {limits.MAX_FILE_BYTES} bytes")
    text, encoding = decode(content)
    first_line = text.lstrip("\r\n").partition("\n")[0]
    delimiter = "\t" if "\t" in first_line and "," not in first_line else ","
    budget = Budget()
    rows: list[SheetRow] = []
    for number, values in enumerate(_records(text, delimiter), start=1):
        cells: dict[int, Cell] = {}
        for column, value in enumerate(values, start=1):
            if value.strip():
                address = f"{column_letters(column)}{number}"
                budget.cell(column, value, address)
                cells[column] = Cell(address, unguard(value))
        if cells:
            budget.row()
            rows.append(SheetRow(number=number, place=f"line {number}", cells=cells))
    sheet = Sheet(name=SHEET_NAME, rows=tuple(rows))
    return Book(form="csv", sheets=(sheet,), encoding=encoding, delimiter=delimiter)


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    """Records in order, blank ones included. A line break within quotes does not count as a record."""
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise refused(DAMAGED, f"no well-formed CSV: {str(error)[:80]}") from None
