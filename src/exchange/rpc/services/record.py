"""RecordService: records of both regions."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from exchange.flows.queries.exchanged.attachments import AttachmentQueries
from exchange.flows.queries.exchanged.converting import ConvertQueries
from exchange.flows.queries.exchanged.records import RecordQueries
from exchange.flows.watch import WatchFlow
from exchange.rpc.door import Call
from exchange.v1 import record_service_pb2 as pb


class RecordServicer:
    """Answers RecordService."""

    descriptor = pb.DESCRIPTOR.services_by_name["RecordService"]

    def __init__(
        self, queries: RecordQueries, convert: ConvertQueries, attachments: AttachmentQueries, watch: WatchFlow
    ) -> None:
        self._queries = queries
        self._convert = convert
        self._attachments = attachments
        self._watch = watch

    async def get_record(self, call: Call, request: pb.GetRecordRequest) -> pb.GetRecordResponse:
        """GetRecord."""
        return await call.run(self._queries.get, call.asked, request)

    async def list_records(self, call: Call, request: pb.ListRecordsRequest) -> pb.ListRecordsResponse:
        """ListRecords."""
        return await call.run(self._queries.page, call.asked, request)

    def watch_records(
        self, call: Call, request: pb.WatchRecordsRequest
    ) -> AsyncGenerator[pb.WatchRecordsResponse, None]:
        """WatchRecords."""
        return self._watch.records(call.asked, request)

    async def get_attachment(
        self, call: Call, request: pb.GetAttachmentRequest
    ) -> AsyncGenerator[pb.GetAttachmentResponse, None]:
        """GetAttachment: one piece after the other, each read when the one before it has left."""
        found = await call.run(self._attachments.find, call.asked, request)
        offset, listed = request.offset, found.listed
        while True:
            content = await call.run(self._attachments.piece, found, offset) if offset < listed.size else b""
            piece = pb.GetAttachmentResponse(offset=offset, content=content)
            if offset == request.offset:
                piece.attachment.CopyFrom(listed)
            yield piece
            offset += len(content)
            if offset >= listed.size:
                return

    async def get_envelope(self, call: Call, request: pb.GetEnvelopeRequest) -> pb.GetEnvelopeResponse:
        """GetEnvelope."""
        return await call.run(self._queries.envelope, call.asked, request)

    async def convert_record(self, call: Call, request: pb.ConvertRecordRequest) -> pb.ConvertRecordResponse:
        """ConvertRecord."""
        return await call.run(self._convert.convert, call.asked, request)
