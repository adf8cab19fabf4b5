"""Workbooks, CSV and JSON ⇄ rows of text with their cell address. No region, no meaning.

:func:`open_book` reads, :func:`find_table` finds the header row by the caller's own headings, :mod:`writing` writes,
:func:`annotate` gives a caller's own file back with an answer beside each row.
"""

from exchange_sheets.annotating import ANSWER_HEADINGS, RowAnswer, annotate
from exchange_sheets.book import Book, Cell, CellKind, Sheet, SheetRow
from exchange_sheets.dates import NotADate, read_date
from exchange_sheets.numbers import NotANumber, plain_text, read_decimal
from exchange_sheets.opening import is_readable, open_book
from exchange_sheets.redacting import without_cells
from exchange_sheets.table import IGNORED, Table, TableRow, find_table, heading_key
from exchange_sheets.writing import OutSheet, write_csv, write_json
from exchange_sheets.xlsx_writing import write_xlsx

__all__ = [
    "ANSWER_HEADINGS",
    "IGNORED",
    "Book",
    "Cell",
    "CellKind",
    "NotADate",
    "NotANumber",
    "OutSheet",
    "RowAnswer",
    "Sheet",
    "SheetRow",
    "Table",
    "TableRow",
    "annotate",
    "find_table",
    "heading_key",
    "is_readable",
    "open_book",
    "plain_text",
    "read_date",
    "read_decimal",
    "without_cells",
    "write_csv",
    "write_json",
    "write_xlsx",
]
