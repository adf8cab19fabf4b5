"""What needs two officers, as SecurityService answers it."""

from __future__ import annotations

from exchange.flows.actions.erase import EraseFlow
from exchange.flows.actions.pending import ActionFlow
from exchange.flows.audit.keeping.retention import RetentionFlow
from exchange.rpc.door import Call
from exchange.v1 import security_service_pb2 as pb
from exchange.v1.action_pb2 import ActionRequest, EraseDueAction


class ActionRpcs:
    """Rpcs of SecurityService about actions: its servicer is one of these.

    Args:
        actions: What waits.
        erase: Erasing on the node's own initiative.
        retention: What is due to be erased by rule.
    """

    def __init__(self, actions: ActionFlow, erase: EraseFlow, retention: RetentionFlow) -> None:
        self._actions = actions
        self._erase = erase
        self._retention = retention

    async def list_actions(self, call: Call, request: pb.ListActionsRequest) -> pb.ListActionsResponse:
        """ListActions."""
        page = await call.run(
            self._actions.page,
            include_closed=request.include_closed,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListActionsResponse(actions=page.rows, next_page_token=page.next_page_token)

    async def confirm_action(self, call: Call, request: pb.ConfirmActionRequest) -> pb.ConfirmActionResponse:
        """ConfirmAction."""
        action = await call.run(
            self._actions.confirm, request.action_id, request.digest, request.reason, call.officer, call.asked.now
        )
        return pb.ConfirmActionResponse(action=action)

    async def refuse_action(self, call: Call, request: pb.RefuseActionRequest) -> pb.RefuseActionResponse:
        """RefuseAction."""
        action = await call.run(self._actions.refuse, request.action_id, request.reason, call.officer, call.asked.now)
        return pb.RefuseActionResponse(action=action)

    async def erase_record(self, call: Call, request: pb.EraseRecordRequest) -> pb.EraseRecordResponse:
        """EraseRecord."""
        await call.run(self._erase.check, request.erase, call.asked.now)
        asked = ActionRequest(erase_record=request.erase, reason=request.reason)
        action = await call.run(self._actions.ask, asked, call.officer, call.asked.now)
        return pb.EraseRecordResponse(action=action)

    async def list_retention_due(self, call: Call, request: pb.ListRetentionDueRequest) -> pb.ListRetentionDueResponse:
        """ListRetentionDue."""
        due = await call.run(self._retention.due, call.asked.now, request.page_size)
        return pb.ListRetentionDueResponse(records=due, edition=self._retention.edition)

    async def erase_due(self, call: Call, request: pb.EraseDueRequest) -> pb.EraseDueResponse:
        """EraseDue."""
        order = EraseDueAction(ordered_by=request.ordered_by)
        due = await call.run(self._retention.ask, order, call.asked.now)
        asked = ActionRequest(erase_due=due, reason=request.reason)
        action = await call.run(self._actions.ask, asked, call.officer, call.asked.now)
        return pb.EraseDueResponse(action=action)
