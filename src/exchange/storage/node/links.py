"""Lanes under an operator's hand: paused, stopped, and the epoch of the peer's log that was agreed on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, delete, insert, select

from exchange.storage import schema
from exchange.storage.engine.prepared import Prepared
from exchange.storage.engine.transaction import Transaction

MIRROR_STOP = "MIRROR:"
"""Prefix of a stop that concerns the peer's log towards us, not ours. A lane may be stopped both ways."""


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One lane towards, and from, one peer; a lane without a row is as by default.

    Attributes:
        stopped: Reason codes of the contradictions that stopped it; empty while it runs.
        mirror_epoch: Newest epoch of the peer's log towards us that both operators agreed on.
    """

    peer: str
    lane: int
    paused: bool = False
    stopped: str = ""
    mirror_epoch: int = 1

    @property
    def own_stop(self) -> str:
        """Why our log of the lane is stopped; empty while it runs."""
        return next((each for each in self.stopped.split() if not each.startswith(MIRROR_STOP)), "")

    @property
    def mirror_stop(self) -> str:
        """Why the peer's log of the lane is stopped; empty while it runs."""
        found = (each for each in self.stopped.split() if each.startswith(MIRROR_STOP))
        return next(found, "").removeprefix(MIRROR_STOP)

    def with_stops(self, own: str | None, mirror: str | None) -> LinkRow:
        """The same lane, stopped for other reasons; None leaves what is."""
        own = self.own_stop if own is None else own
        mirror = self.mirror_stop if mirror is None else mirror
        stops = [part for part in (own, MIRROR_STOP + mirror if mirror else "") if part]
        return replace(self, stopped=" ".join(stops))


_OF_LANE = Prepared(
    select(schema.links).where(schema.links.c.peer == bindparam("peer"), schema.links.c.lane == bindparam("lane"))
)


def get(connection: Connection, peer: str, lane: int) -> LinkRow:
    """One lane."""
    row = _OF_LANE.first(connection, {"peer": peer, "lane": lane})
    return LinkRow(*row) if row else LinkRow(peer, lane)


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
