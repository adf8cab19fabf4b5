"""Traces of checks: in the journal before the answer leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exchange.storage import journal
from exchange.storage.transaction import Transaction
from exchange.v1.journal_pb2 import JournalEntry


@dataclass(frozen=True, slots=True)
class Trace:
    """A trace for the journal of a given origin, which the digest inside it already covers."""

    origin: str
    event: JournalEntry


def trace(tx: Transaction, payloads: Sequence[Trace]) -> list[int | None]:
    """Append traces.

    Returns:
        For each its index; None when the journal goes on in another epoch by now.
    """
    book = journal.head_in(tx)
    fitting = [payload.event for payload in payloads if payload.origin == book.origin]
    following = journal.append(tx, fitting) if fitting else 0
    answers: list[int | None] = []
    for payload in payloads:
        if payload.origin == book.origin:
            answers.append(following)
            following += 1
        else:
            answers.append(None)
    return answers
