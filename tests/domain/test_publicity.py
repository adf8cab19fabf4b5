"""Publicity of a penalty by the repair rule of its day, and the day by which a repair is due."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.catalogues.publicity import STATED_CLASSES, months_after
from exchange.domain.catalogues.tables import TableError, Tables, load
from exchange.tables import read_all
from exchange.v1.penalty_notice_pb2 import DishonestyClass


def _class(name: str) -> DishonestyClass.ValueType:
    return DishonestyClass.Value(f"DISHONESTY_CLASS_{name}")


@pytest.mark.parametrize(
    ("decided", "stated", "rule", "low", "high"),
    [
        ("2023-05-01", "GENERAL", "国家发展改革委令第58号", "2023-08-01", "2026-05-01"),
        ("2025-06-21", "SERIOUS", "国家发展改革委令第58号", "2025-09-21", "2028-06-21"),
        ("2025-06-22", "SERIOUS", "国办发〔2025〕22号", "2026-06-22", "2028-06-22"),
        ("2025-11-30", "GENERAL", "国办发〔2025〕22号", "2026-02-28", "2026-11-30"),
        ("2025-12-31", "MINOR", "国办发〔2025〕22号", None, "2026-03-31"),
        ("2026-03-31", "GENERAL", "国办发〔2025〕22号", "2026-06-30", "2027-03-31"),
        ("2026-04-01", "GENERAL", "国家发展改革委令第36号", "2026-07-01", "2027-04-01"),
    ],
)
def test_the_rule_of_the_day_gives_the_dates(
    tables: Tables, decided: str, stated: str, rule: str, low: str | None, high: str
) -> None:
    """The first and last days of each rule, and months without a day of that number."""
    found = tables.publicity.compute(date.fromisoformat(decided), _class(stated))
    assert found is not None
    assert found.rule.name == rule
    assert (found.min_until.isoformat() if found.min_until else None, found.max_until.isoformat()) == (low, high)


@pytest.mark.parametrize(("decided", "stated"), [("2023-04-30", "GENERAL"), ("2026-04-01", "NOT_STATED")])
def test_without_rule_or_class_nothing_is_computed(tables: Tables, decided: str, stated: str) -> None:
    """Before the first rule, and where the authority states no class."""
    assert tables.publicity.compute(date.fromisoformat(decided), _class(stated)) is None


@given(decided=st.dates(date(2023, 5, 1), date(2099, 1, 1)), stated=st.sampled_from(STATED_CLASSES))
def test_every_day_since_the_first_rule_has_one(tables: Tables, decided: date, stated: str) -> None:
    """In force on that day, the newest of them; the shortest publicity ends before the longest, after the decision."""
    rules = tables.publicity
    found = rules.compute(decided, _class(stated))
    assert found is not None
    assert found.rule.in_force(decided)
    assert not any(rule.in_force(decided) and rule.in_force_from > found.rule.in_force_from for rule in rules.rules)
    assert decided < (found.min_until or found.max_until) <= found.max_until


@given(start=st.dates(date(1990, 1, 1), date(2090, 1, 1)), months=st.integers(1, 120))
def test_months_end_on_the_same_number_or_on_the_last_day(start: date, months: int) -> None:
    """The day lies that many months on; its number is the start's, or less only at a month's end."""
    end = months_after(start, months)
    assert (end.year - start.year) * 12 + end.month - start.month == months
    next_day = date.fromordinal(end.toordinal() + 1)
    assert end.day == start.day or (end.day < start.day and next_day.month != end.month)


def test_a_repair_is_due_after_three_working_days(tables: Tables) -> None:
    """National Day lies between, and its make-up Saturday is a working day."""
    calendars, rules = tables.calendars, tables.publicity
    assert rules.repair_due_by(date(2025, 9, 29), calendars) == date(2025, 10, 10)
    assert rules.repair_due_by(date(2025, 10, 9), calendars) == date(2025, 10, 13)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('aliases = ["22号"', 'aliases = ["58号令"'),
        ('in_force_until = "2026-03-31"', 'in_force_until = "2022-03-31"'),
        ('in_force_from = "2026-04-01"', 'in_force_from = "2025-06-22"'),
        ("min_months = 3, max_months = 12", "min_months = 13, max_months = 12"),
        ('class = "MINOR", max_months = 3', 'class = "GENERAL", max_months = 3'),
        ("working_days = 3", "working_days = 0"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(old: str, new: str) -> None:
    """A name of two rules, an end before the beginning, two rules of one day, a minimum above the maximum."""
    files = read_all()
    text = files["publicity.toml"].decode()
    assert old in text
    with pytest.raises(TableError):
        load({**files, "publicity.toml": text.replace(old, new).encode()})
