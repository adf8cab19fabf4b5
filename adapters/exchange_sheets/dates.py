"""Dates as people write them, read strictly."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, timedelta
from typing import Final

from exchange_sheets.book import Cell, CellKind

EPOCH_1900: Final = date(1899, 12, 30)
"""Day 0 of the 1900 system as it counts from 1900-03-01 on: before, it holds a 29 February that never was."""

EPOCH_1904: Final = date(1904, 1, 1)
"""Day 0 of the 1904 system."""

FIRST_SERIAL: Final = 32_874
"""1990-01-01: five digits below this are more likely a number than a date of an environmental fact."""

LAST_SERIAL: Final = 73_415
"""2100-12-31."""

_SERIAL = re.compile(r"[0-9]{5}(?:\.0+)?")
_BASIC = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_WRITTEN = (
    re.compile(r"([0-9]{4}) ?年 ?([0-9]{1,2}) ?月 ?([0-9]{1,2}) ?日"),
    re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"),
    re.compile(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})"),
    re.compile(r"([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,2})"),
)
_MIDNIGHT = re.compile(r"[ T]0{1,2}:00(?::00(?:\.0{1,6})?)?")


class NotADate(ValueError):
    """The text is no date that can be read in one way only."""


def from_serial(days: int, *, epoch_1904: bool = False) -> date:
    """The date of a spreadsheet serial number.

    Args:
        days: Whole days; in the 1900 system from 61 (1900-03-01) on.
        epoch_1904: The workbook counts in the 1904 system.

    Raises:
        NotADate: The number is outside the calendar, or in the two months where programs differ.
    """
    if not epoch_1904 and days < 61:
        raise NotADate(f"serial {days}")
    try:
        return (EPOCH_1904 if epoch_1904 else EPOCH_1900) + timedelta(days=days)
    except OverflowError:
        raise NotADate(f"serial {days}") from None


def read_date(cell: Cell) -> date:
    """The date in a cell.

    Reads date cells, serial numbers of 1990 to 2100, ``2024年3月5日``, ``2024-03-05``, ``2024/3/5``, ``2024.3.5`` and
    ``20240305`` (GB/T 7408 basic format), all after NFKC, with a time of day only if it is midnight. The year stands
    first and has four digits, so that there is one reading.

    Raises:
        NotADate: The text is anything else, or no day of the calendar.
    """
    if cell.kind not in (CellKind.TEXT, CellKind.NUMBER, CellKind.DATE):
        raise NotADate(cell.kind.value)
    text = unicodedata.normalize("NFKC", cell.text).strip()
    if _SERIAL.fullmatch(text):
        serial = int(text[:5])
        if FIRST_SERIAL <= serial <= LAST_SERIAL:
            return from_serial(serial)
        raise NotADate(text)
    basic = _BASIC.fullmatch(text)
    if basic:
        return _day(basic, text)
    for pattern in _WRITTEN:
        match = pattern.match(text)
        if match and (match.end() == len(text) or _MIDNIGHT.fullmatch(text, match.end())):
            return _day(match, text)
    raise NotADate(text)


def _day(match: re.Match[str], text: str) -> date:
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        raise NotADate(text) from None
