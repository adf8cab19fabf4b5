"""Traces of checks, in the journal before the answer leaves, and the feedback that falls due by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from exchange.domain.record_index import raw_id
from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import journal
from exchange.storage.registers import registers
from exchange.storage.registers.registers import Change
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.matter_pb2 import MatterKind

_KEY = registers.TABLES["dues"][1]


@dataclass(frozen=True, slots=True)
class Traces:
    """Traces for the journal of a given origin, which the digests inside them already cover."""

    origin: str
    events: tuple[JournalEntry, ...]


def trace(tx: Transaction, payloads: Sequence[Traces]) -> list[int | None]:
    """Append traces, and what falls due by them.

    Returns:
        For each payload the index of its first one; None when the journal goes on in another epoch by now.
    """
    book = journal.head_in(tx)
    written = [payload for payload in payloads if payload.origin == book.origin]
    answers = [journal.append(tx, payload.events) if payload in written else None for payload in payloads]
    due = [event for payload in written for event in payload.events if event.check_traced.due]
    if due:
        tx.write_now(schema.dues)
        registers.write(tx, due_changes(tx.connection, due))
    return answers


def due_changes(state: Connection, events: Sequence[JournalEntry]) -> list[Change]:
    """The rows that traces make: feedback about one measure in one matter falls due once, by the first check."""
    sources = sorted({raw_id(due.source.record_id) for event in events for due in event.check_traced.due})
    table = schema.dues
    query = select(*(table.c[name] for name in _KEY)).where(table.c.source.in_(sources))
    known = {tuple(row) for row in state.execute(query)} if sources else set()
    changes = []
    for event in events:
        traced = event.check_traced
        for due in traced.due:
            row = {
                "agency": traced.agency,
                "source_origin": due.source.origin,
                "source": raw_id(due.source.record_id),
                "catalogue": due.catalogue,
                "code": due.code,
                "matter_no": traced.matter_no,
                "edition": due.edition,
                "source_kind": int(due.source_kind),
                "matter_kind": MatterKind.Value(f"MATTER_KIND_{traced.matter_kind}"),
                "check_id": raw_id(traced.check_id),
                "due_on": due.due_on,
            }
            key = tuple(row[name] for name in _KEY)
            if key not in known:
                known.add(key)
                changes.append(Change("dues", key, row))
    return changes
