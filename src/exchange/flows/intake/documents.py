"""Native documents: from one file to records, quarantine and an answer for every row.

The numbered walk:
  1 read       adapter chosen, document redacted and mapped; a document that is refused as a whole leaves nothing
  2 begin      one transaction: key, redacted bytes, salt. From here on the document is ours to finish
  3 submit     mapped rows, a chunk at a time, each under a key of its own: document's key, slash, row
  4 finish     one transaction: answer, quarantined rows, journal
A crash between 2 and 4 leaves a document without an answer: the same call, or ``finish_pending`` at the node's
start, goes on with 3 from the stored bytes, and rows that were submitted answer as they did. A document of which
every row was refused is taken away again in 4: nothing of it stays.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from exchange.crypto.keys import generate_salt, submission_tag
from exchange.domain import kinds
from exchange.domain.adapter import DocumentReading
from exchange.domain.problems import DocumentRefused, ExchangeError, Problem, Refused
from exchange.flows.context import Node
from exchange.flows.instants import micros
from exchange.flows.intake.document_answer import (
    address_of,
    anything_kept,
    bounded,
    open_answer,
    quarantined_rows,
    received_event,
    repeated_records,
    without_evidence,
)
from exchange.flows.intake.ids import format_id, new_id
from exchange.flows.intake.item import MAX_KEY_LENGTH
from exchange.flows.intake.native import choose_adapter, mapped_rows, native_document, stored_document
from exchange.flows.intake.submit import Authorise, SubmitFlow
from exchange.storage.intake import documents, submissions
from exchange.storage.intake.documents import DocumentRow, FinishedDocument, KeptRows
from exchange.v1.kind_pb2 import Kind
from exchange.v1.submission_service_pb2 import SubmitDocumentRequest, SubmitDocumentResponse

MAX_DOCUMENT_BYTES = 3 << 20
"""Bytes of one document: with the fields around it, it fits one message (contract §5)."""

MAX_DOCUMENT_ROWS = 20_000
"""Rows of one document: its answer, without envelopes, fits one message."""

MAX_FILE_NAME = 255
"""Characters of a file name, as file systems have it."""

CHUNK_ROWS = 500
"""Rows submitted in one transaction: below the writer's thousand, so that others come in between."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLimits:
    """What one document may be."""

    bytes: int = MAX_DOCUMENT_BYTES
    rows: int = MAX_DOCUMENT_ROWS


class DocumentFlow:
    """The door for native documents.

    Args:
        node: The node.
        submit: The door for records.
        admit: Says for a lane why it takes nothing now (disk nearly full), or None.
        side: Side whose adapters are tried first, as the node file names it.
        limits: What one document may be.
    """

    def __init__(
        self,
        node: Node,
        submit: SubmitFlow,
        admit: Callable[[int], Problem | None] | None = None,
        *,
        side: str = "",
        limits: DocumentLimits | None = None,
    ) -> None:
        self._node = node
        self._submit = submit
        self._admit = admit
        self._side = side
        self._limits = limits or DocumentLimits()

    def submit(
        self,
        agency: str,
        request: SubmitDocumentRequest,
        now: datetime,
        *,
        authorise: Authorise | None = None,
        charge: Callable[[int], None] = lambda rows: None,
    ) -> SubmitDocumentResponse:
        """Submit a document; the answer is given when all of it is durable.

        Args:
            agency: Who sends it.
            request: The request; not changed.
            now: Aware instant of the call.
            authorise: Says of one record why this agency may not submit it, or None. Such rows are REFUSED.
            charge: Takes the document's rows from the agency's quota; what it raises ends the call.

        Raises:
            Refused: The call broke rules; nothing was stored.
            DocumentRefused: The document as a whole is refused; nothing was stored.
        """
        allow = authorise or _allow
        self._check(request)
        key_tag = self._key_tag(agency, request.idempotency_key)
        with self._node.database.read() as connection:
            known = documents.by_key_tag(connection, key_tag)
            taken = submissions.by_key_tags(connection, [key_tag])
        if taken:
            raise Refused([Problem("IDEMPOTENCY_KEY_REUSED", "idempotency_key")])

        # 1
        row, reading = self._read(agency, request, now, key_tag, known)
        if known is None or not known.answer:
            charge(len(reading.rows))
        if request.validate_only:
            return self._validated(row, reading, now, agency, allow)
        if known is None:
            self._admit_all(reading)
            # 2: of two calls under one key the first one's row counts.
            known = self._begin(row)
            if known.document_id != row.document_id:
                row, reading = self._read(agency, request, now, key_tag, known)
        if known.answer:
            return self._told(known.answer, repeated=True)
        return self._go_on(known, reading, now, allow)

    def finish_pending(self, now: datetime, authorise_for: Callable[[str], Authorise]) -> int:
        """Finish documents that a crash left without an answer; returns how many. One that can not be read stays.

        Args:
            now: Aware instant.
            authorise_for: Gives an agency's ``authorise``.
        """
        with self._node.database.read() as connection:
            waiting = documents.unanswered(connection)
        finished = 0
        for document_id in waiting:
            with self._node.database.read() as connection:
                row = documents.get(connection, document_id)
            if row is None or row.answer:
                continue
            try:
                self._go_on(row, self.read_again(row), now, authorise_for(row.agency))
            except ExchangeError as error:
                _log.warning("document-unfinished", document=format_id(document_id), reason=error.reason)
            else:
                finished += 1
        return finished

    def read_again(self, row: DocumentRow) -> DocumentReading:
        """Read a stored document with the tables of now.

        Raises:
            DocumentRefused: It can not be read any more: the adapter is gone, or the document was erased.
        """
        if not row.redacted:
            raise DocumentRefused([Problem("ERASED", "document", format_id(row.document_id))])
        request, document = stored_document(row)
        return choose_adapter(self._node.adapters, request.adapter, self._side, document).read(document)

    # -- 1: read ---------------------------------------------------------------------------------------------

    def _check(self, request: SubmitDocumentRequest) -> None:
        """What can be said of the call without reading the document: every broken rule."""
        key, name, problems = request.idempotency_key, request.file_name, []
        if not key:
            problems.append(Problem("IDEMPOTENCY_KEY_MISSING", "idempotency_key"))
        elif len(key) > MAX_KEY_LENGTH or not (key.isascii() and key.isprintable()):
            problems.append(Problem("IDEMPOTENCY_KEY_FORMAT", "idempotency_key"))
        if len(name) > MAX_FILE_NAME:
            problems.append(Problem("TEXT_TOO_LONG", "file_name", str(len(name))))
        if not name.isprintable():
            problems.append(Problem("TEXT_CONTROL_CHARACTER", "file_name"))
        if not request.content:
            problems.append(Problem("FIELD_MISSING", "content"))
        if len(request.content) > self._limits.bytes:
            problems.append(Problem("DOCUMENT_TOO_LARGE", "content", f"{len(request.content)} > {self._limits.bytes}"))
        if request.kind != Kind.KIND_UNSPECIFIED and request.kind not in kinds.KINDS:
            problems.append(Problem("ENUM_UNKNOWN", "kind", str(request.kind)))
        if not 0 <= request.first_row <= 1 << 30:
            problems.append(Problem("INVALID_ARGUMENT", "first_row", str(request.first_row)))
        if request.local_only and request.addressees:
            problems.append(Problem("ADDRESSEES_CONFLICT", "local_only"))
        peers = self._node.peers
        problems += [
            Problem("ADDRESSEE_UNKNOWN", f"addressees[{at}]", peer[:64])
            for at, peer in enumerate(request.addressees)
            if peers.get(peer) is None
        ]
        if problems:
            raise Refused(problems)

    def _key_tag(self, agency: str, key: str) -> bytes:
        return submission_tag(self._node.keys.submission_key, agency, key, b"")[:32]

    def _read(
        self, agency: str, request: SubmitDocumentRequest, now: datetime, key_tag: bytes, known: DocumentRow | None
    ) -> tuple[DocumentRow, DocumentReading]:
        """Read the document as it was sent, as the first call under this key did where there was one.

        The request's tag is made over the redacted bytes: no tag is left that a password or an id number could be
        guessed from.
        """
        stored = SubmitDocumentRequest.FromString(known.request) if known else None
        salt = (known.salt if known else b"") or generate_salt()
        received_at = known.received_at if known else micros(now)
        document = native_document(request, request.content, received_at=received_at, salt=salt)
        adapter = choose_adapter(
            self._node.adapters, stored.adapter if stored else request.adapter, self._side, document
        )
        reading = adapter.read(document)
        if not reading.rows:
            raise Refused([Problem("DOCUMENT_EMPTY", "content")])
        if len(reading.rows) > self._limits.rows:
            raise Refused([Problem("DOCUMENT_TOO_LARGE", "content", f"{len(reading.rows)} rows > {self._limits.rows}")])
        kept = SubmitDocumentRequest()
        kept.CopyFrom(request)
        kept.ClearField("content")
        kept.validate_only = False
        words = kept.SerializeToString(deterministic=True)
        tagged = hashlib.sha256(words).digest() + reading.redacted
        request_tag = hmac.digest(self._node.keys.submission_key, b"document|" + tagged, "sha256")
        if known is not None and not hmac.compare_digest(known.request_tag, request_tag):
            raise Refused([Problem("IDEMPOTENCY_KEY_REUSED", "idempotency_key")])
        kept.adapter = adapter.name
        row = known or DocumentRow(
            document_id=new_id(now).bytes,
            key_tag=key_tag,
            request_tag=request_tag,
            agency=agency,
            file_name=request.file_name,
            received_at=received_at,
            salt=salt,
            redacted=reading.redacted,
            request=kept.SerializeToString(deterministic=True),
            answer=b"",
        )
        return row, reading

    def _admit_all(self, reading: DocumentReading) -> None:
        """Refuse the call while the disk takes nothing for a lane of its rows: the agency sends it again later."""
        if self._admit is None:
            return
        lanes = {
            kinds.spec(kind).lane
            for kind in {kinds.kind_of(row.record) for row in reading.rows if row.record is not None}
            if kind in kinds.KINDS
        }
        refused = [problem for lane in lanes if lane is not None and (problem := self._admit(lane))]
        if refused:
            raise Refused(refused)

    # -- 3 and 4 ---------------------------------------------------------------------------------------------

    def _begin(self, row: DocumentRow) -> DocumentRow:
        stored: DocumentRow = self._node.writer.call(documents.begin, row)
        return stored

    def _go_on(
        self, row: DocumentRow, reading: DocumentReading, now: datetime, authorise: Authorise
    ) -> SubmitDocumentResponse:
        request = SubmitDocumentRequest.FromString(row.request)
        # 3
        answer = open_answer(row, reading)
        mapped = list(mapped_rows(request, row.document_id, reading.rows))
        for start in range(0, len(mapped), CHUNK_ROWS):
            chunk = mapped[start : start + CHUNK_ROWS]
            done = self._submit.submit_rows(row.agency, [item for _, item in chunk], now, authorise=authorise)
            for (at, _), submitted in zip(chunk, done, strict=True):
                # Rows of a call that a crash cut short were not answered before.
                submitted.repeated_call = False
                answer.rows[at].submitted.CopyFrom(submitted)
        # 4: in front of the last transaction only what would make it too long
        quarantined = quarantined_rows(row, reading, answer, now)
        while len(quarantined) > CHUNK_ROWS:
            some, quarantined = tuple(quarantined[:CHUNK_ROWS]), quarantined[CHUNK_ROWS:]
            kept_rows = KeptRows(document_id=row.document_id, rows=some, at=micros(now))
            self._node.writer.call(documents.keep_rows, kept_rows, rows=2 * len(some))
        kept = without_evidence(answer) if anything_kept(answer) else None
        stored = self._node.writer.call(
            documents.finish,
            FinishedDocument(
                answer=kept,
                received=received_event(row, answer, now),
                kept=KeptRows(document_id=row.document_id, rows=tuple(quarantined), at=micros(now)),
                repeats=repeated_records(answer),
            ),
            rows=3 + 2 * len(quarantined),
        )
        if stored is not None and stored != kept:
            # Somebody else finished the same document in between: what was told first is told again.
            return self._told(stored, repeated=False)
        if kept is None:
            answer.document_id = ""
        return bounded(answer)

    def _validated(
        self, row: DocumentRow, reading: DocumentReading, now: datetime, agency: str, authorise: Authorise
    ) -> SubmitDocumentResponse:
        """The whole walk up to the seal; nothing is stored."""
        answer = open_answer(row, reading)
        answer.document_id = ""
        mapped = list(mapped_rows(SubmitDocumentRequest.FromString(row.request), row.document_id, reading.rows))
        for start in range(0, len(mapped), CHUNK_ROWS):
            chunk = mapped[start : start + CHUNK_ROWS]
            done = self._submit.submit_rows(
                agency, [item for _, item in chunk], now, validate_only=True, authorise=authorise
            )
            for (at, _), submitted in zip(chunk, done, strict=True):
                answer.rows[at].submitted.CopyFrom(submitted)
        return bounded(answer)

    def _told(self, stored: bytes, *, repeated: bool) -> SubmitDocumentResponse:
        """A stored answer with the evidence of each row put back; an erased record has no salt any more."""
        answer = SubmitDocumentResponse.FromString(stored)
        with_record = [row.submitted for row in answer.rows if row.submitted.record_id]
        with self._node.database.read() as connection:
            found = documents.evidence_of(connection, {address_of(each) for each in with_record})
        for submitted in with_record:
            submitted.envelope, submitted.salt = found.get(address_of(submitted), (b"", b""))
        for row in answer.rows:
            row.submitted.repeated_call = repeated
        return bounded(answer)


def _allow(_record: object, _envelope: object) -> Problem | None:
    return None
