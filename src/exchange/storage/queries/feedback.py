"""Feedback about measures: what is due, what was given, joined when asked."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, select, tuple_

from exchange.storage import schema

_D = schema.dues.c
_F = schema.feedback.c
_R = schema.records.c

Position = tuple[str, bytes, str, str, str]
"""Where a page ends: last day, record, catalogue, code, matter."""

_ORDER = (_D.due_on, _D.source, _D.catalogue, _D.code, _D.matter_no)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRow:
    """Feedback that is due, or was given.

    Attributes:
        given: Origin, record and revision of the feedback; None while none was given.
    """

    agency: str
    source_origin: str
    source: bytes
    catalogue: str
    code: str
    matter_no: str
    edition: str
    source_kind: int
    matter_kind: int
    check_id: bytes
    due_on: str
    given: tuple[str, bytes, int] | None

    @property
    def position(self) -> Position:
        """Where a page that ends with this row ends."""
        return self.due_on, self.source, self.catalogue, self.code, self.matter_no


@dataclass(frozen=True, slots=True)
class Overdue:
    """How much one agency owes.

    Attributes:
        oldest: Earliest last day among it.
    """

    agency: str
    count: int
    oldest: str


def _given() -> Select[tuple[int]]:
    """The newest row of feedback that stands about a due measure."""
    shown = and_(
        _R.origin == _F.origin,
        _R.record_id == _F.record_id,
        _R.revision == _F.revision,
        _R.newest.is_(True),
        _R.tombstone == "",
    )
    about = and_(
        _F.notice == _D.source,
        _F.notice_origin == _D.source_origin,
        _F.matter_no == _D.matter_no,
        _F.catalogue == _D.catalogue,
        _F.code == _D.code,
    )
    return (
        select(func.max(_F.seq)).join_from(schema.feedback, schema.records, shown).where(about).correlate(schema.dues)
    )


def _stands() -> ColumnElement[bool]:
    """Nothing is due any more about a record that was repaired, revoked or erased."""
    ended = schema.records.alias("ended")
    return ~exists().where(
        ended.c.record_id == _D.source,
        ended.c.origin == _D.source_origin,
        ended.c.newest.is_(True),
        ended.c.tombstone != "",
    )


_GIVEN = _given().scalar_subquery()
_STANDS = _stands()


def page(
    connection: Connection,
    agency: str,
    *,
    after: Position | None,
    limit: int,
    before: str = "",
    include_given: bool = False,
) -> list[DueRow]:
    """What an agency owes, due first first.

    Args:
        connection: Where to read.
        agency: Its name.
        after: Where the page before ended.
        limit: Rows.
        before: Only what was due before this day.
        include_given: Also what was given, and what no longer stands.
    """
    query = select(schema.dues, _GIVEN.label("given_seq")).where(_D.agency == agency)
    if not include_given:
        query = query.where(_GIVEN.is_(None), _STANDS)
    if before:
        query = query.where(_D.due_on < before)
    if after is not None:
        query = query.where(tuple_(*_ORDER) > after)
    rows = connection.execute(query.order_by(*_ORDER).limit(limit)).all()
    wanted = [row.given_seq for row in rows if row.given_seq is not None]
    found = {}
    if wanted:
        named = select(_F.seq, _F.origin, _F.record_id, _F.revision).where(_F.seq.in_(wanted))
        found = {row.seq: (row.origin, row.record_id, row.revision) for row in connection.execute(named)}
    return [DueRow(**{name: row._mapping[name] for name in _NAMES}, given=found.get(row.given_seq)) for row in rows]


_NAMES = tuple(name for name in DueRow.__dataclass_fields__ if name != "given")


def overdue(connection: Connection, *, since: str, before: str) -> list[Overdue]:
    """What was due within a span of days and was not given, by agency.

    Args:
        connection: Where to read.
        since: First last day that is looked at.
        before: Day before which it was due.
    """
    query = (
        select(_D.agency, func.count(), func.min(_D.due_on))
        .where(_D.due_on >= since, _D.due_on < before, _GIVEN.is_(None), _STANDS)
        .group_by(_D.agency)
        .order_by(_D.agency)
    )
    return [Overdue(*row) for row in connection.execute(query)]
