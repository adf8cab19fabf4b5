"""The forms of a side that :mod:`exchange_forms.flat` maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exchange.domain import kinds
from exchange.domain.adapter import NativeDocument
from exchange.v1.record_pb2 import Record
from exchange_forms.flat.kinds import FLAT_KINDS
from exchange_forms.flat.mapping import choices_of, map_rows, values_of
from exchange_forms.flat.part import FlatKind
from exchange_forms.form import Form
from exchange_forms.row import RowMapping
from exchange_forms.sides.side import FormTables, Side
from exchange_sheets import TableRow


def flat_forms(side: Side) -> list[Form]:
    """The forms of the kinds that the side has a table file for."""
    return [_form(each, side.forms[each.kind], side) for each in FLAT_KINDS if each.kind in side.forms]


def _form(flat: FlatKind, tables: FormTables, side: Side) -> Form:
    def read(rows: Sequence[TableRow], document: NativeDocument, _columns: frozenset[str]) -> RowMapping:
        return map_rows(rows, document, flat, tables, side)

    def write(record: Record) -> list[dict[str, str]]:
        return values_of(record, flat, tables, side)

    def choices() -> Mapping[str, Sequence[str]]:
        return choices_of(flat, tables, side)

    return Form(
        kind=flat.kind,
        name=tables.layout.name,
        field=kinds.spec(flat.kind).field,
        layouts=(tables.layout,),
        columns=tables.layout.columns,
        found_by=flat.found_by,
        identifying=flat.identifying,
        needed=flat.needed,
        joined_by=flat.joined_by,
        editions={tables.layout.name: tables.edition},
        sheet=tables.sheet,
        notes=(*tables.notes, *side.notes),
        read=read,
        write=write,
        choices=choices,
        suggested=flat.suggested(),
    )
