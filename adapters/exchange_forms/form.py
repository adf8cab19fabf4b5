"""What reading and writing need to know of one kind's form, whichever way its rows are mapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from exchange.domain.adapter import NativeDocument
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange_forms.row import RowMapping
from exchange_forms.sides.side import Column, Layout
from exchange_sheets import TableRow

Groups = tuple[tuple[str, ...], ...]
"""Groups of fields, of each of which one has to be there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """One kind's form on one side.

    Attributes:
        name: As in ``penalty``: part of the dialect that provenance names.
        field: Alternative of ``Record.body``.
        layouts: Every layout that is read.
        columns: What is written, in order.
        found_by: Columns by which a header is one of this form.
        identifying: Columns of which a row of facts has at least one.
        needed: Columns without which no row can become a record.
        joined_by: Columns whose texts join the rows of one record; empty where each row is a record.
        editions: Edition that the dialect names, by layout.
        sheet: Name of the sheet.
        notes: Lines of the notes sheet of an empty form.
        read: Maps the rows of one record; the last argument is the fields that the table has a column for.
        write: Cells by field, for each row of a record.
        choices: Drop-down lists by field.
        suggested: Fields whose list only suggests: several of its texts may stand in one cell, or another one.
    """

    kind: Kind.ValueType
    name: str
    field: str
    layouts: tuple[Layout, ...]
    columns: tuple[Column, ...]
    found_by: Groups
    identifying: tuple[str, ...]
    needed: Groups
    joined_by: tuple[str, ...] = ()
    editions: Mapping[str, str]
    sheet: str
    notes: tuple[str, ...]
    read: Callable[[Sequence[TableRow], NativeDocument, frozenset[str]], RowMapping]
    write: Callable[[Record], list[dict[str, str]]]
    choices: Callable[[], Mapping[str, Sequence[str]]]
    suggested: frozenset[str] = frozenset()
