"""Parts that name somebody or something: subjects, areas, authorities, legal acts, other records."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from exchange.v1.common_pb2 import Authority, RecordRef
from exchange.v1.common_pb2 import Subject as SubjectMessage
from exchange_forms.flat.cells import Field, value_at
from exchange_forms.flat.part import Context, Part
from exchange_forms.row import RowMapping, divided, joined_texts
from exchange_forms.subject import (
    SIDE_FILE,
    area_values,
    map_area,
    map_subject,
    place_values,
    subject_choices,
    subject_values,
)
from exchange_sheets import Cell
from exchange_sheets.book import in_words

_AREA: Final = ("city", "county", "area_code")
_REFERENCE: Final = re.compile(
    r"(?:(?P<origin>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)/)?"
    r"(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:/(?P<revision>[1-9][0-9]{0,5}))?"
)
"""``cq/019573a0-6c00-7000-8000-0000000000aa/1``: node, record id, and the revision where one is meant."""

_NAMED: Final = re.compile(r"(?P<name>.+?)[（(](?P<uscc>[0-9A-Za-z]{18})[)）]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Subject(Part):
    """The subject, with its area.

    Attributes:
        header: Its area is that of the header; false in an item.
    """

    header: bool = True

    def columns(self) -> Collection[str]:
        """Columns of a subject."""
        return ("name", "uscc", "subject_kind", "permit_code", "legal_representative", *_AREA)

    def read(self, row: RowMapping, _context: Context) -> None:
        """Code, kind, name, permit, area."""
        map_subject(row)
        row.code("permit_code", "subject.permit_code")
        map_area(row, header=self.header)

    def write(self, message: Message, context: Context) -> Mapping[str, str]:
        """Cells of a subject."""
        subject = value_at(message, "subject")
        assert isinstance(subject, SubjectMessage)
        code, side = subject.area_code, context.side
        area = area_values(code, side)
        if self.header:
            assert context.record is not None
            area = place_values(code, context.record, side)
        return {**subject_values(subject, side), **area}

    def choices(self, context: Context) -> Mapping[str, Sequence[str]]:
        """Kinds of subjects, and areas of the side."""
        return subject_choices(context.side)


@dataclass(frozen=True, slots=True)
class Area(Part):
    """The area of a record that has no subject, in the body and in the header.

    Attributes:
        prefix: What the names of its columns begin with.
        path: Where it stands in the body.
    """

    prefix: str = ""
    path: str = "area_code"

    def columns(self) -> Collection[str]:
        """Columns of an area."""
        return [self.prefix + column for column in _AREA]

    def read(self, row: RowMapping, _context: Context) -> None:
        """The finest that is given."""
        map_area(row, self.path, prefix=self.prefix)

    def write(self, message: Message, context: Context) -> Mapping[str, str]:
        """Cells of the area."""
        assert context.record is not None
        cells = place_values(value_at(message, self.path), context.record, context.side)
        return {self.prefix + column: text for column, text in cells.items()}

    def choices(self, context: Context) -> Mapping[str, Sequence[str]]:
        """Areas of the side."""
        lists = subject_choices(context.side)
        return {self.prefix + column: lists[column] for column in _AREA if column in lists}


class Act(Part):
    """The legal act in the header: 文号, day, post of who signed."""

    def columns(self) -> Collection[str]:
        """Columns of a legal act."""
        return ("document_no", "issued_on", "approver")

    def read(self, row: RowMapping, _context: Context) -> None:
        """Its number as written, from a cell of text."""
        if row.code_cell("document_no") is not None:
            row.text("document_no", "header.issued.document_no")
        row.day("issued_on", "header.issued.issued_on")
        row.text("approver", "header.issued.approver")


@dataclass(frozen=True, slots=True)
class Named(Part):
    """An authority in two columns: ``<path>_name`` and ``<path>_uscc``."""

    path: str

    def columns(self) -> Collection[str]:
        """Name and code."""
        return (f"{self.path}_name", f"{self.path}_uscc")

    def read(self, row: RowMapping, _context: Context) -> None:
        """As written; a name alone is a name alone."""
        row.text(f"{self.path}_name", f"{self.path}.name")
        row.uscc(f"{self.path}_uscc", f"{self.path}.uscc")

    def write(self, message: Message, _context: Context) -> Mapping[str, str]:
        """Both cells."""
        authority = value_at(message, self.path)
        return {f"{self.path}_name": authority.name, f"{self.path}_uscc": authority.uscc}


class Authorities(Field):
    """Several authorities in one cell: 演示局（11500000…）；演示厅."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """A code stands in parentheses behind its name."""
        cell = row.cell(self.column)
        if cell is None:
            return
        found: list[Authority] = []
        for text in divided(cell.text):
            match = _NAMED.fullmatch(text)
            found.append(Authority(name=match["name"], uscc=match["uscc"].upper()) if match else Authority(name=text))
        if found:
            row.put(self.target, found, cell.address, "name-and-code")

    def text_of(self, value: Sequence[Authority], _context: Context) -> str:
        """Names, with their codes where they have some."""
        return joined_texts([f"{each.name}（{each.uscc}）" if each.uscc else each.name for each in value])


@dataclass(frozen=True, slots=True)
class Reference(Field):
    """Another record: ``node/record id``, and ``/revision`` where one is meant.

    Attributes:
        own: It can only be a record of this side's own node: a record id alone is enough.
    """

    own: bool = False

    def read(self, row: RowMapping, _context: Context) -> None:
        """Node, record id and revision."""
        cell = row.code_cell(self.column)
        if cell is None:
            return
        found = self._one(row, cell, cell.text)
        if found is not None:
            ref, lossy = found
            row.put(f"{self.target}.record_id", ref.record_id, cell.address, "record-reference", lossy=lossy)
            if lossy:
                row.put(f"{self.target}.origin", ref.origin, SIDE_FILE, "own-node")
            else:
                row.put(f"{self.target}.origin", ref.origin, cell.address, "record-reference")
            if ref.revision:
                row.put(f"{self.target}.revision", ref.revision, cell.address, "record-reference")

    def _one(self, row: RowMapping, cell: Cell, text: str) -> tuple[RecordRef, bool] | None:
        match = _REFERENCE.fullmatch(unicodedata.normalize("NFKC", text).strip().lower())
        origin = match["origin"] if match else None
        if match is None or (origin is None and not self.own):
            row.fault("RECORD_REF_INVALID", cell, in_words(text, 60))
            return None
        revision = int(match["revision"] or 0)
        return RecordRef(origin=origin or row.side.side, record_id=match["id"], revision=revision), origin is None

    def text_of(self, value: RecordRef, _context: Context) -> str:
        """All of it."""
        if not value.record_id:
            return ""
        return f"{value.origin}/{value.record_id}" + (f"/{value.revision}" if value.revision else "")


class OwnId(Field):
    """The record's own id, where a document goes on with a record that it can not name by a number of its own."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """From the answer to the document that stated it first."""
        cell = row.code_cell(self.column)
        if cell is None:
            return
        match = _REFERENCE.fullmatch(unicodedata.normalize("NFKC", cell.text).strip().lower())
        if match is None or match["origin"] not in (None, row.side.side) or match["revision"]:
            row.fault("RECORD_REF_INVALID", cell, in_words(cell.text, 60))
        else:
            row.put("header.record_id", match["id"], cell.address, "record-id")

    def write(self, _message: Message, context: Context) -> Mapping[str, str]:
        """The id alone."""
        assert context.record is not None
        return {self.column: context.record.header.record_id}


@dataclass(frozen=True, slots=True)
class References(Reference):
    """Several records in one cell."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """Divided by ；, | or line breaks."""
        cell = row.code_cell(self.column)
        if cell is None:
            return
        found = [self._one(row, cell, text) for text in divided(cell.text)]
        refs = [each[0] for each in found if each is not None]
        if refs:
            row.put(self.target, refs, cell.address, "record-reference")

    def text_of(self, value: Sequence[RecordRef], context: Context) -> str:  # type: ignore[override]  # a list of them
        """All of each."""
        return joined_texts([Reference.text_of(self, each, context) for each in value])
