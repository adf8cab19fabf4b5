"""What the registers say beside a record's row, for auditors: its places in logs, who was shown it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from exchange.storage import schema
from exchange.storage.intake import submissions
from exchange.storage.queries.records import RecordRow


def places(connection: Connection, row: RecordRow) -> list[tuple[int, int]]:
    """(log, index) of every entry that states one revision: one for each addressee, and those sealed again."""
    found = [(row.log_id, row.idx)]
    copy = schema.copies.c
    again = select(copy.log_id, copy.idx).where(
        copy.record_id == row.record_id, copy.origin == row.origin, copy.revision == row.revision
    )
    found += [(each.log_id, each.idx) for each in connection.execute(again)]
    found += [(each.log_id, each.index) for each in submissions.entries_of(connection, row.record_id, row.revision)]
    return list(dict.fromkeys(found))


def duties(connection: Connection, origin: str, record_ids: Sequence[bytes]) -> dict[bytes, int]:
    """By record, the number of checks by which feedback about it fell due."""
    due = schema.dues.c
    query = (
        select(due.source, func.count(due.check_id.distinct()))
        .where(due.source_origin == origin, due.source.in_(list(record_ids)))
        .group_by(due.source)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def shown_to(connection: Connection, origin: str, record_ids: Sequence[bytes]) -> dict[bytes, int]:
    """By record, the number of agencies that were shown it."""
    read = schema.notice_readers.c
    query = (
        select(read.record_id, func.count())
        .where(read.origin == origin, read.record_id.in_(list(record_ids)))
        .group_by(read.record_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}
