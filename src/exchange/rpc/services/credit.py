"""CreditService: credit standings and results of both regions."""

from __future__ import annotations

from exchange.flows.queries.registers.credit import CreditQueries
from exchange.rpc.door import Call
from exchange.v1 import credit_service_pb2 as pb


class CreditServicer:
    """Answers CreditService."""

    descriptor = pb.DESCRIPTOR.services_by_name["CreditService"]

    def __init__(self, queries: CreditQueries) -> None:
        self._queries = queries

    async def get_credit_standing(
        self, call: Call, request: pb.GetCreditStandingRequest
    ) -> pb.GetCreditStandingResponse:
        """GetCreditStanding."""
        return await call.run(self._queries.standing, call.asked, request)

    async def list_credit_results(
        self, call: Call, request: pb.ListCreditResultsRequest
    ) -> pb.ListCreditResultsResponse:
        """ListCreditResults."""
        return await call.run(self._queries.page, call.asked, request)
