"""Lanes under an operator's hand: paused, stopped, and the epoch of the peer's log that was agreed on."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from exchange.storage import schema
from exchange.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One lane towards, and from, one peer; a lane without a row is as by default.

    Attributes:
        stopped: Reason code of the contradiction that stopped it; empty while it runs.
        mirror_epoch: Newest epoch of the peer's log towards us that both operators agreed on.
    """

    peer: str
    lane: int
    paused: bool = False
    stopped: str = ""
    mirror_epoch: int = 1


def get(connection: Connection, peer: str, lane: int) -> LinkRow:
    """One lane."""
    table = schema.links
    row = connection.execute(select(table).where(table.c.peer == peer, table.c.lane == lane)).first()
    return LinkRow(**row._mapping) if row else LinkRow(peer, lane)


def put(tx: Transaction, row: LinkRow) -> None:
    """Keep a lane's new state."""
    table = schema.links
    tx.connection.execute(delete(table).where(table.c.peer == row.peer, table.c.lane == row.lane))
    tx.connection.execute(
        insert(table),
        [
            {
                "peer": row.peer,
                "lane": row.lane,
                "paused": row.paused,
                "stopped": row.stopped,
                "mirror_epoch": row.mirror_epoch,
            }
        ],
    )
