"""The adapter's own tables, read once from the files beside this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Protocol

from exchange.domain.catalogues.factors import Factors
from exchange.domain.catalogues.flags import Flags
from exchange.domain.catalogues.table_file import open_table
from exchange.v1.monitoring_batch_pb2 import (
    VALUE_KIND_AVG,
    VALUE_KIND_LEVEL,
    VALUE_KIND_MAX,
    VALUE_KIND_MIN,
    VALUE_KIND_NORMALISED_AVG,
    VALUE_KIND_NORMALISED_MAX,
    VALUE_KIND_NORMALISED_MIN,
    VALUE_KIND_NORMALISED_REALTIME,
    VALUE_KIND_REALTIME,
    VALUE_KIND_TOTAL,
    Interval,
    TimeSemantics,
    ValueKind,
)
from exchange.v1.record_pb2 import ShareClass

VALUE_KINDS: Mapping[str, ValueKind.ValueType] = MappingProxyType(
    {
        "Rtd": VALUE_KIND_REALTIME,
        "Min": VALUE_KIND_MIN,
        "Avg": VALUE_KIND_AVG,
        "Max": VALUE_KIND_MAX,
        "Cou": VALUE_KIND_TOTAL,
        "ZsRtd": VALUE_KIND_NORMALISED_REALTIME,
        "ZsMin": VALUE_KIND_NORMALISED_MIN,
        "ZsAvg": VALUE_KIND_NORMALISED_AVG,
        "ZsMax": VALUE_KIND_NORMALISED_MAX,
        "Data": VALUE_KIND_LEVEL,
        "DayData": VALUE_KIND_LEVEL,
        "NightData": VALUE_KIND_LEVEL,
    }
)
"""Statistic by name of the item (HJ 212-2017 table 6). Values at reference oxygen (Zs…) stay apart from raw ones."""


class MonitoringTables(Protocol):
    """What of ``exchange.domain.catalogues.tables.Tables`` this adapter reads."""

    @property
    def factors(self) -> Factors:
        """Factors, media and units."""
        ...

    @property
    def flags(self) -> Flags:
        """Usability by data flag."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command whose packets carry readings.

    Attributes:
        interval: What one value stands for in time.
        semantics: What ``DataTime`` means.
    """

    code: str
    interval: Interval.ValueType
    semantics: TimeSemantics.ValueType


@dataclass(frozen=True, kw_only=True, slots=True)
class CatalogueEntry:
    """Where a kind of record stands in the sharing catalogue."""

    catalogue_no: str
    share_class: ShareClass.ValueType


@lru_cache(maxsize=1)
def commands() -> Mapping[str, Command]:
    """Commands that carry readings, by CN."""
    row = open_table("commands.toml", _content("commands.toml"))
    for key in ("edition", "source", "status"):
        row.text(key)
    found: dict[str, Command] = {}
    for each in row.rows("command"):
        each.text("name")
        command = Command(
            code=each.text("code"),
            interval=Interval.Value(f"INTERVAL_{each.text('interval')}"),
            semantics=TimeSemantics.Value(f"TIME_SEMANTICS_{each.text('time')}"),
        )
        each.end()
        found[command.code] = command
    row.end()
    return MappingProxyType(found)


@lru_cache(maxsize=1)
def catalogue() -> CatalogueEntry:
    """Entry of monitoring batches, unless a region states its own."""
    row = open_table("catalogue.toml", _content("catalogue.toml"))
    for key in ("edition", "source", "status"):
        row.text(key)
    kind = row.row("MonitoringBatch")
    entry = CatalogueEntry(
        catalogue_no=kind.text("catalogue_no"),
        share_class=ShareClass.Value(f"SHARE_CLASS_{kind.text('share_class')}"),
    )
    kind.end()
    row.end()
    return entry


def _content(name: str) -> bytes:
    return (files(__package__ or "exchange_hj212") / name).read_bytes()
