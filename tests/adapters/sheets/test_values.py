"""Dates and numbers as people write them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_sheets import Cell, CellKind, NotADate, NotANumber, plain_text, read_date, read_decimal
from exchange_sheets.dates import EPOCH_1900, FIRST_SERIAL, LAST_SERIAL
from exchange_sheets.numbers import shortest


def cell(text: str, kind: CellKind = CellKind.TEXT) -> Cell:
    """A cell of a text."""
    return Cell("A1", text, kind)


def wide(text: str) -> str:
    """The same in full-width characters."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


@given(st.dates(date(1000, 1, 1), date(9999, 12, 31)))
def test_every_way_to_write_a_day_is_that_day(day: date) -> None:
    """The listed ways, padded or not, in half-width or full-width digits, mean the same day."""
    year, month, number = day.year, day.month, day.day
    for text in (
        f"{year}年{month}月{number}日",
        f"{year}-{month:02d}-{number:02d}",
        f"{year}/{month}/{number}",
        f"{year}.{month}.{number}",
        f"{year}{month:02d}{number:02d}",
        f" {year}-{month}-{number} 00:00:00 ",
        f"{year}-{month:02d}-{number:02d}T00:00:00",
    ):
        assert read_date(cell(text)) == day
        assert read_date(cell(wide(text.strip()))) == day


@given(st.integers(FIRST_SERIAL, LAST_SERIAL))
def test_a_serial_number_is_its_day(serial: int) -> None:
    """Days are counted from 1899-12-30, as a number and as text."""
    day = EPOCH_1900 + timedelta(days=serial)
    assert read_date(cell(str(serial), CellKind.NUMBER)) == day
    assert read_date(cell(f"{serial}.0")) == day


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30",
        "2024-13-01",
        "24-03-05",
        "05/03/2024",
        "2024-3",
        "2024年3月",
        "2024-03-05 10:00",
        "2024-03/05",
        "2024.3.5.",
        "12345",
        "99999",
        "123456",
        "2024-03-05x",
        "",
        "二〇二四年三月五日",
        "2024-003-05",
    ],
)
def test_what_can_be_read_in_two_ways_or_none_is_no_date(text: str) -> None:
    """A day or month first, two-digit years, missing days, times of day: never guessed."""
    with pytest.raises(NotADate):
        read_date(cell(text))


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_none(text: str) -> None:
    """No other error, and what is read is written in the text's own digits."""
    try:
        day = read_date(cell(text))
    except NotADate:
        return
    assert isinstance(day, date)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**12), max_value=10**12))
def test_a_plain_number_is_that_number(number: Decimal) -> None:
    """Reading what was written gives the number again, also with thousands separators."""
    assert read_decimal(cell(format(number, "f"))) == number
    assert read_decimal(cell(f"{number:,f}")) == number
    assert read_decimal(cell(plain_text(number))) == number


@pytest.mark.parametrize(
    "text", ["", "+5", "1e3", "5_0", "1,23", "1,2345", ".5", "5.", "八", "80分", "--5", "1" * 41, "0x1"]
)
def test_what_is_no_plain_number_is_none(text: str) -> None:
    """Signs, exponents, units and separators out of place are no numbers."""
    with pytest.raises(NotANumber):
        read_decimal(cell(text))


@given(st.integers(-(10**12), 10**12), st.integers(0, 8))
def test_a_stored_number_is_what_was_typed(digits: int, places: int) -> None:
    """Seventeen digits of a binary fraction give back the decimal that a person typed."""
    typed = Decimal(digits).scaleb(-places)
    assert Decimal(shortest(f"{float(typed):.17g}")) == typed


@pytest.mark.parametrize("text", ["nan", "inf", "1_0", " 1", "0x10", "", "1e9999"])
def test_what_is_no_stored_number_is_refused(text: str) -> None:
    """Words that a lenient reader would take for numbers."""
    with pytest.raises(NotANumber):
        shortest(text)
