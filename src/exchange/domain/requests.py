"""What one side asks of the other: which kinds, which answers settle them, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.case_referral_pb2 import ReferralState
from exchange.v1.correction_request_pb2 import CorrectionState
from exchange.v1.inspection_task_pb2 import InspectionState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record

REQUESTS: Final = (
    Kind.KIND_CORRECTION_REQUEST,
    Kind.KIND_CASE_REFERRAL,
    Kind.KIND_INSPECTION_TASK,
    Kind.KIND_STANDARDS_EQUIVALENCE,
)
"""Kinds that ask for something, beside alerts."""

ENDED: Final[Mapping[int, tuple[int, ...]]] = {
    Kind.KIND_CORRECTION_REQUEST: (
        CorrectionState.CORRECTION_STATE_SETTLED,
        CorrectionState.CORRECTION_STATE_WITHDRAWN,
    ),
    Kind.KIND_CASE_REFERRAL: (ReferralState.REFERRAL_STATE_CLOSED, ReferralState.REFERRAL_STATE_WITHDRAWN),
    Kind.KIND_INSPECTION_TASK: (
        InspectionState.INSPECTION_STATE_COMPLETED,
        InspectionState.INSPECTION_STATE_CANCELLED,
    ),
}
"""States in which who asked waits for nothing any more. An alert waits until it is answered, also the last report."""

_SETTLES: Final = (AnswerVerb.ANSWER_VERB_CONFIRMED, AnswerVerb.ANSWER_VERB_REFUSED)
_SETTLES_ALERT: Final = (AnswerVerb.ANSWER_VERB_ACKNOWLEDGED, AnswerVerb.ANSWER_VERB_CONFIRMED)


def settling(kind: int) -> tuple[AnswerVerb.ValueType, ...]:
    """Verbs that settle a kind. Who only acknowledges a request still owes the answer; an alert can not be refused."""
    return _SETTLES_ALERT if kind == Kind.KIND_ALERT else _SETTLES


def due_by(record: Record) -> str:
    """Last day for the answer as the record names it, ``YYYY-MM-DD``; empty where it names none."""
    if record.HasField("correction_request"):
        return record.correction_request.due_by
    return record.case_referral.due_by if record.HasField("case_referral") else ""
