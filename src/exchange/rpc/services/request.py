"""RequestService: what one side asks of the other, and what was answered."""

from __future__ import annotations

from exchange.flows.queries.registers.requests import RequestQueries
from exchange.rpc.door import Call
from exchange.v1 import request_service_pb2 as pb


class RequestServicer:
    """Answers RequestService."""

    descriptor = pb.DESCRIPTOR.services_by_name["RequestService"]

    def __init__(self, queries: RequestQueries) -> None:
        self._queries = queries

    async def list_alerts(self, call: Call, request: pb.ListAlertsRequest) -> pb.ListAlertsResponse:
        """ListAlerts."""
        return await call.run(self._queries.alerts, call.asked, request)

    async def list_requests(self, call: Call, request: pb.ListRequestsRequest) -> pb.ListRequestsResponse:
        """ListRequests."""
        return await call.run(self._queries.requests, call.asked, request)

    async def get_request(self, call: Call, request: pb.GetRequestRequest) -> pb.GetRequestResponse:
        """GetRequest."""
        return await call.run(self._queries.get, call.asked, request)
