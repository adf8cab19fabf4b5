"""Records of ours whose time of keeping may be over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from exchange.storage import schema


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRecord:
    """A record by its revision that stands, with its entry's bytes."""

    record_id: bytes
    revision: int
    kind: int
    since: str
    entry: bytes


def older(
    connection: Connection,
    origin: str,
    kinds: Sequence[int],
    last_day: str,
    *,
    tombstone: str = "",
    after: tuple[str, bytes] = ("", b""),
    limit: int,
) -> list[OldRecord]:
    """Records of an origin, by their own date or by the day of what ended them, oldest first.

    Args:
        connection: Where.
        origin: Who stated them.
        kinds: Of these kinds.
        last_day: Up to this day, which counts.
        tombstone: What ended them, and the day of that is meant; empty: the record's own date, whatever stands.
        after: Day and record id of the one before.
        limit: Most rows.
    """
    row, entry = schema.records.c, schema.entries.c
    day = row.tombstone_on if tombstone else row.sort_on
    query = (
        select(row.record_id, row.revision, row.kind, day.label("since"), entry.entry)
        .join_from(schema.records, schema.entries, (entry.log_id == row.log_id) & (entry.idx == row.idx))
        .where(row.origin == origin, row.newest.is_(True), row.kind.in_(list(kinds)), day != "", day <= last_day)
        .where(row.tombstone == tombstone if tombstone else row.tombstone != "ERASED")
        .where((day > after[0]) | ((day == after[0]) & (row.record_id > after[1])))
        .order_by(day, row.record_id)
        .limit(limit)
    )
    return [OldRecord(**each._mapping) for each in connection.execute(query)]
