"""The table of kinds: what each kind of record is called, where it travels, what answers it, what makes it unique."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.domain.kinds.acts import ACTS
from exchange.domain.kinds.facts import FACTS
from exchange.domain.kinds.mechanism import MECHANISM
from exchange.domain.kinds.spec import KindSpec
from exchange.v1.kind_pb2 import KIND_UNSPECIFIED, ErasureClass, Kind, Lane
from exchange.v1.record_pb2 import Record

if TYPE_CHECKING:
    from exchange.v1.common_pb2 import RecordRef

KIND_EDITION: Final = 1
"""Edition of every kind's schema that this program writes and reads."""

_SPECS = (*FACTS, *ACTS, *MECHANISM)

_BY_KIND = {spec.kind: spec for spec in _SPECS}
_BY_FIELD = {spec.field: spec.kind for spec in _SPECS}
_BY_NAME = {spec.name.lower(): spec.kind for spec in _SPECS}
KINDS: Final[tuple[Kind.ValueType, ...]] = tuple(_BY_KIND)
"""Every kind of the table."""


def spec(kind: Kind.ValueType) -> KindSpec:
    """The table's line for a kind.

    Raises:
        KeyError: This edition does not know the kind.
    """
    return _BY_KIND[kind]


def kind_of(record: Record) -> Kind.ValueType:
    """The kind of a record; ``KIND_UNSPECIFIED`` when its body is not set or of a newer edition."""
    field = record.WhichOneof("body")
    return KIND_UNSPECIFIED if field is None else _BY_FIELD[field]


def kind_by_name(name: str) -> Kind.ValueType | None:
    """The kind of a name such as ``CreditResult``, ``credit_result`` or ``credit-result``; None when there is none."""
    return _BY_NAME.get(name.replace("_", "").replace("-", "").lower())


def lane_of(kind: Kind.ValueType, answered: Lane.ValueType | None = None) -> Lane.ValueType:
    """The lane that a record of this kind belongs in.

    Args:
        kind: A kind of the table.
        answered: Lane of the record that it answers or erases, or the lane that a key is announced in.

    Raises:
        KeyError: This edition does not know the kind.
        ValueError: The kind follows what it answers, and that lane was not given.
    """
    lane = _BY_KIND[kind].lane
    if lane is not None:
        return lane
    if answered is None or answered == Lane.LANE_UNSPECIFIED:
        raise ValueError(f"{_BY_KIND[kind].name} travels in the lane of what it answers: name that lane")
    return answered


def natural_key(record: Record) -> str | None:
    """What makes the fact unique within its origin; None for kinds that the mechanism makes unique."""
    kind = kind_of(record)
    maker = _BY_KIND[kind].natural_key if kind else None
    return None if maker is None else maker(record)


def spec_of(record: Record) -> KindSpec | None:
    """The table's line for a record; None when its body is not set or of a newer edition."""
    kind = kind_of(record)
    return _BY_KIND[kind] if kind else None


def subject_uscc(record: Record) -> str:
    """USCC of the firm that the fact is about; of a station, that of the discharging unit. Empty when there is none."""
    line = spec_of(record)
    if line is None:
        return ""
    subject = line.subject(record)
    return subject.uscc if subject is not None else line.uscc(record)


def area_of(record: Record) -> str:
    """Area that reading and checking are granted by: that of subject, station or task, else that of the header."""
    line = spec_of(record)
    if line is None:
        return record.header.area_code
    subject = line.subject(record)
    area = subject.area_code if subject is not None else line.area(record)
    return area or record.header.area_code


def state_of(record: Record) -> int:
    """Number of the record's state in its own life cycle; 0 for kinds without one."""
    line = spec_of(record)
    return line.state(record) if line is not None else 0


def sort_date(record: Record) -> str:
    """The record's own date, ``YYYY-MM-DD`` in UTC+8: what lists are sorted by and rule editions chosen by.

    Empty when the record states none.
    """
    line = spec_of(record)
    return line.sort_date(record) if line is not None else ""


def about(record: Record) -> RecordRef | None:
    """The record that this one is about: that it answers, erases, repairs, or gives feedback on; None without one."""
    line = spec_of(record)
    return line.about(record) if line is not None else None


def erasure_class_of(record: Record) -> ErasureClass.ValueType:
    """Class by which the record's body may be destroyed.

    PERSONAL where a sole trader or a natural person stands in it: by the kind of subject, by a USCC that begins
    with 92, or by a person who is named beside the unit.

    Raises:
        KeyError: This edition does not know the kind.
    """
    return _BY_KIND[kind_of(record)].erasure_class_of(record)


def content_bytes(record: Record) -> bytes:
    """What the record says, as bytes: equal exactly when two records say the same.

    Leaves out record id, revision and provenance: they say which record it is and where it came from. Only for
    comparison within one program: never signed, never stored as a body.
    """
    header = record.header
    if record.HasField("header") and not (header.record_id or header.revision or header.HasField("provenance")):
        return record.SerializeToString(deterministic=True)
    content = Record()
    content.CopyFrom(record)
    header = content.header
    header.record_id = ""
    header.revision = 0
    header.ClearField("provenance")
    return content.SerializeToString(deterministic=True)
