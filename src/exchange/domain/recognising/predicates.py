"""The closed vocabulary of tests that recognition rules are written in. A test asks for facts, never for a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from exchange.domain.catalogues.table_file import Row
from exchange.domain.recognising.facts import LEVEL_FACTS, LEVEL_UNEQUAL, Facts, code_of, names_for
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.lab_qualification_pb2 import LabStanding, LabState
from exchange.v1.list_entry_pb2 import ListKind, ListState
from exchange.v1.monitoring_batch_pb2 import CrcVerdict, ProtocolEdition, UnitSource, Usability
from exchange.v1.penalty_notice_pb2 import NoticeKind

PART_TESTS: Final = frozenset({"always", "usability_in", "unit_source_in", "lab_standing_in", "fact_in"})
"""Tests that can be asked of one value of a batch."""

MAX_MONTHS: Final = 1200
"""Months of an age: a century."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What one test looks at.

    Attributes:
        facts: Of the record, or of one value of it.
        decided_on: Day of the decision.
        receiver_vetoes: Veto situations of the receiver's own scheme.
        levels: (scheme, level) that have an equal among the receiver's own levels; schemes as codes.
    """

    facts: Facts
    decided_on: date
    receiver_vetoes: frozenset[str] = frozenset()
    levels: frozenset[tuple[str, str]] = frozenset()


Test = Callable[[Question], bool]


def read_test(row: Row, kind: Kind.ValueType, *, part: bool) -> Test:
    """Read one test of a rule.

    Args:
        row: ``test`` and the parameters of that test.
        kind: The kind whose rule it is.
        part: The rule is asked of every value of a batch.

    Raises:
        TableError: The test is not in the vocabulary, not for this kind, or its parameters are wrong.
    """
    name = row.text("test")
    maker = _COMMON.get(name) or _VOCABULARY.get(kind, {}).get(name)
    if maker is None or (part and name not in PART_TESTS):
        raise row.wrong("test", f"{name} is no test for this kind and scope")
    test = _fact_in(row, names_for(kind, part=part)) if name == "fact_in" else maker(row)
    row.end()
    return test


def add_months(day: date, months: int) -> date:
    """The same day of the month, calendar months later; the month's last day where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def names_of(enum: Any, prefix: str) -> tuple[str, ...]:
    """Names of an enumeration without their prefix and without UNSPECIFIED."""
    return tuple(name.removeprefix(prefix) for name, number in enum.items() if number)


def _named(fact: str, enum: Any, prefix: str) -> Callable[[Row], Test]:
    """A test whether a fact is one of some names of an enumeration."""
    names = names_of(enum, prefix)

    def read(row: Row) -> Test:
        wanted = row.texts("values")
        if not wanted or not set(wanted) <= set(names):
            raise row.wrong("values", f"must be some of {', '.join(names)}")
        values = frozenset(wanted)
        return lambda question: question.facts.one(fact) in values

    return read


def always(_question: Question) -> bool:
    """The test that always holds."""
    return True


def _always(_row: Row) -> Test:
    return always


def _fact_in(row: Row, names: Iterable[str] = ()) -> Test:
    """Some value of a fact is one of those listed; ``-`` stands for a fact that is not stated."""
    fact = row.one_of("fact", sorted(names))
    values = frozenset(value if value == "-" else code_of(value) for value in row.texts("values"))
    if not values:
        raise row.wrong("values", "missing")

    def holds(question: Question) -> bool:
        found = question.facts.all(fact)
        return not values.isdisjoint(found) if found else "-" in values

    return holds


def _objection_stated(_row: Row) -> Test:
    return lambda question: question.facts.one("OBJECTION") == "1"


def _window_older_than(row: Row) -> Test:
    months = row.whole("months")
    if not 1 <= months <= MAX_MONTHS:
        raise row.wrong("months", f"must be 1 to {MAX_MONTHS}")

    def older(question: Question) -> bool:
        end = question.facts.one("WINDOW_END")
        return end != "" and question.decided_on > add_months(date.fromisoformat(end), months)

    return older


def _veto_unshared(row: Row) -> Test:
    """The level rests on vetoes, none of which the receiver's scheme has."""
    bounds: dict[str, Decimal] = {}
    if row.has("explained"):
        explained = row.row("explained")
        for name in explained.names():
            bound = explained.decimal(name)
            if f"CREDIT_LEVEL_{name}" not in dict(CreditLevel.items()) or bound is None:
                raise explained.wrong(name, "is no level")
            bounds[name] = bound

    def unshared(question: Question) -> bool:
        cited = question.facts.all("VETO")
        if not cited or not question.receiver_vetoes.isdisjoint(cited):
            return False
        bound, score = bounds.get(question.facts.one("SHARED_LEVEL")), question.facts.one("SCORE")
        return not (bound is not None and score and Decimal(score) < bound)

    return unshared


def _level_unequal(_row: Row) -> Test:
    """No equivalence says that the level is one of the receiver's own.

    What both sides approved as a record goes before what the edition lists, and of two that disagree the one that
    keeps them apart. Decisions from before such records were looked for name none.
    """

    def unequal(question: Question) -> bool:
        facts = question.facts
        if LEVEL_FACTS & facts.values.keys():
            return LEVEL_UNEQUAL in facts.values
        return (facts.one("SCHEME"), facts.one("SHARED_LEVEL")) not in question.levels

    return unequal


def _base_below(row: Row) -> Test:
    bound = row.decimal("value")
    if bound is None:
        raise row.wrong("value", "missing")

    def below(question: Question) -> bool:
        base = question.facts.one("BASE_SCORE")
        return base != "" and Decimal(base) < bound

    return below


def _base_unstated(_row: Row) -> Test:
    return lambda question: question.facts.one("BASE_SCORE") == ""


def _measures_outside(row: Row) -> Test:
    """Some measure is of no listed edition of a catalogue; each is written catalogue/edition."""
    editions = frozenset(code_of(each) for each in row.texts("catalogues"))
    return lambda question: not editions.issuperset(question.facts.all("CATALOGUE"))


def _validity_ended(_row: Row) -> Test:
    """The last day of an entry or a certificate is over; one without a last day is never over."""

    def ended(question: Question) -> bool:
        last = question.facts.one("VALID_UNTIL")
        return last != "" and question.decided_on > date.fromisoformat(last)

    return ended


def _cma_unusual(_row: Row) -> Test:
    return lambda question: question.facts.one("CMA_FORM") == "OTHER"


def _lab_unknown(_row: Row) -> Test:
    """A laboratory is named that no record states yet."""
    return lambda question: question.facts.one("LAB_KNOWN") == "NO"


def _code_in(fact: str) -> Callable[[Row], Test]:
    """A test whether a fact that is a text of the source is one of some texts; ``-`` where it is not stated."""

    def read(row: Row) -> Test:
        wanted = row.texts("values")
        if not wanted:
            raise row.wrong("values", "missing")
        values = frozenset("" if value == "-" else code_of(value) for value in wanted)
        return lambda question: question.facts.one(fact) in values

    return read


_COMMON: Final[Mapping[str, Callable[[Row], Test]]] = {"always": _always, "fact_in": _fact_in}
"""Tests for every kind."""

_VOCABULARY: Final[Mapping[int, Mapping[str, Callable[[Row], Test]]]] = {
    Kind.KIND_CREDIT_RESULT: {
        "state_in": _named("STATE", CreditState, "CREDIT_STATE_"),
        "level_in": _named("SHARED_LEVEL", CreditLevel, "CREDIT_LEVEL_"),
        "level_unequal": _level_unequal,
        "objection_stated": _objection_stated,
        "window_older_than": _window_older_than,
        "veto_unshared": _veto_unshared,
        "base_below": _base_below,
        "base_unstated": _base_unstated,
    },
    Kind.KIND_PENALTY_NOTICE: {
        "notice_kind_in": _named("NOTICE_KIND", NoticeKind, "NOTICE_KIND_"),
        "measures_outside": _measures_outside,
    },
    Kind.KIND_LIST_ENTRY: {
        "state_in": _named("STATE", ListState, "LIST_STATE_"),
        "list_in": _named("LIST_KIND", ListKind, "LIST_KIND_"),
        "validity_ended": _validity_ended,
        "measures_outside": _measures_outside,
    },
    Kind.KIND_LAB_QUALIFICATION: {
        "state_in": _named("STATE", LabState, "LAB_STATE_"),
        "validity_ended": _validity_ended,
        "cma_unusual": _cma_unusual,
    },
    Kind.KIND_MONITORING_BATCH: {
        "crc_in": _named("CRC_VERDICT", CrcVerdict, "CRC_VERDICT_"),
        "usability_in": _named("USABILITY", Usability, "USABILITY_"),
        "unit_source_in": _named("UNIT_SOURCE", UnitSource, "UNIT_SOURCE_"),
        "protocol_edition_in": _named("PROTOCOL_EDITION", ProtocolEdition, "PROTOCOL_EDITION_"),
        "qa_level_in": _code_in("QA_LEVEL"),
        "lab_unknown": _lab_unknown,
        "lab_standing_in": _named("LAB_STANDING", LabStanding, "LAB_STANDING_"),
    },
}
