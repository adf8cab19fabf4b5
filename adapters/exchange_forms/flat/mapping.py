"""Rows of a form ⇄ one record, by the parts of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from google.protobuf.message import Message

from exchange.domain import kinds
from exchange.domain.adapter import NativeDocument
from exchange.v1.record_pb2 import Record
from exchange_forms.flat.items import Items
from exchange_forms.flat.part import Context, FlatKind
from exchange_forms.row import RowMapping
from exchange_forms.sides.side import FormTables, Side
from exchange_forms.sides.vocabulary import text_key
from exchange_forms.subject import header_values, map_header
from exchange_sheets import TableRow

_HEADER = frozenset({"authority_name", "authority_uscc"})


def map_rows(
    rows: Sequence[TableRow], document: NativeDocument, flat: FlatKind, tables: FormTables, side: Side
) -> RowMapping:
    """Map the rows of one record."""
    mapping = RowMapping(rows[0], side, kinds.spec(flat.kind).field, rows)
    context = Context(tables=tables, side=side, document=document)
    map_header(mapping, document, tables.sharing, tables.file)
    for part in flat.parts:
        part.read(mapping, context)
    _hold_together(mapping, flat)
    return mapping


def _hold_together(mapping: RowMapping, flat: FlatKind) -> None:
    """What is said once for all rows must not be said otherwise further down: which one is right is never guessed."""
    of_items = {column for part in flat.parts if isinstance(part, Items) for column in part.columns()}
    shared = (flat.columns() | _HEADER) - of_items
    first = mapping.rows[0].cells
    for row in mapping.rows[1:]:
        for column, cell in row.cells.items():
            above = first.get(column)
            if column in shared and (above is None or text_key(above.text) != text_key(cell.text)):
                mapping.fault("ROWS_DIFFER", cell)


def values_of(record: Record, flat: FlatKind, tables: FormTables, side: Side) -> list[dict[str, str]]:
    """Cells by column for each row of a record."""
    body = getattr(record, kinds.spec(flat.kind).field)
    assert isinstance(body, Message)
    context = Context(tables=tables, side=side, record=record)
    head = dict(header_values(record))
    of_items: list[Sequence[Mapping[str, str]]] = []
    for part in flat.parts:
        head.update(part.write(body, context))
        of_items.append(part.write_rows(body, context))
    rows = [{name: text for each in row for name, text in each.items()} for row in zip_longest(*of_items, fillvalue={})]
    return [{**head, **row} for row in rows or [{}]]


def choices_of(flat: FlatKind, tables: FormTables, side: Side) -> dict[str, Sequence[str]]:
    """Drop-down lists by column."""
    found: dict[str, Sequence[str]] = {column: list(words.texts.values()) for column, words in tables.words.items()}
    context = Context(tables=tables, side=side)
    for part in flat.parts:
        found.update(part.choices(context))
    return found
