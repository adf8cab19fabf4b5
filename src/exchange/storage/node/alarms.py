"""The table of alarms: at most one open row for each code and object, every change journaled beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import journal
from exchange.v1.journal_pb2 import AlarmChanged, JournalEntry

OPENED = "OPENED"
CLEARED = "CLEARED"
ACKNOWLEDGED = "ACKNOWLEDGED"
SEEN = "SEEN"
"""Changes of an alarm; all but the last one are journaled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRow:
    """One alarm as stored; instants in microseconds."""

    id: int
    code: str
    object: str
    detail: str
    since: int
    last_seen: int
    cleared_at: int | None
    acknowledged_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmChange:
    """What the code that watches a condition saw.

    Attributes:
        change: ``OPENED``, ``SEEN`` or ``CLEARED``.
        at: Microseconds.
    """

    change: str
    code: str
    object: str
    detail: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """Somebody took note of an alarm."""

    id: int
    actor: str
    reason: str
    at: int


def _row(row: Row[Any]) -> AlarmRow:
    return AlarmRow(**row._asdict())


def open_alarms(connection: Connection) -> list[AlarmRow]:
    """Every open alarm, oldest first."""
    table = schema.alarms.c
    return [
        _row(row)
        for row in connection.execute(select(schema.alarms).where(table.cleared_at.is_(None)).order_by(table.id))
    ]


def get(connection: Connection, alarm_id: int) -> AlarmRow | None:
    """The alarm of that number."""
    row = connection.execute(select(schema.alarms).where(schema.alarms.c.id == alarm_id)).first()
    return _row(row) if row else None


def page(connection: Connection, *, before: int | None, limit: int, include_cleared: bool) -> list[AlarmRow]:
    """Alarms below a number, newest first."""
    table = schema.alarms.c
    query = select(schema.alarms)
    if before is not None:
        query = query.where(table.id < before)
    if not include_cleared:
        query = query.where(table.cleared_at.is_(None))
    return [_row(row) for row in connection.execute(query.order_by(table.id.desc()).limit(limit))]


def record(tx: Transaction, payloads: Sequence[Sequence[AlarmChange]]) -> list[None]:
    """Carry out changes in order; one that finds its alarm in that state already does nothing.

    True afterwards: at most one alarm is open for each code and object.
    """
    table = schema.alarms.c
    standing = {(row.code, row.object): row for row in open_alarms(tx.connection)}
    events: list[JournalEntry] = []
    for change in (change for payload in payloads for change in payload):
        name = (change.code, change.object)
        known = standing.get(name)
        if change.change == CLEARED:
            if known is None:
                continue
            cleared = {"cleared_at": change.at, "last_seen": max(change.at, known.last_seen)}
            tx.connection.execute(update(schema.alarms).where(table.id == known.id).values(cleared))
            del standing[name]
            events.append(_event(change.at, change.code, change.object, CLEARED, known.detail))
        elif known is not None:
            seen = {"last_seen": max(change.at, known.last_seen), "detail": change.detail}
            tx.connection.execute(update(schema.alarms).where(table.id == known.id).values(seen))
        else:
            made = AlarmRow(
                id=tx.serial(schema.alarms),
                code=change.code,
                object=change.object,
                detail=change.detail,
                since=change.at,
                last_seen=change.at,
                cleared_at=None,
                acknowledged_by="",
            )
            # At once: a clearing later in this batch must find the row.
            tx.connection.execute(
                insert(schema.alarms).values({column.name: getattr(made, column.name) for column in table})
            )
            standing[name] = made
            events.append(_event(change.at, change.code, change.object, OPENED, change.detail))
    if events:
        journal.append(tx, events)
    return [None] * len(payloads)


def acknowledge(tx: Transaction, payloads: Sequence[Acknowledgement]) -> list[AlarmRow | None]:
    """Keep who took note first; None for a number that does not exist."""
    table = schema.alarms.c
    answers: list[AlarmRow | None] = []
    for payload in payloads:
        row = get(tx.connection, payload.id)
        if row is not None and not row.acknowledged_by:
            tx.connection.execute(
                update(schema.alarms).where(table.id == payload.id).values(acknowledged_by=payload.actor)
            )
            row = replace(row, acknowledged_by=payload.actor)
            journal.append(
                tx, [_event(payload.at, row.code, row.object, ACKNOWLEDGED, payload.reason, actor=payload.actor)]
            )
        answers.append(row)
    return answers


def _event(at: int, code: str, about: str, change: str, detail: str, *, actor: str = "") -> JournalEntry:
    event = JournalEntry(alarm_changed=AlarmChanged(code=code, object=about, change=change, detail=detail, actor=actor))
    event.at.FromMicroseconds(at)
    return event
