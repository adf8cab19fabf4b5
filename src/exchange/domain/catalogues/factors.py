"""Pollutant factors: HJ 524/525 codes, the old codes of HJ/T 212-2005, and units as UCUM codes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from exchange.domain.catalogues.table_file import Row
from exchange.v1.monitoring_batch_pb2 import ValueKind

_CODE = re.compile(r"[a-z][0-9]{5}")
_LEGACY = {"water": re.compile(r"[0-9]{3}|B[0-9]{2}"), "air": re.compile(r"[0-9]{2}|[SB][0-9]{2}")}
_MEDIUM = re.compile(r"[0-9A-Z]{2}")
_TABLE_OF_LETTER = {"w": "water", "a": "air"}


class LegacyProblem(Enum):
    """Why an old code names no factor; the value is the reason code."""

    FACTOR_UNMAPPED = "FACTOR_UNMAPPED"
    LEGACY_CODE_OF_OTHER_MEDIUM = "LEGACY_CODE_OF_OTHER_MEDIUM"


@dataclass(frozen=True, kw_only=True, slots=True)
class Medium:
    """A system code ST of HJ 212.

    Attributes:
        table: ``water``, ``air``, or ``none`` where no table of old codes belongs to it.
        edition: Edition of HJ 212 that brought it.
    """

    code: str
    name: str
    table: str
    edition: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Factor:
    """One pollutant factor.

    Attributes:
        code: Six characters, as in ``w01018``.
        table: ``water`` or ``air``.
        legacy_code: Code of HJ/T 212-2005 as text; its width is part of it. None where there was none.
        printed: Unit of a concentration or state as the standard prints it.
        printed_total: Unit of a total as printed; None where the factor has no total.
        unit: ``printed`` as a UCUM code; None where the printed unit is doubtful.
        unit_total: ``printed_total`` as a UCUM code; None as above.
        doubtful: The printed unit contradicts the field: there is no default.
        width: Display width in the standard's notation; never a limit.
    """

    code: str
    name: str
    table: str
    legacy_code: str | None
    printed: str
    printed_total: str | None
    unit: str | None
    unit_total: str | None
    doubtful: bool
    width: str | None

    def default_unit(self, value_kind: ValueKind.ValueType) -> str | None:
        """The unit that the standard gives to a statistic of this factor, as a UCUM code.

        None: neither the standard nor this table says it, so a station profile has to.
        """
        return self.unit_total if value_kind == ValueKind.VALUE_KIND_TOTAL else self.unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Factors:
    """The factor table.

    Attributes:
        by_code: Factors by their code as the standard writes it.
        media: Media by system code.
        units: UCUM codes that a reading may carry.
    """

    by_code: Mapping[str, Factor]
    media: Mapping[str, Medium]
    units: frozenset[str]
    _folded: Mapping[str, Factor | None]
    _legacy: Mapping[str, Mapping[str, Factor]]

    def find(self, code: str) -> Factor | None:
        """The factor of a code as written, or of its other letter case where that names only one factor."""
        factor = self.by_code.get(code)
        return factor if factor is not None else self._folded.get(code.lower())

    def by_legacy(self, code: str, medium_code: str) -> Factor | LegacyProblem:
        """The factor of a code of HJ/T 212-2005.

        The code is a text: ``010`` and ``10`` are different factors, and so is ``011`` of water and ``11`` of
        air. The medium decides which table is asked.

        Args:
            code: As received.
            medium_code: System code ST, as in ``32``.
        """
        medium = self.media.get(medium_code)
        key = code.upper()
        if medium is not None:
            factor = self._legacy.get(medium.table, {}).get(key)
            if factor is not None:
                return factor
        if any(key in table for table in self._legacy.values()):
            return LegacyProblem.LEGACY_CODE_OF_OTHER_MEDIUM
        return LegacyProblem.FACTOR_UNMAPPED


def load_factors(file: Row) -> Factors:
    """Read ``factors.toml``.

    Raises:
        TableError: A code is ill-formed or listed twice, or a unit is not in the list of units.
    """
    for key in ("edition", "source", "status"):
        file.text(key)
    units = frozenset(file.texts("units"))
    media: dict[str, Medium] = {}
    for row in file.rows("medium"):
        medium = Medium(
            code=row.text("code"),
            name=row.text("name"),
            table=row.one_of("table", ("water", "air", "none")),
            edition=row.text("edition"),
        )
        row.end()
        if not _MEDIUM.fullmatch(medium.code) or medium.code in media:
            raise row.wrong("code", "is no system code, or is listed twice")
        media[medium.code] = medium
    by_code: dict[str, Factor] = {}
    folded: dict[str, Factor | None] = {}
    legacy: dict[str, dict[str, Factor]] = {"water": {}, "air": {}}
    for row in file.rows("factor"):
        factor = _factor(row, units)
        if factor.code in by_code:
            raise row.wrong("code", f"{factor.code} is listed twice")
        by_code[factor.code] = factor
        fold = factor.code.lower()
        folded[fold] = None if fold in folded else factor
        if factor.legacy_code is not None:
            if factor.legacy_code in legacy[factor.table]:
                raise row.wrong("legacy_code", f"{factor.legacy_code} is listed twice for {factor.table}")
            legacy[factor.table][factor.legacy_code] = factor
    file.end()
    return Factors(by_code=by_code, media=media, units=units, _folded=folded, _legacy=legacy)


def _factor(row: Row, units: frozenset[str]) -> Factor:
    code = row.text("code")
    if not _CODE.fullmatch(code) or code[0] not in _TABLE_OF_LETTER:
        raise row.wrong("code", "is no code of HJ 524 or HJ 525")
    factor = Factor(
        code=code,
        name=row.text("name"),
        table=_TABLE_OF_LETTER[code[0]],
        legacy_code=row.text("legacy_code") if row.has("legacy_code") else None,
        printed=row.text("printed"),
        printed_total=row.text("printed_total") if row.has("printed_total") else None,
        unit=row.text("unit") if row.has("unit") else None,
        unit_total=row.text("unit_total") if row.has("unit_total") else None,
        doubtful=row.flag("doubtful", default=False),
        width=row.text("width") if row.has("width") else None,
    )
    row.end()
    if factor.legacy_code is not None and not _LEGACY[factor.table].fullmatch(factor.legacy_code):
        raise row.wrong("legacy_code", f"is no old code of {factor.table}")
    for key, unit in (("unit", factor.unit), ("unit_total", factor.unit_total)):
        if unit is not None and (factor.doubtful or unit not in units):
            raise row.wrong(key, "is not in the list of units, or the printed unit is doubtful")
    if factor.unit is None and not factor.doubtful:
        raise row.wrong("unit", "missing, and the printed unit is not marked doubtful")
    return factor
