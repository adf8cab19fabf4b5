"""The readings of one row as series: factor, statistic, unit with its source, flag with its usability."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.domain.catalogues.factors import Factor, LegacyProblem
from exchange.domain.problems import Problem
from exchange.v1.common_pb2 import Authority, FieldProvenance
from exchange.v1.monitoring_batch_pb2 import (
    UNIT_SOURCE_STANDARD_DEFAULT,
    UNIT_SOURCE_STATION_PROFILE,
    VALUE_KIND_TOTAL,
    Point,
    ProtocolEdition,
    Series,
    UnitSource,
    ValueKind,
)
from exchange_hj212.decode import DecodedPacket, instant
from exchange_hj212.items import Reading
from exchange_hj212.join import Joined
from exchange_hj212.profiles import FILE_NAME, StationProfile
from exchange_hj212.tables import VALUE_KINDS, Command, MonitoringTables

DETAIL_CHARACTERS = 80
"""Characters of what was found, quoted in a problem."""

MAX_VALUE_CHARACTERS = 64
"""Characters of a value: devices send up to 20."""

MAX_FLAG_CHARACTERS = 8
"""Characters of a data flag: the standard has one."""

EARLIEST_YEAR = 1990
"""A sampling time before it is a clock that was never set: no device that speaks HJ 212 is older."""

_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_BELOW_LIMIT = re.compile(r"(?:<\s*([0-9]+(?:\.[0-9]+)?)|([0-9]+(?:\.[0-9]+)?)L)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a batch is made from, once nothing stands against it.

    Attributes:
        first: The packet, or the first part of it.
        medium: System code ST.
        at: Data time.
    """

    first: DecodedPacket
    command: Command
    profile: StationProfile
    authority: Authority
    medium: str
    edition: ProtocolEdition.ValueType
    at: Timestamp


@dataclass(frozen=True, kw_only=True, slots=True)
class MappedSeries:
    """The readings of one row.

    Attributes:
        lines: Where each series came from.
        left_out: Readings that could not be mapped, each with its reason.
    """

    series: tuple[Series, ...]
    lines: tuple[FieldProvenance, ...]
    left_out: tuple[Problem, ...]


def quoted(text: str, limit: int = DETAIL_CHARACTERS) -> str:
    """Received text as it may stand in a problem: printable, and not longer than the limit in characters."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def map_series(joined: Joined, source: Source, tables: MonitoringTables) -> MappedSeries:
    """Map the readings of a packet, or of all parts of one.

    Args:
        joined: What was received.
        source: Command, station profile and time.
        tables: Factors and flags.

    Returns:
        One series for each factor and statistic, in the order received.
    """
    readings = [reading for packet in joined.packets for reading in packet.readings]
    flags = _flags(readings)
    conflicts = _conflicts(readings)
    left_out: list[Problem] = []
    sample_times = _sample_times(readings, left_out)
    series: list[Series] = []
    lines: list[FieldProvenance] = []
    seen: dict[tuple[str, int], str] = {}
    valued = {reading.factor for reading in readings if reading.item != "Flag"}
    for reading in readings:
        if reading.item == "SampleTime" or (reading.item == "Flag" and reading.factor in valued):
            continue
        name = f"{quoted(reading.factor)}-{quoted(reading.item)}"
        if (reading.factor, reading.item) in conflicts:
            left_out.append(Problem("ITEM_CONFLICT", name, quoted(reading.value)))
            continue
        mapped = _one_series(reading, flags.get(reading.factor, ""), source, tables)
        if isinstance(mapped, Problem):
            left_out.append(mapped)
            continue
        key = (mapped.factor_code, mapped.value_kind)
        if key in seen:
            # The same item twice says nothing new; two names for one factor and statistic contradict the schema.
            if seen[key] != name:
                left_out.append(Problem("ITEM_CONFLICT", name, quoted(reading.value)))
            continue
        seen[key] = name
        if (sample_time := sample_times.get(reading.factor)) is not None:
            mapped.points[0].sample_time.CopyFrom(sample_time)
        place = f"monitoring_batch.series[{len(series)}]"
        lines.append(FieldProvenance(field=place, source=name, rule=_series_rule(mapped)))
        if mapped.unit_source == UNIT_SOURCE_STATION_PROFILE:
            lines.append(FieldProvenance(field=f"{place}.unit", source=FILE_NAME, rule="hj212.unit.profile"))
        series.append(mapped)
    return MappedSeries(series=tuple(series), lines=tuple(lines), left_out=tuple(left_out))


def _flags(readings: Sequence[Reading]) -> dict[str, str]:
    """Flag of each factor over all parts; two different ones are both named, and no table knows that."""
    flags: dict[str, str] = {}
    for reading in readings:
        if reading.flag and flags.setdefault(reading.factor, reading.flag) != reading.flag:
            flags[reading.factor] += f",{reading.flag}"
    return flags


def _sample_times(readings: Sequence[Reading], left_out: list[Problem]) -> dict[str, Timestamp]:
    times: dict[str, Timestamp] = {}
    for reading in readings:
        if reading.item != "SampleTime":
            continue
        at = instant(reading.value)
        if at is None or at.year < EARLIEST_YEAR:
            left_out.append(Problem("DATA_TIME_FORMAT", f"{quoted(reading.factor)}-SampleTime", quoted(reading.value)))
        else:
            times[reading.factor] = Timestamp(seconds=int(at.timestamp()))
    return times


def _conflicts(readings: Sequence[Reading]) -> set[tuple[str, str]]:
    """Items that one message states with two values: neither is better than the other."""
    values: dict[tuple[str, str], str] = {}
    found: set[tuple[str, str]] = set()
    for factor, item, value, _ in readings:
        if values.setdefault((factor, item), value) != value:
            found.add((factor, item))
    return found


def _series_rule(series: Series) -> str:
    if series.points[0].below_detection_limit:
        return "hj212.item.below-limit"
    return "hj212.item" if series.source_factor_code == series.factor_code else "hj212.item.other-code"


def _one_series(reading: Reading, flag: str, source: Source, tables: MonitoringTables) -> Series | Problem:
    name = f"{quoted(reading.factor)}-{quoted(reading.item)}"
    kind = VALUE_KINDS.get(reading.item)
    if kind is None:
        return Problem("ITEM_NOT_MAPPED", name, quoted(reading.value))
    factor = _factor(reading.factor, source, tables)
    if isinstance(factor, LegacyProblem):
        return Problem(factor.value, name, source.medium)
    unit = _unit(factor, kind, reading.factor, source.profile, tables)
    if unit is None:
        return Problem("UNIT_UNKNOWN", name)
    if len(flag) > MAX_FLAG_CHARACTERS or not flag.isprintable():
        return Problem("TEXT_TOO_LONG", f"{quoted(reading.factor)}-Flag", quoted(flag))
    point = Point(data_time=source.at, source_flag=flag, usability=tables.flags.usability(flag))
    value = reading.value
    if below := _BELOW_LIMIT.fullmatch(value):
        value = below[1] or below[2]
        point.below_detection_limit = True
        point.detection_limit = value
    if len(value) > MAX_VALUE_CHARACTERS or not (value.isascii() and _DECIMAL.fullmatch(value)):
        return Problem("VALUE_NOT_DECIMAL", name, quoted(value))
    point.value = value
    return Series(
        factor_code=factor.code,
        source_factor_code=reading.factor,
        value_kind=kind,
        unit=unit[0],
        unit_source=unit[1],
        points=[point],
    )


def _factor(code: str, source: Source, tables: MonitoringTables) -> Factor | LegacyProblem:
    """The factor of a code: the station's own codes first, then the table, then the old codes of its medium."""
    code = source.profile.codes.get(code, code)
    factor = tables.factors.find(code)
    return factor if factor is not None else tables.factors.by_legacy(code, source.medium)


def _unit(
    factor: Factor, kind: ValueKind.ValueType, code: str, profile: StationProfile, tables: MonitoringTables
) -> tuple[str, UnitSource.ValueType] | None:
    stated = profile.totals if kind == VALUE_KIND_TOTAL else profile.units
    unit = stated.get(factor.code) or stated.get(code)
    if unit is not None:
        return (unit, UNIT_SOURCE_STATION_PROFILE) if unit in tables.factors.units else None
    unit = factor.default_unit(kind)
    return None if unit is None else (unit, UNIT_SOURCE_STANDARD_DEFAULT)
