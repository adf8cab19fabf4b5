"""Appending to the node's own journal, inside the transaction of the thing that it tells of."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from exchange.domain.journal_parts import MAX_ENTRY_BYTES, joining, split
from exchange.storage import schema
from exchange.storage.engine.transaction import LogHead, NewEntry, Transaction, head_of
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
    """Append events; each already carries its time. One that is too large for an entry stands behind its pieces.

    Returns:
        Index of the first one in the current epoch; the others follow it without a gap.
    """
    book = head_in(tx)
    pieces: list[NewEntry] = []
    lines: list[NewEntry] = []
    for event in events:
        event.version = JOURNAL_VERSION
        data = event.SerializeToString(deterministic=True)
        if len(data) > MAX_ENTRY_BYTES:
            parts = split(event, data)
            line = joining(event, data, book.size + len(pieces), len(parts))
            pieces += [NewEntry.of(part.SerializeToString(deterministic=True)) for part in parts]
            data = line.SerializeToString(deterministic=True)
        lines.append(NewEntry.of(data))
    return tx.append(book.id, [*pieces, *lines]) + len(pieces)
