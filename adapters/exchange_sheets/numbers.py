"""Decimal numbers as people write them, read strictly and never as binary fractions."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from math import isfinite
from typing import Final

from exchange_sheets.book import Cell, CellKind

MAX_DIGITS: Final = 40
"""Characters of a number: money and scores need below 20, and longer ones cost time for nothing."""

SHOWN_DIGITS: Final = 15
"""Digits that spreadsheet programs keep of a number that is typed or computed."""

_PLAIN = re.compile(r"-?(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?")

_STORED = re.compile(r"[+-]?[0-9]{1,400}(?:\.[0-9]{0,400})?(?:[eE][+-]?[0-9]{1,4})?")


class NotANumber(ValueError):
    """The text is no plain decimal number."""


def read_decimal(cell: Cell) -> Decimal:
    """The number in a cell: digits, thousands separators in their places, a decimal point, all after NFKC.

    Raises:
        NotANumber: Signs other than ``-``, exponents, units, two points, anything else.
    """
    if cell.kind not in (CellKind.TEXT, CellKind.NUMBER):
        raise NotANumber(cell.kind.value)
    text = unicodedata.normalize("NFKC", cell.text).strip()
    if len(text) > MAX_DIGITS or not _PLAIN.fullmatch(text):
        raise NotANumber(text[:MAX_DIGITS])
    return Decimal(text.replace(",", ""))


def plain_text(number: Decimal) -> str:
    """The shortest plain decimal of a number: no exponent, no trailing zeros, no negative zero.

    Exact for every finite number: nothing is rounded to the context's precision.
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def shortest(stored: str) -> str:
    """The decimal that a person sees of a number that a workbook stores with 17 digits.

    ``80.099999999999994`` is 80.1: programs store binary fractions, and show and promise 15 digits of them. The only
    place where a binary fraction is touched.

    Raises:
        NotANumber: It is no finite number.
    """
    if not _STORED.fullmatch(stored):
        raise NotANumber(stored[:MAX_DIGITS])
    number = float(stored)
    if not isfinite(number):
        raise NotANumber(stored[:MAX_DIGITS])
    return plain_text(Decimal(f"{number:.{SHOWN_DIGITS}g}"))
