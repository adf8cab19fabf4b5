"""Station profiles: what packets do not say about a station, from the administrator's ``stations.toml``.

::

    source = "备案表 2026-03"                      # optional, also per station

    [default]                                      # for stations that are not listed; may be left out
    area_code = "500000"

    [station."010000A8900016F000169DC0"]
    name = "演示一号排口"
    area_code = "500112"
    medium = "32"                                  # ST, for packets whose own is missing
    uscc = "…"
    permit_code = "…"
    outlet_code = "DW001"                          # or section_id
    authority = { uscc = "…", name = "…" }         # else the document's
    qa_level = "…"
    qa_rule = "HJ 356-2019"
    units  = { a34004 = "ug/m3" }                  # UCUM, values of a concentration or state
    totals = { w01018 = "kg" }                     # UCUM, totals over the interval (-Cou)
    codes  = { A001 = "a01001" }                   # private code = factor

Keys of encryption are no part of it: they are handed in apart from every table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from exchange.domain.catalogues.table_file import Row, open_table
from exchange.v1.common_pb2 import Authority

FILE_NAME = "stations.toml"
"""Name of the overlay that holds the profiles; also the source in provenance."""

_AREA = re.compile(r"[0-9]{6}")
_MEDIUM = re.compile(r"[0-9A-Z]{2}")
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class StationProfile:
    """What is known about one station.

    Attributes:
        area_code: GB/T 2260 code of the place.
        medium: System code ST; empty where packets have to say it.
        authority: Who states the station's data; None: as the document says.
        units: UCUM unit by factor code, for every statistic but totals.
        totals: UCUM unit by factor code, for totals.
        codes: Factor code by private code.
    """

    area_code: str
    name: str = ""
    medium: str = ""
    uscc: str = ""
    permit_code: str = ""
    outlet_code: str = ""
    section_id: str = ""
    authority: Authority | None = None
    qa_level: str = ""
    qa_rule: str = ""
    units: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    totals: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    codes: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, kw_only=True, slots=True)
class StationProfiles:
    """All profiles of a node.

    Attributes:
        stations: By MN.
        default: For stations that are not listed; None: their data is quarantined.
    """

    stations: Mapping[str, StationProfile] = field(default_factory=lambda: MappingProxyType({}))
    default: StationProfile | None = None

    @classmethod
    def load(cls, content: bytes) -> StationProfiles:
        """Read ``stations.toml``.

        Raises:
            exchange.domain.catalogues.table_file.TableError: Ill-formed; names the place.
        """
        row = open_table(FILE_NAME, content)
        _annotations(row)
        default = None
        if row.has("default"):
            default = _profile(row.row("default"))
        stations: dict[str, StationProfile] = {}
        if row.has("station"):
            table = row.row("station")
            for station in table.names():
                stations[station] = _profile(table.row(station))
        row.end()
        return cls(stations=MappingProxyType(stations), default=default)

    def find(self, station: str) -> StationProfile | None:
        """The profile of a station, else the default."""
        return self.stations.get(station, self.default)

    def over(self, base: StationProfiles) -> StationProfiles:
        """These profiles, and those of ``base`` for stations that these do not list."""
        return StationProfiles(
            stations=MappingProxyType({**base.stations, **self.stations}), default=self.default or base.default
        )


def _annotations(row: Row) -> None:
    for key in ("edition", "source", "status"):
        row.text(key, "-")


def _profile(row: Row) -> StationProfile:
    _annotations(row)
    authority = None
    if row.has("authority"):
        named = row.row("authority")
        authority = Authority(uscc=named.text("uscc"), name=named.text("name"))
        named.end()
    texts = {
        key: row.text(key) if row.has(key) else ""
        for key in ("name", "medium", "uscc", "permit_code", "outlet_code", "section_id", "qa_level", "qa_rule")
    }
    area = row.text("area_code")
    if not _AREA.fullmatch(area):
        raise row.wrong("area_code", "must have six digits")
    if texts["medium"] and not _MEDIUM.fullmatch(texts["medium"]):
        raise row.wrong("medium", "must be a system code such as 32")
    profile = StationProfile(
        area_code=area,
        authority=authority,
        units=_pairs(row, "units"),
        totals=_pairs(row, "totals"),
        codes=_pairs(row, "codes"),
        **texts,
    )
    row.end()
    return profile


def _pairs(row: Row, key: str) -> Mapping[str, str]:
    if not row.has(key):
        return _NOTHING
    table = row.row(key)
    return MappingProxyType({code: table.text(code) for code in table.names()})
