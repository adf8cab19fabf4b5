"""Parts that are measured or counted: instants, whole numbers, factors, units."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.domain.codes import normalise
from exchange_forms.flat.cells import Field, value_at
from exchange_forms.flat.part import Context
from exchange_forms.row import RowMapping
from exchange_sheets import CellKind
from exchange_sheets.book import in_words

CHINA_TIME: Final = timezone(timedelta(hours=8))
"""Documents tell the legal time of both regions."""

LARGEST: Final = 2**31 - 1
"""The largest whole number of a field."""

_DAY: Final = r"(?:(?P<year>[0-9]{4})(?P<divider>[-/.])(?P<month>[0-9]{1,2})(?P=divider)(?P<day>[0-9]{1,2})[ T])"
_CHINESE_DAY: Final = r"(?:(?P<year>[0-9]{4}) ?年 ?(?P<month>[0-9]{1,2}) ?月 ?(?P<day>[0-9]{1,2}) ?日 ?)"
_TIME: Final = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?"
_CHINESE_TIME: Final = r"(?P<hour>[0-9]{1,2}) ?时(?: ?(?P<minute>[0-9]{1,2}) ?分(?: ?(?P<second>[0-9]{1,2}) ?秒)?)?"
_INSTANTS: Final = tuple(re.compile(day + time) for day in (_DAY, _CHINESE_DAY) for time in (_TIME, _CHINESE_TIME))


class Instant(Field):
    """Day and time of day, UTC+8. A day alone is none: which hour was meant is never guessed."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """``2026-03-05 08:30``, with seconds or without, and the ways to write a date; ``2026年3月5日8时30分``."""
        cell = row.cell(self.column)
        if cell is None:
            return
        at = read_instant(cell.text) if cell.kind in (CellKind.TEXT, CellKind.DATE) else None
        if at is None:
            row.fault("INSTANT_FORMAT", cell, in_words(cell.text, 30))
            return
        target = value_at(row.body, self.target)
        assert isinstance(target, Timestamp)
        target.FromDatetime(at)
        row.note(self.target, cell.address, "instant")

    def text_of(self, value: Timestamp, _context: Context) -> str:
        """In UTC+8, to the second."""
        if not value.ByteSize():
            return ""
        try:
            return value.ToDatetime(CHINA_TIME).strftime("%Y-%m-%d %H:%M:%S")
        except (ValueError, OverflowError):
            return ""


def read_instant(text: str) -> datetime | None:
    """The instant that a text says in UTC+8, or None."""
    plain = unicodedata.normalize("NFKC", text).strip()
    for pattern in _INSTANTS:
        match = pattern.fullmatch(plain)
        if match is None:
            continue
        year, month, day, hour = (int(match[name]) for name in ("year", "month", "day", "hour"))
        try:
            return datetime(
                year, month, day, hour, int(match["minute"] or 0), int(match["second"] or 0), tzinfo=CHINA_TIME
            )
        except ValueError:
            return None
    return None


class Whole(Field):
    """A whole number that is not negative; 0 is written as an empty cell where nothing was stated."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """Digits."""
        found = row.number(self.column)
        if found is None:
            return
        number, cell = found
        if number != number.to_integral_value() or not 0 <= number <= LARGEST:
            row.fault("DECIMAL_FORMAT", cell, in_words(cell.text, 20))
        else:
            row.put(self.target, int(number), cell.address, "whole-number")

    def text_of(self, value: int, _context: Context) -> str:
        """Digits."""
        return str(value) if value else ""


class Factor(Field):
    """A factor by its code of HJ 524 or HJ 525; a name is none."""

    def read(self, row: RowMapping, context: Context) -> None:
        """A code that the table of factors has, or a fault."""
        cell = row.code_cell(self.column)
        if cell is None:
            return
        code = normalise(cell.text).lower()
        if context.side.domain.factors.find(code) is None:
            row.fault("FACTOR_UNMAPPED", cell, in_words(cell.text, 40))
        else:
            row.put(self.target, code, cell.address, "code", lossy=code != cell.text)


class Unit(Field):
    """A unit: one of the side's words for it, or its UCUM code where the table of factors has that."""

    def words(self) -> Mapping[str, Collection[str] | None]:
        """A side has names for the units that its officers write."""
        return {self.column: None}

    def read(self, row: RowMapping, context: Context) -> None:
        """A unit that is not known is never guessed at: milligrams are not micrograms."""
        cell = row.cell(self.column)
        if cell is None:
            return
        text = cell.text.strip()
        known = text if text in context.side.domain.factors.units else None
        unit = known or context.tables.words[self.column].find(text)
        if unit is None:
            row.fault("UNIT_UNMAPPED", cell, in_words(cell.text, 20))
        else:
            row.put(self.target, unit, cell.address, "as-written" if known else "alias")

    def text_of(self, value: Any, context: Context) -> str:
        """The side's word, or the code."""
        return context.tables.words[self.column].texts.get(str(value), str(value))
