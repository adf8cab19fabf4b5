"""Records of ours whose time of keeping may be over."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from exchange.storage.schema.exchanged import OWN_ENDED_RECORDS, OWN_RECORDS, records


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRecord:
    """A record by its revision that stands."""

    record_id: bytes
    revision: int
    kind: int
    since: str


def older(
    connection: Connection,
    erasure_class: int,
    kind: int,
    last_day: str,
    *,
    tombstone: str = "",
    after: tuple[str, bytes] = ("", b""),
    limit: int,
) -> list[OldRecord]:
    """Records of this node, by their own date or by the day of what ended them, oldest first.

    Args:
        connection: Where.
        erasure_class: Of their statements.
        kind: Of this kind.
        last_day: Up to this day, which counts.
        tombstone: What ended them, and the day of that is meant; empty: the record's own date, whatever stands.
        after: Day and record id of the one before.
        limit: Most rows.
    """
    row = records.c
    day = row.tombstone_on if tombstone else row.sort_on
    query = (
        select(row.record_id, row.revision, row.kind, day.label("since"))
        .where(OWN_ENDED_RECORDS if tombstone else OWN_RECORDS, row.newest.is_(True))
        .where(row.erasure_class == erasure_class, row.kind == kind, day != "", day <= last_day)
        .where(row.tombstone == tombstone if tombstone else row.tombstone != "ERASED")
        # The day once more by itself: an index is gone into at one place, not at either of two.
        .where(day >= after[0], (day > after[0]) | (row.record_id > after[1]))
        .order_by(day, row.record_id)
        .limit(limit)
    )
    return [OldRecord(**each._mapping) for each in connection.execute(query)]
