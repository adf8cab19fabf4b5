"""Taking out of submissions, documents and quarantine whatever tells of an erased record's content.

The body itself stands beside its log entry (``log_store.erase_bodies``), its register rows go with the step. Here are
the copies that came before it: the native document with its name, the rows that quarantine kept of it, words in the
answer that the agency got, and the agency's own key, in which a firm's code may stand. What is left of each is what the
next call under the same key needs: tags, ids and results.
"""

from __future__ import annotations

from sqlalchemy import select, update

from exchange.domain.problems import Problem
from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.intake import quarantine
from exchange.storage.intake.submissions import Address, entries_of
from exchange.v1.submission_service_pb2 import SubmitDocumentRequest, SubmitDocumentResponse


def forget(tx: Transaction, record_id: bytes, revision: int) -> list[Address]:
    """Forget one revision of a record of ours.

    Returns:
        Every address of its entries.
    """
    # What this very transaction collected must be found, too.
    for collected in (schema.submissions, schema.documents, schema.document_repeats):
        tx.write_now(collected)
    addresses = entries_of(tx.connection, record_id, revision)
    table, repeats = schema.submissions.c, schema.document_repeats.c
    of_record = (table.record_id == record_id, table.revision == revision)
    sources = tx.connection.execute(select(table.document_id, table.document_row).where(*of_record)).all()
    repeated = tx.connection.execute(
        select(repeats.document_id).where(repeats.record_id == record_id, repeats.revision == revision)
    ).scalars()
    tx.connection.execute(
        update(schema.submissions).where(*of_record).values(natural_tag=b"", content_tag=b"", idempotency_key=None)
    )
    rows: dict[bytes, set[int]] = {document_id: set() for document_id in repeated}
    for source in sources:
        if source.document_id:
            rows.setdefault(source.document_id, set()).add(source.document_row)
    for document_id, numbers in rows.items():
        _forget_document(tx, document_id, record_id, numbers)
    return addresses


def _forget_document(tx: Transaction, document_id: bytes, record_id: bytes, numbers: set[int]) -> None:
    """Destroy a document, and what was said of the record's rows."""
    table = schema.documents.c
    kept = tx.connection.execute(
        select(table.request, table.answer).where(table.document_id == document_id).with_for_update()
    ).first()
    if kept is None:
        return
    request = SubmitDocumentRequest.FromString(kept.request)
    request.ClearField("file_name")
    request.ClearField("idempotency_key")
    answer = SubmitDocumentResponse.FromString(kept.answer)
    answer.ClearField("remarks")
    for row in answer.rows:
        about = row.submitted.record_id.replace("-", "") == record_id.hex()
        if about or row.row in numbers:
            row.ClearField("left_out")
            row.ClearField("idempotency_key")
            for problem in row.submitted.problems:
                problem.ClearField("message")
    tx.connection.execute(
        update(schema.documents)
        .where(table.document_id == document_id)
        .values(
            redacted=b"",
            salt=b"",
            file_name="",
            request=request.SerializeToString(deterministic=True),
            answer=answer.SerializeToString() if kept.answer else b"",
        )
    )
    _forget_quarantined(tx, document_id, numbers)


def _forget_quarantined(tx: Transaction, document_id: bytes, numbers: set[int]) -> None:
    """A row may have come out of quarantine, which keeps what it said; the file's name stands with each row."""
    table = schema.quarantine.c
    tx.write_now(schema.quarantine)
    tx.connection.execute(update(schema.quarantine).where(table.document_id == document_id).values(file_name=""))
    wanted = (table.document_id == document_id, table.row.in_(sorted(numbers)))
    for row in tx.connection.execute(select(table.quarantine_id, table.problems).where(*wanted)).all():
        codes = [Problem(each.reason, each.place) for each in quarantine.unpack_problems(row.problems)]
        tx.connection.execute(
            update(schema.quarantine)
            .where(table.quarantine_id == row.quarantine_id)
            .values(content="", problems=quarantine.pack_problems(codes))
        )
