"""Measures that apply while a matter is handled (奖惩到位): from open notices, list entries and levels of credit.

What this region did not recognise, shows only, or a tombstone stands for, brings no measure. An incentive needs the
best level from every region that evaluated the firm, and beside an open order it is for the receiver to decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from exchange.domain.catalogues.measures import CatalogueMeasure
from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.context import Node
from exchange.flows.queries.ground.views import ref_of
from exchange.storage.queries.records import RecordRow
from exchange.v1.check_service_pb2 import ApplicableMeasure, MeasureEffect, MeasureStrength
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.kind_pb2 import Condition, Kind, Outcome
from exchange.v1.list_entry_pb2 import ListState
from exchange.v1.measure_pb2 import Measure
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record

_RESTRAIN = MeasureEffect.MEASURE_EFFECT_RESTRAIN
_INCENTIVE = MeasureEffect.MEASURE_EFFECT_INCENTIVE
_ORDERED = MeasureStrength.MEASURE_STRENGTH_ORDERED
_RECOMMENDED = MeasureStrength.MEASURE_STRENGTH_RECOMMENDED
_DECIDES = MeasureStrength.MEASURE_STRENGTH_RECEIVER_DECIDES
_COUNTED = (Outcome.OUTCOME_FULL, Outcome.OUTCOME_CONDITIONAL)
_OURS_TO_DECIDE = frozenset((Condition.CONDITION_RECEIVER_DECIDES_MEASURES, Condition.CONDITION_RULE_NOT_APPROVED))
_OPEN_NOTICE = (PenaltyState.PENALTY_STATE_ISSUED, PenaltyState.PENALTY_STATE_RECTIFIED)
_INCENTIVE_CLASS = "I"


@dataclass(frozen=True, slots=True)
class Fact:
    """A record of the subject, with its register row."""

    row: RecordRow
    record: Record


def applicable(
    node: Node,
    facts: Sequence[Fact],
    results: Sequence[RecordRow],
    decisive: int,
    matter_kind: int,
    today: date,
    *,
    due: bool,
) -> list[ApplicableMeasure]:
    """The measures that apply to one kind of matter, those that restrain first.

    Args:
        node: Names and tables.
        facts: Notices and list entries of the subject.
        results: Its credit results that its standing rests on: no earlier round of a unit.
        decisive: The lowest level that counts, over all regions; 0 without one.
        matter_kind: What is handled.
        today: Day of the check in UTC+8.
        due: Feedback falls due about what is ordered.
    """
    matters = node.tables.matters
    found = list(_stated(node, facts, matter_kind, today.isoformat()))
    ordered = any(each.effect == _RESTRAIN and each.strength == _ORDERED for each in found)
    best = CreditLevel.CREDIT_LEVEL_GREEN
    for row in results:
        conditions = _conditions(node, row)
        if conditions is None or row.level != decisive:
            continue
        if decisive == best and Condition.CONDITION_INCENTIVES_EXCLUDED in conditions:
            continue
        for measure in matters.of_level(decisive, matter_kind):
            named = Measure(catalogue=measure.catalogue, edition=measure.edition, code=measure.code)
            found.append(_applies(row, named, measure, conditions))
    for each in found:
        if each.effect == _INCENTIVE and ordered and each.strength == _ORDERED:
            each.strength = _DECIDES
    found.sort(key=lambda each: (each.effect, each.strength))
    if due:
        day = (today + timedelta(days=matters.feedback_days)).isoformat()
        for each in found:
            if each.strength == _ORDERED:
                each.feedback_due_on = day
    return found


def is_open(fact: Fact, today: str) -> bool:
    """Whether a notice or a list entry stands on a day."""
    if fact.row.tombstone or fact.row.replaced:
        return False
    if fact.row.kind == Kind.KIND_PENALTY_NOTICE:
        notice = fact.record.penalty_notice
        return notice.state in _OPEN_NOTICE and (notice.effective_until or today) >= today
    entry = fact.record.list_entry
    return entry.state == ListState.LIST_STATE_ENTERED and (entry.valid_until or today) >= today


def _stated(node: Node, facts: Sequence[Fact], matter_kind: int, today: str) -> Iterator[ApplicableMeasure]:
    """Measures that notices and list entries name."""
    for fact in facts:
        conditions = _conditions(node, fact.row)
        if conditions is None or not is_open(fact, today):
            continue
        notice = fact.row.kind == Kind.KIND_PENALTY_NOTICE
        named = fact.record.penalty_notice.measures if notice else fact.record.list_entry.measures
        for measure in named:
            known = node.tables.measures.find(measure.catalogue, measure.edition, measure.code)
            if known is not None and node.tables.matters.applies(known.catalogue, known.code, matter_kind):
                yield _applies(fact.row, measure, known, conditions)


def _conditions(node: Node, row: RecordRow) -> frozenset[int] | None:
    """Conditions under which a record counts here; None when it does not count."""
    if row.tombstone or row.replaced:
        return None
    if row.origin == node.name:
        return frozenset()
    conditions = frozenset(read_decision(row.decision).conditions)
    if row.outcome not in _COUNTED or Condition.CONDITION_DISPLAY_ONLY in conditions:
        return None
    return conditions


def _applies(
    row: RecordRow, measure: Measure, known: CatalogueMeasure, conditions: frozenset[int]
) -> ApplicableMeasure:
    if measure.recommendation or known.measure_class == "C":
        strength = _RECOMMENDED
    else:
        strength = _DECIDES if conditions & _OURS_TO_DECIDE else _ORDERED
    return ApplicableMeasure(
        measure=measure,
        name=known.name,
        effect=_INCENTIVE if known.measure_class == _INCENTIVE_CLASS else _RESTRAIN,
        strength=strength,
        source=ref_of(row),
        source_kind=row.kind,  # type: ignore[arg-type]
        outcome=row.outcome,  # type: ignore[arg-type]
        conditions=sorted(conditions),  # type: ignore[arg-type]
    )
