"""What operators see and do: the counting rule, alarms, lanes."""

from __future__ import annotations

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.storage.logs import journal, log_store
from exchange.v1 import operation_service_pb2 as pb
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.kind_pb2 import Kind, Lane
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import batch_of, credit_of, firm, penalty_of, submit, wait_settled


def _status(door: AgencyDoor) -> pb.GetStatusResponse:
    stubs = door.officer(Role.OPERATOR)
    answer: pb.GetStatusResponse = stubs.call(stubs.operation.GetStatus, pb.GetStatusRequest())
    return answer


def _holds(row: pb.CountingRow) -> bool:
    answered = row.recognised + row.conditional + row.deferred + row.not_recognised
    return row.submitted == row.delivered + row.pending and row.delivered == row.unanswered + answered


def test_the_counting_rule_holds_while_the_peer_is_away_and_after(fresh_doors: dict[str, AgencyDoor]) -> None:
    """Every submission is counted once, in its state; rows of kinds add up to the row of all."""
    door = fresh_doors["cq"]
    cq = door.agency("counts")
    submit(cq, credit_of(firm(200)), "count-1")
    submit(cq, penalty_of(firm(200), "演环罚〔2025〕2001号"), "count-2")
    wait_settled(door)
    door.world.wires["cq"].target, target = None, door.world.wires["cq"].target
    for number in range(3):
        submit(cq, batch_of(f"AWAY{number:018d}"), f"count-{number + 3}")
    submit(cq, credit_of(firm(201)), "count-9", local_only=True)
    status = _status(door)
    assert status.submissions == 6
    total = next(row for row in status.counts if not row.kind)
    assert (total.peer, total.submitted, total.delivered, total.pending) == ("sc", 5, 2, 3)
    assert all(map(_holds, status.counts))
    door.world.wires["cq"].target = target
    wait_settled(door)
    status = _status(door)
    total = next(row for row in status.counts if not row.kind)
    assert (total.submitted, total.delivered, total.pending, total.unanswered) == (5, 5, 0, 0)
    assert all(map(_holds, status.counts))
    kinds = {row.kind: row for row in status.counts if row.kind}
    assert set(kinds) == {Kind.KIND_CREDIT_RESULT, Kind.KIND_PENALTY_NOTICE, Kind.KIND_MONITORING_BATCH}
    assert sum(row.submitted for row in kinds.values()) == total.submitted
    assert kinds[Kind.KIND_MONITORING_BATCH].submitted == 3


def test_status_says_who_and_how_complete(doors: dict[str, AgencyDoor]) -> None:
    """Name, state, one line for each lane and peer, freshness, journal."""
    wait_settled(doors["cq"])
    status = _status(doors["cq"])
    assert (status.node, status.domain, status.state) == ("cq", "exchange.example", pb.NODE_STATE_SERVING)
    assert [(lane.peer, lane.lane) for lane in status.lanes] == [("sc", lane) for lane in (1, 2, 3)]
    assert [(line.peer, line.lane) for line in status.freshness] == [("sc", lane) for lane in (1, 2, 3)]
    assert not any(line.stale for line in status.freshness)
    assert status.journal_size > 0
    assert status.disk_free
    assert status.HasField("started_at")


def test_alarms_are_shown_in_the_callers_language_and_acknowledged_once(doors: dict[str, AgencyDoor]) -> None:
    """An open alarm is in status and list; acknowledging wants a reason and keeps who did it first."""
    door = doors["cq"]
    operator, chinese = door.officer(Role.OPERATOR), door.officer(Role.OPERATOR, lang="zh-CN")
    door.alarms.raise_("DISK_LOW", "/data", "1 GiB")
    assert door.alarms.flush()
    alarm = next(each for each in _status(door).alarms if each.code == "DISK_LOW")
    listed = chinese.call(chinese.operation.ListAlarms, pb.ListAlarmsRequest()).alarms
    same = next(each for each in listed if each.id == alarm.id)
    assert alarm.message.isascii()
    assert not same.message.isascii()
    with pytest.raises(CallFailed) as failure:
        operator.call(operator.operation.AcknowledgeAlarm, pb.AcknowledgeAlarmRequest(id=alarm.id))
    assert failure.value.reason == "REASON_MISSING"
    request = pb.AcknowledgeAlarmRequest(id=alarm.id, reason="已安排扩容")
    done = operator.call(operator.operation.AcknowledgeAlarm, request).alarm
    assert done.acknowledged_by == "spiffe://cq.exchange.example/operator/officer"
    door.alarms.clear("DISK_LOW", "/data")
    assert door.alarms.flush()
    listed = operator.call(operator.operation.ListAlarms, pb.ListAlarmsRequest()).alarms
    assert alarm.id not in {each.id for each in listed}
    request_all = pb.ListAlarmsRequest(include_cleared=True)
    assert alarm.id in {each.id for each in operator.call(operator.operation.ListAlarms, request_all).alarms}


def test_restored_is_acknowledged_by_the_security_officer_only(doors: dict[str, AgencyDoor]) -> None:
    """An operator sees the alarm and may not acknowledge it."""
    door = doors["sc"]
    door.alarms.raise_("RESTORED", "sc", "")
    assert door.alarms.flush()
    operator, security = door.officer(Role.OPERATOR), door.officer(Role.SECURITY)
    alarm = next(
        each
        for each in security.call(security.operation.ListAlarms, pb.ListAlarmsRequest()).alarms
        if each.code == "RESTORED"
    )
    request = pb.AcknowledgeAlarmRequest(id=alarm.id, reason="已核对授权")
    with pytest.raises(CallFailed) as failure:
        operator.call(operator.operation.AcknowledgeAlarm, request)
    assert (failure.value.status, failure.value.reason) == ("PERMISSION_DENIED", "ROLE_NOT_ALLOWED")
    assert security.call(security.operation.AcknowledgeAlarm, request).alarm.acknowledged_by
    door.alarms.clear("RESTORED", "sc")


def _actions(door: AgencyDoor) -> list[tuple[str, str, str]]:
    with door.node.database.read() as connection:
        book = journal.head(connection)
        events = [JournalEntry.FromString(e.entry) for e in log_store.entries(connection, book.id, 0, book.size)]
    return [
        (event.administrator_action.action, event.administrator_action.object, event.administrator_action.actor)
        for event in events
        if event.HasField("administrator_action")
    ]


def test_lanes_are_paused_resumed_and_tried_with_a_reason(doors: dict[str, AgencyDoor]) -> None:
    """What is submitted to a paused lane waits; every verb is in the journal with the officer's identity."""
    door = doors["cq"]
    stubs = door.officer(Role.OPERATOR)
    agency = door.agency("paused")
    wait_settled(door)

    def lane(verb: str, request: object) -> pb.LaneStatus:
        status: pb.LaneStatus = stubs.call(getattr(stubs.operation, verb), request).lane
        return status

    where = {"peer": "sc", "lane": Lane.LANE_REGISTRY, "reason": "检修"}
    paused = lane("PauseLane", pb.PauseLaneRequest(**where))  # type: ignore[arg-type]
    assert (paused.peer, paused.state) == ("sc", pb.LANE_STATE_PAUSED)
    submit(agency, credit_of(firm(202)), "paused-1")
    waiting = next(each for each in _status(door).lanes if each.lane == Lane.LANE_REGISTRY)
    assert waiting.delivered < waiting.size
    lane("ResumeLane", pb.ResumeLaneRequest(**where))  # type: ignore[arg-type]
    lane("RetryLane", pb.RetryLaneRequest(**where))  # type: ignore[arg-type]
    wait_settled(door)
    officer = "spiffe://cq.exchange.example/operator/officer"
    assert [each for each in _actions(door) if each[2] == officer] == [
        (verb, "sc/registry", officer) for verb in ("lanes.pause", "lanes.resume", "lanes.retry")
    ]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.PauseLaneRequest(peer="sc", lane=Lane.LANE_REGISTRY), "REASON_MISSING"),
        (pb.PauseLaneRequest(lane=Lane.LANE_REGISTRY, reason="x"), "FIELD_MISSING"),
        (pb.PauseLaneRequest(peer="sc", reason="x"), "ENUM_UNSPECIFIED"),
        (pb.PauseLaneRequest(peer="sc", lane=9, reason="x"), "ENUM_UNSPECIFIED"),  # type: ignore[arg-type]
        (pb.PauseLaneRequest(peer="xx", lane=Lane.LANE_REGISTRY, reason="x"), "LANE_UNKNOWN"),
    ],
)
def test_a_lane_that_is_not_named_right_is_refused(
    doors: dict[str, AgencyDoor], request_: pb.PauseLaneRequest, reason: str
) -> None:
    """No reason, no peer, no lane, or one that does not exist."""
    stubs: Stubs = doors["cq"].officer(Role.OPERATOR)
    with pytest.raises(CallFailed) as failure:
        stubs.call(stubs.operation.PauseLane, request_)
    assert failure.value.reason == reason


def test_a_lane_that_did_not_stop_is_not_retired(doors: dict[str, AgencyDoor]) -> None:
    """Retiring is for contradictions only."""
    stubs = doors["cq"].officer(Role.OPERATOR)
    request = pb.RetireLaneRequest(peer="sc", lane=Lane.LANE_REGISTRY, reason="x")
    with pytest.raises(CallFailed) as failure:
        stubs.call(stubs.operation.RetireLane, request)
    assert (failure.value.status, failure.value.reason) == ("FAILED_PRECONDITION", "LANE_NOT_STOPPED")
