"""A record in a side's own layout, and always the original with it."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.message import DecodeError

from exchange.domain import kinds
from exchange.domain.adapter import Adapter, WrittenDocument
from exchange.domain.problems import Problem, Refused
from exchange.flows.intake.native import problem_messages
from exchange.flows.queries.exchanged.records import RecordQueries
from exchange.flows.queries.ground.freshness import FreshnessReader
from exchange.flows.queries.ground.reading import Asked
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import (
    ConvertedDocument,
    ConvertRecordRequest,
    ConvertRecordResponse,
    GetEnvelopeRequest,
)

MAX_BODY_BYTES = 256 << 10
"""Bytes of a body that the node converts. Writing 8,000 values as packets takes about a second, which the calls of
others then wait for; usual batches are a hundredth of it."""

MAX_DOCUMENT_BYTES = 2 << 20
"""Bytes of one written document: with a body of 1 MiB beside it, the answer stays below what clients take."""

MAX_NAME = 64
"""Characters of an adapter's or a form's name that an error repeats."""


class ConvertQueries:
    """ConvertRecord.

    Args:
        queries: Find the record and give its envelope, by the caller's grants.
        freshness: How complete the registers are.
        adapters: The installed adapters by name.
        side: Side of this node: as its node file names it, otherwise the node's own name.
    """

    def __init__(
        self, queries: RecordQueries, freshness: FreshnessReader, adapters: Mapping[str, Adapter], side: str
    ) -> None:
        self._queries = queries
        self._freshness = freshness
        self._adapters = adapters
        self._side = side

    def convert(self, asked: Asked, request: ConvertRecordRequest) -> ConvertRecordResponse:
        """One record in a side's layout. Where a tombstone stands for it, the tombstone alone.

        Raises:
            Refused: The reference is ill-formed, there is no such adapter or layout, the body is not here or can not
                be read, or it or the document is too large.
            NotFound: No such record.
            AccessDenied: It may not be read.
        """
        adapter = self._adapter(request.adapter)
        fresh = self._freshness.read(asked.now)
        original = self._queries.envelope(asked, GetEnvelopeRequest(ref=request.ref))
        answer = ConvertRecordResponse(original=original, freshness=fresh)
        if original.HasField("tombstone"):
            return answer
        if not original.sealed.HasField("body"):
            raise Refused([Problem("BODY_MISSING", "ref")])
        size = len(original.sealed.body.record)
        if size > MAX_BODY_BYTES:
            raise Refused([Problem("CONVERTED_TOO_LARGE", "ref", str(size))])
        record = _read(original.sealed.body.record)
        kind = kinds.kind_of(record)
        form = request.form or ("hj212" if kind == Kind.KIND_MONITORING_BATCH else "xlsx")
        if len(form) > MAX_NAME or kind not in adapter.kinds:
            raise Refused([Problem("LAYOUT_UNKNOWN", "form", f"{adapter.name} {form[:MAX_NAME]}")])
        written = adapter.write([record], kind=kind, form=form)
        if len(written.content) > MAX_DOCUMENT_BYTES:
            raise Refused([Problem("CONVERTED_TOO_LARGE", "form", str(len(written.content)))])
        answer.document.CopyFrom(_document(adapter, form, written))
        asked.words.complete(answer.document.lost)
        return answer

    def _adapter(self, named: str) -> Adapter:
        """The adapter that was named, or that of this node's side.

        Raises:
            Refused: There is none (``ADAPTER_UNKNOWN``).
        """
        wanted = named or self._side
        found = self._adapters.get(wanted)
        if found is None and not named:
            found = next((each for each in self._adapters.values() if each.side == wanted), None)
        if found is None:
            raise Refused([Problem("ADAPTER_UNKNOWN", "adapter", wanted[:MAX_NAME])])
        return found


def _read(body: bytes) -> Record:
    """Raises: Refused: ENTRY_UNREADABLE."""
    try:
        record = Record.FromString(body)
    except DecodeError:
        raise Refused([Problem("ENTRY_UNREADABLE", "ref")]) from None
    return record


def _document(adapter: Adapter, form: str, written: WrittenDocument) -> ConvertedDocument:
    lost = written.lost_of[0] if written.lost_of else written.lost
    return ConvertedDocument(
        adapter=adapter.name,
        adapter_edition=adapter.edition,
        form=form,
        file_name=written.file_name,
        media_type=written.media_type,
        content=written.content,
        lost=problem_messages(lost),
    )
