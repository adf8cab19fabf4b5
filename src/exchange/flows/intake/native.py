"""Reading native documents: which adapter, what it makes of them, and messages of problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from exchange.domain.adapter import Adapter, MappedRow, NativeDocument
from exchange.domain.problems import DocumentRefused, Problem
from exchange.flows.instants import instant
from exchange.flows.intake.item import RowSubmission
from exchange.storage.intake.documents import DocumentRow
from exchange.v1.common_pb2 import Authority
from exchange.v1.common_pb2 import Problem as ProblemMessage
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import SubmitDocumentRequest


def native_document(request: SubmitDocumentRequest, content: bytes, *, received_at: int, salt: bytes) -> NativeDocument:
    """What an adapter reads: the request's words with the bytes as sent, or as redacted."""
    authority: Authority | None = request.authority if request.HasField("authority") else None
    return NativeDocument(
        file_name=request.file_name,
        content=content,
        received_at=instant(received_at),
        kind=request.kind,
        authority=authority,
        purpose=request.purpose,
        salt=salt,
        first_row=max(1, request.first_row),
    )


def stored_document(row: DocumentRow) -> tuple[SubmitDocumentRequest, NativeDocument]:
    """A stored document as an adapter reads it again; the request has no content and names the adapter."""
    request = SubmitDocumentRequest.FromString(row.request)
    return request, native_document(request, row.redacted, received_at=row.received_at, salt=row.salt)


def choose_adapter(adapters: Mapping[str, Adapter], named: str, side: str, document: NativeDocument) -> Adapter:
    """The adapter that was named; else the first that recognises the document, those of this side before the others.

    Raises:
        DocumentRefused: ``ADAPTER_UNKNOWN``, or ``DOCUMENT_NOT_RECOGNISED`` with the names that were tried.
    """
    if named:
        adapter = adapters.get(named)
        if adapter is None:
            raise DocumentRefused([Problem("ADAPTER_UNKNOWN", "adapter", named[:64])])
        return adapter
    for name in sorted(adapters, key=lambda name: (side not in (name, adapters[name].side), name)):
        if adapters[name].recognises(document):
            return adapters[name]
    raise DocumentRefused([Problem("DOCUMENT_NOT_RECOGNISED", "content", ", ".join(sorted(adapters)))])


def problem_messages(problems: Iterable[Problem]) -> list[ProblemMessage]:
    """Problems as they travel; the words in the caller's language are put in where the answer leaves."""
    return [ProblemMessage(reason=each.reason, place=each.place, message=each.detail) for each in problems]


def row_key(document_key: str, row: int) -> str:
    """Idempotency key of one row of a document."""
    return f"{document_key}/{row}"


def mapped_rows(
    request: SubmitDocumentRequest, document_id: bytes, rows: Sequence[MappedRow]
) -> Iterator[tuple[int, RowSubmission]]:
    """Rows to submit, with their places in the answer."""
    for at, row in enumerate(rows):
        if row.record is not None:
            yield at, row_submission(request, document_id, row.row, row.record)


def row_submission(request: SubmitDocumentRequest, document_id: bytes, row: int, record: Record) -> RowSubmission:
    """One mapped row as it is submitted, now or when quarantine is retried."""
    return RowSubmission(
        key=row_key(request.idempotency_key, row),
        record=record,
        addressees=tuple(request.addressees),
        local_only=request.local_only,
        document_id=document_id,
        row=row,
    )
