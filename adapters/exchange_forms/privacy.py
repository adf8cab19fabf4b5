"""What must not pass the door: document numbers of persons, and names of natural persons in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from exchange.domain.codes import USCC_LENGTH, normalise, uscc_reasons
from exchange.domain.personal import contains_resident_id, name_is_masked, resident_ids
from exchange_forms.joining import facts_of, joined
from exchange_forms.sides.side import Side
from exchange_sheets import Book, Cell, CellKind, Sheet, SheetRow, Table, TableRow, heading_key

ID_REMOVED: Final = "〔身份号码已删除〕"
"""Stands where a resident identity number stood in a text."""

_SHORTEST_NAME: Final = 2
"""Characters of a name that is looked for in other texts: one character alone is most often a word."""


def edits_of(book: Book, tables: Mapping[str, Table], side: Side, joined_by: Sequence[str] = ()) -> dict[str, str]:
    """What has to change in a document before anything is kept of it: new text by address, empty to take away.

    Columns of persons' document numbers go, by their field or by words of their heading. Resident identity numbers in
    any other cell go, but not a sound USCC that looks like one. Names of natural persons are masked, also where they
    stand in other texts of their record's rows. Edits of an edited document are none.

    Args:
        book: The document.
        tables: Its tables by sheet.
        side: The side's tables.
        joined_by: Columns that join rows to one record.
    """
    edits: dict[str, str] = {}
    personal_of: dict[str, frozenset[int]] = {}
    for sheet in book.sheets:
        table = tables.get(sheet.name)
        personal = _personal_columns(sheet, table, side) if table is not None else frozenset()
        personal_of[sheet.name] = personal
        header = table.header if table is not None else -1
        for row in sheet.rows:
            for column, cell in row.cells.items():
                if column in personal and row.number > header:
                    edits[cell.address] = ""
                    continue
                masked = without_ids(cell.text, side)
                if masked != cell.text:
                    edits[cell.address] = masked
    for group in joined(facts_of(book, tables), joined_by):
        for fact, _ in group:
            _mask_person(fact, [(other, personal_of[table.sheet]) for other, table in group], side, edits)
    return edits


def _personal_columns(sheet: Sheet, table: Table, side: Side) -> frozenset[int]:
    found: set[int] = set()
    for row in sheet.rows:
        if row.number != table.header:
            continue
        for column, cell in row.cells.items():
            key = heading_key(cell.text)
            listed = any(layout.aliases.get(key) == "personal" for layout in side.penalty.layouts)
            if listed or any(word in key for word in side.penalty.personal_words):
                found.add(column)
    return frozenset(found)


def without_ids(text: str, side: Side) -> str:
    """The text without resident identity numbers."""
    if not contains_resident_id(text):
        return text
    code = normalise(text)
    if len(code) == USCC_LENGTH and not uscc_reasons(code, side.domain.accepted_codes):
        return text
    for begin, end in reversed(list(resident_ids(text))):
        text = text[:begin] + ID_REMOVED + text[end:]
    return text


def masked_name(name: str) -> str:
    """A natural person's name with its first character only."""
    return name if name_is_masked(name) else f"{name[:1]}**"


def is_person(row: TableRow, side: Side) -> bool:
    """Whether the row says that its subject is a natural person."""
    cell = row.cells.get("subject_kind")
    return cell is not None and side.subject_kinds.find(cell.text) == "NATURAL_PERSON"


def _mask_person(
    row: TableRow, rows: Sequence[tuple[TableRow, frozenset[int]]], side: Side, edits: dict[str, str]
) -> None:
    """Mask the subject of a row in all rows of its record, each with its columns of persons' numbers."""
    cell = row.cells.get("name")
    if cell is None or not is_person(row, side):
        return
    name = cell.text.strip()
    masked = masked_name(name)
    if masked == name:
        return
    edits[cell.address] = masked
    if len(name) < _SHORTEST_NAME:
        return
    for each, personal in rows:
        for column, other in each.source.cells.items():
            text = edits.get(other.address, other.text)
            if column not in personal and other.address != cell.address and name in text:
                edits[other.address] = text.replace(name, masked)


def edited(book: Book, edits: Mapping[str, str]) -> Book:
    """The document as it is kept: cells changed, cells and rows that are empty now left out."""
    if not edits:
        return book
    return replace(book, sheets=tuple(replace(sheet, rows=_rows(sheet, edits)) for sheet in book.sheets))


def _rows(sheet: Sheet, edits: Mapping[str, str]) -> tuple[SheetRow, ...]:
    rows: list[SheetRow] = []
    for row in sheet.rows:
        cells: dict[int, Cell] = {}
        for column, cell in row.cells.items():
            text = edits.get(cell.address)
            if text is None:
                cells[column] = cell
            elif text:
                cells[column] = Cell(cell.address, text, CellKind.TEXT)
        if cells:
            rows.append(replace(row, cells=cells))
    return tuple(rows)
