"""Monitoring batches: station, factors and units by the tables, and every point."""

from __future__ import annotations

import re
from typing import Final

from exchange.domain.codes import cma_no_holds, outlet_holds
from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.instants import end_of_day
from exchange.domain.validation.limits import (
    CODE_CHARACTERS,
    EARLIEST_SECOND,
    FUTURE_SECONDS,
    NAME_CHARACTERS,
    POINTS,
    SERIES,
    SHORT_CHARACTERS,
    VALUE_CHARACTERS,
)
from exchange.v1.monitoring_batch_pb2 import (
    CrcVerdict,
    Interval,
    MonitoringBatch,
    Point,
    ProtocolEdition,
    Series,
    Station,
    TimeSemantics,
    UnitSource,
    Usability,
    ValueKind,
)

_VALUE = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_LIMIT = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_STATION_ID = re.compile(r"[!-~]{1,64}")
_FLAG_CHARACTERS = 8
_INTERVALS = numbers(Interval)
_SEMANTICS = numbers(TimeSemantics)
_EDITIONS = numbers(ProtocolEdition)
_VERDICTS = numbers(CrcVerdict)
_KINDS = numbers(ValueKind)
_SOURCES = numbers(UnitSource)
_USABILITIES = numbers(Usability)
_STANDARD: Final = UnitSource.UNIT_SOURCE_STANDARD_DEFAULT
_SEMANTICS_OF_FRAMES: Final = {
    Interval.INTERVAL_REALTIME: TimeSemantics.TIME_SEMANTICS_SAMPLE_TIME,
    Interval.INTERVAL_MINUTE: TimeSemantics.TIME_SEMANTICS_INTERVAL_START,
    Interval.INTERVAL_HOUR: TimeSemantics.TIME_SEMANTICS_INTERVAL_START,
    Interval.INTERVAL_DAY: TimeSemantics.TIME_SEMANTICS_INTERVAL_START,
}
"""What DataTime means in HJ 212, 6.3; other sources may say it otherwise."""

_P = "monitoring_batch."


def check_monitoring_batch(found: Findings, body: MonitoringBatch) -> None:
    """Check a monitoring batch."""
    _check_station(found, body.station)
    if body.medium_code not in found.tables.factors.media:
        reason = "MEDIUM_UNKNOWN" if body.medium_code else "FIELD_MISSING"
        found.add(reason, _P + "medium_code")
    _check_frame(found, body)
    _check_quality(found, body)
    series = body.series
    if not series:
        found.add("SERIES_MISSING", _P + "series")
    elif len(series) > SERIES:
        found.add("TOO_MANY_ITEMS", _P + "series", f"{len(series)} > {SERIES}")
    elif sum(len(each.points) for each in series) > POINTS:
        found.add("TOO_MANY_ITEMS", _P + "series.points", f"more than {POINTS}")
    else:
        latest = end_of_day(found.today) + FUTURE_SECONDS
        seen: set[tuple[str, int]] = set()
        for number, each in enumerate(series):
            key = (each.factor_code, each.value_kind)
            if key in seen:
                found.add("DUPLICATE_ITEM", f"monitoring_batch.series[{number}]")
            seen.add(key)
            _check_series(found, each, number)
            _check_points(found, each, number, latest)


def _check_station(found: Findings, station: Station) -> None:
    if not _STATION_ID.fullmatch(station.station_id):
        found.add("STATION_ID_FORMAT", _P + "station.station_id")
    found.text(station.name, _P + "station.name", NAME_CHARACTERS)
    found.text(station.section_id, _P + "station.section_id", CODE_CHARACTERS)
    found.area(station.area_code, _P + "station.area_code")
    found.uscc(station.uscc, _P + "station.uscc")
    found.permit(station.permit_code, station.uscc, _P + "station.permit_code")
    if station.outlet_code and not outlet_holds(station.outlet_code):
        found.add("OUTLET_FORMAT", _P + "station.outlet_code")


def _check_frame(found: Findings, body: MonitoringBatch) -> None:
    interval, semantics, verdict = body.interval, body.time_semantics, body.crc_verdict
    found.choice(interval, _INTERVALS, _P + "interval")
    known = found.choice(semantics, _SEMANTICS, _P + "time_semantics")
    edition = body.protocol_edition
    if verdict == CrcVerdict.CRC_VERDICT_BAD:
        found.add("CRC_BAD", _P + "crc_verdict")
    if edition or verdict:
        # Frames have both: an edition without a verdict would pass off an unchecked frame as a checked one.
        found.choice(edition, _EDITIONS, _P + "protocol_edition")
        found.choice(verdict, _VERDICTS, _P + "crc_verdict")
        if known and _SEMANTICS_OF_FRAMES.get(interval, semantics) != semantics:
            found.add("TIME_SEMANTICS_MISMATCH", _P + "time_semantics")


def _check_quality(found: Findings, body: MonitoringBatch) -> None:
    found.text(body.qa_level, _P + "qa_level", SHORT_CHARACTERS)
    found.text(body.qa_rule, _P + "qa_rule", SHORT_CHARACTERS)
    if body.lab_cma_no and not cma_no_holds(body.lab_cma_no):
        found.add("CMA_NO_FORMAT", _P + "lab_cma_no")
    found.uscc(body.lab_uscc, _P + "lab_uscc")


def _check_series(found: Findings, series: Series, number: int) -> None:
    factors = found.tables.factors
    # Only the code as the table writes it: readings are found by it.
    factor = factors.by_code.get(series.factor_code)
    kind = series.value_kind
    if factor is None:
        reason = "FACTOR_UNMAPPED" if series.factor_code else "FIELD_MISSING"
        found.add(reason, f"monitoring_batch.series[{number}].factor_code")
    if kind not in _KINDS:
        found.choice(kind, _KINDS, f"monitoring_batch.series[{number}].value_kind")
    unit, source = series.unit, series.unit_source
    if source not in _SOURCES:
        found.choice(source, _SOURCES, f"monitoring_batch.series[{number}].unit_source")
    if unit not in factors.units:
        found.add("UNIT_UNKNOWN", f"monitoring_batch.series[{number}].unit")
    elif source == _STANDARD and factor is not None and factor.default_unit(kind) != unit:
        found.add("UNIT_NOT_STANDARD", f"monitoring_batch.series[{number}].unit")
    if series.source_factor_code:
        place = f"monitoring_batch.series[{number}].source_factor_code"
        found.text(series.source_factor_code, place, CODE_CHARACTERS)
    if series.method_standard:
        place = f"monitoring_batch.series[{number}].method_standard"
        found.text(series.method_standard, place, SHORT_CHARACTERS)


def _check_points(found: Findings, series: Series, number: int, latest: int) -> None:
    points = series.points
    if not points:
        found.add("SERIES_MISSING", f"monitoring_batch.series[{number}].points")
        return
    usability_by_flag = found.tables.flags.by_flag
    before = (-1, -1)
    for index, point in enumerate(points):
        at = point.data_time
        time = (at.seconds, at.nanos)
        if time <= before or not EARLIEST_SECOND <= time[0] <= latest:
            _refuse_time(found, point, time, before, f"monitoring_batch.series[{number}].points[{index}].data_time")
        before = time
        value = point.value
        if len(value) > VALUE_CHARACTERS or not _VALUE.fullmatch(value):
            found.add("VALUE_NOT_DECIMAL", f"monitoring_batch.series[{number}].points[{index}].value")
        if point.usability != usability_by_flag.get(point.source_flag):
            _check_flag(found, point, f"monitoring_batch.series[{number}].points[{index}]")
        limit = point.detection_limit
        if limit and (len(limit) > VALUE_CHARACTERS or not _LIMIT.fullmatch(limit)):
            found.add("VALUE_NOT_DECIMAL", f"monitoring_batch.series[{number}].points[{index}].detection_limit")
        if point.HasField("sample_time") and not EARLIEST_SECOND <= point.sample_time.seconds <= latest:
            found.add("TIME_RANGE", f"monitoring_batch.series[{number}].points[{index}].sample_time")


def _check_flag(found: Findings, point: Point, place: str) -> None:
    """A flag that the table does not list with this usability: unknown flags are shown as such."""
    flag, usability = point.source_flag, point.usability
    found.text(flag, f"{place}.source_flag", _FLAG_CHARACTERS)
    if found.choice(usability, _USABILITIES, f"{place}.usability") and usability != found.tables.flags.usability(flag):
        found.add("FLAG_USABILITY_MISMATCH", f"{place}.usability")


def _refuse_time(found: Findings, point: Point, time: tuple[int, int], before: tuple[int, int], place: str) -> None:
    if not point.HasField("data_time"):
        found.add("TIME_MISSING", place)
    elif time == before:
        found.add("TIME_DUPLICATE", place)
    elif time < before:
        found.add("TIME_ORDER", place)
    else:
        found.add("TIME_RANGE", place)
