"""What a register keeps of a record beside its address: what queries filter on, and how it ended."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exchange.domain import kinds
from exchange.v1.credit_result_pb2 import CreditState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_CREDIT_ENDS = {
    CreditState.CREDIT_STATE_REPAIRED: "REPAIRED",
    CreditState.CREDIT_STATE_WITHDRAWN: "WITHDRAWN",
}
_PENALTY_ENDS = {
    PenaltyState.PENALTY_STATE_REPAIRED: "REPAIRED",
    PenaltyState.PENALTY_STATE_REVOKED: "REVOKED",
}


@dataclass(frozen=True, slots=True)
class RecordIndex:
    """What queries filter on.

    Attributes:
        level: Shared credit level, or kind of notice; 0 for other kinds.
        state: State in the record's life cycle; 0 for kinds without one.
        year: Evaluation year; 0 for other kinds.
        sort_on: The record's own date.
        ended: ``REPAIRED``, ``REVOKED`` or ``WITHDRAWN`` when a tombstone takes the record's place; else empty.
        ended_on: Date of that act.
    """

    subject: str
    area: str
    level: int
    state: int
    year: int
    sort_on: str
    ended: str
    ended_on: str


def ended_by(kind: int, state: int) -> str:
    """What a record of that kind ended by, by its own state; empty while it goes on."""
    ends: dict[int, str] = {}
    if kind == Kind.KIND_CREDIT_RESULT:
        ends = {int(each): name for each, name in _CREDIT_ENDS.items()}
    elif kind == Kind.KIND_PENALTY_NOTICE:
        ends = {int(each): name for each, name in _PENALTY_ENDS.items()}
    return ends.get(state, "")


def index_of(record: Record) -> RecordIndex:
    """What a register keeps of a record."""
    level = year = 0
    state = kinds.state_of(record)
    ended = ""
    if record.HasField("credit_result"):
        level, year = record.credit_result.shared_level, record.credit_result.evaluation_year
        ended = _CREDIT_ENDS.get(record.credit_result.state, "")
    elif record.HasField("penalty_notice"):
        level = record.penalty_notice.notice_kind
        ended = _PENALTY_ENDS.get(record.penalty_notice.state, "")
    sort_on = kinds.sort_date(record)
    ended_on = (record.header.issued.issued_on or sort_on) if ended else ""
    return RecordIndex(kinds.subject_uscc(record), kinds.area_of(record), level, state, year, sort_on, ended, ended_on)


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
