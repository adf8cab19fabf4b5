"""Appending to the node's own journal, inside the transaction of the thing that it tells of."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from exchange.storage import schema
from exchange.storage.transaction import LogHead, NewEntry, Transaction, head_of
from exchange.v1.journal_pb2 import JournalEntry

JOURNAL_VERSION = 1
USE = "journal"

_CURRENT = (
    select(schema.logs)
    .where(schema.logs.c.use == USE, schema.logs.c.retired.is_(False))
    .order_by(schema.logs.c.epoch.desc())
    .limit(1)
)


def head(connection: Connection) -> LogHead:
    """The journal's current epoch."""
    return head_of(connection.execute(_CURRENT).one())


def head_in(tx: Transaction) -> LogHead:
    """The journal's current epoch, under lock."""
    return max((log for log in tx.heads.values() if log.use == USE and not log.retired), key=lambda log: log.epoch)


def append(tx: Transaction, events: Sequence[JournalEntry]) -> int:
    """Append events; each already carries its time.

    Returns:
        Index of the first one in the current epoch.
    """
    for event in events:
        event.version = JOURNAL_VERSION
    return tx.append(head_in(tx).id, [NewEntry.of(event.SerializeToString(deterministic=True)) for event in events])
