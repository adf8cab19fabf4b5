"""Enumerators and messages of the schema in the officer's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from exchange.cli.texts import detail_of, language, reason_text, word
from exchange.domain import kinds
from exchange.domain.problems import Problem
from exchange.v1.kind_pb2 import Condition, Kind, Lane, Outcome
from exchange.v1.operation_service_pb2 import LaneState, NodeState
from exchange.v1.record_service_pb2 import Standing
from exchange.v1.submission_pb2 import SubmissionState
from exchange.v1.submission_service_pb2 import SubmitResult

if TYPE_CHECKING:
    from exchange.v1.common_pb2 import Problem as WireProblem
    from exchange.v1.record_service_pb2 import RecordView


def kind_word(kind: Kind.ValueType) -> str:
    """``信用评价结果`` or ``CreditResult``."""
    if kind not in kinds.KINDS:
        return ""
    spec = kinds.spec(kind)
    return spec.zh if language() == "zh" else spec.name


def lane_word(lane: Lane.ValueType) -> str:
    """A lane's name."""
    return word("lane", Lane.Name(lane).removeprefix("LANE_")) if lane else ""


def lane_state_word(state: LaneState.ValueType) -> str:
    """A lane's state."""
    return word("lane_state", LaneState.Name(state).removeprefix("LANE_STATE_"))


def transport_word(transport: str) -> str:
    """How calls reach a peer; empty of a node that does not say."""
    return word("transport", transport) if transport else ""


def node_state_word(state: NodeState.ValueType) -> str:
    """The node's state."""
    return word("node_state", NodeState.Name(state).removeprefix("NODE_STATE_"))


def submission_state_word(state: SubmissionState.ValueType) -> str:
    """A submission's state towards one addressee."""
    return word("submission_state", SubmissionState.Name(state).removeprefix("SUBMISSION_STATE_"))


def result_name(result: SubmitResult.ValueType) -> str:
    """The result without its prefix, as in ``ACCEPTED``."""
    return SubmitResult.Name(result).removeprefix("SUBMIT_RESULT_")


def result_word(result: SubmitResult.ValueType) -> str:
    """What became of a record at the door."""
    return word("result", result_name(result))


def outcome_word(outcome: Outcome.ValueType) -> str:
    """What the receiving region made of a record; empty while undecided."""
    return word("outcome", Outcome.Name(outcome).removeprefix("OUTCOME_")) if outcome else ""


def standing_word(view: RecordView) -> str:
    """ORIGIN, the outcome, or PENDING."""
    if view.standing == Standing.STANDING_DECIDED:
        return outcome_word(view.outcome)
    return word("standing", Standing.Name(view.standing).removeprefix("STANDING_"))


def condition_words(conditions: Iterable[Condition.ValueType]) -> str:
    """Conditions of a recognition, one after the other."""
    return "; ".join(word("condition", Condition.Name(c).removeprefix("CONDITION_")) for c in conditions)


def problem_of(problem: WireProblem) -> Problem:
    """A problem as it came over the wire."""
    return Problem(problem.reason, problem.place, detail_of(problem.reason, problem.message))


def reason_words(problems: Iterable[WireProblem]) -> str:
    """Reasons with their texts, one a line. The table of this program wins over the sender's text."""
    lines = []
    for problem in map(problem_of, problems):
        text = reason_text(problem.reason).message
        known = text if text != problem.reason else ""
        lines.append(" ".join(filter(None, (problem.reason, problem.place, known, problem.detail))))
    return "\n".join(lines)
