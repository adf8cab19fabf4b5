"""Life cycles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.lifecycles import (
    ALERT,
    CORRECTION,
    CREDIT,
    INSPECTION,
    KEY,
    LAB,
    LANE,
    LIST,
    PENALTY,
    REFERRAL,
    ROTATION,
    SUBMISSION,
    LifeCycle,
    may_enter,
    may_follow,
    may_succeed,
)
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

CYCLES = {
    "credit": (CREDIT, CreditState),
    "penalty": (PENALTY, PenaltyState),
    "list": (LIST, ListState),
    "lab": (LAB, LabState),
    "alert": (ALERT, ReportKind),
    "correction": (CORRECTION, CorrectionState),
    "referral": (REFERRAL, ReferralState),
    "inspection": (INSPECTION, InspectionState),
    "lane": (LANE, LaneState),
    "submission": (SUBMISSION, SubmissionState),
    "key": (KEY, KeyState),
    "rotation": (ROTATION, RotationState),
}


@pytest.mark.parametrize("name", CYCLES)
def test_every_state_of_the_schema_has_a_line(name: str) -> None:
    """A life cycle knows exactly the states of its enum, and never state 0."""
    cycle, enum = CYCLES[name]
    assert cycle.states == set(enum.values()) - {0}
    assert cycle.entries <= cycle.states
    assert cycle.entries


@pytest.mark.parametrize("name", CYCLES)
def test_every_state_can_be_reached(name: str) -> None:
    """From the states in which a thing may begin, every state is reached."""
    cycle, _ = CYCLES[name]
    reached = set(cycle.entries)
    while True:
        more = {new for old in reached for new in cycle.following[old]} | reached
        if more == reached:
            break
        reached = more
    assert reached == cycle.states


def _ends(cycle: LifeCycle) -> set[int]:
    return {state for state in cycle.states if not cycle.following[state]}


def test_ends_are_ends() -> None:
    """What is repaired, revoked, withdrawn or superseded does not come back."""
    assert _ends(CREDIT) == {
        CreditState.CREDIT_STATE_SUPERSEDED,
        CreditState.CREDIT_STATE_REPAIRED,
        CreditState.CREDIT_STATE_WITHDRAWN,
    }
    assert _ends(PENALTY) == {PenaltyState.PENALTY_STATE_REVOKED}
    assert _ends(KEY) == {KeyState.KEY_STATE_REVOKED}
    assert _ends(LANE) == {LaneState.LANE_STATE_RETIRED}


KINDS = {
    Kind.KIND_CREDIT_RESULT: CREDIT,
    Kind.KIND_PENALTY_NOTICE: PENALTY,
    Kind.KIND_LIST_ENTRY: LIST,
    Kind.KIND_LAB_QUALIFICATION: LAB,
    Kind.KIND_CORRECTION_REQUEST: CORRECTION,
    Kind.KIND_CASE_REFERRAL: REFERRAL,
    Kind.KIND_INSPECTION_TASK: INSPECTION,
}


@given(st.sampled_from(sorted(KINDS)), st.lists(st.integers(-1, 9), min_size=1, max_size=12))
def test_a_walk_that_may_be_made_never_leaves_an_end(kind: Kind.ValueType, states: list[int]) -> None:
    """However states are tried, a thing begins where it may, walks its lines only, and stays as it ended."""
    cycle, current = KINDS[kind], None
    for state in states:
        if current is None:
            if may_enter(kind, state):
                assert state in cycle.entries
                current = state
        elif may_follow(kind, current, state):
            assert current not in _ends(cycle) or state == current
            assert state == current or state in cycle.following[current]
            current = state


@given(st.lists(st.sampled_from(sorted(ReportKind.values())), min_size=1, max_size=8))
def test_the_reports_of_an_event_come_in_their_order(reports: list[int]) -> None:
    """One first report, any number of follow-ups, one last report, and nothing behind it."""
    before: int | None = None
    taken: list[int] = []
    for report in reports:
        if may_succeed(Kind.KIND_ALERT, before, report):
            taken.append(report)
            before = report
    first, last = ReportKind.REPORT_KIND_INITIAL, ReportKind.REPORT_KIND_FINAL
    assert taken[:1] in ([], [first])
    assert taken.count(first) <= 1
    assert last not in taken[:-1]


def test_a_report_keeps_its_kind_and_others_need_no_predecessor() -> None:
    """A corrected report stays the report it was; kinds that do not come in a row come as they like."""
    for old in ReportKind.values():
        for new in ReportKind.values():
            assert may_follow(Kind.KIND_ALERT, old, new) is (old == new != 0)
    assert may_succeed(Kind.KIND_CREDIT_RESULT, None, CreditState.CREDIT_STATE_FINAL)


def test_a_laboratory_may_come_back_until_it_is_removed() -> None:
    """Suspended and listed follow each other; removed is for good."""
    listed, suspended, removed = LabState.LAB_STATE_LISTED, LabState.LAB_STATE_SUSPENDED, LabState.LAB_STATE_REMOVED
    assert LAB.may_follow(listed, suspended)
    assert LAB.may_follow(suspended, listed)
    assert not LAB.may_follow(removed, listed)


@given(st.sampled_from(sorted(CREDIT.states)))
def test_a_state_may_follow_itself(state: int) -> None:
    """Correcting content keeps the state."""
    assert may_follow(Kind.KIND_CREDIT_RESULT, state, state)


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("PRELIMINARY", "PUBLICITY", True),
        ("PRELIMINARY", "FINAL", False),
        ("PUBLICITY", "FINAL", True),
        ("OBJECTION", "PUBLICITY", True),
        ("OBJECTION", "FINAL", True),
        ("FINAL", "PUBLICITY", False),
        ("FINAL", "WITHDRAWN", True),
        ("WITHDRAWN", "FINAL", False),
        ("PUBLICITY", "REPAIRED", False),
    ],
)
def test_credit_results_follow_their_procedure(old: str, new: str, allowed: bool) -> None:
    """The line of the contract, step by step."""
    numbers = dict(CreditState.items())
    assert (
        may_follow(Kind.KIND_CREDIT_RESULT, numbers[f"CREDIT_STATE_{old}"], numbers[f"CREDIT_STATE_{new}"]) is allowed
    )


def test_where_records_may_begin() -> None:
    """A result begins in one of its first four states, a notice before its repair, other kinds in state 0."""
    credit = {state for state in CreditState.values() if may_enter(Kind.KIND_CREDIT_RESULT, state)}
    assert credit == {1, 2, 3, 4}
    penalty = {state for state in PenaltyState.values() if may_enter(Kind.KIND_PENALTY_NOTICE, state)}
    assert penalty == {PenaltyState.PENALTY_STATE_ISSUED, PenaltyState.PENALTY_STATE_RECTIFIED}
    assert may_enter(Kind.KIND_MONITORING_BATCH, 0)
    assert not may_enter(Kind.KIND_MONITORING_BATCH, 1)


def test_kinds_without_a_life_cycle_have_one_state() -> None:
    """State 0 follows itself and nothing else does."""
    assert may_follow(Kind.KIND_MONITORING_BATCH, 0, 0)
    assert not may_follow(Kind.KIND_MONITORING_BATCH, 0, 1)


def test_a_later_recognition_may_replace_an_earlier_one() -> None:
    """Every outcome may be replaced by every other, and none by less."""
    outcomes = SUBMISSION.states - {
        SubmissionState.SUBMISSION_STATE_ACCEPTED,
        SubmissionState.SUBMISSION_STATE_DELIVERED,
    }
    for old in outcomes:
        assert SUBMISSION.following[old] == outcomes - {old}


def test_any_key_may_be_revoked() -> None:
    """Whatever state a key is in, it can be revoked."""
    assert all(KEY.may_follow(state, KeyState.KEY_STATE_REVOKED) for state in KEY.states)
