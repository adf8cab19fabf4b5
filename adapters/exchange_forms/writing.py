"""Writes shared records in a side's own layout, and finds out by reading back what the layout could not carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from exchange.domain.adapter import NativeDocument, WrittenDocument
from exchange.domain.adapter_laws import flatten, plain_path
from exchange.domain.problems import Problem, Refused
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange_forms.form import Form
from exchange_forms.forms import forms_of
from exchange_forms.sides.side import Column, Side
from exchange_forms.sides.vocabulary import text_key
from exchange_sheets import Cell, OutSheet, SheetRow, TableRow, write_csv, write_json, write_xlsx

MEDIA_TYPES: Final[Mapping[str, str]] = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv",
    "json": "application/json",
}
RECORD_ID: Final = "记录编号"
"""Heading of the record id: readers pass over it."""

EXAMPLE: Final = "示例"
_NO_DATE: Final = datetime(1970, 1, 1, tzinfo=UTC)


def form_of(side: Side, kind: Kind.ValueType) -> Form:
    """The form that a side has for a kind.

    Raises:
        Refused: It has none (``LAYOUT_UNKNOWN``).
    """
    form = forms_of(side).get(kind)
    if form is None:
        raise Refused([Problem("LAYOUT_UNKNOWN", "", Kind.Name(kind))])
    return form


def columns_of(side: Side, kind: Kind.ValueType) -> tuple[Column, ...]:
    """The columns that a side writes for a kind.

    Raises:
        Refused: It has no layout for the kind (``LAYOUT_UNKNOWN``).
    """
    return form_of(side, kind).columns


def write_records(records: Sequence[Record], side: Side, *, kind: Kind.ValueType, form: str) -> WrittenDocument:
    """Write records of one kind.

    Args:
        records: The records, of this side or another one.
        side: The side whose layout it is.
        kind: Their kind.
        form: ``xlsx``, ``csv`` or ``json``.

    Raises:
        Refused: There is no such layout (``LAYOUT_UNKNOWN``), a record is of another kind (``KIND_MISMATCH``), or the
            rows of two records would be read as one (``ROWS_OF_TWO_RECORDS``).
    """
    layout = form_of(side, kind)
    if form not in MEDIA_TYPES:
        raise Refused([Problem("LAYOUT_UNKNOWN", "", form)])
    wrong = [n for n, record in enumerate(records) if record.WhichOneof("body") != layout.field]
    if wrong:
        raise Refused([Problem("KIND_MISMATCH", f"records[{n}]") for n in wrong])
    rows: list[list[str]] = []
    lost: dict[str, int] = {}
    lost_of: list[tuple[Problem, ...]] = []
    keys: dict[tuple[str, ...], int] = {}
    for number, record in enumerate(records, start=1):
        written = [{"ignored": str(number), **values} for values in layout.write(record)]
        key = tuple(text_key(written[0].get(column, "")) for column in layout.joined_by)
        if key and all(key) and keys.setdefault(key, number) != number:
            raise Refused([Problem("ROWS_OF_TWO_RECORDS", f"records[{number - 1}]", f"records[{keys[key] - 1}]")])
        rows += [
            [*(values.get(column.field, "") for column in layout.columns), record.header.record_id]
            for values in written
        ]
        paths = _lost(record, written, layout)
        lost_of.append(tuple(Problem("FIELD_NOT_CARRIED", path) for path in paths))
        for path in paths:
            lost[path] = lost.get(path, 0) + 1
    sheet = OutSheet(
        name=layout.sheet,
        title=f"{side.title}{layout.sheet}" if form == "xlsx" else "",
        headings=[*(column.heading for column in layout.columns), RECORD_ID],
        rows=rows,
        numeric=[n for n, column in enumerate(layout.columns, start=1) if column.numeric],
    )
    make: Callable[[], bytes] = {
        "xlsx": lambda: write_xlsx([sheet]),
        "csv": lambda: write_csv(sheet),
        "json": lambda: write_json(sheet),
    }[form]
    return WrittenDocument(
        file_name=f"{side.name}-{layout.field.replace('_', '-')}.{form}",
        media_type=MEDIA_TYPES[form],
        content=make(),
        lost=tuple(Problem("FIELD_NOT_CARRIED", path, f"{count}") for path, count in sorted(lost.items())),
        lost_of=tuple(lost_of),
    )


def write_template(side: Side, kind: Kind.ValueType) -> WrittenDocument:
    """An empty form: headings, drop-down lists, one example row that readers pass over, notes.

    Raises:
        Refused: The side has no layout for the kind.
    """
    layout = form_of(side, kind)
    lists = layout.choices()
    sheet = OutSheet(
        name=layout.sheet,
        title=f"{side.title}{layout.sheet}（填报模板）",
        headings=[column.heading for column in layout.columns],
        rows=[[EXAMPLE if column.field == "ignored" else column.example for column in layout.columns]],
        choices={n: lists[column.field] for n, column in enumerate(layout.columns, 1) if lists.get(column.field)},
        suggested=[n for n, column in enumerate(layout.columns, 1) if column.field in layout.suggested],
        notes=layout.notes,
    )
    return WrittenDocument(
        file_name=f"{side.name}-{layout.field.replace('_', '-')}-template.xlsx",
        media_type=MEDIA_TYPES["xlsx"],
        content=write_xlsx([sheet]),
    )


def _lost(record: Record, written: Sequence[Mapping[str, str]], layout: Form) -> list[str]:
    """Paths of fields that are not the same when the written rows are read."""
    rows = [
        TableRow(
            number=number,
            place="row",
            cells={
                column.field: Cell(column.heading, values[column.field])
                for column in layout.columns
                if column.field != "ignored" and values.get(column.field, "").strip()
            },
            source=SheetRow(number=number, place="row", cells={}),
        )
        for number, values in enumerate(written, start=1)
    ]
    document = NativeDocument(file_name="", content=b"", received_at=_NO_DATE)
    mapping = layout.read(rows, document, frozenset(column.field for column in layout.columns))
    # A row with faults would be quarantined here: none of it arrives.
    again = {} if mapping.problems else flatten(mapping.record)
    before = flatten(record)
    paths = {plain_path(path) for path, value in before.items() if again.get(path) != value}
    return sorted(paths - {"header.record_id"})
