"""Recognition of list entries and laboratories, at the edges of their days."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from exchange.domain.recognising.recognition import DecisionContext, RuleSet
from exchange.v1.kind_pb2 import Condition, Outcome
from exchange.v1.lab_qualification_pb2 import LabState
from exchange.v1.list_entry_pb2 import ListKind, ListState
from tests.domain.records import LIST_UNTIL, SOUND, TODAY, YEAR

TO_SICHUAN = DecisionContext(decided_on=TODAY, origin="cq", receiver="sc", require_approvals=False)
FULL, NOT_RECOGNISED = Outcome.OUTCOME_FULL, Outcome.OUTCOME_NOT_RECOGNISED


@pytest.mark.parametrize(
    ("decided_on", "reasons"),
    [(LIST_UNTIL, ()), (f"{YEAR + 3}-01-01", ("LIST_ENTRY_EXPIRED",))],
    ids=["last day", "after"],
)
def test_an_entry_counts_up_to_its_last_day(rules: RuleSet, decided_on: str, reasons: tuple[str, ...]) -> None:
    """The day on which validity ends still counts."""
    context = replace(TO_SICHUAN, decided_on=date.fromisoformat(decided_on))
    decision = rules.decide(SOUND["list_entry"](), context)
    assert (decision.outcome, decision.reasons) == (NOT_RECOGNISED if reasons else FULL, reasons)


def test_an_entry_without_end_counts_and_one_that_left_is_recognised_as_such(rules: RuleSet) -> None:
    """Leaving a list has its effect on the other side, however late it is told."""
    record = SOUND["list_entry"]()
    record.list_entry.valid_until = ""
    assert rules.decide(record, TO_SICHUAN).rules == ("LE-04",)
    record = SOUND["list_entry"]()
    record.list_entry.state = ListState.LIST_STATE_EXITED
    decision = rules.decide(record, replace(TO_SICHUAN, decided_on=date(2030, 1, 1)))
    assert (decision.outcome, decision.rules[0]) == (FULL, "LE-01")


def test_measures_of_a_catalogue_of_one_side_are_for_the_receiver_to_decide(rules: RuleSet) -> None:
    """As for notices: what is in no national catalogue binds nobody else."""
    record = SOUND["list_entry"]()
    record.list_entry.list_kind = ListKind.LIST_KIND_BLACK_SERIOUS
    record.list_entry.measures.add(catalogue="演示市补充清单", edition="2025", code="A1", addressee="GOVERNMENT")
    decision = rules.decide(record, TO_SICHUAN)
    assert decision.conditions == (Condition.CONDITION_RECEIVER_DECIDES_MEASURES,)
    assert decision.reasons == ("MEASURE_CATALOGUE_OTHER",)
    assert ("LIST_KIND", "BLACK_SERIOUS") in decision.facts


@pytest.mark.parametrize(
    ("state", "decided_on", "reason"),
    [
        (LabState.LAB_STATE_LISTED, f"{YEAR + 4}-04-30", ""),
        (LabState.LAB_STATE_LISTED, f"{YEAR + 4}-05-01", "LAB_CERTIFICATE_EXPIRED"),
        (LabState.LAB_STATE_SUSPENDED, "2026-03-02", "LAB_SUSPENDED"),
        (LabState.LAB_STATE_REMOVED, "2026-03-02", "LAB_REMOVED"),
    ],
)
def test_a_laboratory_is_recognised_by_standing_and_certificate(
    rules: RuleSet, state: LabState.ValueType, decided_on: str, reason: str
) -> None:
    """Listed and with a certificate on the day of the decision, its last day included."""
    record = SOUND["lab"]()
    record.lab_qualification.state = state
    decision = rules.decide(record, replace(TO_SICHUAN, decided_on=date.fromisoformat(decided_on)))
    assert decision.outcome == (NOT_RECOGNISED if reason else FULL)
    assert decision.reasons == ((reason,) if reason else ())


def test_an_unusual_certificate_number_is_noted_and_no_more(rules: RuleSet) -> None:
    """The forms changed: the registry's own word counts, and the reader is told to compare."""
    record = SOUND["lab"]()
    record.lab_qualification.cma_no = "CMA-2024-0001"
    decision = rules.decide(record, TO_SICHUAN)
    assert decision.outcome == FULL
    assert ("CMA_NO_UNUSUAL", "1") in decision.facts
