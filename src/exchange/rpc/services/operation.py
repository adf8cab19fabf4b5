"""OperationService: seeing what is stuck and why, and mending it."""

from __future__ import annotations

from collections.abc import Callable

from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AgencyBook
from exchange.flows.actions.pending import ActionFlow
from exchange.flows.alarms import Alarms
from exchange.flows.intake.quarantine import QuarantineFlow
from exchange.flows.queries.node.status import LaneControl, StatusQueries, checked_reason
from exchange.flows.rules.diff import RedecideFlow, RuleDiff
from exchange.flows.rules.editions import RuleFlow
from exchange.rpc.door import Call
from exchange.rpc.services.rule_actions import RuleRpcs
from exchange.rpc.services.submission import authoriser
from exchange.v1 import operation_service_pb2 as pb
from exchange.v1.action_pb2 import ActionRequest, DiscardQuarantineAction, RetireLaneAction
from exchange.v1.kind_pb2 import Lane


class OperationServicer(RuleRpcs):
    """Answers OperationService.

    Args:
        status: The node's state.
        alarms: The node's alarms.
        lanes: What operators may do with lanes.
        quarantine: Rows that could not be mapped.
        actions: What needs a second officer.
        book: Agencies: rows that are retried go by their agency's grants of now.
        rules: How editions of the rules come.
        redecide: How records are decided again.
        diff: What other rules would decide.
    """

    descriptor = pb.DESCRIPTOR.services_by_name["OperationService"]

    def __init__(
        self,
        status: StatusQueries,
        *,
        alarms: Alarms,
        lanes: LaneControl,
        quarantine: QuarantineFlow,
        actions: ActionFlow,
        book: AgencyBook,
        rules: RuleFlow,
        redecide: RedecideFlow,
        diff: RuleDiff,
    ) -> None:
        super().__init__(actions, rules, redecide, diff)
        self._status = status
        self._alarms = alarms
        self._lanes = lanes
        self._quarantine = quarantine
        self._book = book

    async def get_status(self, call: Call, _request: pb.GetStatusRequest) -> pb.GetStatusResponse:
        """GetStatus."""
        return await call.run(self._status.status, call.asked.now, call.asked.words)

    async def list_alarms(self, call: Call, request: pb.ListAlarmsRequest) -> pb.ListAlarmsResponse:
        """ListAlarms."""
        page = await call.run(
            self._alarms.list,
            include_cleared=request.include_cleared,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        lang = call.asked.words.lang
        return pb.ListAlarmsResponse(
            alarms=[self._alarms.to_message(row, lang) for row in page.rows], next_page_token=page.next_page_token
        )

    async def acknowledge_alarm(self, call: Call, request: pb.AcknowledgeAlarmRequest) -> pb.AcknowledgeAlarmResponse:
        """AcknowledgeAlarm. Who may acknowledge which alarm is the flow's to say."""
        row = await call.run(
            self._alarms.acknowledge,
            request.id,
            actor=call.identity,
            role=call.asked.caller.role.value,
            reason=checked_reason(request.reason),
            now=call.asked.now,
        )
        return pb.AcknowledgeAlarmResponse(alarm=self._alarms.to_message(row, call.asked.words.lang))

    async def pause_lane(self, call: Call, request: pb.PauseLaneRequest) -> pb.PauseLaneResponse:
        """PauseLane."""
        return pb.PauseLaneResponse(lane=await self._lane(call, self._lanes.pause, request))

    async def resume_lane(self, call: Call, request: pb.ResumeLaneRequest) -> pb.ResumeLaneResponse:
        """ResumeLane."""
        return pb.ResumeLaneResponse(lane=await self._lane(call, self._lanes.resume, request))

    async def retry_lane(self, call: Call, request: pb.RetryLaneRequest) -> pb.RetryLaneResponse:
        """RetryLane."""
        return pb.RetryLaneResponse(lane=await self._lane(call, self._lanes.retry, request))

    async def retire_lane(self, call: Call, request: pb.RetireLaneRequest) -> pb.RetireLaneResponse:
        """RetireLane."""
        wanted = _checked_lane(request)
        log = await call.run(self._lanes.retirable, request.peer, request.lane, mirror=request.mirror)
        asked = RetireLaneAction(peer=request.peer, lane=request.lane, mirror=request.mirror, log=log)
        action = await call.run(
            self._actions.ask, ActionRequest(retire_lane=asked, reason=wanted), call.officer, call.asked.now
        )
        lane = await call.run(self._lanes.lane_status, request.peer, request.lane)
        return pb.RetireLaneResponse(lane=lane, action=action)

    async def _lane(
        self,
        call: Call,
        verb: Callable[[str, int, str, str], None],
        request: pb.PauseLaneRequest | pb.ResumeLaneRequest | pb.RetryLaneRequest,
    ) -> pb.LaneStatus:
        reason = _checked_lane(request)
        await call.run(verb, request.peer, request.lane, call.identity, reason)
        return await call.run(self._lanes.lane_status, request.peer, request.lane)

    async def list_quarantine(self, call: Call, request: pb.ListQuarantineRequest) -> pb.ListQuarantineResponse:
        """ListQuarantine."""
        page = await call.run(
            self._quarantine.list,
            document_id=request.document_id,
            reason=request.reason,
            page_size=request.page_size,
            page_token=request.page_token,
            include_closed=request.include_closed,
        )
        for row in page.rows:
            call.asked.words.complete(row.problems)
        return pb.ListQuarantineResponse(rows=page.rows, next_page_token=page.next_page_token)

    async def retry_quarantine(self, call: Call, request: pb.RetryQuarantineRequest) -> pb.RetryQuarantineResponse:
        """RetryQuarantine."""
        done = await call.run(
            self._quarantine.retry,
            list(request.quarantine_ids),
            call.identity,
            call.asked.now,
            authorise_for=lambda agency: authoriser(self._book, agency, call.asked.now),
        )
        for row in done.remaining:
            call.asked.words.complete(row.problems)
        return pb.RetryQuarantineResponse(resolved=done.resolved, remaining=done.remaining)

    async def discard_quarantine(
        self, call: Call, request: pb.DiscardQuarantineRequest
    ) -> pb.DiscardQuarantineResponse:
        """DiscardQuarantine."""
        await call.run(self._quarantine.check_discard, list(request.quarantine_ids))
        asked = DiscardQuarantineAction(quarantine_ids=request.quarantine_ids)
        action = await call.run(
            self._actions.ask,
            ActionRequest(discard_quarantine=asked, reason=request.reason),
            call.officer,
            call.asked.now,
        )
        return pb.DiscardQuarantineResponse(action=action)


def _checked_lane(
    request: pb.PauseLaneRequest | pb.ResumeLaneRequest | pb.RetryLaneRequest | pb.RetireLaneRequest,
) -> str:
    """The reason; peer and lane are named."""
    reason = checked_reason(request.reason)
    problems = []
    if not request.peer:
        problems.append(Problem("FIELD_MISSING", "peer"))
    if request.lane == Lane.LANE_UNSPECIFIED or request.lane not in Lane.values():
        problems.append(Problem("ENUM_UNSPECIFIED", "lane"))
    if problems:
        raise Refused(problems)
    return reason
