"""The content of CP: parameters, and items of factors (HJ 212-2017 tables 6 to 8)."""

from __future__ import annotations

import re
from typing import NamedTuple

# Text in -Info stands between double slashes and may hold the delimiters.
_PIECES = re.compile(r"(?:[^;,/]|/(?!/)|//.*?//|//)+")


class Reading(NamedTuple):
    """One item of a factor, as received.

    Attributes:
        factor: Code before the last hyphen, as in ``w01018``, ``011`` or ``SB1``.
        item: Name behind it, as in ``Avg``, ``ZsRtd``, ``RS``; ``Flag`` where a factor has nothing but a flag.
        value: Text behind the equals sign.
        flag: Data flag of the factor; empty where it has none.
    """

    factor: str
    item: str
    value: str
    flag: str


class Items(NamedTuple):
    """The content of CP, taken apart.

    Attributes:
        params: What has no factor, as in ``DataTime``; of a name that is repeated, the first value.
        readings: In the order received.
        problems: Broken rules of structure.
        notes: What is worth knowing and breaks nothing.
    """

    params: dict[str, str]
    readings: tuple[Reading, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def parse_items(content: str) -> Items:
    """Take the content of CP apart.

    Factors are told apart by their code and not by the delimiter between items: devices mix comma and semicolon,
    and so do the standard's own examples.

    Args:
        content: Text between ``CP=&&`` and ``&&``.

    Returns:
        Parameters and readings. Raises nothing, whatever the text.
    """
    params: dict[str, str] = {}
    flags: dict[str, str] = {}
    items: list[tuple[str, str, str]] = []
    problems: list[str] = []
    notes: list[str] = []
    pieces = _PIECES.findall(content) if "//" in content else content.replace(",", ";").split(";")
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if not equals:
            if piece.strip() and "cp_item_without_equals" not in problems:
                problems.append("cp_item_without_equals")
            continue
        factor, hyphen, item = name.rpartition("-")
        if not hyphen:
            name = name.strip()
            if name not in params:
                params[name] = value
            elif "cp_param_repeated" not in notes:
                notes.append("cp_param_repeated")
        elif item == "Flag":
            factor = factor.strip()
            if flags.setdefault(factor, value) != value:
                # Both are shown, and neither is believed.
                flags[factor] += f",{value}"
                if "flag_conflict" not in problems:
                    problems.append("flag_conflict")
        else:
            items.append((factor.strip(), item, value))
    readings = [Reading(factor, item, value, flags.get(factor, "")) for factor, item, value in items]
    if len(flags) > 0:
        with_items = {item[0] for item in items}
        readings += [Reading(factor, "Flag", flag, flag) for factor, flag in flags.items() if factor not in with_items]
    return Items(params, tuple(readings), tuple(problems), tuple(notes))
