"""Names of areas as documents write them, and their codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from exchange.domain.catalogues.areas import Area, Areas
from exchange_forms.sides.vocabulary import text_key

_SUFFIXES = ("自治县", "自治州", "区", "县", "市")
_SHORTEST_NAME = 2
"""Characters that a name keeps without its suffix: 忠县 is never 忠."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Codes by name within one province.

    Attributes:
        within: Code by name, by the first digits that the search is limited to: two for the province, four for a
            city. A name that two areas have is in none.
        names: Name by code.
        province: First two digits.
    """

    within: Mapping[str, Mapping[str, str]]
    names: Mapping[str, str]
    province: str
    areas: Areas

    def find(self, text: str, prefix: str = "") -> str | None:
        """The code of a name, or of a code written out.

        Args:
            text: A name in full, without its suffix, or below the province's or city's name; or six characters of a
                code.
            prefix: Look only within the city of these four digits.
        """
        key = text_key(text)
        if self.areas.find(key) is not None:
            return key if key.startswith(prefix) else None
        return self.within.get(prefix or self.province, {}).get(key)

    def name(self, code: str) -> str:
        """The name of a code; the code itself where it has none in the table."""
        area = self.areas.find(code)
        return area.name if area is not None else code


def make_places(areas: Areas, province_code: str, aliases: Mapping[str, str]) -> Places:
    """Make the lookup for a province.

    Args:
        areas: The domain's table.
        province_code: Code of the province.
        aliases: A side's own names: code by text key. They win.
    """
    province = province_code[:2]
    current = [area for area in areas.by_code.values() if area.code[:2] == province and area.valid_to is None]
    top = areas.by_code[province_code]
    cities = [area for area in current if area.code.endswith("00") and area.code != province_code]
    within: dict[str, dict[str, str]] = {}
    within[province] = _unique((area, _spellings(area, [top.name, *_above(area, top, cities)])) for area in current)
    for city in cities:
        members = [area for area in current if area.code[:4] == city.code[:4]]
        within[city.code[:4]] = _unique(
            (area, _spellings(area, [top.name, *_above(area, top, cities)])) for area in members
        )
    for key, code in aliases.items():
        within[province][key] = code
        within.setdefault(code[:4], {})[key] = code
    return Places(within=within, names={area.code: area.name for area in current}, province=province, areas=areas)


def _above(area: Area, top: Area, cities: Iterable[Area]) -> list[str]:
    """Ways to write what an area lies in, as a prefix of its name."""
    found: list[str] = []
    for city in cities:
        if city.code[:4] == area.code[:4] and city.code != area.code:
            found += [city.name, top.name + city.name]
    return found


def _spellings(area: Area, prefixes: Iterable[str]) -> set[str]:
    names = {area.name}
    for suffix in _SUFFIXES:
        short = area.name.removesuffix(suffix)
        if short != area.name and len(short) >= _SHORTEST_NAME:
            names.add(short)
            break
    if not area.code.endswith("0000"):
        names |= {prefix + area.name for prefix in prefixes}
    return {text_key(name) for name in names}


def _unique(entries: Iterable[tuple[Area, set[str]]]) -> dict[str, str]:
    """Code by name. A full name wins over the same text as somebody's short name; two of a sort are left out."""
    full: dict[str, set[str]] = {}
    short: dict[str, set[str]] = {}
    for area, keys in entries:
        for key in keys:
            (full if key == text_key(area.name) else short).setdefault(key, set()).add(area.code)
    chosen = short | full
    return {key: next(iter(codes)) for key, codes in chosen.items() if len(codes) == 1}
