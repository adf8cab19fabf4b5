"""What officers do with recognition rules, as OperationService answers it."""

from __future__ import annotations

from exchange.flows.actions.pending import ActionFlow
from exchange.flows.rules.diff import RedecideFlow, RuleDiff
from exchange.flows.rules.editions import RuleFlow
from exchange.flows.rules.queries import edition_view
from exchange.rpc.door import Call
from exchange.v1 import operation_service_pb2 as pb
from exchange.v1.action_pb2 import ActionRequest, ActivateRulesAction


class RuleRpcs:
    """Rpcs of OperationService about rules: its servicer is one of these.

    Args:
        actions: What needs a second officer.
        rules: How editions come.
        redecide: How records are decided again.
        diff: What other rules would decide.
    """

    def __init__(self, actions: ActionFlow, rules: RuleFlow, redecide: RedecideFlow, diff: RuleDiff) -> None:
        self._actions = actions
        self._rules = rules
        self._redecide = redecide
        self._diff = diff

    async def activate_rules(self, call: Call, request: pb.ActivateRulesRequest) -> pb.ActivateRulesResponse:
        """ActivateRules."""
        edition, after = await call.run(self._rules.check, request.content)
        answer = pb.ActivateRulesResponse(edition=edition_view(after, edition))
        if not request.validate_only:
            asked = ActivateRulesAction(edition=edition.edition, digest=edition.digest, content=edition.content)
            action = await call.run(
                self._actions.ask,
                ActionRequest(activate_rules=asked, reason=request.reason),
                call.officer,
                call.asked.now,
            )
            answer.action.CopyFrom(action)
        return answer

    async def diff_rules(self, call: Call, request: pb.DiffRulesRequest) -> pb.DiffRulesResponse:
        """DiffRules."""
        return await call.run(self._diff.stretch, request)

    async def redecide_records(self, call: Call, request: pb.RedecideRecordsRequest) -> pb.RedecideRecordsResponse:
        """RedecideRecords."""
        asked = await call.run(self._redecide.check, request)
        answer = pb.RedecideRecordsResponse(would_change=asked.would_change)
        if asked.would_change:
            action = await call.run(
                self._actions.ask, ActionRequest(redecide=asked, reason=request.reason), call.officer, call.asked.now
            )
            answer.action.CopyFrom(action)
        return answer

    async def get_redecision(self, call: Call, request: pb.GetRedecisionRequest) -> pb.GetRedecisionResponse:
        """GetRedecision."""
        return pb.GetRedecisionResponse(order=await call.run(self._redecide.order, request.order_id))
