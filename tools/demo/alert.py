"""An alert from upstream: it goes by the urgent lane, the operator is told, and a named duty desk answers."""

from __future__ import annotations

from exchange.v1.alert_pb2 import AlertLevel, ReportKind
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.operation_service_pb2 import Alarm
from exchange.v1.request_service_pb2 import ListAlertsRequest, Request
from tests.domain import records
from tests.rigs.pair import AUTHORITIES
from tools.demo.stage import Stage, claim, console, wait

EVENT = "SC-2026-DEMO-001"


def alert(stage: Stage) -> None:
    """Sichuan warns, Chongqing's desk acknowledges."""
    console.rule("7 · 上游预警 An alert from upstream")
    record = records.alert()
    record.header.authority.uscc, record.header.area_code = AUTHORITIES["sc"], "510100"
    body = record.alert
    body.event_id, body.sequence, body.report_kind = EVENT, 1, ReportKind.REPORT_KIND_INITIAL
    body.level = AlertLevel.ALERT_LEVEL_MAJOR
    sent = stage.submit("sc", record, "alert-1").record_id
    wait("the alert at cq", lambda: bool(_open(stage)), 30)
    shown = _open(stage)[0]
    claim(
        shown.open,
        f"重庆须于 {shown.answer_by.ToDatetime():%H:%M}Z 前由值班席答复 a duty desk of Chongqing has to answer by then",
    )
    wait("the alarm", lambda: bool(_alarms(stage)), 30)
    claim(_alarms(stage), "运行人员已收到告警 the operator is told: ALERT_OPEN")
    answer = records.answer()
    answer.header.area_code = "500107"
    answer.answer.record.CopyFrom(RecordRef(origin="sc", record_id=sent, revision=1))
    answer.answer.verb, answer.answer.effect = AnswerVerb.ANSWER_VERB_ACKNOWLEDGED, "ALERT"
    answer.answer.answered_by = "重庆演示值班席"
    stage.submit("cq", answer, "alert-ack")
    wait("answered", lambda: not _open(stage) and not _alarms(stage), 60)
    claim(not _open(stage), "值班席已答复，告警解除 the desk has answered, and the alarm is cleared")


def _alarms(stage: Stage) -> list[Alarm]:
    """About this event: the documents of the morning hold drills, whose alarms stay open."""
    return [alarm for alarm in stage.alarms("cq", "ALERT_OPEN") if EVENT in alarm.object]


def _open(stage: Stage) -> list[Request]:
    with stage.pair.nodes["cq"].client() as client:
        found = client.call(client.requests.ListAlerts, ListAlertsRequest()).alerts
    return [each for each in found if each.record.record.alert.event_id == EVENT and each.open]
