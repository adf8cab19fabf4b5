"""Which rows of a document are one record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from exchange_forms.sides.vocabulary import text_key
from exchange_sheets import IGNORED, Book, Table, TableRow

Fact = tuple[TableRow, Table]


def facts_of(book: Book, tables: Mapping[str, Table]) -> list[Fact]:
    """Rows of facts in their order, each with its table."""
    found = [tables[sheet.name] for sheet in book.sheets if sheet.name in tables]
    return [(row, table) for table in found for row in table.rows]


def joined(facts: Sequence[Fact], columns: Sequence[str]) -> Iterable[Sequence[Fact]]:
    """Rows of each record: those that say the same in every one of some columns, wherever they stand.

    A row's number counts within its table. Without columns, or with one of them blank, a row is a record by itself.
    """
    if not columns:
        return [[each] for each in facts]
    groups: dict[object, list[Fact]] = {}
    for number, (row, table) in enumerate(facts):
        texts = [text_key(row.cells[column].text) for column in columns if column in row.cells]
        key = (table.sheet if IGNORED in columns else "", *texts) if len(texts) == len(columns) else number
        groups.setdefault(key, []).append((row, table))
    return groups.values()
