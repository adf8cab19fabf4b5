"""RuleService: why something is recognised."""

from __future__ import annotations

from exchange.flows.rules.queries import RuleQueries
from exchange.rpc.door import Call
from exchange.v1 import rule_service_pb2 as pb


class RuleServicer:
    """Answers RuleService."""

    descriptor = pb.DESCRIPTOR.services_by_name["RuleService"]

    def __init__(self, queries: RuleQueries) -> None:
        self._queries = queries

    async def list_rules(self, call: Call, request: pb.ListRulesRequest) -> pb.ListRulesResponse:
        """ListRules."""
        return await call.run(self._queries.editions, call.asked, request)

    async def explain_recognition(
        self, call: Call, request: pb.ExplainRecognitionRequest
    ) -> pb.ExplainRecognitionResponse:
        """ExplainRecognition."""
        return await call.run(self._queries.explain, call.asked, request)

    async def list_equivalences(self, call: Call, request: pb.ListEquivalencesRequest) -> pb.ListEquivalencesResponse:
        """ListEquivalences."""
        return await call.run(self._queries.equivalences, call.asked, request)
