"""SubmissionService: what agencies hand in, and what became of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from datetime import datetime
from typing import Protocol

from exchange.domain import kinds
from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AgencyBook
from exchange.flows.intake.attachments import UploadFlow
from exchange.flows.intake.document_answer import shortened
from exchange.flows.intake.documents import DocumentFlow
from exchange.flows.intake.submit import INTERACTIVE_ITEMS, Authorise, SubmitFlow
from exchange.flows.queries.exchanged.submissions import SubmissionQueries
from exchange.flows.queries.ground.wording import Wording
from exchange.flows.watch import WatchFlow
from exchange.rpc.door import Call
from exchange.rpc.limits import CallLimits, check_batch
from exchange.v1 import submission_service_pb2 as pb
from exchange.v1.common_pb2 import Problem as ProblemMessage
from exchange.v1.record_pb2 import Record
from exchange.v1.security_service_pb2 import Verb
from exchange.v1.statement_pb2 import Envelope

BULK_AT_ONCE = 3
"""Batches and documents worked on at once; the others wait for their turn. Threads share one interpreter: more of them
make no batch faster, and each of them makes the single call of an officer slower."""


def authoriser(book: AgencyBook, agency: str, now: datetime) -> Authorise:
    """Says of one record why an agency may not submit it now, or None.

    Submitting goes by the area of the authority, which is the record's own, or of the station. A finished envelope is
    signed by a key that is bound to the agency; where a grant requires that, nothing else is taken.
    """
    ended = book.standing(agency, now)

    def authorise(record: Record, envelope: Envelope | None) -> Problem | None:
        if ended is not None:
            return ended
        header = record.header
        area = header.area_code
        if record.HasField("monitoring_batch"):
            area = record.monitoring_batch.station.area_code or area
        kind = kinds.kind_of(record)
        denied = book.require(agency, Verb.VERB_SUBMIT, kind, area, header.authority.uscc)
        return denied or book.signature_problem(agency, kind, envelope, now)

    return authorise


class _HasProblems(Protocol):
    @property
    def problems(self) -> Iterable[ProblemMessage]: ...


class SubmissionServicer:
    """Answers SubmissionService.

    Args:
        book: Agencies and grants.
        submit: The door for records.
        documents: The door for native documents.
        uploads: The door for attachments.
        queries: What became of submissions.
        watch: Streams.
        limits: Batches and documents.
    """

    descriptor = pb.DESCRIPTOR.services_by_name["SubmissionService"]

    def __init__(
        self,
        book: AgencyBook,
        *,
        submit: SubmitFlow,
        documents: DocumentFlow,
        uploads: UploadFlow,
        queries: SubmissionQueries,
        watch: WatchFlow,
        limits: CallLimits,
    ) -> None:
        self._book = book
        self._submit = submit
        self._documents = documents
        self._uploads = uploads
        self._queries = queries
        self._watch = watch
        self._limits = limits
        self._bulk = asyncio.Semaphore(BULK_AT_ONCE)

    async def submit_record(self, call: Call, request: pb.SubmitRecordRequest) -> pb.SubmitRecordResponse:
        """SubmitRecord: a refusal is an error status here."""
        call.charge(1)
        answers = await self._submit_all(call, [request.submission], validate_only=request.validate_only)
        submitted = answers[0]
        if submitted.result == pb.SUBMIT_RESULT_REFUSED:
            raise Refused([Problem(each.reason, each.place, each.message) for each in submitted.problems])
        _speak(call.asked.words, [submitted])
        return pb.SubmitRecordResponse(submitted=submitted)

    async def batch_submit_records(
        self, call: Call, request: pb.BatchSubmitRecordsRequest
    ) -> pb.BatchSubmitRecordsResponse:
        """BatchSubmitRecords: one answer per record, never all or nothing."""
        check_batch(len(request.submissions), request.ByteSize(), self._limits)
        call.charge(len(request.submissions))
        answers = await self._submit_all(call, request.submissions, validate_only=request.validate_only)
        for submitted in answers:
            if submitted.result == pb.SUBMIT_RESULT_REFUSED:
                call.count_refusal(submitted.problems)
        _speak(call.asked.words, answers)
        return pb.BatchSubmitRecordsResponse(submitted=answers)

    async def _submit_all(
        self, call: Call, items: Iterable[pb.RecordSubmission], *, validate_only: bool
    ) -> list[pb.SubmittedRecord]:
        agency, asked = call.asked.caller.name, list(items)
        async with self._bulk if len(asked) > INTERACTIVE_ITEMS else contextlib.nullcontext():
            return await call.run(
                self._submit.submit,
                agency,
                asked,
                call.asked.now,
                validate_only=validate_only,
                authorise=authoriser(self._book, agency, call.asked.now),
            )

    async def submit_document(self, call: Call, request: pb.SubmitDocumentRequest) -> pb.SubmitDocumentResponse:
        """SubmitDocument: one answer per row."""
        if len(request.content) > self._limits.document_bytes:
            detail = f"{len(request.content)} > {self._limits.document_bytes}"
            raise Refused([Problem("DOCUMENT_TOO_LARGE", "content", detail)])
        agency = call.asked.caller.name
        call.charge(0)
        async with self._bulk:
            answer = await call.run(
                self._documents.submit,
                agency,
                request,
                call.asked.now,
                authorise=authoriser(self._book, agency, call.asked.now),
                charge=call.charge,
            )
        words = call.asked.words
        for row in answer.rows:
            if row.submitted.result == pb.SUBMIT_RESULT_REFUSED and row.submitted.problems:
                call.count_refusal(row.submitted.problems)
            words.complete(row.left_out)
        _speak(words, (row.submitted for row in answer.rows))
        words.complete(answer.remarks)
        return shortened(answer)

    async def upload_attachment(self, call: Call, request: pb.UploadAttachmentRequest) -> pb.UploadAttachmentResponse:
        """UploadAttachment."""
        call.charge(0)
        return await call.run(self._uploads.upload, call.asked.caller.name, request, call.asked.now)

    async def get_submission(self, call: Call, request: pb.GetSubmissionRequest) -> pb.GetSubmissionResponse:
        """GetSubmission."""
        return await call.run(self._queries.get, call.asked, request)

    async def list_submissions(self, call: Call, request: pb.ListSubmissionsRequest) -> pb.ListSubmissionsResponse:
        """ListSubmissions."""
        return await call.run(self._queries.page, call.asked, request)

    def watch_submissions(
        self, call: Call, request: pb.WatchSubmissionsRequest
    ) -> AsyncGenerator[pb.WatchSubmissionsResponse, None]:
        """WatchSubmissions."""
        return self._watch.submissions(call.asked, request)

    async def get_receipt(self, call: Call, request: pb.GetReceiptRequest) -> pb.GetReceiptResponse:
        """GetReceipt."""
        return await call.run(self._queries.receipt, call.asked, request)


def _speak(words: Wording, answers: Iterable[_HasProblems]) -> None:
    for answer in answers:
        words.complete(answer.problems)
