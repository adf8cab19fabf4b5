"""Credit evaluation schemes: score bands and veto situations, each with its edition and source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from exchange.domain.catalogues.table_file import Row
from exchange.v1.credit_result_pb2 import CreditLevel

_VETO = re.compile(r"[A-Z]{2}[0-9]{2}")
NATIONAL: Final = "NATIONAL"
"""Id of the veto list of 环发〔2013〕150号, whose codes any scheme may cite."""

_LEVELS = ("GREEN", "BLUE", "YELLOW", "RED")


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """Scores from ``low`` (included) to ``high`` (excluded); None means open on that side."""

    level: CreditLevel.ValueType
    low: Decimal | None
    high: Decimal | None

    def holds(self, score: Decimal) -> bool:
        """Whether the score lies in the band."""
        return (self.low is None or self.low <= score) and (self.high is None or score < self.high)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Scheme:
    """One credit evaluation scheme.

    Attributes:
        bands: Best level first; empty where the scheme has no scores.
        score_integer: Scores are whole numbers.
        score_min: Lowest possible score; None when the scheme states none.
        score_max: Highest possible score; None when the scheme states none.
        vetoes: Codes of the situations that set the level whatever the score is.
        status: How sure the entries are.
    """

    scheme_id: str
    edition: str
    name: str
    source: str
    status: str
    in_force_from: date | None
    in_force_until: date | None
    bands: tuple[Band, ...]
    score_integer: bool
    score_min: Decimal | None
    score_max: Decimal | None
    vetoes: frozenset[str]

    def accepts_score(self, score: Decimal) -> bool:
        """Whether the score can be one of this scheme: within its bounds, and whole where it has to be."""
        if self.score_integer and score != score.to_integral_value():
            return False
        return (self.score_min is None or self.score_min <= score) and (
            self.score_max is None or score <= self.score_max
        )

    def level_for(self, score: Decimal) -> CreditLevel.ValueType | None:
        """The level that the score alone gives; None where the scheme has no band for it."""
        for band in self.bands:
            if band.holds(score):
                return band.level
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Schemes:
    """All schemes.

    Attributes:
        veto_names: What each veto code means, in Chinese.
        national: Codes of the national list.
    """

    by_id: Mapping[str, Scheme]
    veto_names: Mapping[str, str]
    national: frozenset[str]

    def find(self, scheme_id: str) -> Scheme | None:
        """The scheme, or None."""
        return self.by_id.get(scheme_id)

    def knows_veto(self, scheme: Scheme | None, code: str) -> bool:
        """Whether a result may cite a veto: a national one, one of its own scheme, or any where that is not known."""
        if code in self.national:
            return True
        return code in (self.veto_names if scheme is None else scheme.vetoes)


def load_schemes(file: Row) -> Schemes:
    """Read ``schemes.toml``.

    Raises:
        TableError: Bands overlap or leave a gap, or a scheme names a veto list that is not there.
    """
    lists: dict[str, frozenset[str]] = {}
    names: dict[str, str] = {}
    for block in file.rows("veto_list"):
        list_id = block.text("id")
        block.text("source")
        block.text("status")
        codes: set[str] = set()
        for row in block.rows("veto"):
            code = row.text("code")
            if not _VETO.fullmatch(code) or code in codes:
                raise row.wrong("code", "is no veto code, or is listed twice")
            codes.add(code)
            name = row.text("name")
            names.setdefault(code, name)
            row.end()
        if list_id in lists:
            raise block.wrong("id", "is listed twice")
        lists[list_id] = frozenset(codes)
        block.end()
    by_id: dict[str, Scheme] = {}
    for block in file.rows("scheme"):
        scheme = _scheme(block, lists)
        if scheme.scheme_id in by_id:
            raise block.wrong("id", "is listed twice")
        by_id[scheme.scheme_id] = scheme
    file.end()
    if NATIONAL not in lists:
        raise file.wrong("veto_list", f"lacks the list {NATIONAL}")
    return Schemes(by_id=by_id, veto_names=names, national=lists[NATIONAL])


def _scheme(block: Row, lists: Mapping[str, frozenset[str]]) -> Scheme:
    vetoes: frozenset[str] = frozenset()
    for list_id in block.texts("vetoes"):
        if list_id not in lists:
            raise block.wrong("vetoes", f"{list_id} is no veto list")
        vetoes |= lists[list_id]
    bands: list[Band] = []
    for row in block.rows("band"):
        level = row.one_of("level", _LEVELS)
        band = Band(
            level=CreditLevel.Value(f"CREDIT_LEVEL_{level}"), low=row.decimal("from"), high=row.decimal("below")
        )
        row.end()
        if bands and bands[-1].low != band.high:
            raise row.wrong("below", "must be where the band before it begins")
        if band.low is not None and band.high is not None and band.low >= band.high:
            raise row.wrong("from", "lies above the band's end")
        bands.append(band)
    if bands and [band.level for band in bands] != [CreditLevel.Value(f"CREDIT_LEVEL_{name}") for name in _LEVELS]:
        raise block.wrong("band", "must list the four levels, best first")
    scheme = Scheme(
        scheme_id=block.text("id"),
        edition=block.text("edition"),
        name=block.text("name"),
        source=block.text("source"),
        status=block.text("status"),
        in_force_from=block.day("in_force_from"),
        in_force_until=block.day("in_force_until"),
        bands=tuple(bands),
        score_integer=block.flag("score_integer", default=False),
        score_min=block.decimal("score_min"),
        score_max=block.decimal("score_max"),
        vetoes=vetoes,
    )
    block.end()
    return scheme
