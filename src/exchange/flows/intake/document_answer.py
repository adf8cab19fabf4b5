"""The answer to a native document: one line for each row, what is kept of it, and what the journal says."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime

from exchange.domain.adapter import DocumentReading
from exchange.flows.intake.ids import format_id
from exchange.flows.intake.native import problem_messages, row_key
from exchange.storage.intake.documents import DocumentRow, NewQuarantine
from exchange.storage.intake.quarantine import pack_problems
from exchange.v1.journal_pb2 import DocumentReceived, JournalEntry, QuarantineChanged
from exchange.v1.submission_service_pb2 import (
    SubmitDocumentRequest,
    SubmitDocumentResponse,
    SubmitResult,
    SubmittedRecord,
)

MAX_CONTENT = 2_000
"""Characters kept of a quarantined row for whoever looks at it; the whole row is in the stored document."""

MAX_EVIDENCE_BYTES = 3 << 20
"""Bytes of an answer, without words, up to which it carries each row's envelope and salt; beyond, GetEnvelope brings
them. Leaves a quarter of a message for the words."""

MAX_ANSWER_BYTES = 4_000_000
"""Bytes of an answer as it leaves: gRPC clients refuse more than 4 MiB unless told otherwise."""


def open_answer(row: DocumentRow, reading: DocumentReading) -> SubmitDocumentResponse:
    """The answer with every row; mapped rows have no result yet."""
    key = SubmitDocumentRequest.FromString(row.request).idempotency_key
    answer = SubmitDocumentResponse(
        document_id=format_id(row.document_id),
        adapter=reading.adapter,
        dialect=reading.dialect,
        encoding=reading.encoding,
        remarks=problem_messages(reading.remarks),
    )
    for mapped in reading.rows:
        told = answer.rows.add(
            row=mapped.row,
            place=mapped.place,
            left_out=problem_messages(mapped.left_out),
            idempotency_key=row_key(key, mapped.row),
            joined_places=mapped.joined,
        )
        if mapped.record is None:
            told.submitted.result = SubmitResult.SUBMIT_RESULT_QUARANTINED
            told.submitted.problems.extend(problem_messages(mapped.problems))
    return answer


def anything_kept(answer: SubmitDocumentResponse) -> bool:
    """Whether some row was not refused."""
    return any(row.submitted.result != SubmitResult.SUBMIT_RESULT_REFUSED for row in answer.rows)


def without_evidence(answer: SubmitDocumentResponse) -> bytes:
    """The answer as kept: what a body could be tested against stays with the body alone."""
    kept = SubmitDocumentResponse()
    kept.CopyFrom(answer)
    for row in kept.rows:
        row.submitted.ClearField("envelope")
        row.submitted.ClearField("salt")
    return kept.SerializeToString()


def bounded(answer: SubmitDocumentResponse) -> SubmitDocumentResponse:
    """The answer, without any row's envelope and salt where they would make it too large."""
    if answer.ByteSize() > MAX_EVIDENCE_BYTES:
        for row in answer.rows:
            row.submitted.ClearField("envelope")
            row.submitted.ClearField("salt")
    return answer


def shortened(answer: SubmitDocumentResponse) -> SubmitDocumentResponse:
    """The answer with its words, as it leaves: where it is too large for a message the words go, the codes stay."""
    for field in ("remedy", "message"):
        if answer.ByteSize() <= MAX_ANSWER_BYTES:
            break
        for row in answer.rows:
            for problem in (*row.submitted.problems, *row.left_out):
                problem.ClearField(field)
    return answer


def quarantine_id(document_id: bytes, row: int) -> uuid.UUID:
    """Id of a row in quarantine: a UUIDv7 with time and counter of its document's.

    It follows from document and row, so that a document that is finished after a crash quarantines no row twice;
    later rows of a document sort behind earlier ones.
    """
    digest = hashlib.sha256(document_id + row.to_bytes(4, "big")).digest()
    head = int.from_bytes(document_id[:8], "big")
    # Behind the variant, 62 bits: 32 of the row, 30 of the digest.
    return uuid.UUID(int=head << 64 | 2 << 62 | row << 30 | int.from_bytes(digest[:4], "big") >> 2)


def received_event(row: DocumentRow, answer: SubmitDocumentResponse, now: datetime) -> JournalEntry:
    """What the journal says of a document: its salted digest, and its rows by the counting rule."""
    results = [each.submitted.result for each in answer.rows]
    event = JournalEntry(
        document_received=DocumentReceived(
            document_id=answer.document_id,
            agency=row.agency,
            digest=hashlib.sha256(row.salt + row.redacted).digest(),
            rows=len(results),
            accepted=results.count(SubmitResult.SUBMIT_RESULT_ACCEPTED),
            revised=results.count(SubmitResult.SUBMIT_RESULT_REVISED),
            unchanged=results.count(SubmitResult.SUBMIT_RESULT_UNCHANGED),
            quarantined=results.count(SubmitResult.SUBMIT_RESULT_QUARANTINED),
            refused=results.count(SubmitResult.SUBMIT_RESULT_REFUSED),
        )
    )
    event.at.FromDatetime(now)
    return event


def quarantine_event(
    change: str,
    *,
    quarantined: bytes,
    document_id: bytes,
    row: int,
    reasons: Iterable[str],
    actor: str,
    now: datetime,
    note: str = "",
) -> JournalEntry:
    """What the journal says of a row that goes into or out of quarantine: ``IN``, ``RETRIED`` or ``DISCARDED``."""
    event = JournalEntry(
        quarantine_changed=QuarantineChanged(
            quarantine_id=format_id(quarantined),
            document_id=format_id(document_id),
            row=row,
            change=change,
            reasons=dict.fromkeys(reasons),
            actor=actor,
            note=note,
        )
    )
    event.at.FromDatetime(now)
    return event


def quarantined_rows(
    row: DocumentRow, reading: DocumentReading, answer: SubmitDocumentResponse, now: datetime
) -> list[NewQuarantine]:
    """Rows as quarantine keeps them, each with its journal entry; their ids go into the answer."""
    kept = []
    for mapped, told in zip(reading.rows, answer.rows, strict=True):
        if mapped.record is not None:
            continue
        made = quarantine_id(row.document_id, mapped.row)
        told.quarantine_id = str(made)
        event = quarantine_event(
            "IN",
            quarantined=made.bytes,
            document_id=row.document_id,
            row=mapped.row,
            reasons=(problem.reason for problem in mapped.problems),
            actor=row.agency,
            now=now,
        )
        kept.append(
            NewQuarantine(
                quarantine_id=made.bytes,
                row=mapped.row,
                place=mapped.place,
                problems=pack_problems(mapped.problems),
                content=mapped.content[:MAX_CONTENT],
                event=event,
            )
        )
    return kept


def repeated_records(answer: SubmitDocumentResponse) -> tuple[tuple[bytes, int], ...]:
    """Record id and revision of each row that was the existing record."""
    unchanged = SubmitResult.SUBMIT_RESULT_UNCHANGED
    return tuple(address_of(row.submitted) for row in answer.rows if row.submitted.result == unchanged)


def address_of(submitted: SubmittedRecord) -> tuple[bytes, int]:
    """Record id and revision of an accepted row."""
    return bytes.fromhex(submitted.record_id.replace("-", "")), submitted.revision
