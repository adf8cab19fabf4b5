"""Sound records of every kind, for tests to break. Invented firms and generated codes only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.common_pb2 import SubjectKind
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.key_announcement_pb2 import KeyState, KeyUse
from exchange.v1.kind_pb2 import Condition, Outcome
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

TODAY = date(2026, 3, 2)
"""The day on which every record of this file is sound."""

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
    body.evaluation_year = 2024
    body.window_start = "2024-01-01"
    body.window_end = "2024-12-31"
    body.scheme_id = "CQ-渝环规〔2021〕7号"
    body.scheme_edition = "2021"
    body.source_level_text = "环保良好企业"
    body.source_colour = "蓝牌"
    body.shared_level = CreditLevel.CREDIT_LEVEL_BLUE
    body.score = "92"
    body.score_max = "108"
    body.score_kind = "BASE_100_DEDUCT_BONUS"
    body.state = CreditState.CREDIT_STATE_FINAL
    body.published_on = "2025-11-20"
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


SOUND: Mapping[str, Callable[[], Record]] = {
    "credit": credit,
    "penalty": penalty,
    "joint_measure": joint_measure,
    "monitoring": monitoring,
    "erasure": erasure,
    "answer": answer,
    "recognition": recognition,
    "key_announcement": key_announcement,
}
"""A maker for each sound record."""
