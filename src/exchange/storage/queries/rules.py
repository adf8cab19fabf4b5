"""The registers of rule editions, each as it was brought in, and of orders to decide again by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from exchange.domain.problems import ExchangeError
from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import journal
from exchange.storage.registers import registers
from exchange.storage.registers.registers import Change
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.rule_pb2 import RedecisionOrder, RedecisionState

RULES = "RULES"
"""What an ``Activated`` line that brings in an edition of the recognition rules is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditionChange:
    """An edition that is brought in, with the journal entry that says so.

    Attributes:
        expected: Digests of the editions that it was checked against; others make the change fail.
    """

    event: JournalEntry
    expected: frozenset[str]


class EditionsChangedError(ExchangeError):
    """Somebody else brought in an edition in between."""

    reason = "CONTENDED"


def everything(connection: Connection) -> list[Any]:
    """Every edition, in the order in which they came."""
    table = schema.rule_editions
    return list(connection.execute(select(table).order_by(table.c.activated_at, table.c.edition)))


def change_of(event: JournalEntry) -> Change:
    """The row change that a journal entry makes."""
    activated = event.activated
    row = {
        "edition": activated.edition.name,
        "digest": activated.edition.digest,
        "content": activated.content,
        "actor": activated.actor,
        "activated_at": event.at.ToMicroseconds(),
    }
    return Change("rule_editions", (activated.edition.name,), row)


def put(tx: Transaction, payloads: Sequence[EditionChange]) -> list[int | Exception]:
    """Put editions, each with its journal entry in the same transaction.

    Returns:
        For each payload, the index of its journal entry.
    """
    answers: list[int | Exception] = []
    standing = {row.digest for row in everything(tx.connection)}
    for payload in payloads:
        if standing != payload.expected:
            answers.append(EditionsChangedError())
            continue
        standing.add(payload.event.activated.edition.digest)
        index = journal.append(tx, [payload.event])
        registers.write(tx, [change_of(payload.event)])
        answers.append(index)
    return answers


def open_orders(connection: Connection) -> list[RedecisionOrder]:
    """Orders that are being carried out, the oldest first."""
    table = schema.rule_orders
    query = select(table.c.order).where(table.c.open.is_(True)).order_by(table.c.order_id)
    return [RedecisionOrder.FromString(row.order) for row in connection.execute(query)]


def order_of(connection: Connection, order_id: str) -> RedecisionOrder | None:
    """One order."""
    table = schema.rule_orders
    found = connection.execute(select(table.c.order).where(table.c.order_id == UUID(order_id).bytes)).scalar()
    return RedecisionOrder.FromString(found) if found is not None else None


def order_change(event: JournalEntry) -> Change:
    """The row change that a journal entry makes."""
    order = event.redecision_ordered.order
    row = {
        "order_id": UUID(order.order_id).bytes,
        "open": order.state == RedecisionState.REDECISION_STATE_OPEN,
        "order": order.SerializeToString(deterministic=True),
    }
    return Change("rule_orders", (row["order_id"],), row)


def put_orders(tx: Transaction, payloads: Sequence[JournalEntry]) -> list[int]:
    """Put orders as they are from here on, each with its journal entry in the same transaction.

    Returns:
        For each payload, the index of its journal entry.
    """
    answers = []
    for event in payloads:
        answers.append(journal.append(tx, [event]))
        registers.write(tx, [order_change(event)])
    return answers
