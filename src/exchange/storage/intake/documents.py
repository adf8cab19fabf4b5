"""Native documents: one row for each, written before the first of its records and answered after the last one.

A row without an answer is a document on its way: a crash leaves it behind, and whoever comes next, the agency with
the same call or the node at its start, goes on from it. The rows' own keys see to it that no record is made twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, select, update

from exchange.storage import schema
from exchange.storage.engine.prepared import Prepared
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import journal, log_store
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.statement_pb2 import LogEntry

CHUNK = 500
"""Values in one IN list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentRow:
    """One document as stored; ``answer`` is empty while it is on its way, ``redacted`` once it was erased."""

    document_id: bytes
    key_tag: bytes
    request_tag: bytes
    agency: str
    file_name: str
    received_at: int
    salt: bytes
    redacted: bytes
    request: bytes
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewQuarantine:
    """A row that could not be mapped. ``problems`` is JSON: a list of [reason, place, detail]."""

    quarantine_id: bytes
    row: int
    place: str
    problems: str
    content: str
    event: JournalEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRows:
    """Rows of one document that go into quarantine; ``at`` in microseconds."""

    document_id: bytes
    rows: tuple[NewQuarantine, ...]
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedDocument:
    """How a document ended.

    Attributes:
        answer: What the agency is told; None when every row was refused: then nothing of it is kept.
        received: What the journal says of it.
        kept: Rows that go into quarantine with the answer.
        repeats: Record id and revision of each row that was the existing record.
    """

    answer: bytes | None
    received: JournalEntry
    kept: KeptRows
    repeats: tuple[tuple[bytes, int], ...] = ()


def _row(row: Row[Any]) -> DocumentRow:
    return DocumentRow(**row._asdict())


def by_key_tag(connection: Connection, key_tag: bytes) -> DocumentRow | None:
    """The document that was sent under a key."""
    row = connection.execute(select(schema.documents).where(schema.documents.c.key_tag == key_tag)).first()
    return _row(row) if row else None


def get(connection: Connection, document_id: bytes) -> DocumentRow | None:
    """The document of that id."""
    row = connection.execute(select(schema.documents).where(schema.documents.c.document_id == document_id)).first()
    return _row(row) if row else None


def unanswered(connection: Connection) -> list[bytes]:
    """Ids of the documents that are on their way, oldest first."""
    table = schema.documents.c
    query = select(table.document_id).where(table.answer == b"").order_by(table.received_at, table.document_id)
    return list(connection.execute(query).scalars())


def begin(tx: Transaction, payloads: Sequence[DocumentRow]) -> list[DocumentRow]:
    """Store documents; for a key that is known, the stored row is the answer, whatever it was used for."""
    answers = []
    for payload in payloads:
        known = by_key_tag(tx.connection, payload.key_tag)
        if known is None:
            tx.insert(schema.documents, [{name: getattr(payload, name) for name in DocumentRow.__slots__}])
            # At once: the same key may stand in this batch again.
            tx.write_now(schema.documents)
        answers.append(known or payload)
    return answers


def finish(tx: Transaction, payloads: Sequence[FinishedDocument]) -> list[bytes | None]:
    """Answer documents, with their quarantined rows and their journal entries.

    Returns:
        For each the answer that counts: of two that worked on one document at once, that of the first; None when
        nothing is kept of it.
    """
    table = schema.documents.c
    answers: list[bytes | None] = []
    for payload in payloads:
        here = table.document_id == payload.kept.document_id
        # FOR UPDATE: on PostgreSQL a second replica waits here.
        known = tx.connection.execute(select(table.answer).where(here).with_for_update()).scalar()
        if known is None or known:
            answers.append(known)
        elif payload.answer is None:
            tx.connection.execute(delete(schema.documents).where(here))
            answers.append(None)
        else:
            journal.append(tx, [payload.received])
            keep_rows(tx, [payload.kept])
            tx.connection.execute(update(schema.documents).where(here).values(answer=payload.answer))
            _keep_repeats(tx, payload)
            answers.append(payload.answer)
    return answers


def _keep_repeats(tx: Transaction, finished: FinishedDocument) -> None:
    """Remember which records the document only repeats: it is erased with them."""
    rows = [
        {"record_id": record_id, "revision": revision, "document_id": finished.kept.document_id}
        for record_id, revision in dict.fromkeys(finished.repeats)
    ]
    if rows:
        tx.insert(schema.document_repeats, rows)


def keep_rows(tx: Transaction, payloads: Sequence[KeptRows]) -> list[None]:
    """Put rows into quarantine, with their journal entries; rows that are there already stay as they are."""
    for payload in payloads:
        # At once: what this batch collected must be seen by the next look.
        tx.write_now(schema.quarantine)
        document = get(tx.connection, payload.document_id)
        known = set(
            tx.connection.execute(
                select(schema.quarantine.c.quarantine_id).where(schema.quarantine.c.document_id == payload.document_id)
            ).scalars()
        )
        rows = [row for row in payload.rows if row.quarantine_id not in known]
        if document is None or not rows:
            continue
        tx.insert(
            schema.quarantine,
            [
                {
                    "quarantine_id": row.quarantine_id,
                    "document_id": document.document_id,
                    "file_name": document.file_name,
                    "agency": document.agency,
                    "row": row.row,
                    "place": row.place,
                    "problems": row.problems,
                    "content": row.content,
                    "since": payload.at,
                    "state": "OPEN",
                }
                for row in rows
            ],
        )
        journal.append(tx, [row.event for row in rows])
    return [None] * len(payloads)


_SUBMITTED = schema.submissions.c
# Not by pairs of id and revision: for those SQLite looks at every submission.
_ADDRESSES = Prepared(
    select(_SUBMITTED.record_id, _SUBMITTED.revision, _SUBMITTED.addresses).where(
        _SUBMITTED.record_id.in_(bindparam("ids", expanding=True))
    )
)


def evidence_of(
    connection: Connection, wanted: Iterable[tuple[bytes, int]]
) -> dict[tuple[bytes, int], tuple[bytes, bytes]]:
    """Envelope and salt of record revisions; the salt is empty once erased."""
    pairs = set(wanted)
    ids = sorted({record_id for record_id, _ in pairs})
    found: dict[tuple[bytes, int], tuple[bytes, bytes]] = {}
    for start in range(0, len(ids), CHUNK):
        places: dict[int, dict[int, tuple[bytes, int]]] = {}
        for row in _ADDRESSES.rows(connection, {"ids": ids[start : start + CHUNK]}):
            if (row.record_id, row.revision) not in pairs:
                continue
            log_id, _, index = row.addresses.partition(",")[0].partition(":")
            if index:
                places.setdefault(int(log_id), {})[int(index)] = (row.record_id, row.revision)
        for log, indices in places.items():
            for index, entry in log_store.entries_at(connection, log, list(indices)).items():
                found[indices[index]] = (LogEntry.FromString(entry.entry).envelope, entry.salt or b"")
    return found
