"""The port between one region's documents and shared records.

An adapter is found through the entry-point group ``exchange.adapters``; its entry point is a factory
``create(tables, overlays) -> Adapter``. It reads native documents into records with provenance for every
field, and writes records back into its side's own layout. It guesses nothing and drops nothing: what it can
not map leaves as a row with problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from exchange.domain.losses import LossReport
from exchange.domain.problems import Problem
from exchange.v1.common_pb2 import Authority
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record


@dataclass(frozen=True, kw_only=True, slots=True)
class NativeDocument:
    """One native file as an agency sent it, with what the file itself does not say.

    Attributes:
        file_name: Hint to the format; never trusted alone.
        content: The bytes, or the adapter's own redacted form of them (then the same rows come out).
        received_at: Aware instant; the only clock an adapter knows.
        kind: Kind of the rows; ``KIND_UNSPECIFIED``: as the headings say.
        authority: Who states the facts where the document does not name an authority.
        purpose: Purpose that every record's header gets.
        salt: 32 bytes for the salted document digest in provenance.
        first_row: Number of the first row, for a document that was cut into parts.
    """

    file_name: str
    content: bytes
    received_at: datetime
    kind: Kind.ValueType = Kind.KIND_UNSPECIFIED
    authority: Authority | None = None
    purpose: str = ""
    salt: bytes = bytes(32)
    first_row: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class MappedRow:
    """One sheet row, several that are joined, or one joined packet.

    Either ``record`` is set, or ``problems`` says why the row can not be mapped: then it is quarantined. Its header has
    no revision yet, and a record id only where the document names one to go on with a record that has no other number.

    Attributes:
        row: From 1, counted over the document.
        place: ``Sheet1!A5``, ``line 7`` or ``byte 1024``; of joined rows, the first.
        content: What the row says, redacted, as one line of text for whoever looks into quarantine.
        left_out: Readings or items of this row that could not be mapped while the rest goes on.
        joined: Places of the other rows of the same record.
    """

    row: int
    place: str
    content: str
    record: Record | None = None
    problems: tuple[Problem, ...] = ()
    left_out: tuple[Problem, ...] = ()
    joined: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentReading:
    """What an adapter made of one document.

    Attributes:
        redacted: The document after redaction (``PW`` of HJ 212, id-number cells); only this is stored and
            digested. Reading it again gives the same rows.
        remarks: What was seen and is no row: skipped bytes, footers, hidden sheets.
        encoding: Text encoding found; empty where it does not apply.
    """

    adapter: str
    adapter_edition: str
    dialect: str
    redacted: bytes
    rows: tuple[MappedRow, ...]
    encoding: str = ""
    remarks: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A document with what must come out of it, shipped beside the adapter.

    Attributes:
        expected: For each row in order: ``RECORD``, or the reason code of its first problem.
    """

    name: str
    document: NativeDocument
    expected: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenDocument:
    """Records in a side's own layout.

    Attributes:
        lost: What the layout can not carry: place is the record's field path.
        lost_of: For each record in its order, each field that was set and is not in the document, with the reason.
    """

    file_name: str
    media_type: str
    content: bytes
    lost: tuple[Problem, ...] = field(default=())
    lost_of: tuple[tuple[Problem, ...], ...] = field(default=())


class Adapter(Protocol):
    """One region's documents ⇄ shared records."""

    name: str
    side: str
    edition: str
    kinds: tuple[Kind.ValueType, ...]

    def recognises(self, document: NativeDocument) -> bool:
        """Whether the document is in one of this side's layouts. Cheap; raises nothing."""
        ...

    def read(self, document: NativeDocument) -> DocumentReading:
        """Map a document.

        Raises:
            DocumentRefused: The whole document is refused (``LAYOUT_MIXED``, ``FILE_TYPE``, …).
        """
        ...

    def write(self, records: Sequence[Record], *, kind: Kind.ValueType, form: str) -> WrittenDocument:
        """Write records of one kind in this side's layout; ``form`` is ``xlsx``, ``csv``, ``json`` or ``hj212``.

        Raises:
            Refused: The side has no layout for the kind or form (``LAYOUT_UNKNOWN``).
        """
        ...

    def template(self, kind: Kind.ValueType) -> WrittenDocument:
        """An empty form: headings, drop-down lists, one example row, notes."""
        ...

    def losses(self, kind: Kind.ValueType) -> LossReport:
        """What this side's layout of a kind can not carry: every field is carried or listed with its reason.

        Raises:
            Refused: The side has no layout for the kind (``LAYOUT_UNKNOWN``).
        """
        ...

    def samples(self) -> Sequence[Sample]:
        """The samples shipped with the adapter."""
        ...


class AdapterFactory(Protocol):
    """What an entry point of ``exchange.adapters`` names."""

    def __call__(self, tables: object, overlays: Mapping[str, bytes]) -> Adapter:
        """Make the adapter.

        Args:
            tables: The domain tables, ``exchange.domain.catalogues.tables.Tables``.
            overlays: The administrator's additions by file name (``stations.toml``, ``aliases.toml``,
                ``accepted_codes.toml``): they win over the adapter's own tables.
        """
        ...
