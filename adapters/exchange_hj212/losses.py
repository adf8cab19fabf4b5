"""What a frame carries of a monitoring batch, and what it can not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from typing import Final

from exchange.domain.adapter_laws import flatten, plain_path
from exchange.domain.losses import FOLLOWS, FROM_TABLES, ONLY_READ, WITH_DOCUMENT, LossReport, Treatment, report
from exchange.v1.kind_pb2 import Kind
from exchange.v1.monitoring_batch_pb2 import Interval, MonitoringBatch, Station, ValueKind
from exchange.v1.record_pb2 import Record
from exchange_hj212.profiles import FILE_NAME, StationProfile
from exchange_hj212.tables import VALUE_KINDS, commands

LAYOUT: Final = "hj212-2017"
"""Edition of what is written."""

BODY: Final = "monitoring_batch"
_POINTS: Final = f"{BODY}.series.points"

CARRIED: Final[Mapping[str, str]] = {
    f"{BODY}.station.station_id": "MN",
    f"{BODY}.medium_code": "ST",
    f"{BODY}.interval": "CN",
    f"{BODY}.series.factor_code": "CP",
    f"{BODY}.series.value_kind": "CP",
    f"{_POINTS}.data_time": "DataTime",
    f"{_POINTS}.value": "CP",
    f"{_POINTS}.source_flag": "Flag",
    f"{_POINTS}.sample_time": "SampleTime",
    f"{_POINTS}.below_detection_limit": "CP",
    f"{_POINTS}.detection_limit": "CP",
}
"""Fields that a frame says, with the item that says each. Nothing else is carried, a new field of the schema least."""

_MADE_AGAIN: Final[Mapping[str, str]] = {
    "header.kind_edition": "",
    f"{BODY}.time_semantics": "CN",
    f"{BODY}.protocol_edition": "Flag",
    f"{BODY}.crc_verdict": "CRC",
    f"{BODY}.series.source_factor_code": "CP",
    f"{BODY}.series.unit": "factors.toml",
    f"{BODY}.series.unit_source": "factors.toml",
    f"{_POINTS}.usability": "Flag",
}
"""Fields that a reader makes of what is carried; where a record says otherwise, the writer tells it as lost."""


def lost_fields(record: Record) -> list[str]:
    """Fields of a record that a frame has no place for, by their paths in the order of the schema."""
    known = {*CARRIED, *_MADE_AGAIN, "header.record_id", "header.revision"}
    paths = dict.fromkeys(plain_path(path) for path in flatten(record))
    return [path for path in paths if path not in known]


def losses(sources: Iterable[tuple[str, str, str]]) -> LossReport:
    """What frames of the edition that is written carry.

    Args:
        sources: Provenance of records that were read: field, source and rule.
    """
    found: dict[str, Treatment] = {}
    for field, source, rule in sources:
        path = plain_path(field)
        if source.endswith(".toml"):
            found[path] = Treatment(reason=FROM_TABLES, by=source)
        elif rule.endswith(".document"):
            found.setdefault(path, Treatment(reason=WITH_DOCUMENT))
        elif source and path != f"{BODY}.series":
            found.setdefault(path, Treatment(reason=ONLY_READ, by=source))
    for each in fields(StationProfile):
        for place, message in ((f"{BODY}.station", Station), (BODY, MonitoringBatch)):
            if each.name in message.DESCRIPTOR.fields_by_name:
                found[f"{place}.{each.name}"] = Treatment(reason=FROM_TABLES, by=FILE_NAME)
    for path, by in _MADE_AGAIN.items():
        found[path] = Treatment(reason=FROM_TABLES if not by or by.endswith(".toml") else FOLLOWS, by=by)
    found.update({path: Treatment(by=by, values=_without_word(path)) for path, by in CARRIED.items()})
    return report(Kind.KIND_MONITORING_BATCH, LAYOUT, found)


@cache
def _without_word(path: str) -> tuple[str, ...]:
    """Values of an enumeration that no command or item says."""
    if path == f"{BODY}.interval":
        intervals = {command.interval for command in commands().values()}
        return tuple(name for name, value in Interval.items() if value and value not in intervals)
    if path == f"{BODY}.series.value_kind":
        return tuple(name for name, value in ValueKind.items() if value and value not in VALUE_KINDS.values())
    return ()
