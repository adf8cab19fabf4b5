"""SecurityService: who may do what."""

from __future__ import annotations

from exchange.flows.agencies import AgencyFlow
from exchange.flows.queries.paging import Tokens, page_size
from exchange.rpc.door import Call
from exchange.v1 import security_service_pb2 as pb


class SecurityServicer:
    """Answers SecurityService."""

    descriptor = pb.DESCRIPTOR.services_by_name["SecurityService"]

    def __init__(self, flow: AgencyFlow, tokens: Tokens) -> None:
        self._flow = flow
        self._tokens = tokens

    async def list_agencies(self, call: Call, request: pb.ListAgenciesRequest) -> pb.ListAgenciesResponse:
        """ListAgencies."""
        limit = page_size(request.page_size)
        after = self._tokens.read("agencies", request.page_token) or ""
        found = await call.run(self._flow.page, after, limit + 1)
        token = self._tokens.make("agencies", found[limit - 1].name) if len(found) > limit else ""
        return pb.ListAgenciesResponse(agencies=found[:limit], next_page_token=token)

    async def put_agency(self, call: Call, request: pb.PutAgencyRequest) -> pb.PutAgencyResponse:
        """PutAgency."""
        done = await call.run(self._flow.put, request.agency, request.reason, call.identity, call.asked.now)
        return pb.PutAgencyResponse(agency=done.agency, journal_index=done.journal_index)

    async def suspend_agency(self, call: Call, request: pb.SuspendAgencyRequest) -> pb.SuspendAgencyResponse:
        """SuspendAgency."""
        done = await call.run(
            self._flow.suspend,
            request.name,
            request.reason,
            call.identity,
            call.asked.now,
            suspended=request.suspended,
        )
        return pb.SuspendAgencyResponse(agency=done.agency, journal_index=done.journal_index)
