"""Reads a document: finds its tables and layout, takes away what must not pass, maps row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from exchange.domain.adapter import DocumentReading, MappedRow, NativeDocument
from exchange.domain.problems import DocumentRefused, Problem
from exchange.v1.common_pb2 import Provenance, SaltedDigest
from exchange.v1.kind_pb2 import Kind
from exchange_forms.form import Form
from exchange_forms.forms import forms_of
from exchange_forms.joining import facts_of, joined
from exchange_forms.privacy import edited, edits_of
from exchange_forms.row import RowMapping
from exchange_forms.sides.side import Layout, Side
from exchange_sheets import Book, Sheet, Table, TableRow, find_table, heading_key, open_book, without_cells
from exchange_sheets.book import in_words

CONTENT_CHARACTERS: Final = 4_000
"""Characters of a row's text in quarantine: a whole row of an ordinary form."""

CELL_CHARACTERS: Final = 400
"""Characters of one cell in it."""

MAX_REMARKS: Final = 1_000
"""Remarks of one document that are listed one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    form: Form
    layout: Layout
    tables: Mapping[str, Table]


def recognises(document: NativeDocument, side: Side) -> bool:
    """Whether the document is readable and has a table of this side. Raises nothing."""
    try:
        return _find(open_book(document.content), document.kind, side, strict=False) is not None
    except DocumentRefused:
        return False


def read_document(document: NativeDocument, side: Side) -> DocumentReading:
    """Map a document of rows, or its redacted form: both give the same rows.

    Raises:
        DocumentRefused: It can not be read, has no table of a known layout (``LAYOUT_UNKNOWN``), mixes layouts
            (``LAYOUT_MIXED``), lacks a column (``HEADING_MISSING``) or has one twice (``HEADING_DUPLICATE``).
    """
    original = open_book(document.content)
    found = _find(original, document.kind, side, strict=True)
    if found is None:
        raise _refused("LAYOUT_UNKNOWN", "", "")
    edits = edits_of(original, found.tables, side, found.form.joined_by)
    redacted = without_cells(document.content, original, edits)
    book = edited(original, edits)
    if edits:
        found = _find(book, document.kind, side, strict=True) or found
    digest = SaltedDigest(
        algorithm="SHA-256", digest=hashlib.sha256(document.salt + redacted).digest(), salt=document.salt
    )
    remarks = list(book.remarks)
    for sheet in book.sheets:
        table = found.tables.get(sheet.name)
        if table is None:
            if not sheet.hidden:
                remarks.append(Problem("SHEET_WITHOUT_TABLE", in_words(sheet.name)))
            continue
        remarks += [Problem("HEADING_UNKNOWN", cell.address, in_words(cell.text)) for cell in table.unknown]
        remarks += table.remarks
    rows: list[MappedRow] = []
    for group in joined(facts_of(book, found.tables), found.form.joined_by):
        table = group[0][1]
        number = document.first_row + len(rows)
        mapping = found.form.read([row for row, _ in group], document, frozenset(table.columns))
        rows.append(_map_row(mapping, number, table=table, found=found, digest=digest, encoding=book.encoding))
    if len(remarks) > MAX_REMARKS:
        remarks[MAX_REMARKS:] = [Problem("REMARKS_CUT", "", f"{len(remarks) - MAX_REMARKS}")]
    return DocumentReading(
        adapter=side.name,
        adapter_edition=side.edition,
        dialect=_dialect(side, found),
        redacted=redacted,
        rows=tuple(rows),
        encoding=book.encoding,
        remarks=tuple(remarks),
    )


def _dialect(side: Side, found: _Found) -> str:
    return f"{side.name}-{found.form.name}-{found.form.editions[found.layout.name]}"


def _refused(reason: str, place: str, detail: str) -> DocumentRefused:
    return DocumentRefused([Problem(reason, place, detail)])


def _find(book: Book, kind: Kind.ValueType, side: Side, *, strict: bool) -> _Found | None:
    """The tables of a document: all of one layout."""
    forms = forms_of(side)
    by_layout: dict[str, tuple[Form, Layout, dict[str, Table]]] = {}
    for sheet in book.sheets:
        if sheet.hidden:
            continue
        best = _best(sheet, forms.values())
        if best is not None:
            form, layout, table = best
            by_layout.setdefault(layout.name, (form, layout, {}))[2][sheet.name] = table
    if not by_layout:
        return None
    names = sorted(by_layout)
    if len(names) > 1 and strict:
        raise _refused("LAYOUT_MIXED", "", " + ".join(names))
    form, layout, tables = by_layout[names[0]]
    if kind not in (Kind.KIND_UNSPECIFIED, form.kind):
        return None
    if strict:
        for table in tables.values():
            _check_headings(table, form, layout)
    return _Found(form=form, layout=layout, tables=tables)


def _best(sheet: Sheet, forms: Iterable[Form]) -> tuple[Form, Layout, Table] | None:
    """The layout that knows the most headings of a sheet."""
    found: list[tuple[int, Form, Layout, Table]] = []
    for form in forms:
        for layout in form.layouts:
            table = find_table(sheet, layout.aliases, required=form.found_by, identifying=form.identifying)
            if table is not None:
                found.append((len(table.columns) + len(table.twice), form, layout, table))
    if not found:
        return None
    _, form, layout, table = max(found, key=lambda each: each[0])
    return form, layout, table


def _check_headings(table: Table, form: Form, layout: Layout) -> None:
    for other in form.layouts:
        strange = [cell for cell in table.unknown if heading_key(cell.text) in other.marks]
        if other.name != layout.name and strange:
            raise _refused("LAYOUT_MIXED", strange[0].address, in_words(strange[0].text))
    if "fine" in table.columns and "fine_yuan" in table.columns:
        raise _refused("LAYOUT_MIXED", table.headings["fine_yuan"].address, "元 + 万元")
    for cell in table.twice:
        if layout.aliases[heading_key(cell.text)] not in ("ignored", "personal"):
            raise _refused("HEADING_DUPLICATE", cell.address, in_words(cell.text))
    for group in form.needed:
        if not any(field in table.columns for field in group):
            heading = next((column.heading for column in layout.columns if column.field == group[0]), group[0])
            raise _refused("HEADING_MISSING", table.sheet, heading)


def _map_row(
    mapping: RowMapping, number: int, *, table: Table, found: _Found, digest: SaltedDigest, encoding: str
) -> MappedRow:
    row, side = mapping.row, mapping.side
    content = in_words(" || ".join(_content(each, table) for each in mapping.rows), CONTENT_CHARACTERS)
    others = tuple(each.place for each in mapping.rows[1:])
    if mapping.problems:
        return MappedRow(row=number, place=row.place, content=content, problems=tuple(mapping.problems), joined=others)
    mapping.record.header.provenance.CopyFrom(
        Provenance(
            adapter=side.name,
            adapter_edition=side.edition,
            dialect=_dialect(side, found),
            document=digest,
            row=number,
            fields=mapping.lines,
            encoding=encoding,
        )
    )
    return MappedRow(row=number, place=row.place, content=content, record=mapping.record, joined=others)


def _content(row: TableRow, table: Table) -> str:
    headings = {column: table.headings[field].text for field, column in table.columns.items()}
    parts = [
        f"{in_words(headings[column], 20)}={in_words(cell.text, CELL_CHARACTERS)}"
        if column in headings
        else in_words(cell.text, CELL_CHARACTERS)
        for column, cell in row.source.cells.items()
    ]
    return " | ".join(parts)
