"""Values that the node keeps about itself, by name."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction


def get(connection: Connection, key: str) -> str:
    """A value; empty when it is not set."""
    table = schema.node_state.c
    return connection.execute(select(table.value).where(table.key == key)).scalar() or ""


def put(tx: Transaction, key: str, value: str) -> None:
    """Set a value; an empty one removes it."""
    table = schema.node_state
    tx.connection.execute(delete(table).where(table.c.key == key))
    if value:
        tx.connection.execute(insert(table), [{"key": key, "value": value}])
