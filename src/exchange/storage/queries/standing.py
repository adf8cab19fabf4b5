"""Where logs stand: mirrors, deliveries, the newest times that are proven."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from exchange.storage import schema
from exchange.storage.engine.transaction import LogHead, head_of


def current_mirrors(connection: Connection) -> Mapping[tuple[str, int], LogHead]:
    """The newest epoch of each mirror, by peer and lane."""
    table = schema.logs.c
    rows = connection.execute(select(schema.logs).where(table.use == "mirror").order_by(table.epoch))
    return {(row.peer, row.lane): head_of(row) for row in rows}


def complete_until(connection: Connection, log_id: int, applied: int) -> int | None:
    """Time of the newest cosigned checkpoint whose entries are all applied, in microseconds."""
    table = schema.checkpoints.c
    return connection.execute(
        select(table.cosigned_at)
        .where(table.log_id == log_id, table.size <= applied)
        .order_by(table.size.desc())
        .limit(1)
    ).scalar()


def cosigned_sizes(connection: Connection, log_ids: list[int]) -> dict[int, int]:
    """Size of the largest cosigned checkpoint of some logs; 0 where there is none."""
    table = schema.checkpoints.c
    return {
        log_id: connection.execute(select(func.max(table.size)).where(table.log_id == log_id)).scalar() or 0
        for log_id in log_ids
    }


def submission_count(connection: Connection) -> int:
    """Submissions ever accepted: their numbers have no gaps."""
    return connection.execute(select(func.max(schema.submissions.c.seq))).scalar() or 0
