"""Stations and readings of both regions."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from exchange.domain.problems import Problem, Refused
from exchange.domain.recognising.recognition import part_holds
from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.context import Node
from exchange.flows.instants import micros_of, timestamp
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.ground.paging import page_size
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.flows.queries.registers.lab_standing import LabJoin
from exchange.storage.queries import Connection, readings
from exchange.storage.queries.readings import BlockFilter, BlockRow, StationRow
from exchange.storage.queries.records import AreaLimit
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.monitoring_batch_pb2 import Interval, MonitoringBatch, Point, Series, Station
from exchange.v1.monitoring_service_pb2 import (
    ListReadingsRequest,
    ListReadingsResponse,
    ListStationsRequest,
    ListStationsResponse,
    ReadingView,
    StationView,
)
from exchange.v1.record_pb2 import Record

BLOCKS_AT_ONCE = 32
"""Blocks of one factor that are read at a time: a page of hourly values needs a few."""

STATIONS_AT_ONCE = 50
"""Stations looked up in one read: keeps each below a tenth of a second."""

STATIONS_A_CALL = 1_000
"""Stations that one call looks through: a caller waits half a second at most, and then asks for the rest."""

MAX_STATION_ID = 64
"""Characters of a station id, a section's or a factor's code: the MN of HJ 212 has 24."""

SECTION_STATIONS = 20
"""Stations of one section whose readings are merged: a section has one or two automatic ones, and its samplers."""


class MonitoringQueries:
    """Queries of MonitoringService."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def stations(self, asked: Asked, request: ListStationsRequest) -> ListStationsResponse:
        """A page of stations, in order of origin and id. Shorter than asked where few of very many fit.

        Raises:
            Refused: An argument is wrong.
        """
        limit = page_size(request.page_size)
        node = self._reading.node
        wanted_area = self._reading.area_limit(request.area)
        problems: list[Problem] = []
        for name in ("station_id", "section_id", "factor_code"):
            _check_code(problems, name, getattr(request, name))
        if problems:
            raise Refused(problems)
        question = (
            f"stations|{asked.caller}|{request.origin}|{request.area}|{request.station_id}|{request.section_id}|"
            f"{request.factor_code}"
        )
        position = self._reading.tokens.read(question, request.page_token)
        fresh = self._reading.freshness.read(asked.now, (Lane.LANE_TELEMETRY,))
        origins = sorted({node.name, *node.peers.names()})
        if request.origin:
            origins = [origin for origin in origins if origin == request.origin]
        begin, after = position or ("", "")
        found: list[StationRow] = []
        token = ""
        walk = self._stations_of(origins, begin, after, request)
        for looked, (origin, name, row) in enumerate(walk, start=1):
            if row is not None and self._is_wanted(asked, request, row, wanted_area):
                if len(found) == limit:
                    token = self._reading.tokens.make(question, [found[-1].origin, found[-1].station])
                    break
                found.append(row)
            if looked == STATIONS_A_CALL:
                token = self._reading.tokens.make(question, [origin, name])
                break
        with node.database.read() as connection:
            views = self._station_views(connection, found)
        return ListStationsResponse(stations=views, next_page_token=token, freshness=fresh)

    def _is_wanted(self, asked: Asked, request: ListStationsRequest, row: StationRow, area: AreaLimit | None) -> bool:
        if request.factor_code and request.factor_code not in row.factors:
            return False
        if area is not None and not row.area.startswith(area.prefixes):
            return False
        return self._reading.book.may_read(asked.caller.name, Kind.KIND_MONITORING_BATCH, row.area) is None

    def _stations_of(
        self, origins: Sequence[str], begin: str, after: str, request: ListStationsRequest
    ) -> Iterator[tuple[str, str, StationRow | None]]:
        """Stations of every origin beyond one, each with what that origin stated of it, where it did."""
        section = request.section_id
        for origin in origins:
            if origin < begin:
                continue
            last = after if origin == begin else ""
            names = [request.station_id] if request.station_id > last else []
            while True:
                with self._reading.node.database.read() as connection:
                    if not request.station_id:
                        names = readings.station_names(connection, last, STATIONS_AT_ONCE, section)
                    rows = [readings.station(connection, origin, name, section) for name in names]
                yield from zip((origin,) * len(names), names, rows, strict=True)
                if request.station_id or len(names) < STATIONS_AT_ONCE:
                    break
                last = names[-1]

    def _station_views(self, connection: Connection, rows: Sequence[StationRow]) -> list[StationView]:
        bodies = readings.bodies(connection, [(row.origin, row.record_id, row.revision) for row in rows])
        views = []
        for row in rows:
            body = bodies.get((row.origin, row.record_id, row.revision))
            view = StationView(origin=row.origin, medium_code=row.medium, factor_codes=row.factors)
            view.last_data_time.CopyFrom(timestamp(row.last_time))
            if body is not None:
                view.station.CopyFrom(Record.FromString(body).monitoring_batch.station)
            else:
                view.station.CopyFrom(Station(station_id=row.station, area_code=row.area))
            views.append(view)
        return views

    def readings(self, asked: Asked, request: ListReadingsRequest) -> ListReadingsResponse:
        """A page of readings of one station, or of those of a section, newest first.

        Raises:
            Refused: Neither is named, an argument is wrong, or the section has too many stations.
        """
        limit = page_size(request.page_size)
        since, until = _span(request)
        question = (
            f"readings|{asked.caller}|{request.station_id}|{request.section_id}|{request.origin}|"
            f"{request.factor_code}|{request.interval}|{since}|{until}|{request.include_replaced}"
        )
        position = self._reading.tokens.read(question, request.page_token)
        fresh = self._reading.freshness.read(asked.now, (Lane.LANE_TELEMETRY,))
        readable = self._reading.book.readable(asked.caller.name, (Kind.KIND_MONITORING_BATCH,))
        if Kind.KIND_MONITORING_BATCH not in readable:
            return ListReadingsResponse(freshness=fresh)
        newest = until - 1 if until is not None else None
        if position is not None:
            newest = -position[0] if newest is None else min(newest, -position[0])
        wanted = BlockFilter(
            origin=request.origin,
            interval=request.interval,
            since=since,
            until=newest,
            areas=readable[Kind.KIND_MONITORING_BATCH],
        )
        chosen: list[_Reading] = []
        with self._reading.node.database.read() as connection:
            stations = _stations(connection, request)
            if request.section_id:
                wanted = _in_section(connection, wanted, request.section_id, stations)
            walk = _Walk(connection, _sources(connection, stations, request.factor_code), wanted)
            for reading in walk.newest_first():
                if reading.replaced and not request.include_replaced:
                    continue
                if position is not None and reading.key <= tuple(position):
                    continue
                if not _within(reading.time, since, until):
                    continue
                if request.section_id and reading.block.section != request.section_id:
                    continue  # looked at all the same: it may have taken the place of one that was of the section
                chosen.append(reading)
                if len(chosen) > limit:
                    break
            labs = LabJoin(connection, self._reading.node, (each.block for each in chosen))
            views = [_reading_view(self._reading.node, labs, reading) for reading in chosen[:limit]]
        token = ""
        if len(chosen) > limit:
            chosen = chosen[:limit]
            token = self._reading.tokens.make(question, list(chosen[-1].key))
        return ListReadingsResponse(readings=views, next_page_token=token, freshness=fresh)


def _stations(connection: Connection, request: ListReadingsRequest) -> list[str]:
    """The station that is named, or those of the section.

    Raises:
        Refused: A section has more stations than one walk takes.
    """
    if request.station_id:
        return [request.station_id]
    stations = readings.station_names(connection, "", SECTION_STATIONS + 1, request.section_id)
    if len(stations) > SECTION_STATIONS:
        raise Refused([Problem("SECTION_TOO_WIDE", "section_id", str(SECTION_STATIONS))])
    return stations


def _sources(connection: Connection, stations: Sequence[str], factor: str) -> list[tuple[str, str]]:
    """Stations and factors whose blocks are walked."""
    return [
        (station, each)
        for station in stations
        for each in ([factor] if factor else readings.factors_of(connection, station))
    ]


def _in_section(connection: Connection, wanted: BlockFilter, section: str, stations: Sequence[str]) -> BlockFilter:
    """Only the time of a section: its stations may have stood elsewhere for years before and after."""
    first, last = readings.section_span(connection, section, stations) or (0, -1)
    since = first if wanted.since is None else max(first, wanted.since)
    until = last if wanted.until is None else min(last, wanted.until)
    return replace(wanted, since=since, until=until)


def _check_code(problems: list[Problem], place: str, value: str) -> None:
    if len(value) > MAX_STATION_ID:
        problems.append(Problem("TEXT_TOO_LONG", place, str(len(value))))


def _span(request: ListReadingsRequest) -> tuple[int | None, int | None]:
    """Begin and end of the data times asked for, in microseconds.

    Raises:
        Refused: Neither station nor section is named, or an argument is wrong.
    """
    problems: list[Problem] = []
    if not request.station_id and not request.section_id:
        problems.append(Problem("FIELD_MISSING", "station_id"))
    for name in ("station_id", "section_id", "factor_code"):
        _check_code(problems, name, getattr(request, name))
    since = micros_of(getattr(request, "from")) if request.HasField("from") else None
    until = micros_of(request.until) if request.HasField("until") else None
    if since is not None and until is not None and since > until:
        problems.append(Problem("DATES_REVERSED", "until"))
    if request.interval not in Interval.values():
        problems.append(Problem("ENUM_UNKNOWN", "interval", str(int(request.interval))))
    if problems:
        raise Refused(problems)
    return since, until


def _within(time: int, since: int | None, until: int | None) -> bool:
    return (since is None or time >= since) and (until is None or time < until)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One reading in its order.

    Attributes:
        key: What pages are ordered by: newest time first, and every reading has another one.
    """

    key: tuple[Any, ...]
    time: int
    block: BlockRow
    series: Series
    point: Point
    revision: int
    replaced: bool


@dataclass(slots=True)
class _Walk:
    """Blocks of some stations and factors, newest last time first over all of them, taken apart into readings.

    A block may reach far back: a reading is complete once no block that is still to come can hold its time.
    """

    connection: Connection
    sources: Sequence[tuple[str, str]]
    wanted: BlockFilter
    _open: dict[tuple[Any, ...], list[tuple[int, BlockRow, Series, Point]]] = field(default_factory=dict)
    _times: list[tuple[int, tuple[Any, ...]]] = field(default_factory=list)

    def newest_first(self) -> Iterator[_Reading]:
        for block in heapq.merge(*map(self._blocks, self.sources), key=lambda row: (-row.last_time, -row.seq)):
            yield from self._complete(block.last_time)
            self._take(block)
        yield from self._complete(None)

    def _blocks(self, source: tuple[str, str]) -> Iterator[BlockRow]:
        station, factor = source
        after: tuple[int, int] | None = None
        while True:
            rows = readings.blocks(self.connection, station, factor, self.wanted, after=after, limit=BLOCKS_AT_ONCE)
            yield from rows
            if len(rows) < BLOCKS_AT_ONCE:
                return
            after = (rows[-1].last_time, rows[-1].seq)

    def _take(self, block: BlockRow) -> None:
        newest = self.wanted.until
        for series in MonitoringBatch.FromString(block.series).series:
            for point in series.points:
                time = micros_of(point.data_time)
                if newest is not None and time > newest:
                    continue
                key = (
                    -time,
                    block.origin,
                    block.station,
                    block.factor,
                    block.interval,
                    block.medium,
                    series.value_kind,
                )
                if key not in self._open:
                    self._open[key] = []
                    heapq.heappush(self._times, (-time, key))
                self._open[key].append((block.seq, block, series, point))

    def _complete(self, frontier: int | None) -> Iterator[_Reading]:
        """Readings later than every block to come, in order of their keys."""
        while self._times and (frontier is None or -self._times[0][0] > frontier):
            _, key = heapq.heappop(self._times)
            stated = sorted(self._open.pop(key), key=lambda each: each[0])
            effective = [at for at, (_, block, _, _) in enumerate(stated) if block.effective]
            current = effective[-1] if effective else -1
            for at in range(len(stated) - 1, -1, -1):
                _, block, series, point = stated[at]
                yield _Reading(
                    key=(*key, -(at + 1)),
                    time=-key[0],
                    block=block,
                    series=series,
                    point=point,
                    revision=at + 1,
                    replaced=at != current,
                )


def _reading_view(node: Node, labs: LabJoin, reading: _Reading) -> ReadingView:
    block, series = reading.block, reading.series
    view = ReadingView(
        origin=block.origin,
        station_id=block.station,
        section_id=block.section,
        medium_code=block.medium,
        interval=block.interval,  # type: ignore[arg-type]
        factor_code=series.factor_code,
        value_kind=series.value_kind,
        unit=series.unit,
        point=reading.point,
        revision=reading.revision,
        record_id=format_id(block.record_id),
    )
    if block.origin != node.name:
        decision = read_decision(block.decision)
        outcome, reasons, conditions = block.outcome, decision.reasons, decision.conditions
        for part, part_outcome, part_reasons, part_conditions in decision.parts:
            if part_holds(part, series.factor_code, reading.point.source_flag):
                outcome, reasons, conditions = part_outcome, part_reasons, part_conditions
                break
        view.outcome = outcome  # type: ignore[assignment]
        view.reasons.extend(reasons)
        view.conditions.extend(conditions)  # type: ignore[arg-type]
    labs.put(view, block, series)
    return view
