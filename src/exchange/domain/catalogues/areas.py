"""Administrative areas: GB/T 2260 codes with their validity and successors, and the nodes' own extensions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from exchange.domain.catalogues.table_file import Row

EVERYWHERE = "*"
"""The prefix that covers every area."""

_CODE = re.compile(r"[0-9]{6}")
_EXTENSION = re.compile(r"[0-9]{4}X[0-9]")
_PREFIX_LENGTHS = (2, 4, 6)


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """One area under one code.

    Attributes:
        code: Six digits of GB/T 2260, or ``ddddXd`` for an office that has no code of its own.
        valid_from: First day of validity; None when it is older than the table cares about.
        valid_to: Last day of validity; None while it is valid.
        successors: Codes that the area goes on under.
        extension: True for a code that the nodes agreed on, which is not of GB/T 2260.
    """

    code: str
    name: str
    valid_from: date | None = None
    valid_to: date | None = None
    successors: tuple[str, ...] = ()
    extension: bool = False

    def valid_on(self, day: date) -> bool:
        """Whether the code is in use on a day."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, kw_only=True, slots=True)
class Areas:
    """The table of areas.

    Attributes:
        provinces: First two digits of every province-level area of the country.
        detailed: First two digits of the provinces whose cities and counties are all in the table.
    """

    by_code: Mapping[str, Area]
    provinces: frozenset[str]
    detailed: frozenset[str]

    def find(self, code: str, on: date | None = None) -> Area | None:
        """The area of a code, abolished ones included.

        Args:
            code: Six characters.
            on: Only where the code is in use on this day; None asks for any day.
        """
        area = self.by_code.get(code)
        if area is None or (on is not None and not area.valid_on(on)):
            return None
        return area

    def plausible(self, code: str) -> bool:
        """Whether the code can be that of an area.

        Within the detailed provinces it has to be in the table; elsewhere six digits below a known province do.
        """
        if code in self.by_code:
            return True
        return _CODE.fullmatch(code) is not None and code[:2] in self.provinces and code[:2] not in self.detailed

    def covers(self, prefix: str, code: str) -> bool:
        """Whether an area lies within a prefix of 2, 4 or 6 characters, or ``*``.

        An abolished code lies also where its successors lie. What is no prefix covers nothing.
        """
        if prefix == EVERYWHERE:
            return True
        if len(prefix) not in _PREFIX_LENGTHS or len(code) != 6:
            return False
        if code.startswith(prefix):
            return True
        area = self.by_code.get(code)
        return area is not None and any(self.covers(prefix, successor) for successor in area.successors)


def load_areas(file: Row, extensions: Row) -> Areas:
    """Read ``areas.toml`` and ``areas_extension.toml``.

    Raises:
        TableError: A code is ill-formed or listed twice, dates are reversed, or a successor is not in the table.
    """
    by_code: dict[str, Area] = {}
    places: dict[str, Row] = {}
    for table, pattern, extension in ((file, _CODE, False), (extensions, _EXTENSION, True)):
        for key in ("edition", "source", "status"):
            table.text(key)
        for row in table.rows("area"):
            area = _area(row, pattern, extension=extension)
            if area.code in by_code:
                raise row.wrong("code", f"{area.code} is listed twice")
            by_code[area.code] = area
            places[area.code] = row
    detailed = frozenset(file.texts("detailed"))
    file.end()
    extensions.end()
    provinces = frozenset(code[:2] for code in by_code if code.endswith("0000"))
    for code, area in by_code.items():
        if code[:2] not in provinces:
            raise places[code].wrong("code", "lies in no province of the table")
        for successor in area.successors:
            if successor not in by_code or by_code[successor].successors:
                raise places[code].wrong("successor", f"{successor} is not a code in use")
    return Areas(by_code=by_code, provinces=provinces, detailed=detailed)


def _area(row: Row, pattern: re.Pattern[str], *, extension: bool) -> Area:
    area = Area(
        code=row.text("code"),
        name=row.text("name"),
        valid_from=row.day("valid_from"),
        valid_to=row.day("valid_to"),
        successors=row.texts("successor"),
        extension=extension,
    )
    row.end()
    if not pattern.fullmatch(area.code):
        raise row.wrong("code", "is no area code")
    if area.valid_from and area.valid_to and area.valid_from > area.valid_to:
        raise row.wrong("valid_to", "lies before valid_from")
    if area.successors and area.valid_to is None:
        raise row.wrong("successor", "a code in use has no successor")
    return area
