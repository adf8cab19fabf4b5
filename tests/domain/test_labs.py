"""Slices of days: a laboratory's standing is the same as by counting every day by hand."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.labs import method_key, slices_of, standing_on, together
from exchange.v1.lab_qualification_pb2 import LabQualification, LabStanding, LabState

BEGIN = date(2026, 1, 1)
DAYS = 30

day = st.integers(0, DAYS - 1)
spans = st.tuples(day, st.none() | day).filter(lambda span: span[1] is None or span[0] <= span[1])


def _text(number: int | None) -> str:
    return "" if number is None else (BEGIN + timedelta(number)).isoformat()


def _among(number: int, span: tuple[int, int | None]) -> bool:
    return span[0] <= number and (span[1] is None or number <= span[1])


@st.composite
def laboratories(draw: st.DrawFn) -> LabQualification:
    """A laboratory with any certificate, scope, suspensions and roster state within a month."""
    first = draw(day)
    body = LabQualification(valid_from=_text(first), valid_until=_text(draw(st.integers(first, DAYS - 1))))
    for start, end in draw(st.lists(spans, max_size=3)):
        method = draw(st.sampled_from(("HJ 828-2017", "HJ 535-2009")))
        body.scope.add(factor_code="w01018", method_standard=method, valid_from=_text(start), valid_until=_text(end))
    for start, end in draw(st.lists(spans, max_size=3)):
        body.suspensions.add(suspended_from=_text(start), suspended_until=_text(end))
    body.state = draw(st.sampled_from([state for state in LabState.values() if state]))
    body.state_since = _text(draw(day))
    return body


def _by_hand(body: LabQualification, on: str, method: str) -> LabStanding.ValueType:
    def within(first: str, last: str, at: str = on) -> bool:
        return date.fromisoformat(at) >= date.fromisoformat(first) and (
            last == "" or date.fromisoformat(at) <= date.fromisoformat(last)
        )

    if body.state == LabState.LAB_STATE_REMOVED and on >= body.state_since:
        return LabStanding.LAB_STANDING_REMOVED
    stated = any(within(each.suspended_from, each.suspended_until, body.state_since) for each in body.suspensions)
    bare = body.state == LabState.LAB_STATE_SUSPENDED and not stated and on >= body.state_since
    if bare or any(within(each.suspended_from, each.suspended_until) for each in body.suspensions):
        return LabStanding.LAB_STANDING_SUSPENDED
    if on < body.valid_from:
        return LabStanding.LAB_STANDING_NOT_YET_VALID
    if on > body.valid_until:
        return LabStanding.LAB_STANDING_EXPIRED
    lines = [line for line in body.scope if within(line.valid_from, line.valid_until)]
    if any(not method or line.method_standard == method for line in lines):
        return LabStanding.LAB_STANDING_HELD
    return LabStanding.LAB_STANDING_NOT_IN_SCOPE


@given(body=laboratories(), method=st.sampled_from(("", "HJ 828-2017", "HJ 535-2009", "HJ/T 399-2007")))
def test_every_day_is_as_counted_by_hand(body: LabQualification, method: str) -> None:
    """First and last days are included, an open end lasts, and the order in which slices are read does not matter."""
    slices = list(slices_of(body))
    for number in range(DAYS):
        on = _text(number)
        expected = _by_hand(body, on, method)
        assert standing_on(slices, on, "w01018", method) == expected
        assert standing_on(reversed(slices), on, "w01018", method) == expected


@given(body=laboratories(), span=spans)
def test_a_suspension_more_changes_its_own_days_alone(body: LabQualification, span: tuple[int, int | None]) -> None:
    """Whenever it is stated: on its days the laboratory holds nowhere, on all others nothing changes."""
    body.state = LabState.LAB_STATE_LISTED
    before = list(slices_of(body))
    body.suspensions.add(suspended_from=_text(span[0]), suspended_until=_text(span[1]))
    after = list(slices_of(body))
    for number in range(DAYS):
        on = _text(number)
        expected = LabStanding.LAB_STANDING_SUSPENDED if _among(number, span) else standing_on(before, on, "w01018")
        assert standing_on(after, on, "w01018") == expected


@given(found=st.lists(st.sampled_from([each for each in LabStanding.values() if each]), max_size=5))
def test_of_several_records_a_suspension_counts_and_else_the_best(found: list[LabStanding.ValueType]) -> None:
    """Nobody states it: unknown."""
    result = together(found)
    if not found:
        assert result == LabStanding.LAB_STANDING_UNKNOWN
    elif LabStanding.LAB_STANDING_SUSPENDED in found:
        assert result == LabStanding.LAB_STANDING_SUSPENDED
    else:
        assert result == min(found)


def test_a_method_has_one_spelling() -> None:
    """Spaces, dashes and width are how people write, not what they mean."""
    spellings = ("HJ 828-2017", "HJ828—2017", "hj 828–2017", "ＨＪ 828－2017")
    assert {method_key(each) for each in spellings} == {"HJ828-2017"}
    assert method_key("HJ 828-2018") != "HJ828-2017"
