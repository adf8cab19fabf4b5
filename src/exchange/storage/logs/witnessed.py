"""Heads of peers' journals and local logs that this node witnessed: the newest of each."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction


@dataclass(frozen=True, slots=True)
class WitnessedHead:
    """A head that was seen. ``note`` carries both signatures."""

    origin: str
    peer: str
    size: int
    root: bytes
    note: bytes


def get(connection: Connection, origin: str) -> WitnessedHead | None:
    """The newest head of a log."""
    table = schema.witnessed
    row = connection.execute(select(table).where(table.c.origin == origin)).first()
    return WitnessedHead(**row._mapping) if row else None


def of_peer(connection: Connection, peer: str) -> list[WitnessedHead]:
    """The newest head of each log of a peer."""
    table = schema.witnessed
    rows = connection.execute(select(table).where(table.c.peer == peer).order_by(table.c.origin))
    return [WitnessedHead(**row._mapping) for row in rows]


def newest(connection: Connection) -> list[WitnessedHead]:
    """The newest head of each log of every peer."""
    table = schema.witnessed
    return [WitnessedHead(**row._mapping) for row in connection.execute(select(table).order_by(table.c.origin))]


def put(tx: Transaction, head: WitnessedHead, expected: int) -> bool:
    """Keep a newer head; False when what was witnessed last is not of ``expected`` size."""
    table = schema.witnessed
    known = tx.connection.execute(select(table.c.size).where(table.c.origin == head.origin)).scalar() or 0
    if known != expected:
        return False
    tx.connection.execute(delete(table).where(table.c.origin == head.origin))
    tx.connection.execute(
        insert(table),
        [{"origin": head.origin, "peer": head.peer, "size": head.size, "root": head.root, "note": head.note}],
    )
    return True
