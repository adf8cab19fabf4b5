"""The register of rule editions: each as it was brought in, none ever edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from exchange.domain.problems import ExchangeError
from exchange.storage import journal, registers, schema
from exchange.storage.registers import Change
from exchange.storage.transaction import Transaction
from exchange.v1.journal_pb2 import JournalEntry

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
