"""PenaltyService: notices of both regions."""

from __future__ import annotations

from exchange.flows.queries.registers.effects import EffectQueries
from exchange.flows.queries.registers.feedback import FeedbackQueries
from exchange.flows.queries.registers.penalty import PenaltyQueries
from exchange.rpc.door import Call
from exchange.v1 import penalty_service_pb2 as pb


class PenaltyServicer:
    """Answers PenaltyService."""

    descriptor = pb.DESCRIPTOR.services_by_name["PenaltyService"]

    def __init__(self, queries: PenaltyQueries, feedback: FeedbackQueries, effects: EffectQueries) -> None:
        self._queries = queries
        self._feedback = feedback
        self._effects = effects

    async def get_notice(self, call: Call, request: pb.GetNoticeRequest) -> pb.GetNoticeResponse:
        """GetNotice."""
        return await call.run(self._queries.get, call.asked, request)

    async def list_notices(self, call: Call, request: pb.ListNoticesRequest) -> pb.ListNoticesResponse:
        """ListNotices."""
        return await call.run(self._queries.page, call.asked, request)

    async def list_due_feedback(self, call: Call, request: pb.ListDueFeedbackRequest) -> pb.ListDueFeedbackResponse:
        """ListDueFeedback."""
        return await call.run(self._feedback.due, call.asked, request)

    async def list_unconfirmed_effects(
        self, call: Call, request: pb.ListUnconfirmedEffectsRequest
    ) -> pb.ListUnconfirmedEffectsResponse:
        """ListUnconfirmedEffects."""
        return await call.run(self._effects.page, call.asked, request)
