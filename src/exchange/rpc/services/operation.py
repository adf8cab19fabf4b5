"""OperationService: seeing what is stuck and why, and mending it."""

from __future__ import annotations

from collections.abc import Callable

from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AgencyBook
from exchange.flows.alarms import Alarms
from exchange.flows.quarantine import QuarantineFlow
from exchange.flows.queries.status import LaneControl, StatusQueries, checked_reason
from exchange.rpc.door import Call
from exchange.rpc.services.submission import authoriser
from exchange.v1 import operation_service_pb2 as pb
from exchange.v1.kind_pb2 import Lane


class OperationServicer:
    """Answers OperationService.

    Args:
        status: The node's state.
        alarms: The node's alarms.
        lanes: What operators may do with lanes.
        quarantine: Rows that could not be mapped.
        book: Agencies: rows that are retried go by their agency's grants of now.
    """

    descriptor = pb.DESCRIPTOR.services_by_name["OperationService"]

    def __init__(
        self,
        status: StatusQueries,
        *,
        alarms: Alarms,
        lanes: LaneControl,
        quarantine: QuarantineFlow,
        book: AgencyBook,
    ) -> None:
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

        def retire(peer: str, lane: int, actor: str, reason: str) -> None:
            self._lanes.retire(peer, lane, actor, reason, mirror=request.mirror)

        return pb.RetireLaneResponse(lane=await self._lane(call, retire, request))

    async def _lane(
        self,
        call: Call,
        verb: Callable[[str, int, str, str], None],
        request: pb.PauseLaneRequest | pb.ResumeLaneRequest | pb.RetryLaneRequest | pb.RetireLaneRequest,
    ) -> pb.LaneStatus:
        reason = checked_reason(request.reason)
        problems = []
        if not request.peer:
            problems.append(Problem("FIELD_MISSING", "peer"))
        if request.lane == Lane.LANE_UNSPECIFIED or request.lane not in Lane.values():
            problems.append(Problem("ENUM_UNSPECIFIED", "lane"))
        if problems:
            raise Refused(problems)
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
        discarded = await call.run(
            self._quarantine.discard, list(request.quarantine_ids), request.reason, call.identity, call.asked.now
        )
        return pb.DiscardQuarantineResponse(discarded=discarded)
