"""Time stamps of cosigned checkpoints: each with the very note that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, insert, select

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction

_T = schema.timestamps.c


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTimestamp:
    """One token.

    Attributes:
        size: Size of the checkpoint.
        note: The note as it was stamped; the stored one may have gained lines since.
        token: DER ``TimeStampResp``.
        stamped_at: Time of the token, in microseconds.
        since: When the oldest entry that no earlier token covers was cosigned, in microseconds.
        service: Where it was asked for.
    """

    log_id: int
    size: int
    note: bytes
    token: bytes
    stamped_at: int
    since: int
    service: str


def newest(connection: Connection, log_id: int) -> StoredTimestamp | None:
    """The token of the largest checkpoint."""
    query = select(schema.timestamps).where(_T.log_id == log_id).order_by(_T.size.desc()).limit(1)
    row = connection.execute(query).first()
    return StoredTimestamp(**row._mapping) if row else None


def of_log(connection: Connection, log_id: int, above: int, limit: int) -> list[StoredTimestamp]:
    """Tokens of checkpoints beyond a size, smallest first."""
    query = select(schema.timestamps).where(_T.log_id == log_id, _T.size > above).order_by(_T.size).limit(limit)
    return [StoredTimestamp(**row._mapping) for row in connection.execute(query)]


def put(tx: Transaction, payloads: Sequence[StoredTimestamp]) -> list[None]:
    """Keep tokens; a second one of the same checkpoint is dropped."""
    for each in payloads:
        known = select(_T.size).where(_T.log_id == each.log_id, _T.size == each.size)
        if tx.connection.execute(known).first() is None:
            tx.connection.execute(insert(schema.timestamps), [asdict(each)])
    return [None] * len(payloads)
