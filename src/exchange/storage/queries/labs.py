"""Laboratories in time: the runs of days that records state of them now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select

from exchange.storage import schema

_L = schema.labs.c
_R = schema.records.c
_AT_ONCE = 200
"""Laboratories of one read."""

Lab = tuple[str, str]
"""CMA number and USCC; the USCC is empty for whoever holds the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceRow:
    """One run of days of a record that stands."""

    origin: str
    record_id: bytes
    revision: int
    cma_no: str
    uscc: str
    slice: int
    object: str
    factor: str
    method: str
    first_on: str
    last_on: str


def _stands() -> ColumnElement[bool]:
    """The record counts as what its origin states now."""
    other = schema.records.alias("other")
    superseded = exists().where(
        other.c.supersedes == _R.record_id,
        other.c.origin == _R.origin,
        other.c.newest.is_(True),
        other.c.tombstone == "",
    )
    return and_(_R.newest.is_(True), _R.tombstone == "", ~superseded)


_SAME = and_(_R.origin == _L.origin, _R.record_id == _L.record_id, _R.revision == _L.revision)
_STANDS = _stands()
_COLUMNS = tuple(_L[name] for name in SliceRow.__dataclass_fields__)


def slices(connection: Connection, labs: Iterable[Lab]) -> dict[Lab, list[SliceRow]]:
    """The runs of days of some laboratories, by how they were asked for; those that nobody states are left out."""
    wanted = sorted(set(labs))
    found: dict[Lab, list[SliceRow]] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        query = (
            select(*_COLUMNS)
            .join_from(schema.labs, schema.records, _SAME)
            .where(_L.cma_no.in_(sorted({cma_no for cma_no, _ in some})), _STANDS)
            .order_by(_L.seq)
        )
        for row in connection.execute(query):
            made = SliceRow(**row._mapping)
            for lab in ((made.cma_no, ""), (made.cma_no, made.uscc)):
                if lab in some:
                    found.setdefault(lab, []).append(made)
    return found


def is_stated(connection: Connection, code: str) -> bool:
    """Whether a record that stands states a laboratory, by the code that deferred batches call it by."""
    query = (
        select(_L.seq)
        .join_from(schema.labs, schema.records, _SAME)
        .where(or_(_L.code == code, _L.firm_code == code), _STANDS)
        .limit(1)
    )
    return connection.execute(query).first() is not None
