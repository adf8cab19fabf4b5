"""Alerts: in their order, told to the operator, answered by a duty desk in time or too late; drills apart."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf.message import Message

from exchange.crypto.x509.certificates import Role
from exchange.domain.record_index import raw_id
from exchange.flows.alerts import AlertWatch
from exchange.flows.intake import submit as submit_flow
from exchange.v1.alert_pb2 import AlertKind, AlertLevel, GasRing, ReportKind
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Kind
from exchange.v1.operation_service_pb2 import GetStatusRequest, ListAlarmsRequest
from exchange.v1.record_pb2 import Record
from exchange.v1.relay_service_pb2 import DeliverRequest
from exchange.v1.request_service_pb2 import ExerciseFilter, GetRequestRequest, ListAlertsRequest, Request
from exchange.v1.security_service_pb2 import Verb
from tests import evidence
from tests.cli.conftest import Run, run
from tests.domain import records
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, client_issued, full_agency, grant, identity_root
from tests.rpc.facts import credit_of, firm, submit, wait_settled

SICHUAN = "510100"


def report(event: str, sequence: int = 1, *, drill: bool = False, level: str = "MAJOR") -> Record:
    """One report of an event in Chongqing; the third is the last one."""
    record = records.alert()
    body = record.alert
    body.event_id, body.sequence, body.is_exercise = event, sequence, drill
    body.report_kind = (
        ReportKind.REPORT_KIND_INITIAL,
        ReportKind.REPORT_KIND_FOLLOW_UP,
        ReportKind.REPORT_KIND_FINAL,
    )[sequence - 1]
    body.level = AlertLevel.Value(f"ALERT_LEVEL_{level}")
    if sequence == 3:
        body.cause, body.measures_taken = "演示起因", "演示处置"
    return record


def reply_to(record: Record, sent: str, verb: AnswerVerb.ValueType, effect: str) -> Record:
    """What a desk in Sichuan says of it."""
    answer = records.answer()
    answer.header.authority.Clear()
    answer.header.area_code = SICHUAN
    answer.answer.record.CopyFrom(RecordRef(origin="cq", record_id=sent, revision=1))
    answer.answer.verb, answer.answer.effect, answer.answer.answered_by = verb, effect, "演示值班席"
    return answer


def desk_of(door: AgencyDoor, name: str) -> Stubs:
    """An agency that may read all and answer."""
    agency = full_agency(name)
    agency.grants.append(grant(Verb.VERB_SUBMIT, (Kind.KIND_ANSWER,)))
    door.put(agency)
    return door.stubs(client_issued(door.node.name, Role.AGENCY, name))


def waiting(stubs: Stubs, event: str, *, ours: bool = False, answered: bool = False) -> list[Request]:
    """Alerts of one event that are listed."""
    request = ListAlertsRequest(ours=ours, include_answered=answered)
    found = stubs.call(stubs.requests.ListAlerts, request).alerts
    return [each for each in found if each.record.record.alert.event_id == event]


def alarms_of(door: AgencyDoor, event: str, *, cleared: bool = False) -> set[tuple[str, str]]:
    """Alarms about one event as an operator sees them."""
    door.alarms.flush()
    operator = door.officer(Role.OPERATOR)
    rows = operator.call(operator.operation.ListAlarms, ListAlarmsRequest(include_cleared=cleared)).alarms
    return {(row.code, row.object) for row in rows if event in row.object}


def look(door: AgencyDoor, minutes: float = 0) -> None:
    """What the process does every few seconds, so long after now."""
    AlertWatch(door.node, door.alarms).look(door.node.clock() + timedelta(minutes=minutes))


def test_an_alert_is_alarmed_until_a_desk_answers_it(doors: dict[str, AgencyDoor]) -> None:
    """It is listed with its time, raises an alarm, a second one when the time passes; the answer clears both."""
    cq, desk = doors["cq"].agency("alerting"), desk_of(doors["sc"], "desk")
    event = "CQ-2026-001"
    sent = submit(cq, report(event), "alert-1").record_id
    wait_settled(doors["cq"])
    (shown,) = waiting(desk, event)
    assert (shown.open, shown.late, list(shown.replies)) == (True, False, [])
    arrived = shown.arrived_at.ToDatetime()
    assert shown.answer_by.ToDatetime() - arrived == timedelta(minutes=30)
    assert waiting(cq, event) == []
    assert [each.open for each in waiting(cq, event, ours=True)] == [True]
    look(doors["sc"], minutes=29)
    assert alarms_of(doors["sc"], event) == {("ALERT_OPEN", f"cq {event}/1")}
    look(doors["sc"], minutes=31)
    both = {("ALERT_OPEN", f"cq {event}/1"), ("ALERT_UNANSWERED", f"cq {event}/1")}
    assert alarms_of(doors["sc"], event) == both
    journal = [
        (each.alarm_changed.code, each.alarm_changed.change)
        for each in evidence.journal(doors["sc"].world, "sc", "alarm_changed")
        if event in each.alarm_changed.object
    ]
    assert journal == [("ALERT_OPEN", "OPENED"), ("ALERT_UNANSWERED", "OPENED")]
    submit(desk, reply_to(report(event), sent, AnswerVerb.ANSWER_VERB_ACKNOWLEDGED, "ALERT"), "ack-1")
    doors["sc"].world.wait(lambda: waiting(desk, event) == [], what="the answer's effect")
    look(doors["sc"], minutes=32)
    assert alarms_of(doors["sc"], event) == set()
    assert alarms_of(doors["sc"], event, cleared=True) == both
    wait_settled(doors["sc"])
    (told,) = waiting(cq, event, ours=True, answered=True)
    assert [(each.verb, each.answered_by) for each in told.replies] == [
        (AnswerVerb.ANSWER_VERB_ACKNOWLEDGED, "演示值班席")
    ]
    assert not told.open
    evidence.assert_laws(doors["cq"].world)


def test_a_refusal_answers_no_alert(doors: dict[str, AgencyDoor]) -> None:
    """An emergency can not be refused: it goes on waiting, and the refusal is shown."""
    cq, desk = doors["cq"].agency("alerting"), desk_of(doors["sc"], "desk")
    event = "CQ-2026-002"
    sent = submit(cq, report(event), "refuse-1").record_id
    wait_settled(doors["cq"])
    refusal = reply_to(report(event), sent, AnswerVerb.ANSWER_VERB_REFUSED, "ALERT")
    refusal.answer.reasons.append("NOT_YOURS")
    submit(desk, refusal, "refuse-2")
    wait_settled(doors["sc"])
    (shown,) = waiting(desk, event)
    assert shown.open
    assert [each.verb for each in shown.replies] == [AnswerVerb.ANSWER_VERB_REFUSED]


def test_reports_come_in_their_order_and_agree(doors: dict[str, AgencyDoor]) -> None:
    """No number is left out, nothing follows the last report, and a drill stays a drill of one kind."""
    cq = doors["cq"].agency("ordering")
    event = "CQ-2026-003"
    gas = report(event, 2)
    gas.alert.alert_kind = AlertKind.ALERT_KIND_TOXIC_GAS
    gas.alert.gas.park_id, gas.alert.gas.ring = "P1", GasRing.GAS_RING_PLANT_BOUNDARY
    late = report(event, 2)
    late.alert.sequence = 4
    with pytest.raises(CallFailed) as refused:
        submit(cq, report(event, 2), "order-0")
    assert "EARLIER_REPORT_MISSING" in {problem.reason for problem in refused.value.problems}
    submit(cq, report(event), "order-1")
    for number, (wrong, reason) in enumerate(
        ((gas, "ALERT_DISAGREES"), (report(event, 2, drill=True), "ALERT_DISAGREES"))
    ):
        with pytest.raises(CallFailed) as refused:
            submit(cq, wrong, f"order-2-{number}")
        assert [problem.reason for problem in refused.value.problems] == [reason]
    submit(cq, report(event, 2), "order-3")
    submit(cq, report(event, 3), "order-4")
    with pytest.raises(CallFailed) as refused:
        submit(cq, late, "order-5")
    assert [problem.reason for problem in refused.value.problems] == ["STATE_NOT_ALLOWED"]
    wait_settled(doors["cq"])
    desk = desk_of(doors["sc"], "desk")
    assert [each.record.record.alert.sequence for each in waiting(desk, event)] == [3, 2, 1]


def test_a_drill_is_held_to_the_same_times_and_told_apart(doors: dict[str, AgencyDoor]) -> None:
    """Its alarms begin with EXERCISE, and status counts it for itself."""
    cq, event = doors["cq"].agency("drilling"), "CQ-2026-DRILL"
    operator = doors["sc"].officer(Role.OPERATOR)
    before = operator.call(operator.operation.GetStatus, GetStatusRequest()).alerts
    submit(cq, report(event, drill=True, level="GENERAL"), "drill-1")
    wait_settled(doors["cq"])
    look(doors["sc"], minutes=59)
    assert alarms_of(doors["sc"], event) == {("ALERT_OPEN", f"EXERCISE cq {event}/1")}
    look(doors["sc"], minutes=61)
    assert ("ALERT_UNANSWERED", f"EXERCISE cq {event}/1") in alarms_of(doors["sc"], event)
    after = operator.call(operator.operation.GetStatus, GetStatusRequest()).alerts
    assert (after.open - before.open, after.exercises - before.exercises) == (0, 1)


def profile_of(folder: Path, door: AgencyDoor, name: str) -> Path:
    """A profile of an agency of this node."""
    issued = client_issued(door.node.name, Role.AGENCY, name)
    (folder / "ca.pem").write_bytes(identity_root().root_pem)
    (folder / "me.pem").write_bytes(issued.chain + issued.key)
    path = folder / "profile.toml"
    path.write_text(
        f'address = "127.0.0.1:{door.server.port}"\nca = "ca.pem"\ncert = "me.pem"\nkey = "me.pem"\n', "utf-8"
    )
    return path


def test_a_desk_works_by_the_command_line(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """List with status 1 while one waits, ack for a desk, show with the answer and status 0; in both languages."""
    cq, desk = doors["cq"].agency("alerting"), desk_of(doors["sc"], "desk-cli")
    event = "CQ-2026-CLI"
    sent = submit(cq, report(event), "cli-1").record_id
    wait_settled(doors["cq"])
    profile = profile_of(tmp_path, doors["sc"], "desk-cli")

    def call(*arguments: str, lang: str = "en") -> Run:
        return run(*arguments, "--profile", profile, lang=lang)

    listed = call("alerts", "list", "--json")
    assert listed.status == 1
    assert sent in {each["record"]["ref"]["record_id"] for each in listed.json["alerts"]}
    assert "水污染" in call("alerts", "show", sent, lang="zh").out
    assert call("alerts", "show", sent).status == 1
    ack = ("alerts", "ack", sent, "--desk", "演示值班席", "--area", SICHUAN, "--json")
    acked, again = call(*ack), call(*ack)
    assert (acked.status, acked.json["result"]) == (0, "SUBMIT_RESULT_ACCEPTED")
    doors["sc"].world.wait(lambda: waiting(desk, event) == [], what="the answer's effect")
    later = call(*ack)
    for repeated in (again, later):
        assert (repeated.json["record_id"], repeated.json["repeated_call"]) == (acked.json["record_id"], True)
    # Under a key of one's own another answer is refused, and the same one is the first again.
    keyed = call(*ack, "--confirmed", "--key", "desk-key-1")
    wait_settled(doors["sc"])
    assert call(*ack, "--confirmed", "--key", "desk-key-1").json["record_id"] == keyed.json["record_id"]
    reused = call(*ack, "--key", "desk-key-1")
    assert (reused.status, reused.json["error"]["reason"]) == (1, "IDEMPOTENCY_KEY_REUSED")
    shown = call("alerts", "show", sent, "--json")
    assert later.json == acked.json | {"repeated_call": True}
    assert (shown.status, [each["answered_by"] for each in shown.json["replies"]]) == (0, ["演示值班席"] * 2)


def test_alerts_are_listed_by_kind_and_drills_apart(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """Page by page, whatever is left out between; by rpc and by command."""
    cq, desk = doors["cq"].agency("sorting"), desk_of(doors["sc"], "desk-sorts")
    events = [f"CQ-2026-SORT-{number}" for number in range(6)]
    for number, event in enumerate(events):
        submit(cq, report(event, drill=number % 2 == 0), f"sort-{number}")
    wait_settled(doors["cq"])

    def listed(size: int, **wanted: int) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            request = ListAlertsRequest(page_size=size, page_token=token, **wanted)  # type: ignore[arg-type]
            answer = desk.call(desk.requests.ListAlerts, request)
            found += [each.record.record.alert.event_id for each in answer.alerts]
            token = answer.next_page_token
            if not token:
                return [event for event in reversed(found) if event in events]

    for size in (1, 2, 500):
        assert listed(size, exercise=ExerciseFilter.EXERCISE_FILTER_ONLY) == events[::2]
        assert listed(size, exercise=ExerciseFilter.EXERCISE_FILTER_NONE) == events[1::2]
        assert listed(size, alert_kind=AlertKind.ALERT_KIND_TOXIC_GAS) == []
    assert listed(3, alert_kind=AlertKind.ALERT_KIND_WATER_POLLUTION) == events
    with pytest.raises(CallFailed) as failure:
        listed(1, exercise=9)
    assert failure.value.reason == "ENUM_UNKNOWN"
    profile = profile_of(tmp_path, doors["sc"], "desk-sorts")
    done = run("alerts", "list", "--exercise", "--event-kind", "water_pollution", "--json", "--profile", profile)
    told = [each["record"]["record"]["alert"]["event_id"] for each in done.json["alerts"]]
    assert [event for event in reversed(told) if event in events] == events[::2]


def test_an_alert_is_shown_only_within_a_grant(doors: dict[str, AgencyDoor]) -> None:
    """Another area's agency neither lists nor gets it; what is no request is not found."""
    cq = doors["cq"].agency("alerting")
    elsewhere = doors["sc"].agency("elsewhere", ("51",))
    event = "CQ-2026-GRANT"
    sent = submit(cq, report(event), "grant-1").record_id
    wait_settled(doors["cq"])
    assert waiting(elsewhere, event) == []
    with pytest.raises(CallFailed):
        elsewhere.call(elsewhere.requests.GetRequest, GetRequestRequest(ref=RecordRef(record_id=sent)))


def test_what_a_careless_origin_let_through_is_not_recognised(
    doors: dict[str, AgencyDoor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The receiver looks for itself whether the reports of an event agree; such a report waits for nobody."""
    cq, desk = doors["cq"].agency("careless"), desk_of(doors["sc"], "desk")
    event = "CQ-2026-CARELESS"
    submit(cq, report(event), "careless-1")
    monkeypatch.setattr(submit_flow, "disagrees", lambda _before, _record: False)
    sent = submit(cq, report(event, 2, drill=True), "careless-2").record_id
    wait_settled(doors["cq"])
    assert [each.record.record.alert.sequence for each in waiting(desk, event)] == [1]
    found = desk.call(desk.requests.GetRequest, GetRequestRequest(ref=RecordRef(record_id=sent))).request
    assert (found.open, [each.reason for each in found.record.reasons]) == (False, ["ALERT_DISAGREES"])
    evidence.assert_laws(doors["cq"].world)


def test_an_alert_passes_what_waits_in_the_registry_lane(doors: dict[str, AgencyDoor]) -> None:
    """The registry lane does not get through; an alert that was submitted behind it arrives and is answered."""
    world = doors["cq"].world
    cq, desk = doors["cq"].agency("passing"), desk_of(doors["sc"], "desk")

    async def hold(_verb: str, request: Message) -> Message | None:
        held = isinstance(request, DeliverRequest) and "/registry" in request.origin
        return None if held else request

    world.wires["cq"].before = hold
    try:
        backlog = [submit(cq, credit_of(firm(960 + number)), f"passed-{number}").record_id for number in range(5)]
        event = "CQ-2026-PASSES"
        sent = submit(cq, report(event), "passes-1").record_id
        doors["sc"].world.wait(lambda: bool(waiting(desk, event)), what="the alert")
        submit(desk, reply_to(report(event), sent, AnswerVerb.ANSWER_VERB_CONFIRMED, "ALERT"), "passes-2")
        world.wait(lambda: waiting(cq, event, ours=True) == [], what="the answer at home")
        arrived = {row.record_id for row in world.rows("sc", "reg_records")}
        assert not arrived & {raw_id(each) for each in backlog}
    finally:
        world.wires["cq"].before = None
    wait_settled(doors["cq"])
    assert {raw_id(each) for each in backlog} <= {row.record_id for row in world.rows("sc", "reg_records")}
