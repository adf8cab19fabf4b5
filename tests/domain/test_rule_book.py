"""Editions of the rules beside each other, and deciding again by recorded facts."""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.domain.catalogues.tables import Tables
from exchange.domain.problems import Refused
from exchange.domain.recognising.facts import FACT_VALUES, Facts, FactUnknown, code_of, facts_of, read_facts
from exchange.domain.recognising.recognition import DecisionContext, RuleSet
from exchange.domain.recognising.rule_book import RuleBook
from exchange.tables import read_all
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.kind_pb2 import Kind, Outcome
from tests.domain.records import SOUND, TODAY

RULES = read_all()["rules/recognition.toml"].decode()
FULL, CONDITIONAL = Outcome.OUTCOME_FULL, Outcome.OUTCOME_CONDITIONAL
TO_SICHUAN = DecisionContext(decided_on=TODAY, origin="cq", receiver="sc", require_approvals=False)


@cache
def edition(name: str, first: str, until: str = "", replaces: str = "", text: str = RULES) -> RuleSet:
    """The shipped rules under another name and on other days."""
    lines = f'edition = "{name}"\n'
    lines += f'effective_until = "{until}"\n' if until else ""
    lines += f'replaces = ["{replaces}"]\n' if replaces else ""
    changed = text.replace('edition = "2026-1"\n', lines).replace('"2005-01-01"', f'"{first}"')
    return RuleSet.load(changed.encode())


def book(*editions: RuleSet) -> RuleBook:
    """A book into which these came in this order."""
    found = RuleBook()
    for each in editions:
        found = found.with_edition(each)
    return found


def chosen(found: RuleBook, day: str) -> str:
    """Name of the edition for facts of a day; empty without one."""
    standing = found.edition_for(date.fromisoformat(day))
    return standing.edition if standing is not None else ""


def test_the_edition_is_that_of_the_day_of_the_fact() -> None:
    """Of several editions the one for the fact's own day decides, in whatever order they came."""
    old, new = edition("old", "2005-01-01", until="2025-12-31"), edition("new", "2026-01-01")
    for found in (book(old, new), book(new, old)):
        assert [chosen(found, day) for day in ("2004-12-31", "2005-01-01", "2025-12-31", "2026-01-01")] == [
            "",
            "old",
            "old",
            "new",
        ]


def test_an_open_edition_ends_where_the_next_one_begins() -> None:
    """Without a last day an edition goes on until another begins."""
    found = book(edition("a", "2005-01-01"), edition("b", "2026-07-01"))
    assert (chosen(found, "2026-06-30"), chosen(found, "2026-07-01")) == ("a", "b")
    assert found.last_day(found.editions[0]) == date(2026, 6, 30)
    assert found.last_day(found.editions[1]) is None


def test_an_edition_replaces_another_on_its_own_days() -> None:
    """The approved text takes the place of the proposal from the day it names, and through others too."""
    found = book(
        edition("a", "2005-01-01"), edition("b", "2005-01-01", replaces="a"), edition("c", "2005-01-01", replaces="b")
    )
    assert chosen(found, "2026-01-01") == "c"
    assert [found.is_replaced(each) for each in found.editions] == [True, True, False]
    part = book(edition("a", "2005-01-01"), edition("b", "2024-01-01", until="2024-12-31", replaces="a"))
    assert [chosen(part, day) for day in ("2023-12-31", "2024-06-01", "2025-01-01")] == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("new", "reasons"),
    [
        (edition("b", "2005-01-01"), {"RULES_OVERLAP"}),
        (edition("b", "2025-12-31"), {"RULES_OVERLAP"}),
        (edition("b", "2000-01-01", until="2005-01-02"), {"RULES_OVERLAP"}),
        (edition("b", "2005-01-01", replaces="x"), {"RULES_EDITION_UNKNOWN", "RULES_OVERLAP"}),
        (edition("a", "2026-01-01"), {"RULES_EDITION_TAKEN"}),
        (
            RuleSet.load(RULES.replace('id = "recognition"', 'id = "other"').encode()),
            {"RULES_OTHER_ID", "RULES_OVERLAP"},
        ),
    ],
)
def test_editions_that_do_not_go_together_are_refused_with_every_reason(new: RuleSet, reasons: set[str]) -> None:
    """One day never has two editions, and a name never two texts."""
    standing = book(edition("a", "2005-01-01", until="2025-12-31"))
    with pytest.raises(Refused) as refused:
        standing.with_edition(new)
    assert {each.reason for each in refused.value.problems} == reasons


def test_the_same_edition_again_changes_nothing() -> None:
    """Bringing it in twice is no mistake."""
    found = book(edition("a", "2005-01-01"))
    assert found.with_edition(edition("a", "2005-01-01")) is found


_DAYS = st.dates(date(2020, 1, 1), date(2020, 2, 29))


@settings(deadline=None)  # the first example reads the file for the first time
@given(st.lists(st.tuples(_DAYS, st.none() | st.integers(0, 20)), min_size=1, max_size=4), _DAYS)
def test_whatever_comes_in_a_day_has_at_most_one_edition(spans: list[tuple[date, int | None]], day: date) -> None:
    """What the book takes never competes for a day, and the edition it gives applies to that day."""
    found = RuleBook()
    for number, (first, length) in enumerate(spans):
        until = "" if length is None else (first + timedelta(days=length)).isoformat()
        try:
            found = found.with_edition(edition(f"e{number}", first.isoformat(), until))
        except Refused:
            continue
    applying = [
        each
        for each in found.editions
        if each.effective_from <= day and ((last := found.last_day(each)) is None or day <= last)
    ]
    assert len(applying) <= 1
    assert found.edition_for(day) is (applying[0] if applying else None)


def test_a_record_that_no_edition_is_for_waits_for_one() -> None:
    """The token names kind and day, and an edition for them answers it."""
    found = book(edition("new", f"{TODAY.year + 1}-01-01"))
    decision, by = found.decide(SOUND["credit"](), TO_SICHUAN)
    assert (decision.outcome, decision.reasons, by) == (Outcome.OUTCOME_DEFERRED, ("NO_RULE",), None)
    what = decision.waits_for[0].partition(":")[2]
    assert not found.rules_arrived(what)
    assert found.with_edition(edition("old", "2005-01-01")).rules_arrived(what)


def test_an_unknown_scheme_has_no_equivalent_level(rules: RuleSet) -> None:
    """A level of a scheme that nobody compared is shown, and the receiver decides."""
    record = SOUND["credit"]()
    record.credit_result.scheme_id = "XX-某办法"
    decision = rules.decide(record, TO_SICHUAN)
    assert (decision.outcome, decision.reasons) == (CONDITIONAL, ("LEVEL_NOT_EQUIVALENT",))


@pytest.mark.parametrize(
    ("end", "last", "first_too_old"),
    [
        ("2024-12-31", "2026-12-31", "2027-01-01"),
        ("2022-02-28", "2024-02-28", "2024-02-29"),
        ("2024-02-29", "2026-02-28", "2026-03-01"),
        ("2023-06-30", "2025-06-30", "2025-07-01"),
        ("2023-08-31", "2025-08-31", "2025-09-01"),
    ],
)
def test_a_round_is_too_old_the_day_after_24_calendar_months(
    rules: RuleSet, end: str, last: str, first_too_old: str
) -> None:
    """Months end where the calendar ends them, in leap years too."""
    record = SOUND["credit"]()
    record.credit_result.window_end = end
    for day, outcome in ((last, FULL), (first_too_old, Outcome.OUTCOME_NOT_RECOGNISED)):
        context = DecisionContext(
            decided_on=date.fromisoformat(day), origin="cq", receiver="sc", require_approvals=False
        )
        assert rules.decide(record, context).outcome == outcome, day


_LEVELS = st.sampled_from([CreditLevel.CREDIT_LEVEL_GREEN, CreditLevel.CREDIT_LEVEL_RED])
_VETOES = st.lists(st.sampled_from(["NV01", "NV02", "SV01"]), unique=True)
_SCORES = st.sampled_from(["", "0", "59", "60", "79", "80", "99", "100", "108"])


@settings(deadline=None)
@given(
    level=_LEVELS,
    vetoes=_VETOES,
    score=_SCORES,
    base=_SCORES,
    state=st.sampled_from([CreditState.CREDIT_STATE_FINAL, CreditState.CREDIT_STATE_OBJECTION]),
    day=st.dates(date(2025, 1, 1), date(2028, 1, 1)),
    receiver=st.sampled_from(["cq", "sc", "gz"]),
)
def test_the_facts_that_a_decision_lists_give_the_same_decision(
    rules: RuleSet,
    level: CreditLevel.ValueType,
    vetoes: list[str],
    score: str,
    base: str,
    state: CreditState.ValueType,
    day: date,
    receiver: str,
) -> None:
    """Whoever has only the facts decides as the one who had the record."""
    record = SOUND["credit"]()
    body = record.credit_result
    body.shared_level, body.score, body.base_score, body.state = level, score, base, state
    for code in vetoes:
        body.veto_reasons.add(shared_code=code)
    context = DecisionContext(decided_on=day, origin="cq", receiver=receiver, require_approvals=False)
    decision = rules.decide(record, context)
    facts = decision.facts or facts_of(record, day).listed()
    again = rules.decide_again(Kind.KIND_CREDIT_RESULT, read_facts(facts), context)
    assert (again.outcome, again.reasons, again.conditions, again.rules) == (
        decision.outcome,
        decision.reasons,
        decision.conditions,
        decision.rules,
    )


@pytest.mark.parametrize("flag", ["S", "D", "N", ""])
def test_a_batch_of_one_flag_is_decided_again_by_its_facts(rules: RuleSet, tables: Tables, flag: str) -> None:
    """Facts of the values are listed where all are alike."""
    record = SOUND["monitoring"]()
    for series in record.monitoring_batch.series:
        for point in series.points:
            point.source_flag, point.usability = flag, tables.flags.usability(flag)
    decision = rules.decide(record, TO_SICHUAN)
    if decision.facts:
        again = rules.decide_again(Kind.KIND_MONITORING_BATCH, read_facts(decision.facts), TO_SICHUAN)
        assert (again.outcome, again.reasons) == (decision.outcome, decision.reasons)
    else:
        assert decision.outcome == FULL


def test_what_was_never_looked_for_is_unknown(rules: RuleSet) -> None:
    """A list without its name says nothing of what it lacks; a fact with values left out is not guessed."""
    with pytest.raises(FactUnknown):
        rules.decide_again(Kind.KIND_CREDIT_RESULT, read_facts([("STATE", "FINAL")]), TO_SICHUAN)
    many = Facts({}, frozenset({"VETO"})).plus(("VETO", f"SV{number:02}") for number in range(FACT_VALUES + 1))
    told = read_facts(many.listed())
    with pytest.raises(FactUnknown, match="VETO"):
        told.all("VETO")


def test_a_text_of_the_source_is_told_as_a_code() -> None:
    """Codes stand as they are; texts and subject identifiers only as digests, which agree or not."""
    assert code_of("HJ356-2019") == "HJ356-2019"
    assert code_of("川2019版") == code_of("川2019版") != code_of("川2018版")
    assert code_of("川2019版").startswith("sha256-")
    assert "91500000MB0000000X" not in code_of("91500000MB0000000X")
