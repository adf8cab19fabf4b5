"""Working days, counted by the State Council's arrangement of each year's holidays, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from exchange.domain.catalogues.table_file import Row
from exchange.domain.problems import ExchangeError, Problem

_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
_MOST_OFF: Final = 60
"""Days off of one holiday: more is a slip of the pen, and would make a table of a year in which nobody works."""


class CalendarMissing(ExchangeError):
    """No calendar says which days of a year are worked. Monday to Friday would be a guess, and often wrong."""

    reason = "CALENDAR_MISSING"

    def __init__(self, year: int) -> None:
        self.year = year
        self.problems = (Problem(self.reason, f"calendar_{year}.toml", str(year)),)
        super().__init__(f"no calendar of {year}")


@dataclass(frozen=True, kw_only=True, slots=True)
class YearCalendar:
    """One year.

    Attributes:
        off: Days that are off beside weekends, and weekends within a holiday, each with its holiday's name.
        worked: Weekend days that are worked.
        source: The notice that arranges it.
    """

    year: int
    off: Mapping[date, str]
    worked: frozenset[date]
    source: str

    def is_worked(self, day: date) -> bool:
        """Whether a day of this year is a working day."""
        return day in self.worked or (day.weekday() < _SATURDAY and day not in self.off)


@dataclass(frozen=True, slots=True)
class Calendars:
    """The years that are known."""

    years: Mapping[int, YearCalendar]

    def is_worked(self, day: date) -> bool:
        """Whether a day is a working day.

        Raises:
            CalendarMissing: Its year is not known.
        """
        if day.year not in self.years:
            raise CalendarMissing(day.year)
        return self.years[day.year].is_worked(day)

    def working_days_after(self, start: date, count: int) -> tuple[date, ...]:
        """The next working days, in order; the day itself is not counted (民法典 Art. 201).

        Args:
            start: The day that starts the term.
            count: How many, from 1.

        Raises:
            CalendarMissing: The term runs into a year that is not known.
        """
        if count < 1:
            raise ValueError("a term has at least one working day")
        found: list[date] = []
        day = start
        while len(found) < count:
            day += _DAY
            if self.is_worked(day):
                found.append(day)
        return tuple(found)


def load_calendars(files: Iterable[Row]) -> Calendars:
    """Read one file for each year.

    Raises:
        TableError: A year is there twice, a day lies outside its file's year, is off twice, is both worked and off, or
            is worked without being of a weekend.
    """
    years: dict[int, YearCalendar] = {}
    for file in files:
        year = _year(file)
        if year.year in years:
            raise file.wrong("year", f"{year.year} has two files")
        years[year.year] = year
    return Calendars(years)


def _year(file: Row) -> YearCalendar:
    year = file.whole("year")
    source = file.text("source")
    file.text("status")
    off: dict[date, str] = {}
    for row in file.rows("off"):
        name, first, last = row.text("name"), row.day("from"), row.day("until")
        if first is None or last is None or not first <= last or (last - first).days >= _MOST_OFF:
            raise row.wrong("until", "a holiday has a first and a last day, in order")
        for number in range((last - first).days + 1):
            day = first + number * _DAY
            if day.year != year or day in off:
                raise row.wrong("from", f"{day} is of another year, or off twice")
            off[day] = name
        row.end()
    worked = frozenset(_worked(file, year, off))
    file.end()
    return YearCalendar(year=year, off=off, worked=worked, source=source)


def _worked(file: Row, year: int, off: Mapping[date, str]) -> Iterable[date]:
    for text in file.texts("worked"):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise file.wrong("worked", f"{text} is no date, YYYY-MM-DD") from None
        if day.isoformat() != text or day.year != year or day.weekday() < _SATURDAY or day in off:
            raise file.wrong("worked", f"{text} is no weekend day of {year} that is not off")
        yield day
