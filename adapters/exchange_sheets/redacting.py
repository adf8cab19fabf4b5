"""A document again, without the cells that must not be kept."""

from __future__ import annotations

import json
from collections.abc import Mapping

from exchange_sheets import limits
from exchange_sheets.book import Book, Cell, CellKind, Sheet
from exchange_sheets.counting import TOO_LARGE, refused
from exchange_sheets.csv_reading import UTF8_MARK
from exchange_sheets.writing import csv_bytes
from exchange_sheets.xlsx_parts import STYLE_TEXT, SheetPart, pack


def without_cells(content: bytes, book: Book, edits: Mapping[str, str]) -> bytes:
    """The document with some cells changed. Reading it gives the same rows, apart from those cells.

    A workbook is always made anew from what was read: comments, properties, pictures, and strings that no cell shows
    any more are left behind, because nobody has looked at them. CSV and JSON stay byte for byte where nothing changes.

    Args:
        content: The document.
        book: What :func:`open_book` made of it.
        edits: New text by cell address; empty text takes the cell away.

    Raises:
        DocumentRefused: It does not fit the limits in its new form.
    """
    if book.form == "xlsx":
        made = pack(_sheet_part(sheet, edits) for sheet in book.sheets)
    elif not edits:
        return content
    elif book.form == "csv":
        made = _csv(book, edits)
    else:
        made = _json(book, edits)
    if len(made) > limits.MAX_FILE_BYTES:
        raise refused(TOO_LARGE, "more than the limit when written again")
    return made


def _edited(cell: Cell, edits: Mapping[str, str]) -> Cell | None:
    text = edits.get(cell.address)
    if text is None:
        return cell
    return Cell(cell.address, text) if text else None


def _sheet_part(sheet: Sheet, edits: Mapping[str, str]) -> SheetPart:
    rows: dict[int, dict[int, tuple[Cell, int]]] = {}
    for row in sheet.rows:
        cells = {column: _edited(cell, edits) for column, cell in row.cells.items()}
        rows[row.number] = {column: (cell, STYLE_TEXT) for column, cell in cells.items() if cell is not None}
    return SheetPart(name=sheet.name, rows=rows, hidden=sheet.hidden)


def _csv(book: Book, edits: Mapping[str, str]) -> bytes:
    rows = book.sheets[0].rows
    last_row = max((row.number for row in rows), default=0)
    width = max((max(row.cells) for row in rows), default=0)
    grid = [[""] * width for _ in range(last_row)]
    for row in rows:
        for column, cell in row.cells.items():
            edited = _edited(cell, edits)
            grid[row.number - 1][column - 1] = edited.text if edited is not None else ""
    return csv_bytes(grid, encoding=book.encoding, delimiter=book.delimiter)


def _json(book: Book, edits: Mapping[str, str]) -> bytes:
    """Objects with their numbers as written; the first one has every key, so that columns keep their order."""
    rows = {row.number: row for row in book.sheets[0].rows}
    keys = {column: cell.text for column, cell in rows[0].cells.items()} if 0 in rows else {}
    objects: list[str] = []
    for number in range(1, max(rows, default=0) + 1):
        pairs: list[str] = []
        cells = rows[number].cells if number in rows else {}
        for column, key in keys.items():
            cell = _edited(cells[column], edits) if column in cells else None
            if cell is not None:
                pairs.append(f"{json.dumps(key, ensure_ascii=False)}:{_literal(cell)}")
            elif number == 1:
                pairs.append(f"{json.dumps(key, ensure_ascii=False)}:null")
        objects.append("{" + ",".join(pairs) + "}")
    mark = UTF8_MARK if book.encoding == "utf-8-sig" else b""
    return mark + ("[" + ",\n".join(objects) + "]").encode(book.encoding.removesuffix("-sig"))


def _literal(cell: Cell) -> str:
    if cell.kind is CellKind.NUMBER:
        return cell.text
    if cell.kind is CellKind.BOOLEAN:
        return cell.text.lower()
    if cell.kind is CellKind.NESTED:
        return "{}"
    return json.dumps(cell.text, ensure_ascii=False)
