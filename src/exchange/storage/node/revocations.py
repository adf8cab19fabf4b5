"""Revocation lists that were taken: the newest of each authority, written together with the journal's lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import journal
from exchange.v1.journal_pb2 import JournalEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """The newest list of one authority.

    Attributes:
        earlier: Revocations, in microseconds by serial number, that older lists named and this one lacks.
    """

    owner: str
    use: str
    authority: str
    pem: bytes
    earlier: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenLists:
    """Lists with the lines of the journal that tell of them."""

    rows: Sequence[ListRow]
    events: Sequence[JournalEntry]


def everything(connection: Connection) -> list[ListRow]:
    """Every list."""
    table = schema.revocation_lists
    rows = connection.execute(select(table).order_by(table.c.owner, table.c.use, table.c.authority))
    return [
        ListRow(
            owner=row.owner,
            use=row.use,
            authority=row.authority,
            pem=row.pem,
            earlier={int(serial): at for serial, at in json.loads(row.earlier).items()},
        )
        for row in rows
    ]


def take(tx: Transaction, payloads: Iterable[TakenLists]) -> list[None]:
    """Journal lists and put each in place of the one before."""
    answers: list[None] = []
    table = schema.revocation_lists
    for payload in payloads:
        journal.append(tx, payload.events)
        for row in payload.rows:
            tx.connection.execute(
                delete(table).where(
                    table.c.owner == row.owner, table.c.use == row.use, table.c.authority == row.authority
                )
            )
            values = {
                "owner": row.owner,
                "use": row.use,
                "authority": row.authority,
                "pem": row.pem,
                "earlier": json.dumps({str(serial): at for serial, at in row.earlier.items()}),
            }
            tx.connection.execute(insert(table), [values])
        answers.append(None)
    return answers
