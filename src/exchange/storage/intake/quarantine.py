"""Rows of documents that could not be mapped: kept until they can be, or until somebody discards them with a reason."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from exchange.domain.problems import Problem
from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import journal
from exchange.v1.journal_pb2 import JournalEntry

OPEN = "OPEN"
RESOLVED = "RESOLVED"
DISCARDED = "DISCARDED"
"""States of a quarantined row."""

CHUNK = 500
"""Values in one IN list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRow:
    """One quarantined row as stored; ``problems`` is JSON: a list of [reason, place, detail]."""

    quarantine_id: bytes
    document_id: bytes
    file_name: str
    agency: str
    row: int
    place: str
    problems: str
    content: str
    since: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Rows that leave quarantine, each with its journal entry, and rows that stay for other reasons than before.

    Attributes:
        state: ``RESOLVED`` or ``DISCARDED``.
        rows: Ids with the entry to journal.
        renewed: Ids with their problems of now, as JSON.
    """

    state: str
    rows: tuple[tuple[bytes, JournalEntry], ...] = ()
    renewed: tuple[tuple[bytes, str], ...] = ()


def pack_problems(problems: Sequence[Problem]) -> str:
    """Problems as the table keeps them."""
    return json.dumps(
        [[each.reason, each.place, each.detail] for each in problems], ensure_ascii=False, separators=(",", ":")
    )


def unpack_problems(packed: str) -> tuple[Problem, ...]:
    """What ``pack_problems`` wrote."""
    return tuple(Problem(*each) for each in json.loads(packed))


def _row(row: Row[Any]) -> QuarantineRow:
    return QuarantineRow(**row._asdict())


def page(
    connection: Connection,
    *,
    before: bytes | None,
    limit: int,
    document_id: bytes | None = None,
    reason: str = "",
    include_closed: bool = False,
    agency: str | None = None,
) -> list[QuarantineRow]:
    """Quarantined rows, newest first: an id is a UUIDv7, so order of id is order of time."""
    table = schema.quarantine.c
    query = select(schema.quarantine)
    if before is not None:
        query = query.where(table.quarantine_id < before)
    if document_id is not None:
        query = query.where(table.document_id == document_id)
    if reason:
        query = query.where(table.problems.contains(f'["{reason}",', autoescape=True))
    if not include_closed:
        query = query.where(table.state == OPEN)
    if agency is not None:
        query = query.where(table.agency == agency)
    return [_row(row) for row in connection.execute(query.order_by(table.quarantine_id.desc()).limit(limit))]


def by_ids(connection: Connection, ids: Sequence[bytes]) -> dict[bytes, QuarantineRow]:
    """Rows by id."""
    table = schema.quarantine.c
    found = {}
    for start in range(0, len(ids), CHUNK):
        query = select(schema.quarantine).where(table.quarantine_id.in_(list(ids[start : start + CHUNK])))
        for row in connection.execute(query):
            found[row.quarantine_id] = _row(row)
    return found


def open_of(connection: Connection, document_id: bytes) -> list[QuarantineRow]:
    """Open rows of one document, in order of row."""
    table = schema.quarantine.c
    query = select(schema.quarantine).where(table.document_id == document_id, table.state == OPEN)
    return [_row(row) for row in connection.execute(query.order_by(table.row))]


def documents_with_open(connection: Connection, after: bytes, limit: int) -> list[bytes]:
    """Ids of documents that have open rows, in order of id, beyond ``after``."""
    table = schema.quarantine.c
    query = select(table.document_id).where(table.state == OPEN, table.document_id > after).distinct()
    return list(connection.execute(query.order_by(table.document_id).limit(limit)).scalars())


def count_open(connection: Connection) -> int:
    """Rows in quarantine."""
    query = select(func.count()).select_from(schema.quarantine).where(schema.quarantine.c.state == OPEN)
    return connection.execute(query).scalar_one()


def close(tx: Transaction, payloads: Sequence[Closing]) -> list[int]:
    """Take rows out of quarantine, with their journal entries; rows that are not open any more stay as they are.

    Returns:
        For each payload, how many rows it closed.
    """
    table = schema.quarantine.c
    ids = [quarantine_id for payload in payloads for quarantine_id, _ in (*payload.rows, *payload.renewed)]
    still_open = {key for key, row in by_ids(tx.connection, ids).items() if row.state == OPEN}
    counts = []
    for payload in payloads:
        closed = [(key, event) for key, event in payload.rows if key in still_open]
        still_open -= {key for key, _ in closed}
        for start in range(0, len(closed), CHUNK):
            chunk = [key for key, _ in closed[start : start + CHUNK]]
            tx.connection.execute(
                update(schema.quarantine).where(table.quarantine_id.in_(chunk)).values(state=payload.state)
            )
        renewed = [{"id": key, "now": problems} for key, problems in payload.renewed if key in still_open]
        if renewed:
            tx.connection.execute(
                update(schema.quarantine)
                .where(table.quarantine_id == bindparam("id"))
                .values(problems=bindparam("now")),
                renewed,
            )
        if closed:
            journal.append(tx, [event for _, event in closed])
        counts.append(len(closed))
    return counts
