"""Resident identity numbers (GB 11643) in text: they are never accepted, stored or digested."""

from __future__ import annotations

import re
from collections.abc import Iterator

RESIDENT_ID_LENGTH = 18
"""Characters of a resident identity number."""

# No look-behind: with it the engine cannot skip to the first digit, and this runs over every text of every record.
_CANDIDATE = re.compile(r"\d(?:[ \u3000\-]?\d){16,}(?:[ \u3000\-]?[XxＸｘ])?")
_SEPARATORS = re.compile(r"[ \u3000\-]")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_MASKS = "*＊某×xX"
_VISIBLE_CHARACTERS_OF_MASKED_NAME = 2
"""A compound family name has two characters; more would be most of a name."""


def resident_ids(text: str) -> Iterator[tuple[int, int]]:
    """Where resident identity numbers stand in a text, as begin and end.

    A number counts when its birth date is possible and its check character is right, in half-width or full-width
    digits, also with single blanks or hyphens between them. Other numbers of 18 digits do not count.
    """
    if len(text) < RESIDENT_ID_LENGTH:
        return
    for match in _CANDIDATE.finditer(text):
        number = _SEPARATORS.sub("", match.group())
        if len(number) == RESIDENT_ID_LENGTH and _holds(number):
            yield match.span()


def contains_resident_id(text: str) -> bool:
    """Whether a resident identity number stands in the text."""
    return _CANDIDATE.search(text) is not None and next(resident_ids(text), None) is not None


def _holds(number: str) -> bool:
    digits = [int(char) for char in number[:17]]
    year, month, day = (int("".join(map(str, digits[a:b]))) for a, b in ((6, 10), (10, 12), (12, 14)))
    if not (1850 <= year <= 2150 and 1 <= month <= 12 and 1 <= day <= 31):
        return False
    check = _CHECKS[sum(digit * weight for digit, weight in zip(digits, _WEIGHTS, strict=True)) % 11]
    last = number[17]
    return check == ("X" if last in "XxＸｘ" else str(int(last)))


def name_is_masked(name: str) -> bool:
    """Whether a natural person's name is masked: a mask character, and at most a family name beside it."""
    visible = sum(char not in _MASKS and not char.isspace() for char in name)
    return visible <= _VISIBLE_CHARACTERS_OF_MASKED_NAME and any(char in _MASKS for char in name)


def mask_name(name: str) -> str:
    """A name of which only the first character is left; a masked one stays as it is."""
    return name if not name or name_is_masked(name) else f"{name[0]}**"
