"""What a register keeps of a record beside its address: what queries filter on, and how it ended."""

from __future__ import annotations

import re
from typing import NamedTuple

from exchange.domain import kinds
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


class RecordIndex(NamedTuple):
    """What queries filter on.

    Attributes:
        level: Shared credit level, kind of notice, kind of list: see ``KindSpec.level``; 0 for other kinds.
        state: State in the record's life cycle; 0 for kinds without one.
        year: Evaluation year; 0 for other kinds.
        sort_on: The record's own date.
        ended: ``REPAIRED``, ``REVOKED`` or ``WITHDRAWN`` when a tombstone takes the record's place; else empty.
        ended_on: Date of that act.
        about_origin: Origin of the record that it is about; empty without one.
        about: Id of that record; None without one.
    """

    subject: str
    area: str
    level: int
    state: int
    year: int
    sort_on: str
    ended: str
    ended_on: str
    about_origin: str
    about: bytes | None


def index_of(record: Record) -> RecordIndex:
    """What a register keeps of a record.

    Raises:
        ValueError: This edition does not know its kind.
    """
    line = kinds.spec_of(record)
    if line is None:
        raise ValueError("a record of no kind is in no register")
    ended = line.ended(record)
    sort_on = line.sort_date(record)
    about = line.about(record)
    subject = line.subject(record)
    return RecordIndex(
        subject=subject.uscc if subject is not None else line.uscc(record),
        area=(subject.area_code if subject is not None else line.area(record)) or record.header.area_code,
        level=line.level(record),
        state=line.state(record),
        year=line.year(record),
        sort_on=sort_on,
        ended=ended,
        ended_on=(line.ended_on(record) or record.header.issued.issued_on or sort_on) if ended else "",
        about_origin=about.origin if about is not None else "",
        about=(raw_id(about.record_id) or None) if about is not None else None,
    )


_RECOGNISED = frozenset(kind for kind in kinds.KINDS if kinds.spec(kind).answered_by == Kind.KIND_RECOGNITION)


def is_recognised_kind(kind: Kind.ValueType) -> bool:
    """Whether the kind states a fact that the receiving region decides about."""
    return kind in _RECOGNISED


def may_travel_in(kind: Kind.ValueType, lane: int) -> bool:
    """Whether the kind belongs in the lane. A kind that is not known may travel anywhere and is deferred."""
    if kind not in kinds.KINDS:
        return True
    return kinds.spec(kind).lane in (None, lane)


def raw_id(record_id: str) -> bytes:
    """The 16 bytes of a record id; empty when it is not one in its canonical spelling."""
    return bytes.fromhex(record_id.replace("-", "")) if _CANONICAL.fullmatch(record_id) else b""
