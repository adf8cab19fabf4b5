"""AuditService: the logs as they are, a subject's history, and bodies by a reason."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from exchange.flows.audit.reading.bodies import BodyReader
from exchange.flows.audit.reading.history import SubjectHistory
from exchange.flows.audit.reading.registers import RegisterQueries
from exchange.flows.queries.node.audit import AuditQueries
from exchange.rpc.door import Call
from exchange.v1 import audit_service_pb2 as pb


class AuditServicer:
    """Answers AuditService."""

    descriptor = pb.DESCRIPTOR.services_by_name["AuditService"]

    def __init__(
        self, queries: AuditQueries, history: SubjectHistory, bodies: BodyReader, registers: RegisterQueries
    ) -> None:
        self._queries = queries
        self._history = history
        self._bodies = bodies
        self._registers = registers

    async def list_logs(self, call: Call, _request: pb.ListLogsRequest) -> pb.ListLogsResponse:
        """ListLogs."""
        return await call.run(self._queries.logs)

    async def get_checkpoint(self, call: Call, request: pb.GetCheckpointRequest) -> pb.GetCheckpointResponse:
        """GetCheckpoint."""
        return await call.run(self._queries.checkpoint, request)

    async def get_inclusion_proof(
        self, call: Call, request: pb.GetInclusionProofRequest
    ) -> pb.GetInclusionProofResponse:
        """GetInclusionProof."""
        return await call.run(self._queries.inclusion, call.identity, request)

    async def get_consistency_proof(
        self, call: Call, request: pb.GetConsistencyProofRequest
    ) -> pb.GetConsistencyProofResponse:
        """GetConsistencyProof."""
        return await call.run(self._queries.consistency, call.identity, request)

    async def list_entries(self, call: Call, request: pb.ListEntriesRequest) -> pb.ListEntriesResponse:
        """ListEntries."""
        return await call.run(self._queries.entries, call.identity, request)

    def stream_entries(
        self, call: Call, request: pb.StreamEntriesRequest
    ) -> AsyncGenerator[pb.StreamEntriesResponse, None]:
        """StreamEntries."""
        return call.each(self._queries.stream(call.identity, request))

    async def get_subject_history(
        self, call: Call, request: pb.GetSubjectHistoryRequest
    ) -> pb.GetSubjectHistoryResponse:
        """GetSubjectHistory."""
        return await call.run(self._history.page, call.identity, request)

    async def read_body(self, call: Call, request: pb.ReadBodyRequest) -> pb.ReadBodyResponse:
        """ReadBody."""
        return await call.run(self._bodies.read, call.identity, request, call.asked.now)

    async def list_register_digests(
        self, call: Call, request: pb.ListRegisterDigestsRequest
    ) -> pb.ListRegisterDigestsResponse:
        """ListRegisterDigests."""
        return await call.run(self._registers.digests, call.identity, request)

    async def list_timestamps(self, call: Call, request: pb.ListTimestampsRequest) -> pb.ListTimestampsResponse:
        """ListTimestamps."""
        return await call.run(self._queries.timestamps, request)
