"""CheckService: looking a subject up before a matter is decided."""

from __future__ import annotations

from exchange.flows.check import CheckFlow
from exchange.rpc.door import Call
from exchange.v1 import check_service_pb2 as pb


class CheckServicer:
    """Answers CheckService."""

    descriptor = pb.DESCRIPTOR.services_by_name["CheckService"]

    def __init__(self, flow: CheckFlow) -> None:
        self._flow = flow

    async def check_subject(self, call: Call, request: pb.CheckSubjectRequest) -> pb.CheckSubjectResponse:
        """CheckSubject."""
        return await call.run(self._flow.check, call.asked, request)
