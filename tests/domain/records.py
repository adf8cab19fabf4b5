"""Sound records of every kind, for tests to break. Invented firms and generated codes only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from exchange.v1.alert_pb2 import AlertKind, AlertLevel, ReportKind, SensitivePointKind
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.case_referral_pb2 import ReferralKind, ReferralState
from exchange.v1.common_pb2 import RecordRef, Subject, SubjectKind
from exchange.v1.correction_request_pb2 import CorrectionRequester, CorrectionState
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState, NotEvaluatedReason
from exchange.v1.inspection_task_pb2 import InspectionMode, InspectionState
from exchange.v1.key_announcement_pb2 import KeyState, KeyUse
from exchange.v1.kind_pb2 import Condition, Outcome
from exchange.v1.lab_qualification_pb2 import LabState
from exchange.v1.list_entry_pb2 import ListKind, ListState
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.measure_feedback_pb2 import FeedbackResult
from exchange.v1.monitoring_batch_pb2 import (
    CrcVerdict,
    Interval,
    ProtocolEdition,
    TimeSemantics,
    UnitSource,
    Usability,
    ValueKind,
)
from exchange.v1.penalty_notice_pb2 import DishonestyClass, NoticeKind, PenaltyState, PenaltyType
from exchange.v1.recognition_pb2 import DecisionCause
from exchange.v1.record_pb2 import Record, ShareClass
from exchange.v1.repair_notice_pb2 import RepairEffect
from exchange.v1.revocation_notice_pb2 import RevocationGround
from exchange.v1.standards_equivalence_pb2 import EquivalenceKind, EquivalenceRelation, Stricter

YEAR = max(2024, datetime.now(UTC).year - 2)
"""Evaluation year of the credit results: by the real clock of a node they are not stale, now or in years to come."""

PUBLISHED = f"{YEAR + 1}-11-20"
"""Day on which they were published."""

TODAY = date(YEAR + 2, 3, 2)
"""A day on which every record of this file is sound."""

AUTHORITY = "11500000MB1614741U"
"""A public authority's USCC, so that area 50 states the records."""

RECORD_ID = "019573a0-6c00-7000-8000-0000000000aa"
OTHER_RECORD_ID = "019573a0-6c00-7000-8000-0000000000bb"
DATA_SECOND = 1_767_225_600
"""2026-01-01T00:00:00Z."""

_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def make_uscc(number: int, *, prefix: str = "91500000") -> str:
    """A generated USCC that passes every check and belongs to nobody in particular."""
    serial = f"MX{number:06d}"
    weights = (3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(char, 36) * weight for char, weight in zip(serial, weights, strict=True))
    body = prefix + serial + "0X987654321"[total % 11]
    check = -sum(_ALPHABET.index(char) * pow(3, place, 31) for place, char in enumerate(body)) % 31
    return body + _ALPHABET[check]


FIRM = make_uscc(1)

LIST_UNTIL = f"{YEAR + 2}-12-31"
"""Last day of list entries."""


def _header(record: Record) -> None:
    header = record.header
    header.kind_edition = 1
    header.authority.uscc = AUTHORITY
    header.authority.name = "演示市生态环境局"
    header.area_code = "500107"
    header.catalogue_no = "DEMO/2026-001"
    header.share_class = ShareClass.SHARE_CLASS_CONDITIONAL
    header.purpose = "两地信用评价结果互认"


def credit() -> Record:
    """A final BLUE result of the Chongqing scheme."""
    record = Record()
    _header(record)
    body = record.credit_result
    body.subject.uscc = FIRM
    body.subject.name = "演示甲化工有限公司"
    body.subject.kind = SubjectKind.SUBJECT_KIND_ORGANISATION
    body.subject.area_code = "500107"
    body.subject.permit_code = f"{FIRM}001P"
    body.evaluation_year = YEAR
    body.window_start = f"{YEAR}-01-01"
    body.window_end = f"{YEAR}-12-31"
    body.scheme_id = "CQ-渝环规〔2021〕7号"
    body.scheme_edition = "2021"
    body.source_level_text = "环保良好企业"
    body.source_colour = "蓝牌"
    body.shared_level = CreditLevel.CREDIT_LEVEL_BLUE
    body.score = "92"
    body.score_max = "108"
    body.score_kind = "BASE_100_DEDUCT_BONUS"
    body.state = CreditState.CREDIT_STATE_FINAL
    body.published_on = PUBLISHED
    body.legal_basis.append("渝环规〔2021〕7号 第二条")
    return record


def penalty() -> Record:
    """A penalty decision as 双公示 carries it."""
    record = Record()
    _header(record)
    record.header.purpose = "行政处罚信息共享"
    body = record.penalty_notice
    body.notice_kind = NoticeKind.NOTICE_KIND_PENALTY
    body.subject.uscc = FIRM
    body.subject.name = "演示甲化工有限公司"
    body.subject.kind = SubjectKind.SUBJECT_KIND_ORGANISATION
    body.decision_no = "演环罚〔2025〕17号"
    body.decided_on = "2025-09-03"
    body.violation_type = "超标排放水污染物"
    body.violation_facts = "废水总排口化学需氧量超过排放限值。"
    body.legal_basis.append("水污染防治法 第八十三条第二项")
    body.penalty_types.append(PenaltyType.PENALTY_TYPE_FINE)
    body.source_penalty_types = "罚款"
    body.content = "罚款20000元"
    body.fine_cny = "20000"
    body.dishonesty_class = DishonestyClass.DISHONESTY_CLASS_NOT_STATED
    body.publicity_until = "2026-09-03"
    body.state = PenaltyState.PENALTY_STATE_ISSUED
    return record


def joint_measure() -> Record:
    """A joint measure with one ordered and one recommended measure."""
    record = penalty()
    body = record.penalty_notice
    body.notice_kind = NoticeKind.NOTICE_KIND_JOINT_MEASURE
    for code in ("B1", "C2"):
        measure = body.measures.add(catalogue="全国失信惩戒措施基础清单", edition="2024", code=code)
        measure.addressee = "GOVERNMENT" if code == "B1" else "MARKET"
        measure.recommendation = code == "C2"
        if code == "B1":
            measure.legal_basis.append("演示条例 第一条")
    return record


def monitoring() -> Record:
    """One hour of two factors of an outlet."""
    record = Record()
    _header(record)
    record.header.purpose = "监测数据互认"
    body = record.monitoring_batch
    body.station.station_id = "0100000A8900016F000169DC"
    body.station.name = "演示甲化工废水总排口"
    body.station.permit_code = f"{FIRM}001P"
    body.station.outlet_code = "DW001"
    body.station.area_code = "500107"
    body.station.uscc = FIRM
    body.medium_code = "32"
    body.interval = Interval.INTERVAL_HOUR
    body.protocol_edition = ProtocolEdition.PROTOCOL_EDITION_HJ212_2017
    body.time_semantics = TimeSemantics.TIME_SEMANTICS_INTERVAL_START
    body.crc_verdict = CrcVerdict.CRC_VERDICT_ANNEX_A
    for code, value in (("w01018", "234.457859851307"), ("w21003", "1.5")):
        series = body.series.add(factor_code=code, source_factor_code=code, unit="mg/L")
        series.value_kind = ValueKind.VALUE_KIND_AVG
        series.unit_source = UnitSource.UNIT_SOURCE_STANDARD_DEFAULT
        for hour in range(2):
            point = series.points.add(value=value, source_flag="N", usability=Usability.USABILITY_USABLE)
            point.data_time.seconds = DATA_SECOND + 3600 * hour
    return record


def erasure() -> Record:
    """An erasure of one record for reasons of personal data."""
    record = Record()
    _header(record)
    body = record.erasure
    body.record.origin = "cq"
    body.record.record_id = OTHER_RECORD_ID
    body.legal_ground = "个人信息保护法 第四十七条"
    body.ground_code = "PERSONAL_DATA"
    body.ordered_by = "法规处处长"
    body.ordered_on = "2026-02-01"
    return record


def answer() -> Record:
    """A confirmation of an announced key."""
    record = Record()
    _header(record)
    body = record.answer
    body.record.origin = "sc"
    body.record.record_id = OTHER_RECORD_ID
    body.record.revision = 1
    body.verb = AnswerVerb.ANSWER_VERB_CONFIRMED
    body.effect = "KEY_ACCEPTED"
    body.answered_by = "值班席"
    body.answered_at.seconds = DATA_SECOND
    return record


def recognition() -> Record:
    """A step of four entries, one of which differs."""
    record = Record()
    record.header.kind_edition = 1
    body = record.recognition
    body.answered_log = "cq.exchange.example/to/sc/registry/1"
    body.first, body.end = 0, 4
    body.default_outcome = Outcome.OUTCOME_FULL
    body.default_rules.append("CR-11")
    item = body.items.add(index=2, record_id=OTHER_RECORD_ID, revision=1, decision_revision=1)
    item.outcome = Outcome.OUTCOME_CONDITIONAL
    item.reasons.append("VETO_NOT_SHARED")
    item.conditions.append(Condition.CONDITION_RECEIVER_DECIDES_MEASURES)
    item.rules.append("CR-08")
    item.facts.add(code="VETO", value="NV02")
    body.cause = DecisionCause.DECISION_CAUSE_ARRIVAL
    body.rule_edition = "2026-1"
    body.rule_digest = "ab" * 32
    body.decided_at.seconds = DATA_SECOND
    return record


def key_announcement() -> Record:
    """Entry 0 of a first epoch: a signing key and a log key."""
    record = Record()
    record.header.kind_edition = 1
    body = record.key_announcement
    signing = body.keys.add(use=KeyUse.KEY_USE_SIGNING, key_id="cd" * 32, state=KeyState.KEY_STATE_ACTIVE)
    signing.chain.append(b"\x30\x03\x02\x01\x01")
    signing.valid_from.seconds = DATA_SECOND
    log = body.keys.add(use=KeyUse.KEY_USE_LOG, state=KeyState.KEY_STATE_ACTIVE)
    log.key_id = "cq.exchange.example/to/sc/registry/1+0a0b0c0d"
    log.vkey = "cq.exchange.example/to/sc/registry/1+0a0b0c0d+AXSTIn7ABL2Wv3vNhj4c3DW0wZC5NG4fU4OZ6SjPzVQM"
    log.valid_from.seconds = DATA_SECOND
    return record


def _subject(subject: Subject) -> None:
    subject.uscc = FIRM
    subject.name = "演示甲化工有限公司"
    subject.kind = SubjectKind.SUBJECT_KIND_ORGANISATION
    subject.area_code = "500107"


def _notice(ref: RecordRef) -> None:
    ref.origin, ref.record_id, ref.revision = "cq", OTHER_RECORD_ID, 1


def not_evaluated() -> Record:
    """A firm that the authority says it did not evaluate, and why."""
    record = credit()
    body = record.credit_result
    body.shared_level = CreditLevel.CREDIT_LEVEL_NOT_EVALUATED
    body.source_level_text = "未参评"
    body.not_evaluated_reason = NotEvaluatedReason.NOT_EVALUATED_REASON_NEWLY_ESTABLISHED
    body.source_not_evaluated_text = "评价年度内新投产"
    for name in ("score", "score_max", "score_kind", "source_colour"):
        body.ClearField(name)
    return record


def list_entry() -> Record:
    """An entry of the hazardous-waste white list."""
    record = Record()
    _header(record)
    record.header.purpose = "危险废物跨省市转移白名单互认"
    body = record.list_entry
    _subject(body.subject)
    body.list_kind = ListKind.LIST_KIND_WHITE
    body.list_id = "演示危险废物跨省市转移白名单"
    body.list_edition = "2026"
    body.entered_on = "2026-01-15"
    body.valid_until = LIST_UNTIL
    body.entry_reason = "持证经营且上年度无违法"
    body.legal_basis.append("演示合作协议 第三条")
    body.state = ListState.LIST_STATE_ENTERED
    body.wastes.add(category="HW08", waste_code="900-249-08", treatment="R9", tonnes_per_year="1200.5")
    return record


def lab() -> Record:
    """A laboratory on its roster, with two lines of scope."""
    record = Record()
    _header(record)
    record.header.purpose = "监测机构互认"
    body = record.lab_qualification
    _subject(body.subject)
    body.subject.name = "演示乙检测有限公司"
    body.cma_no = "222212050001"
    body.issuing_body = "演示市市场监督管理局"
    body.valid_from = "2022-05-01"
    body.valid_until = f"{YEAR + 4}-04-30"
    body.roster = "演示市社会环境监测机构名录"
    body.roster_no = "YS-017"
    body.state = LabState.LAB_STATE_LISTED
    body.state_since = "2024-02-01"
    for code, parameter, method in (("w01018", "化学需氧量", "HJ 828-2017"), ("w21003", "氨氮", "HJ 535-2009")):
        line = body.scope.add(object="水和废水", factor_code=code, parameter=parameter, method_standard=method)
        line.valid_from = "2022-05-01"
    return record


def feedback() -> Record:
    """A measure that was carried out while a permit was handled."""
    record = Record()
    _header(record)
    record.header.purpose = "联合惩戒措施反馈"
    body = record.measure_feedback
    _notice(body.notice)
    _subject(body.subject)
    body.matter_kind = MatterKind.MATTER_KIND_FUNDS
    body.matter_no = "资金〔2026〕8号"
    result = body.results.add(catalogue="全国失信惩戒措施基础清单", edition="2024", code="B1")
    result.result = FeedbackResult.FEEDBACK_RESULT_IMPLEMENTED
    body.document_no = "演环资〔2026〕3号"
    body.acted_on = "2026-02-20"
    body.officer_ref = "0117"
    return record


def repair() -> Record:
    """A repair with all three effects."""
    record = Record()
    _header(record)
    record.header.purpose = "信用修复共享"
    record.header.issued.document_no = "演环修〔2026〕2号"
    record.header.issued.approver = "分管局长"
    record.header.issued.issued_on = "2026-02-25"
    body = record.repair_notice
    _notice(body.notice)
    _subject(body.subject)
    body.effects.extend(
        (
            RepairEffect.REPAIR_EFFECT_STOP_PUBLISH,
            RepairEffect.REPAIR_EFFECT_STOP_SHARE,
            RepairEffect.REPAIR_EFFECT_LIFT_MEASURES,
        )
    )
    body.due_by = "2026-03-05"
    body.repair_rule = "国家发展改革委令第58号"
    return record


def revocation() -> Record:
    """A revocation by reconsideration."""
    record = Record()
    _header(record)
    record.header.purpose = "处罚撤销共享"
    record.header.issued.document_no = "演府复〔2026〕4号"
    record.header.issued.issued_on = "2026-02-26"
    body = record.revocation_notice
    _notice(body.notice)
    _subject(body.subject)
    body.ground = RevocationGround.REVOCATION_GROUND_RECONSIDERATION
    body.decided_by = "演示市人民政府"
    body.retroactive = True
    body.effects.extend(effect for effect in RepairEffect.values() if effect)
    body.due_by = "2026-03-05"
    body.legal_basis.append("行政复议法 第六十四条")
    return record


def correction() -> Record:
    """A doubted score."""
    record = Record()
    _header(record)
    record.header.purpose = "数据校核纠错"
    body = record.correction_request
    _notice(body.record)
    body.area_code = "500107"
    body.requester = CorrectionRequester.CORRECTION_REQUESTER_AGENCY
    body.items.add(field="credit_result.score", proposed="95", reason="与公示文本不一致")
    body.requested_on = "2026-03-01"
    body.due_by = "2026-03-15"
    body.state = CorrectionState.CORRECTION_STATE_REQUESTED
    return record


def referral() -> Record:
    """A case that is handed over."""
    record = Record()
    _header(record)
    record.header.purpose = "案件移送"
    body = record.case_referral
    body.case_no = "演环案移〔2026〕5号"
    body.referral_kind = ReferralKind.REFERRAL_KIND_TRANSFER
    _subject(body.subject)
    body.facts = "跨界倾倒一般工业固体废物。"
    body.legal_basis.append("固体废物污染环境防治法 第一百零二条")
    body.materials.append("现场检查笔录")
    body.referred_on = "2026-02-27"
    body.state = ReferralState.REFERRAL_STATE_REFERRED
    return record


def inspection() -> Record:
    """A joint random inspection that is planned."""
    record = Record()
    _header(record)
    record.header.purpose = "双随机联合检查"
    body = record.inspection_task
    body.task_no = "演联检〔2026〕1号"
    body.mode = InspectionMode.INSPECTION_MODE_RANDOM
    body.topic = "涉水排污单位联合检查"
    body.area_code = "500107"
    body.planned_from = "2026-03-10"
    body.planned_until = "2026-03-20"
    body.sampling_rule = "红牌 100%，黄牌 50%，其他 5%"
    target = body.targets.add(chosen_by="黄牌")
    _subject(target.subject)
    body.state = InspectionState.INSPECTION_STATE_PLANNED
    return record


def alert() -> Record:
    """The first report of a water pollution, which is a drill."""
    record = Record()
    _header(record)
    record.header.purpose = "突发水污染事件通报"
    body = record.alert
    body.event_id = "CQ-20260301-001"
    body.sequence = 1
    body.report_kind = ReportKind.REPORT_KIND_INITIAL
    body.is_exercise = True
    body.alert_kind = AlertKind.ALERT_KIND_WATER_POLLUTION
    body.level = AlertLevel.ALERT_LEVEL_NOT_DETERMINED
    for at in (body.occurred_at, body.learned_at, body.reported_at):
        at.seconds = DATA_SECOND
    body.location.area_code = "500107"
    body.location.place = "演示河演示大桥下游200米"
    body.location.longitude, body.location.latitude = "106.55", "29.56"
    body.pollutants.add(name="苯", cas_no="71-43-2", amount="2", unit="t")
    reading = body.readings.add(place="演示断面", factor_code="w01018", value="38", unit="mg/L")
    reading.sampled_at.seconds = DATA_SECOND
    body.sensitive_points.add(
        kind=SensitivePointKind.SENSITIVE_POINT_KIND_WATER_INTAKE, name="演示水厂取水口", distance_km="12.5"
    )
    body.reporting_unit.name = "演示区生态环境局"
    body.contact_desk = "演示市应急值班室"
    body.water.river_id = "演示河"
    return record


def equivalence() -> Record:
    """Two limits that are not equivalent."""
    record = Record()
    _header(record)
    record.header.purpose = "标准协同"
    body = record.standards_equivalence
    body.equivalence_kind = EquivalenceKind.EQUIVALENCE_KIND_LIMIT
    body.edition = "2026-1"
    for side, node, number in ((body.left, "cq", "DB50/000-2020"), (body.right, "sc", "DB51/000-2016")):
        side.node, side.standard_no, side.edition, side.code = node, number, "1", "w01018"
    body.relation = EquivalenceRelation.EQUIVALENCE_RELATION_NOT_EQUIVALENT
    body.stricter = Stricter.STRICTER_RIGHT
    body.evidence_ref = "演示比对报告2026-1"
    body.valid_from = "2026-01-01"
    body.approvals.add(node="cq", document_no="演环函〔2026〕9号", approved_on="2026-01-01")
    return record


SOUND: Mapping[str, Callable[[], Record]] = {
    "credit": credit,
    "penalty": penalty,
    "joint_measure": joint_measure,
    "monitoring": monitoring,
    "not_evaluated": not_evaluated,
    "list_entry": list_entry,
    "lab": lab,
    "feedback": feedback,
    "repair": repair,
    "revocation": revocation,
    "correction": correction,
    "referral": referral,
    "inspection": inspection,
    "alert": alert,
    "equivalence": equivalence,
    "erasure": erasure,
    "answer": answer,
    "recognition": recognition,
    "key_announcement": key_announcement,
}
"""A maker for each sound record."""
