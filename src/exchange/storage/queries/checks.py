"""Traces of checks: in the journal before the answer leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exchange.storage import journal
from exchange.storage.transaction import Transaction
from exchange.v1.journal_pb2 import JournalEntry


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces for the journal of a given origin, which the digests inside them already cover."""

    origin: str
    events: tuple[JournalEntry, ...]


def trace(tx: Transaction, payloads: Sequence[Traces]) -> list[int | None]:
    """Append traces.

    Returns:
        For each payload the index of its first one; None when the journal goes on in another epoch by now.
    """
    book = journal.head_in(tx)
    return [journal.append(tx, payload.events) if payload.origin == book.origin else None for payload in payloads]
