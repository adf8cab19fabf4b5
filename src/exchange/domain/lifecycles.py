"""Life cycles: for each state, what may follow. One line each; nothing else in the program decides this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exchange.v1.alert_pb2 import ReportKind
from exchange.v1.case_referral_pb2 import ReferralState
from exchange.v1.correction_request_pb2 import CorrectionState
from exchange.v1.credit_result_pb2 import CreditState
from exchange.v1.inspection_task_pb2 import InspectionState
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.lab_qualification_pb2 import LabState
from exchange.v1.list_entry_pb2 import ListState
from exchange.v1.operation_service_pb2 import LaneState
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.rotation_pb2 import RotationState
from exchange.v1.submission_pb2 import SubmissionState

# Each line: state, then the states that may follow. A star before a state: a new thing may begin there.
_CREDIT = """
*PRELIMINARY  PUBLICITY
*PUBLICITY    OBJECTION FINAL
*OBJECTION    PUBLICITY FINAL
*FINAL        SUPERSEDED REPAIRED WITHDRAWN
SUPERSEDED
REPAIRED
WITHDRAWN
"""
_PENALTY = """
*ISSUED       RECTIFIED REPAIRED REVOKED
*RECTIFIED    REPAIRED REVOKED
REPAIRED      REVOKED
REVOKED
"""
_LIST = """
*ENTERED      EXITED
EXITED
"""
_LAB = """
*LISTED       SUSPENDED REMOVED
*SUSPENDED    LISTED REMOVED
REMOVED
"""
# The reports of one event, each a record of its own with the next number.
_ALERT = """
*INITIAL      FOLLOW_UP FINAL
FOLLOW_UP     FOLLOW_UP FINAL
FINAL
"""
_CORRECTION = """
*REQUESTED    SETTLED WITHDRAWN
SETTLED
WITHDRAWN
"""
_REFERRAL = """
*REFERRED     SUPPLEMENTED CLOSED WITHDRAWN
SUPPLEMENTED  CLOSED WITHDRAWN
CLOSED
WITHDRAWN
"""
_INSPECTION = """
*PLANNED      UNDER_WAY CANCELLED
*UNDER_WAY    COMPLETED CANCELLED
COMPLETED
CANCELLED
"""
_LANE = """
*RUNNING      WAITING PAUSED STOPPED
*WAITING      RUNNING PAUSED STOPPED
PAUSED        WAITING RUNNING STOPPED
STOPPED       RUNNING WAITING RETIRED
RETIRED
"""
_SUBMISSION = """
*ACCEPTED      DELIVERED
DELIVERED      RECOGNISED CONDITIONAL DEFERRED NOT_RECOGNISED
RECOGNISED     CONDITIONAL DEFERRED NOT_RECOGNISED
CONDITIONAL    RECOGNISED DEFERRED NOT_RECOGNISED
DEFERRED       RECOGNISED CONDITIONAL NOT_RECOGNISED
NOT_RECOGNISED RECOGNISED CONDITIONAL DEFERRED
"""
_KEY = """
*NEXT         ACTIVE REVOKED ABORTED
*ACTIVE       RETIRED REVOKED
RETIRED       REVOKED
REVOKED
ABORTED       REVOKED
"""
_ROTATION = """
*STARTED      REQUESTED ABORTED
REQUESTED     INSTALLED ABORTED
INSTALLED     ANNOUNCED ABORTED
ANNOUNCED     ACTIVE ABORTED
ACTIVE        RETIRED ABORTED
RETIRED
ABORTED
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class LifeCycle:
    """One life cycle.

    Attributes:
        following: For each state the states that may follow it, itself not listed.
        entries: States in which a new thing may begin.
    """

    following: Mapping[int, frozenset[int]]
    entries: frozenset[int]

    @property
    def states(self) -> frozenset[int]:
        """Every state of the cycle."""
        return frozenset(self.following)

    def may_follow(self, old: int, new: int) -> bool:
        """Whether ``new`` may follow ``old``. A state may follow itself: the content was corrected, not the state."""
        following = self.following.get(old)
        return following is not None and (new == old or new in following)

    def may_enter(self, state: int) -> bool:
        """Whether a new thing may begin in ``state``."""
        return state in self.entries


def _read(lines: str, numbers: Mapping[str, int], prefix: str) -> LifeCycle:
    following: dict[int, frozenset[int]] = {}
    entries: set[int] = set()
    for line in lines.strip().splitlines():
        state, *others = line.split()
        number = numbers[prefix + state.removeprefix("*")]
        following[number] = frozenset(numbers[prefix + other] for other in others)
        if state.startswith("*"):
            entries.add(number)
    return LifeCycle(following=following, entries=frozenset(entries))


CREDIT: Final = _read(_CREDIT, dict(CreditState.items()), "CREDIT_STATE_")
PENALTY: Final = _read(_PENALTY, dict(PenaltyState.items()), "PENALTY_STATE_")
LANE: Final = _read(_LANE, dict(LaneState.items()), "LANE_STATE_")
SUBMISSION: Final = _read(_SUBMISSION, dict(SubmissionState.items()), "SUBMISSION_STATE_")
KEY: Final = _read(_KEY, dict(KeyState.items()), "KEY_STATE_")
ROTATION: Final = _read(_ROTATION, dict(RotationState.items()), "ROTATION_STATE_")

LIST: Final = _read(_LIST, dict(ListState.items()), "LIST_STATE_")
LAB: Final = _read(_LAB, dict(LabState.items()), "LAB_STATE_")
ALERT: Final = _read(_ALERT, dict(ReportKind.items()), "REPORT_KIND_")
CORRECTION: Final = _read(_CORRECTION, dict(CorrectionState.items()), "CORRECTION_STATE_")
REFERRAL: Final = _read(_REFERRAL, dict(ReferralState.items()), "REFERRAL_STATE_")
INSPECTION: Final = _read(_INSPECTION, dict(InspectionState.items()), "INSPECTION_STATE_")

_BY_KIND: Final[Mapping[int, LifeCycle]] = {
    Kind.KIND_CREDIT_RESULT: CREDIT,
    Kind.KIND_PENALTY_NOTICE: PENALTY,
    Kind.KIND_LIST_ENTRY: LIST,
    Kind.KIND_LAB_QUALIFICATION: LAB,
    Kind.KIND_CORRECTION_REQUEST: CORRECTION,
    Kind.KIND_CASE_REFERRAL: REFERRAL,
    Kind.KIND_INSPECTION_TASK: INSPECTION,
}
"""Kinds whose revisions walk through states."""

_SUCCESSIONS: Final[Mapping[int, LifeCycle]] = {Kind.KIND_ALERT: ALERT}
"""Kinds whose states are walked through by one record after another; a revision of one keeps its state."""


def may_follow(kind: Kind.ValueType, old: int, new: int) -> bool:
    """Whether a revision in state ``new`` may follow one in state ``old``.

    Kinds without a life cycle have only state 0, which follows itself.
    """
    if kind in _SUCCESSIONS:
        return old == new and old in _SUCCESSIONS[kind].states
    cycle = _BY_KIND.get(kind)
    return old == new == 0 if cycle is None else cycle.may_follow(old, new)


def ended_in(kind: int, end: str) -> int:
    """The state in which an act leaves a record; 0 for kinds that acts do not end.

    Args:
        kind: Kind of the record.
        end: ``REPAIRED`` or ``REVOKED``.
    """
    if kind == Kind.KIND_PENALTY_NOTICE:
        return dict(PenaltyState.items()).get(f"PENALTY_STATE_{end}", 0)
    return ListState.LIST_STATE_EXITED if kind == Kind.KIND_LIST_ENTRY else 0


def may_enter(kind: Kind.ValueType, state: int) -> bool:
    """Whether a first revision may be in ``state``; kinds without a life cycle begin in state 0."""
    if kind in _SUCCESSIONS:
        return state in _SUCCESSIONS[kind].states
    cycle = _BY_KIND.get(kind)
    return state == 0 if cycle is None else cycle.may_enter(state)


def may_succeed(kind: Kind.ValueType, before: int | None, state: int) -> bool:
    """Whether a record in ``state`` may come behind one in state ``before``; None: it is the first.

    True for kinds whose records do not come one after another.
    """
    cycle = _SUCCESSIONS.get(kind)
    if cycle is None:
        return True
    return state in cycle.entries if before is None else state in cycle.following.get(before, ())
