"""Writes workbooks: tables with a title, headings, drop-down lists and notes. Everything that can be a code is text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from exchange_sheets.book import Cell, CellKind, column_letters
from exchange_sheets.numbers import SHOWN_DIGITS
from exchange_sheets.writing import OutSheet
from exchange_sheets.xlsx_parts import STYLE_HEADING, STYLE_TEXT, STYLE_TITLE, SheetPart, pack, sheet_name

CHOICES_SHEET: Final = "选项"
NOTES_SHEET: Final = "填写说明"
FORM_ROWS: Final = 1_000
"""Rows of a form that drop-down lists cover."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


def write_xlsx(sheets: Sequence[OutSheet]) -> bytes:
    """A workbook of tables. The same tables give the same bytes.

    Choices stand on a hidden sheet of their own, because a list within a cell's rule ends at 255 characters; notes
    stand on a sheet at the end.
    """
    parts: list[SheetPart] = []
    choices: dict[int, dict[int, tuple[Cell, int]]] = {}
    notes: dict[int, dict[int, tuple[Cell, int]]] = {}
    list_column = 0
    for sheet in sheets:
        name = sheet_name(sheet.name)
        rows: dict[int, dict[int, tuple[Cell, int]]] = {}
        number = 0
        if sheet.title:
            number += 1
            rows[number] = {1: (Cell("", sheet.title), STYLE_TITLE)}
        number += 1
        heading_row = number
        rows[number] = {n: (Cell("", text), STYLE_HEADING) for n, text in enumerate(sheet.headings, start=1) if text}
        for values in sheet.rows:
            number += 1
            rows[number] = {
                column: (_cell(text, numeric=column in sheet.numeric), STYLE_TEXT)
                for column, text in enumerate(values, start=1)
                if text.strip()
            }
        lists: dict[int, str] = {}
        for column, texts in sheet.choices.items():
            list_column += 1
            for row, text in enumerate(texts, start=1):
                choices.setdefault(row, {})[list_column] = (Cell("", text), STYLE_TEXT)
            letters = column_letters(list_column)
            lists[column] = f"{CHOICES_SHEET}!${letters}$1:${letters}${len(texts)}"
        for line in sheet.notes:
            notes[len(notes) + 1] = {1: (Cell("", line), STYLE_TEXT)}
        parts.append(
            SheetPart(
                name=name,
                rows=rows,
                widths={n: _width(text) for n, text in enumerate(sheet.headings, start=1)},
                lists=lists,
                suggested=frozenset(sheet.suggested),
                listed_rows=(heading_row + 1, heading_row + FORM_ROWS),
                frozen_rows=heading_row,
            )
        )
    if notes:
        parts.append(SheetPart(name=NOTES_SHEET, rows=notes, widths={1: 100}))
    if choices:
        parts.append(SheetPart(name=CHOICES_SHEET, rows=choices, hidden=True))
    return pack(parts)


def _cell(text: str, *, numeric: bool) -> Cell:
    if numeric and _NUMBER.fullmatch(text) and sum(char.isdigit() for char in text) <= SHOWN_DIGITS:
        return Cell("", text, CellKind.NUMBER)
    return Cell("", text)


def _width(heading: str) -> int:
    return max(12, min(40, 2 * len(heading) + 4))
