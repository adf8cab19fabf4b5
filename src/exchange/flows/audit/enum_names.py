"""Names of enumerated values that others wrote: a number without a name is told as it is."""

from __future__ import annotations

from typing import Any, Final

UNKNOWN: Final = 255
"""Stands in a byte for every number that does not fit one."""


def enum_name(enum: Any, number: int, prefix: str) -> str:
    """Name of a value without the enumeration's own prefix; its digits where the schema does not know it."""
    return str(enum.Name(number)).removeprefix(prefix) if number in enum.values() else str(number)


def as_byte(number: int) -> int:
    """A number that an enumeration may have, for arrays of bytes; ``UNKNOWN`` for one that none has."""
    return number if 0 <= number < UNKNOWN else UNKNOWN
