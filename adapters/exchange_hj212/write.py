"""Monitoring batches written as frames of HJ 212-2017, with right lengths and checksums."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.domain.adapter import WrittenDocument
from exchange.domain.problems import Problem, Refused
from exchange.v1.monitoring_batch_pb2 import (
    CRC_VERDICT_ANNEX_A,
    PROTOCOL_EDITION_HJ212_2017,
    UNIT_SOURCE_STANDARD_DEFAULT,
    VALUE_KIND_LEVEL,
    MonitoringBatch,
    Point,
    Series,
)
from exchange.v1.record_pb2 import Record
from exchange_hj212 import crc
from exchange_hj212.decode import CHINA_TIME
from exchange_hj212.frame import LENGTH_DIGITS
from exchange_hj212.losses import lost_fields
from exchange_hj212.segment import MARKER
from exchange_hj212.tables import VALUE_KINDS, commands

FILE_NAME = "packets.txt"
MEDIA_TYPE = "text/plain"

MAX_SEGMENT_BYTES = 1024
"""Bytes of one data segment (HJ 212-2017 section 6.3.1); longer data is split by factors."""

_FLAG_WHOLE, _FLAG_PART = 4, 6
"""Version bits of the 2017 edition, no answer wanted; with and without bit D."""

_RESERVE_BYTES = 30
"""Bytes that PNUM and PNO of a split packet take in its header."""

# Each item's name by its statistic; levels of noise are all written as -Data.
_ITEMS = {kind: item for item, kind in VALUE_KINDS.items() if kind != VALUE_KIND_LEVEL} | {VALUE_KIND_LEVEL: "Data"}

_SAFE = re.compile(r"[!-~]{1,64}")
_DELIMITERS = frozenset(";,=&")
_DECIMAL = re.compile(r"(?=.{1,64}\Z)-?[0-9]+(?:\.[0-9]+)?")

_LAST_SECOND = 253_402_271_999 - 28_800
"""Last second of the year 9999 in UTC+8: a data time has four digits for its year."""


def frame_bytes(segment: bytes) -> bytes:
    """One frame around a data segment.

    Args:
        segment: At most 9,999 bytes.

    Raises:
        ValueError: It is longer than four digits can declare.
    """
    if len(segment) >= 10**LENGTH_DIGITS:
        raise ValueError("a data segment is declared in four digits")
    return b"##%04d%b%04X\r\n" % (len(segment), segment, crc.annex_a(segment))


def write_document(records: Sequence[Record]) -> WrittenDocument:
    """Write monitoring batches as frames of the 2017 edition: one packet for each batch and data time.

    The password is a marker, and QN is the data time with the packet's number as its milliseconds: both say
    nothing about the original packet. Units, station data and recognition have no place in a frame.

    Args:
        records: Monitoring batches.

    Returns:
        The frames, and what could not be carried, by the record's field paths.

    Raises:
        Refused: A record is no monitoring batch or its interval has no command (``LAYOUT_UNKNOWN``), or a text of
            it would break the frame open.
    """
    by_interval = {command.interval: command for command in commands().values()}
    problems: list[Problem] = []
    for number, record in enumerate(records):
        if not record.HasField("monitoring_batch"):
            problems.append(Problem("LAYOUT_UNKNOWN", f"records[{number}]", "hj212"))
        elif record.monitoring_batch.interval not in by_interval:
            problems.append(Problem("LAYOUT_UNKNOWN", f"records[{number}].monitoring_batch.interval", "hj212"))
        else:
            problems += _unwritable(record.monitoring_batch, f"records[{number}].monitoring_batch")
    if problems:
        raise Refused(problems)
    frames: list[bytes] = []
    lost_of: list[tuple[Problem, ...]] = []
    for record in records:
        batch = record.monitoring_batch
        lost_of.append(tuple(Problem("FIELD_NOT_CARRIED", place) for place in dict.fromkeys(_lost(record))))
        for at, groups in _by_time(batch):
            frames += _packets(batch, by_interval[batch.interval].code, at, groups)
    return WrittenDocument(
        file_name=FILE_NAME,
        media_type=MEDIA_TYPE,
        content=b"".join(frames),
        lost=tuple(dict.fromkeys(problem for each in lost_of for problem in each)),
        lost_of=tuple(lost_of),
    )


def _is_safe(text: str) -> bool:
    return _SAFE.fullmatch(text) is not None and _DELIMITERS.isdisjoint(text)


def _unwritable(batch: MonitoringBatch, place: str) -> Iterator[Problem]:
    """Texts that can not stand in a frame without becoming another field of it."""
    if not _is_safe(batch.station.station_id):
        yield Problem("STATION_ID_FORMAT", f"{place}.station.station_id")
    if not _is_safe(batch.medium_code):
        yield Problem("MEDIUM_UNKNOWN", f"{place}.medium_code")
    seen: set[tuple[str, int, int]] = set()
    for number, series in enumerate(batch.series):
        if not _is_safe(series.factor_code):
            yield Problem("FACTOR_UNMAPPED", f"{place}.series[{number}].factor_code")
        if series.value_kind not in _ITEMS:
            yield Problem("ENUM_UNSPECIFIED", f"{place}.series[{number}].value_kind")
        for index, point in enumerate(series.points):
            at = f"{place}.series[{number}].points[{index}]"
            key = (series.factor_code, series.value_kind, point.data_time.seconds)
            if key in seen:
                yield Problem("DUPLICATE_ITEM", at)
            seen.add(key)
            if not _DECIMAL.fullmatch(point.value):
                yield Problem("VALUE_NOT_DECIMAL", f"{at}.value")
            if point.detection_limit and not _DECIMAL.fullmatch(point.detection_limit):
                yield Problem("VALUE_NOT_DECIMAL", f"{at}.detection_limit")
            for name in ("data_time", "sample_time"):
                if not 0 <= getattr(point, name).seconds <= _LAST_SECOND:
                    yield Problem("TIME_RANGE", f"{at}.{name}")


def _lost(record: Record) -> Iterator[str]:
    """Field paths of what a frame has no place for."""
    batch = record.monitoring_batch
    yield from lost_fields(record)
    if batch.protocol_edition != PROTOCOL_EDITION_HJ212_2017:
        yield "monitoring_batch.protocol_edition"
    if batch.crc_verdict != CRC_VERDICT_ANNEX_A:
        yield "monitoring_batch.crc_verdict"
    flags: dict[tuple[str, int], str] = {}
    for series in batch.series:
        if series.unit_source != UNIT_SOURCE_STANDARD_DEFAULT:
            yield "monitoring_batch.series.unit"
        if series.source_factor_code != series.factor_code:
            yield "monitoring_batch.series.source_factor_code"
        if series.method_standard:
            yield "monitoring_batch.series.method_standard"
        for point in series.points:
            key = (series.factor_code, point.data_time.seconds)
            flag = point.source_flag
            # A frame has one flag for all statistics of a factor.
            if (flag and not _is_safe(flag)) or flags.setdefault(key, flag) != flag:
                yield "monitoring_batch.series.points.source_flag"
            if point.below_detection_limit and point.detection_limit != point.value:
                yield "monitoring_batch.series.points.below_detection_limit"
            if point.data_time.nanos or point.sample_time.nanos:
                yield "monitoring_batch.series.points.data_time"


def _by_time(batch: MonitoringBatch) -> Iterator[tuple[str, list[bytes]]]:
    """Items by data time and factor, each factor with its flag behind its values."""
    times: dict[int, dict[str, list[tuple[Series, Point]]]] = {}
    for series in batch.series:
        for point in series.points:
            times.setdefault(point.data_time.seconds, {}).setdefault(series.factor_code, []).append((series, point))
    for seconds in sorted(times):
        yield (
            _local(Timestamp(seconds=seconds)),
            [_factor_items(code, values).encode() for code, values in times[seconds].items()],
        )


def _factor_items(code: str, values: list[tuple[Series, Point]]) -> str:
    items: list[str] = []
    flags: list[str] = []
    for series, point in values:
        if point.HasField("sample_time"):
            sampled = f"{code}-SampleTime={_local(point.sample_time)}"
            if sampled not in items:
                items.insert(0, sampled)
        items.append(f"{code}-{_ITEMS[series.value_kind]}={_value(point)}")
        if point.source_flag not in flags:
            flags.append(point.source_flag)
    # Two flags for one factor can not be written, and neither may stand for the other.
    if len(flags) == 1 and _is_safe(flags[0]):
        items.append(f"{code}-Flag={flags[0]}")
    return ",".join(items)


def _value(point: Point) -> str:
    below = point.below_detection_limit and point.detection_limit == point.value
    return f"{point.value}L" if below else point.value


def _local(at: Timestamp) -> str:
    return (at.ToDatetime(CHINA_TIME)).strftime("%Y%m%d%H%M%S")


def _packets(batch: MonitoringBatch, command: str, at: str, groups: list[bytes]) -> list[bytes]:
    """One packet, or its parts: no factor is torn apart."""

    def header(flag: int, part: int, numbers: bytes = b"") -> bytes:
        return (
            f"QN={at}{part % 1000:03d};ST={batch.medium_code};CN={command};PW={MARKER};"
            f"MN={batch.station.station_id};Flag={flag};".encode()
            + numbers
            + f"CP=&&DataTime={at}".encode()
        )

    whole = b";".join([header(_FLAG_WHOLE, 0), *groups]) + b"&&"
    if len(whole) <= MAX_SEGMENT_BYTES:
        return [frame_bytes(whole)]
    room = MAX_SEGMENT_BYTES - len(header(_FLAG_PART, 0)) - _RESERVE_BYTES
    parts: list[list[bytes]] = [[]]
    used = 0
    for group in groups:
        if parts[-1] and used + len(group) + 1 > room:
            parts.append([])
            used = 0
        parts[-1].append(group)
        used += len(group) + 1
    if len(parts) == 1:
        return [frame_bytes(whole)]
    return [
        frame_bytes(b";".join([header(_FLAG_PART, number, b"PNUM=%d;PNO=%d;" % (len(parts), number)), *part]) + b"&&")
        for number, part in enumerate(parts, start=1)
    ]
