"""Gives a caller's own document back with an answer beside each row, so that it can be corrected and sent again."""

from __future__ import annotations

import io
import json
import re
import unicodedata
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import openpyxl
from openpyxl.cell.cell import MergedCell
from openpyxl.styles import PatternFill
from openpyxl.worksheet.worksheet import Worksheet

from exchange_sheets.book import Book, Cell, Sheet, SheetRow
from exchange_sheets.counting import DAMAGED, refused
from exchange_sheets.csv_reading import SHEET_NAME as CSV_SHEET
from exchange_sheets.json_reading import ROWS
from exchange_sheets.opening import open_book
from exchange_sheets.saved_values import with_saved_values
from exchange_sheets.writing import csv_bytes

ANSWER_HEADINGS: Final = ("处理结果", "原因", "记录编号")
"""Headings of the answer; readers pass over them unless a table of headings claims them."""

_ROW_OF_PLACE = re.compile(r"(?P<sheet>.*)!A(?P<row>[0-9]+)", re.DOTALL)
_LINE = re.compile(r"line ([0-9]+)")
_INDEX = re.compile(rf"{ROWS}\[([0-9]+)\]")
_NUMERIC = re.compile(r"[\s()（）0-9.,\-]*")
_ATTENTION = PatternFill("solid", fgColor="FFFFF2CC")


@dataclass(frozen=True, kw_only=True, slots=True)
class RowAnswer:
    """What became of one row, in the words of the officer's language.

    Attributes:
        attention: The row has to be corrected; it gets a colour in a workbook.
    """

    result: str
    reasons: str = ""
    record_id: str = ""
    attention: bool = False

    @property
    def texts(self) -> tuple[str, str, str]:
        """The three cells in the order of :data:`ANSWER_HEADINGS`."""
        return self.result, self.reasons, self.record_id


def is_answer_heading(text: str) -> bool:
    """Whether a heading is one of the answer's."""
    return unicodedata.normalize("NFKC", text).strip() in ANSWER_HEADINGS


def annotate(content: bytes, answers: Mapping[str, RowAnswer]) -> bytes:
    """The same document with three more columns (in JSON: keys): 处理结果, 原因, 记录编号.

    What was there stays: texts, formulas with their results, formats, merged cells, widths, drop-down lists, other
    sheets, encoding. Pictures and charts of a workbook are lost. Answers of an earlier round are replaced. Reading the
    result gives the same rows.

    Args:
        content: The caller's own document, as it was sent.
        answers: By place of the row, as in ``Sheet1!A5``, ``line 5`` or ``rows[4]``.

    Raises:
        DocumentRefused: The document can not be read.
    """
    book = open_book(content)
    if book.form == "xlsx":
        return _annotate_xlsx(content, book, answers)
    if book.form == "csv":
        return _annotate_csv(book, answers)
    return _annotate_json(content, book, answers)


def _header_of(sheet: Sheet, first_answered: int) -> SheetRow | None:
    """The row above the first answered one that has the most different texts: titles have one, headings many."""
    best: SheetRow | None = None
    most = 0
    for row in sheet.rows:
        if row.number >= first_answered:
            break
        texts = {cell.text for cell in row.cells.values() if not _NUMERIC.fullmatch(cell.text)}
        if len(texts) >= most:
            best, most = row, len(texts)
    return best


def _columns(sheet: Sheet, header: SheetRow | None) -> tuple[int, int, int]:
    """Where the answer goes: its columns of an earlier round, or three new ones behind the last in use."""
    if header is not None:
        earlier = {
            unicodedata.normalize("NFKC", cell.text).strip(): column
            for column, cell in header.cells.items()
            if is_answer_heading(cell.text)
        }
        if len(earlier) == len(ANSWER_HEADINGS):
            first, second, third = (earlier[heading] for heading in ANSWER_HEADINGS)
            return first, second, third
    last = max((max(row.cells) for row in sheet.rows), default=0)
    return last + 1, last + 2, last + 3


def _answered_rows(answers: Mapping[str, RowAnswer], pattern: re.Pattern[str], group: int) -> dict[int, RowAnswer]:
    found: dict[int, RowAnswer] = {}
    for place, answer in answers.items():
        match = pattern.fullmatch(place)
        if match:
            found[int(match[group])] = answer
    return found


def _annotate_xlsx(content: bytes, book: Book, answers: Mapping[str, RowAnswer]) -> bytes:
    by_sheet: dict[str, dict[int, RowAnswer]] = {}
    for place, answer in answers.items():
        match = _ROW_OF_PLACE.fullmatch(place)
        if match:
            by_sheet.setdefault(match["sheet"], {})[int(match["row"])] = answer
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl warns of extensions that it leaves out
            workbook = openpyxl.load_workbook(io.BytesIO(content), keep_links=False)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, zipfile.BadZipFile) as error:
        # openpyxl reads parts that the reader of rows never looks at, and raises whatever comes.
        raise refused(DAMAGED, f"the workbook can not be written again: {type(error).__name__}") from None
    sheets = {sheet.name: sheet for sheet in book.sheets}
    for name, rows in by_sheet.items():
        sheet = sheets.get(name)
        target = workbook[name] if name in workbook.sheetnames else None
        if sheet is None or not isinstance(target, Worksheet):
            continue
        header = _header_of(sheet, min(rows))
        columns = _columns(sheet, header)
        if header is not None:
            _put(target, header.number, columns, ANSWER_HEADINGS, attention=False)
        for number, answer in rows.items():
            _put(target, number, columns, answer.texts, attention=answer.attention)
    made = io.BytesIO()
    workbook.save(made)
    values = {
        # openpyxl numbers the parts of sheets in their order.
        f"xl/worksheets/sheet{number}.xml": _cells_of(sheets[target.title])
        for number, target in enumerate(workbook.worksheets, start=1)
        if target.title in sheets
    }
    return with_saved_values(made.getvalue(), values)


def _cells_of(sheet: Sheet) -> dict[str, Cell]:
    cells = (cell for row in sheet.rows for cell in row.cells.values())
    return {cell.address.rpartition("!")[2]: cell for cell in cells}


def _put(target: Worksheet, row: int, columns: Sequence[int], texts: Sequence[str], *, attention: bool) -> None:
    for column, text in zip(columns, texts, strict=True):
        cell = target.cell(row=row, column=column)
        if isinstance(cell, MergedCell):  # below a title that was merged wider than the table
            continue
        cell.value = _XML_FORBIDDEN.sub(" ", text) or None
        if text:
            cell.data_type = "s"  # never a formula, whatever it begins with
        if attention:
            cell.fill = _ATTENTION


_XML_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


def _annotate_csv(book: Book, answers: Mapping[str, RowAnswer]) -> bytes:
    sheet = book.sheets[0]
    rows = _answered_rows(answers, _LINE, 1)
    header = _header_of(sheet, min(rows, default=0))
    columns = _columns(sheet, header)
    width = max(columns[2], max((max(row.cells) for row in sheet.rows), default=0))
    grid = [[""] * width for _ in range(max((row.number for row in sheet.rows), default=0))]
    for row in sheet.rows:
        for column, cell in row.cells.items():
            grid[row.number - 1][column - 1] = cell.text
    texts = {number: answer.texts for number, answer in rows.items()}
    if header is not None:
        texts[header.number] = ANSWER_HEADINGS
    for number, values in texts.items():
        for column, value in zip(columns, values, strict=True):
            if number <= len(grid):
                grid[number - 1][column - 1] = value
    return csv_bytes(grid, encoding=book.encoding, delimiter=book.delimiter)


def _annotate_json(content: bytes, book: Book, answers: Mapping[str, RowAnswer]) -> bytes:
    value = json.loads(content.decode(book.encoding))
    rows = value[ROWS] if isinstance(value, dict) else value
    for index, answer in _answered_rows(answers, _INDEX, 1).items():
        if index < len(rows):
            rows[index].update(zip(ANSWER_HEADINGS, answer.texts, strict=True))
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode(book.encoding)


__all__ = ["ANSWER_HEADINGS", "CSV_SHEET", "RowAnswer", "annotate", "is_answer_heading"]
