"""LaboratoryService: monitoring laboratories of both regions."""

from __future__ import annotations

from exchange.flows.queries.registers.labs import LabQueries
from exchange.rpc.door import Call
from exchange.v1 import laboratory_service_pb2 as pb


class LaboratoryServicer:
    """Answers LaboratoryService."""

    descriptor = pb.DESCRIPTOR.services_by_name["LaboratoryService"]

    def __init__(self, queries: LabQueries) -> None:
        self._queries = queries

    async def get_laboratory(self, call: Call, request: pb.GetLaboratoryRequest) -> pb.GetLaboratoryResponse:
        """GetLaboratory."""
        return await call.run(self._queries.get, call.asked, request)

    async def list_laboratories(self, call: Call, request: pb.ListLaboratoriesRequest) -> pb.ListLaboratoriesResponse:
        """ListLaboratories."""
        return await call.run(self._queries.page, call.asked, request)
