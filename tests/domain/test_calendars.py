"""Working days: counted by each year's arrangement, and not at all where there is none."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.catalogues.calendars import CalendarMissing
from exchange.domain.catalogues.tables import TableError, Tables, load
from exchange.tables import read_all

_HOLIDAY = '{ name = "n", from = "2027-01-01", until = "2027-01-02" }'
_TWICE = f"off = [{_HOLIDAY}, {_HOLIDAY}]"
KNOWN = (date(2023, 1, 1), date(2026, 12, 31))


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        ("2024-02-04", True),  # a Sunday that is worked before the Spring Festival
        ("2024-02-09", True),  # the eve is off by encouragement only
        ("2024-02-12", False),
        ("2024-09-14", True),
        ("2025-01-26", True),
        ("2025-02-04", False),
        ("2025-02-05", True),
        ("2025-10-08", False),
        ("2026-01-02", False),
        ("2026-01-04", True),
        ("2026-02-23", False),
        ("2026-05-09", True),
        ("2026-06-20", False),
    ],
)
def test_holidays_and_worked_weekends_are_as_arranged(tables: Tables, day: str, worked: bool) -> None:
    """Days of the notices, taken from their text by hand."""
    assert tables.calendars.is_worked(date.fromisoformat(day)) is worked


@pytest.mark.parametrize(("year", "days"), [(2023, 249), (2024, 251), (2025, 248), (2026, 248)])
def test_the_working_days_of_a_year_add_up(tables: Tables, year: int, days: int) -> None:
    """The sum over a year, worked out from the notice's numbers of days: no holiday is a day short."""
    first = date(year, 1, 1)
    span = (date(year + 1, 1, 1) - first).days
    assert sum(tables.calendars.is_worked(first + timedelta(days=number)) for number in range(span)) == days


def test_a_year_without_a_calendar_is_not_guessed(tables: Tables) -> None:
    """Not even a Monday: the arrangement may have made it a holiday."""
    with pytest.raises(CalendarMissing) as missing:
        tables.calendars.is_worked(date(2027, 3, 1))
    assert (missing.value.reason, missing.value.year) == ("CALENDAR_MISSING", 2027)
    assert tables.calendars.working_days_after(date(2026, 12, 28), 3)[-1] == date(2026, 12, 31)
    with pytest.raises(CalendarMissing):
        tables.calendars.working_days_after(date(2026, 12, 29), 3)


@given(start=st.dates(*KNOWN), count=st.integers(1, 30))
def test_counted_days_are_the_next_worked_ones(tables: Tables, start: date, count: int) -> None:
    """As many as asked for, all worked, in order, after the start, and no worked day between them is passed over."""
    try:
        days = tables.calendars.working_days_after(start, count)
    except CalendarMissing:
        assert start > date(2026, 10, 1)
        return
    assert len(days) == count
    span = [start + timedelta(days=number) for number in range(1, (days[-1] - start).days + 1)]
    assert [day for day in span if tables.calendars.is_worked(day)] == list(days)


def test_the_administrator_adds_a_year() -> None:
    """A file of the same form beside the node's other additions; it is part of the edition."""
    added = (
        b'year = 2027\nsource = "s"\nstatus = "s"\noff = [{ name = "n", from = "2027-01-01", until = "2027-01-03" }]\n'
    )
    tables = load(read_all(), {"calendar_2027.toml": added})
    assert tables.calendars.working_days_after(date(2026, 12, 31), 1) == (date(2027, 1, 4),)
    assert tables.digest != load(read_all()).digest


@pytest.mark.parametrize(
    "text",
    [
        'off = [{ name = "n", from = "2026-12-31", until = "2027-01-01" }]',
        'off = [{ name = "n", from = "2027-01-02", until = "2027-01-01" }]',
        'off = [{ name = "n", from = "2027-01-01", until = "2027-12-31" }]',
        _TWICE,
        'worked = ["2027-01-04"]',
        'worked = ["2026-01-04"]',
        'worked = ["2027-1-2"]',
        'off = [{ name = "n", from = "2027-01-02", until = "2027-01-02" }]\nworked = ["2027-01-02"]',
    ],
)
def test_a_calendar_that_contradicts_itself_is_refused(text: str) -> None:
    """Days of another year, off twice, reversed, a whole year; worked days that are no weekend or are off."""
    content = f'year = 2027\nsource = "s"\nstatus = "s"\n{text}\n'.encode()
    with pytest.raises(TableError):
        load(read_all(), {"calendar_2027.toml": content})
