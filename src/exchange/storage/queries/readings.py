"""Blocks of readings: stations by skipping along the index, blocks of one station newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal_column, or_, select

from exchange.storage import schema
from exchange.storage.queries.records import AreaLimit

_T = schema.blocks.c


_SAME_RECORD = and_(
    schema.records.c.record_id == _T.record_id,
    schema.records.c.origin == _T.origin,
    schema.records.c.revision == _T.revision,
)


def _is_effective() -> ColumnElement[bool]:
    record, other = schema.records.c, schema.records.alias("other").c
    superseded = exists().where(
        other.supersedes == record.record_id,
        other.origin == record.origin,
        other.newest.is_(True),
        other.tombstone == "",
    )
    return and_(record.newest.is_(True), ~superseded)


_EFFECTIVE = _is_effective()
"""What the origin states now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRow:
    """One block: a factor of one record.

    Attributes:
        outcome: Of this node's decision about the record; 0 for own records.
        decision: As the register keeps it.
        mirrored_at: When the record came, in microseconds; None for own records.
        effective: The record counts as what its origin states now.
    """

    seq: int
    origin: str
    station: str
    medium: str
    section: str
    interval: int
    factor: str
    first_time: int
    last_time: int
    record_id: bytes
    revision: int
    area: str
    lab_cma_no: str
    lab_uscc: str
    series: bytes
    outcome: int
    decision: str
    mirrored_at: int | None
    effective: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StationRow:
    """A station of one origin with its newest block.

    Attributes:
        factors: Factors that it stated, in order.
    """

    origin: str
    station: str
    medium: str
    area: str
    factors: tuple[str, ...]
    last_time: int
    record_id: bytes
    revision: int


def station_names(connection: Connection, after: str, limit: int, section: str = "") -> list[str]:
    """Names of stations beyond one, in order: the index is skipped along, one step for each station.

    With a section, only of stations that stated readings of it.
    """
    within = (_T.section == section, schema.IN_A_SECTION) if section else ()
    first = select(func.min(_T.station).label("station")).where(_T.station > after, *within)
    found = first.cte("found", recursive=True)
    inner = schema.blocks.alias("inner")
    among = (inner.c.section == section, inner.c.section != literal_column("''")) if section else ()
    following = (
        select(func.min(inner.c.station))
        .where(inner.c.station > found.c.station, *among)
        .correlate(found)
        .scalar_subquery()
    )
    found = found.union_all(select(following).select_from(found).where(found.c.station.is_not(None)))
    query = select(found.c.station).where(found.c.station.is_not(None)).limit(limit)
    return list(connection.execute(query).scalars())


def station(connection: Connection, origin: str, name: str, section: str = "") -> StationRow | None:
    """One station of one origin: its factors by skipping along the index, details from its newest block.

    With a section, only by what it states of it now.
    """
    stands = exists().where(_SAME_RECORD, _EFFECTIVE, schema.records.c.tombstone == "")
    within = (_T.section == section, stands) if section else ()
    factors: list[str] = []
    newest = None
    factor = ""
    while True:
        found = connection.execute(select(func.min(_T.factor)).where(_T.station == name, _T.factor > factor)).scalar()
        if found is None:
            break
        factor = str(found)
        row = connection.execute(
            select(_T.medium, _T.area, _T.last_time, _T.record_id, _T.revision)
            .where(_T.station == name, _T.factor == factor, _T.origin == origin, *within)
            .order_by(_T.last_time.desc(), _T.seq.desc())
            .limit(1)
        ).first()
        if row is not None:
            factors.append(factor)
            if newest is None or row.last_time > newest.last_time:
                newest = row
    if newest is None:
        return None
    return StationRow(
        origin=origin,
        station=name,
        medium=newest.medium,
        area=newest.area,
        factors=tuple(factors),
        last_time=newest.last_time,
        record_id=newest.record_id,
        revision=newest.revision,
    )


def section_span(connection: Connection, section: str, stations: Sequence[str]) -> tuple[int, int] | None:
    """When the blocks of a section that some stations stated end: the first and the last; None where there are none."""
    ends: list[int] = []
    for name in stations:
        # One at a time: each is one step along the index.
        for end in (func.min(_T.last_time), func.max(_T.last_time)):
            query = select(end).where(_T.section == section, schema.IN_A_SECTION, _T.station == name)
            found = connection.execute(query).scalar()
            ends += [] if found is None else [found]
    return (min(ends), max(ends)) if ends else None


def factors_of(connection: Connection, name: str) -> list[str]:
    """Factors of a station, of every origin, in order."""
    found: list[str] = []
    while True:
        factor = connection.execute(
            select(func.min(_T.factor)).where(_T.station == name, _T.factor > (found[-1] if found else ""))
        ).scalar()
        if factor is None:
            return found
        found.append(str(factor))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFilter:
    """Which blocks of a station are asked for.

    Attributes:
        origin: Empty means all.
        interval: 0 means all.
        since: Only blocks that end at or after this instant, in microseconds.
        until: Only blocks that begin at or before this instant.
        areas: Areas that may be read; None means any.
    """

    origin: str = ""
    interval: int = 0
    since: int | None = None
    until: int | None = None
    areas: AreaLimit | None = None


def blocks(
    connection: Connection,
    name: str,
    factor: str,
    wanted: BlockFilter,
    *,
    after: tuple[int, int] | None,
    limit: int,
) -> list[BlockRow]:
    """Blocks of one station and factor, newest last time first.

    ``after`` is (last time, number) of the last block that was seen; None begins.
    """
    record = schema.records.c
    query = (
        select(schema.blocks, record.outcome, record.decision, record.mirrored_at, _EFFECTIVE.label("effective"))
        .join(schema.records, _SAME_RECORD)
        .where(_T.station == name, _T.factor == factor, record.tombstone == "")
    )
    if wanted.origin:
        query = query.where(_T.origin == wanted.origin)
    if wanted.interval:
        query = query.where(_T.interval == wanted.interval)
    if wanted.since is not None:
        query = query.where(_T.last_time >= wanted.since)
    if wanted.until is not None:
        query = query.where(_T.first_time <= wanted.until)
    if wanted.areas is not None:
        tests = [func.substr(_T.area, 1, len(each)) == each for each in wanted.areas.prefixes]
        query = query.where(or_(_T.area.in_(wanted.areas.codes), *tests))
    if after is not None:
        last_time, seq = after
        query = query.where(_T.last_time <= last_time, or_(_T.last_time < last_time, _T.seq < seq))
    rows = connection.execute(query.order_by(_T.last_time.desc(), _T.seq.desc()).limit(limit))
    return [BlockRow(**{**row._mapping, "effective": bool(row.effective)}) for row in rows]


def bodies(connection: Connection, records: Sequence[tuple[str, bytes, int]]) -> dict[tuple[str, bytes, int], bytes]:
    """Bodies of records by (origin, record id, revision); those erased or missing are left out."""
    record, entry = schema.records.c, schema.entries.c
    wanted = set(records)
    query = (
        select(record.origin, record.record_id, record.revision, entry.body)
        .join(schema.entries, and_(entry.log_id == record.log_id, entry.idx == record.idx))
        .where(record.record_id.in_(sorted({each[1] for each in wanted})), record.tombstone == "")
    )
    return {
        (row.origin, row.record_id, row.revision): row.body
        for row in connection.execute(query)
        if row.body is not None and (row.origin, row.record_id, row.revision) in wanted
    }
