"""The closed vocabulary of tests that recognition rules are written in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from exchange.domain.kinds import state_of
from exchange.domain.table_file import Row
from exchange.v1.credit_result_pb2 import CreditLevel, CreditResult, CreditState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.lab_qualification_pb2 import LabState
from exchange.v1.list_entry_pb2 import ListKind, ListState
from exchange.v1.measure_pb2 import Measure
from exchange.v1.monitoring_batch_pb2 import CrcVerdict, Usability
from exchange.v1.penalty_notice_pb2 import NoticeKind
from exchange.v1.record_pb2 import Record

_USUAL_CMA = re.compile(r"[0-9]{12}")

PART_TESTS: Final = frozenset({"always", "usability_in"})
"""Tests that can be asked of one value of a batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What one test looks at.

    Attributes:
        record: The record, already validated.
        decided_on: Day of the decision.
        receiver_vetoes: Veto situations of the receiver's own scheme.
        usability: Usability of the value that is asked about; 0 where the whole record is.
    """

    record: Record
    decided_on: date
    receiver_vetoes: frozenset[str]
    usability: int = 0


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
    maker = _VOCABULARY.get(kind, {}).get(name)
    if maker is None or (part and name not in PART_TESTS):
        raise row.wrong("test", f"{name} is no test for this kind and scope")
    test = maker(row)
    row.end()
    return test


def stated_base(body: CreditResult) -> Decimal | None:
    """Score without bonus: as stated, or score less stated bonus; None where the source gives neither."""
    if body.base_score:
        return Decimal(body.base_score)
    if body.score and body.bonus_score:
        return Decimal(body.score) - Decimal(body.bonus_score)
    return None


def add_months(day: date, months: int) -> date:
    """The same day of the month, calendar months later; the month's last day where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def _values(row: Row, numbers: Sequence[tuple[str, int]], prefix: str) -> frozenset[int]:
    by_name = {name.removeprefix(prefix): number for name, number in numbers if number}
    names = row.texts("values")
    unknown = [name for name in names if name not in by_name]
    if not names or unknown:
        raise row.wrong("values", f"must be some of {', '.join(by_name)}")
    return frozenset(by_name[name] for name in names)


def _always(_row: Row) -> Test:
    return lambda _question: True


def _state_in(numbers: Sequence[tuple[str, int]], prefix: str) -> Callable[[Row], Test]:
    """The test for the states of one kind."""

    def read(row: Row) -> Test:
        states = _values(row, numbers, prefix)
        return lambda question: state_of(question.record) in states

    return read


def _level_in(row: Row) -> Test:
    levels = _values(row, CreditLevel.items(), "CREDIT_LEVEL_")
    return lambda question: question.record.credit_result.shared_level in levels


def _objection_stated(_row: Row) -> Test:
    return lambda question: bool(question.record.credit_result.objection.strip())


def _window_older_than(row: Row) -> Test:
    months = row.whole("months")
    if not 1 <= months <= 1200:
        raise row.wrong("months", "must be 1 to 1200")

    def older(question: Question) -> bool:
        end = date.fromisoformat(question.record.credit_result.window_end)
        return question.decided_on > add_months(end, months)

    return older


def _veto_unshared(row: Row) -> Test:
    """The level rests on vetoes, none of which the receiver's scheme has."""
    bounds: dict[int, Decimal] = {}
    if row.has("explained"):
        explained = row.row("explained")
        for name in explained.names():
            bound = explained.decimal(name)
            if f"CREDIT_LEVEL_{name}" not in dict(CreditLevel.items()) or bound is None:
                raise explained.wrong(name, "is no level")
            bounds[CreditLevel.Value(f"CREDIT_LEVEL_{name}")] = bound

    def unshared(question: Question) -> bool:
        body = question.record.credit_result
        cited = {reason.shared_code for reason in body.veto_reasons}
        if not cited or not cited.isdisjoint(question.receiver_vetoes):
            return False
        bound = bounds.get(body.shared_level)
        return not (bound is not None and body.score and Decimal(body.score) < bound)

    return unshared


def _base_below(row: Row) -> Test:
    bound = row.decimal("value")
    if bound is None:
        raise row.wrong("value", "missing")

    def below(question: Question) -> bool:
        base = stated_base(question.record.credit_result)
        return base is not None and base < bound

    return below


def _base_unstated(_row: Row) -> Test:
    return lambda question: stated_base(question.record.credit_result) is None


def _notice_kind_in(row: Row) -> Test:
    kinds = _values(row, NoticeKind.items(), "NOTICE_KIND_")
    return lambda question: question.record.penalty_notice.notice_kind in kinds


def measures_of(record: Record) -> Sequence[Measure]:
    """What a notice or a list entry asks to be done."""
    return record.list_entry.measures if record.HasField("list_entry") else record.penalty_notice.measures


def _measures_outside(row: Row) -> Test:
    """Some measure is of no listed edition of a catalogue; each is written catalogue/edition."""
    editions = frozenset(row.texts("catalogues"))
    return lambda question: any(
        f"{measure.catalogue}/{measure.edition}" not in editions for measure in measures_of(question.record)
    )


def _list_in(row: Row) -> Test:
    kinds = _values(row, ListKind.items(), "LIST_KIND_")
    return lambda question: question.record.list_entry.list_kind in kinds


def last_valid_day(record: Record) -> str:
    """Last day on which an entry or a certificate is valid; empty while it is without end."""
    if record.HasField("lab_qualification"):
        return record.lab_qualification.valid_until
    return record.list_entry.valid_until


def _validity_ended(_row: Row) -> Test:
    def ended(question: Question) -> bool:
        last = last_valid_day(question.record)
        return bool(last) and question.decided_on.isoformat() > last

    return ended


def _cma_unusual(_row: Row) -> Test:
    """The number is not of the form of 12 digits that certificates had until the forms changed."""
    return lambda question: not _USUAL_CMA.fullmatch(question.record.lab_qualification.cma_no)


def _crc_in(row: Row) -> Test:
    verdicts = _values(row, CrcVerdict.items(), "CRC_VERDICT_")
    return lambda question: question.record.monitoring_batch.crc_verdict in verdicts


def _usability_in(row: Row) -> Test:
    usabilities = _values(row, Usability.items(), "USABILITY_")
    return lambda question: question.usability in usabilities


_VOCABULARY: Final[Mapping[int, Mapping[str, Callable[[Row], Test]]]] = {
    Kind.KIND_CREDIT_RESULT: {
        "always": _always,
        "state_in": _state_in(CreditState.items(), "CREDIT_STATE_"),
        "level_in": _level_in,
        "objection_stated": _objection_stated,
        "window_older_than": _window_older_than,
        "veto_unshared": _veto_unshared,
        "base_below": _base_below,
        "base_unstated": _base_unstated,
    },
    Kind.KIND_PENALTY_NOTICE: {
        "always": _always,
        "notice_kind_in": _notice_kind_in,
        "measures_outside": _measures_outside,
    },
    Kind.KIND_LIST_ENTRY: {
        "always": _always,
        "state_in": _state_in(ListState.items(), "LIST_STATE_"),
        "list_in": _list_in,
        "validity_ended": _validity_ended,
        "measures_outside": _measures_outside,
    },
    Kind.KIND_LAB_QUALIFICATION: {
        "always": _always,
        "state_in": _state_in(LabState.items(), "LAB_STATE_"),
        "validity_ended": _validity_ended,
        "cma_unusual": _cma_unusual,
    },
    Kind.KIND_MONITORING_BATCH: {"always": _always, "crc_in": _crc_in, "usability_in": _usability_in},
}
