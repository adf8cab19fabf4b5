"""A day on the border: a firm with a site on each side, a measure carried out, a repair that reaches everyone."""

from __future__ import annotations

from rich.table import Table

from exchange.v1.check_service_pb2 import (
    CheckSubjectRequest,
    CheckSubjectResponse,
    MeasureEffect,
    MeasureStrength,
)
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.measure_feedback_pb2 import FeedbackResult
from exchange.v1.penalty_service_pb2 import ListDueFeedbackRequest, ListUnconfirmedEffectsRequest
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import GetRecordRequest, ListRecordsRequest, RecordView
from tests.domain import records
from tests.rigs.pair import AUTHORITIES
from tools.demo.stage import NAMES, Stage, claim, console, wait

FIRM = records.make_uscc(88_001)
NAME = "演示跨界化工有限公司"
MATTER = "渝环资金〔2026〕演示002号"


def border(stage: Stage) -> None:
    """The day of one firm."""
    console.rule("5 · 边界上的一天 A day on the border")
    _two_sites(stage)
    notice = _joint_measure(stage)
    answer = _check(stage)
    _show(stage, answer)
    claim(
        answer.decisive_level == CreditLevel.CREDIT_LEVEL_RED,
        "两个厂址等级不同，取低者为准，不取平均 the lower level of the two sites is decisive, never an average",
    )
    _feedback(stage, notice)
    _repair(stage, notice)


def _subject(record: Record) -> None:
    name = record.WhichOneof("body")
    subject = getattr(record, name or "").subject
    subject.uscc, subject.name = FIRM, NAME


def _of_sichuan(record: Record) -> Record:
    record.header.authority.uscc = AUTHORITIES["sc"]
    record.header.authority.name = "演示sc生态环境局"
    record.header.area_code = "510100"
    return record


def _two_sites(stage: Stage) -> None:
    """Chongqing says blue of one site; Sichuan says red of the other, by a situation that only its list has."""
    ours = records.credit()
    _subject(ours)
    ours.credit_result.subject.permit_code = f"{FIRM}001P"
    stage.submit("cq", ours, "border-credit-cq")
    theirs = _of_sichuan(records.credit())
    _subject(theirs)
    body = theirs.credit_result
    body.subject.permit_code, body.subject.area_code = f"{FIRM}002P", "510100"
    body.scheme_id, body.scheme_edition = "SC-2019版", "2019"
    body.source_level_text, body.source_colour = "环保不良企业", "红牌"
    body.shared_level, body.score = CreditLevel.CREDIT_LEVEL_RED, "85"
    body.ClearField("score_max")
    body.veto_reasons.add(shared_code="SV01", source_text="相关人员被行政拘留")
    stage.submit("sc", theirs, "border-credit-sc")
    stage.wait_answered("cq", "sc")
    view = _listed(stage, "cq", Kind.KIND_CREDIT_RESULT, origin="sc")[0]
    reasons = "、".join(problem.message for problem in view.reasons)
    claim(
        view.outcome == Outcome.OUTCOME_CONDITIONAL,
        f"四川的红牌在重庆有条件互认 Sichuan's red is recognised conditionally: {reasons}",
    )


def _joint_measure(stage: Stage) -> str:
    notice = _of_sichuan(records.joint_measure())
    _subject(notice)
    notice.penalty_notice.subject.area_code = "510100"
    notice.penalty_notice.decision_no = "川环惩〔2026〕演示1号"
    sent = stage.submit("sc", notice, "border-notice").record_id
    stage.wait_answered("sc")
    return sent


def _check(stage: Stage) -> CheckSubjectResponse:
    request = CheckSubjectRequest(
        uscc=FIRM,
        matter_kind=MatterKind.MATTER_KIND_FUNDS,
        matter_no=MATTER,
        purpose="环保专项资金审批",
        officer_ref="staff-0042",
        area_code="500107",
    )
    with stage.pair.nodes["cq"].client() as client:
        return client.call(client.checks.CheckSubject, request)


def _show(stage: Stage, answer: CheckSubjectResponse) -> None:
    del stage
    table = Table("适用措施 measure", "作用 effect", "约束力 strength", "来自 from", "反馈期限 feedback due")
    for each in answer.measures:
        table.add_row(
            f"{each.measure.code} {each.name}",
            MeasureEffect.Name(each.effect).removeprefix("MEASURE_EFFECT_"),
            MeasureStrength.Name(each.strength).removeprefix("MEASURE_STRENGTH_"),
            f"{NAMES[each.source.origin]} {Kind.Name(each.source_kind).removeprefix('KIND_')}",
            each.feedback_due_on or "–",
        )
    console.print(table)


def _feedback(stage: Stage, notice: str) -> None:
    """What was ordered is carried out and reported to the region that ordered it."""
    with stage.pair.nodes["cq"].client() as client:
        due = [
            each
            for each in client.call(client.penalties.ListDueFeedback, ListDueFeedbackRequest()).feedback
            if each.source.record_id == notice
        ]
    claim(due, f"措施反馈应于 {due[0].due_on if due else ''} 前报送 feedback is due about {len(due)} measure(s)")
    record = records.feedback()
    _subject(record)
    body = record.measure_feedback
    body.notice.CopyFrom(RecordRef(origin="sc", record_id=notice, revision=1))
    body.matter_kind, body.matter_no, body.check_id = due[0].matter_kind, due[0].matter_no, due[0].check_id
    del body.results[:]
    for each in due:
        body.results.add(
            catalogue=each.catalogue,
            edition=each.edition,
            code=each.code,
            result=FeedbackResult.FEEDBACK_RESULT_IMPLEMENTED,
        )
    stage.submit("cq", record, "border-feedback")
    wait("feedback at sc", lambda: bool(_listed(stage, "sc", Kind.KIND_MEASURE_FEEDBACK, origin="cq")), 30)
    with stage.pair.nodes["cq"].client() as client:
        left = client.call(client.penalties.ListDueFeedback, ListDueFeedbackRequest()).feedback
    claim(
        all(each.source.record_id != notice for each in left),
        "反馈已到达通知地区，不再应报 the feedback reached the region of the notice, and is due no more",
    )


def _repair(stage: Stage, notice: str) -> None:
    """A repair reaches everyone who had the notice, and each confirms."""
    record = _of_sichuan(records.repair())
    _subject(record)
    record.repair_notice.notice.CopyFrom(RecordRef(origin="sc", record_id=notice, revision=1))
    record.header.issued.document_no = "川环修〔2026〕演示1号"
    act = stage.submit("sc", record, "border-repair").record_id
    wait("the repair at cq", lambda: _shown(stage, "cq", notice).HasField("tombstone"), 30)
    for name, shown in NAMES.items():
        view = _shown(stage, name, notice)
        claim(
            view.HasField("tombstone") and not view.HasField("record"),
            f"{shown}: 通知只剩墓碑 only the tombstone is shown: {view.tombstone.reason} {view.tombstone.since}",
        )
    claim(
        not any(each.source.record_id == notice for each in _check(stage).measures),
        "措施已解除 its measures are lifted: the same check shows none of them",
    )
    wait("answers at sc", lambda: len(_answers(stage, act)) == 3, 30)
    confirmed = _answers(stage, act)
    claim(confirmed, f"重庆逐项确认 Chongqing's node confirmed each effect: {', '.join(confirmed)}")
    with stage.pair.nodes["cq"].client() as client:
        asked = client.call(client.penalties.ListUnconfirmedEffects, ListUnconfirmedEffectsRequest()).effects
    claim(
        [each.act.record_id for each in asked] == [act],
        "看过该通知的单位被要求确认 the agency that was shown the notice is asked to confirm, too",
    )


def _answers(stage: Stage, act: str) -> list[str]:
    with stage.pair.nodes["sc"].client() as client:
        request = ListRecordsRequest(about=RecordRef(origin="sc", record_id=act), kind=Kind.KIND_ANSWER)
        views = client.call(client.records.ListRecords, request).records
    return sorted(view.record.answer.effect for view in views)


def _shown(stage: Stage, name: str, record_id: str) -> RecordView:
    with stage.pair.nodes[name].client() as client:
        ref = RecordRef(origin="sc", record_id=record_id)
        return client.call(client.records.GetRecord, GetRecordRequest(ref=ref)).record


def _listed(stage: Stage, name: str, kind: Kind.ValueType, *, origin: str) -> list[RecordView]:
    with stage.pair.nodes[name].client() as client:
        request = ListRecordsRequest(uscc=FIRM, kind=kind, origin=origin)
        return list(client.call(client.records.ListRecords, request).records)
