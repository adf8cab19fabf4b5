"""Kinds that ask the other side for something, or tell it what was done: answered by an Answer, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from exchange.domain.kinds.keys import joined, normalise_document_no, ref_parts
from exchange.domain.kinds.spec import KindSpec, Reach, day_of, is_personal
from exchange.v1.case_referral_pb2 import REFERRAL_STATE_WITHDRAWN
from exchange.v1.correction_request_pb2 import CORRECTION_STATE_WITHDRAWN
from exchange.v1.kind_pb2 import ErasureClass, Kind, Lane
from exchange.v1.repair_notice_pb2 import RepairEffect

if TYPE_CHECKING:
    from exchange.v1.record_pb2 import Record
    from exchange.v1.standards_equivalence_pb2 import StandardRef

_NOTICES: Final = frozenset({int(Kind.KIND_PENALTY_NOTICE), int(Kind.KIND_LIST_ENTRY)})
"""Kinds that state measures, and can be repaired and revoked."""

_MEASURED: Final = _NOTICES | {int(Kind.KIND_CREDIT_RESULT)}
"""Kinds that measures follow from: those, and results whose level brings some."""

REPAIR_EFFECTS: Final = tuple(
    RepairEffect.Name(effect).removeprefix("REPAIR_EFFECT_") for effect in RepairEffect.values() if effect
)
"""Effects of a repair or revocation, each confirmed by an Answer of its own."""


def _act_key(word: str, record: Record) -> str:
    body = record.repair_notice if record.HasField("repair_notice") else record.revocation_notice
    return joined(word, *ref_parts(body.notice), normalise_document_no(record.header.issued.document_no))


def _alert_key(record: Record, back: int = 0) -> str:
    body = record.alert
    return joined("ALERT", body.event_id, str(body.sequence - back))


def _alert_before(record: Record) -> str:
    return "" if record.alert.sequence <= 1 else _alert_key(record, 1)


def _side(ref: StandardRef) -> tuple[str, ...]:
    return ref.node, ref.standard_no, ref.edition, ref.clause, ref.code


def _equivalence_key(record: Record) -> str:
    body = record.standards_equivalence
    return joined("EQUIVALENCE", *_side(body.left), *_side(body.right), body.edition)


ACTS: Final = (
    KindSpec(
        kind=Kind.KIND_MEASURE_FEEDBACK,
        field="measure_feedback",
        name="MeasureFeedback",
        zh="措施反馈",
        en="measure feedback",
        lane=Lane.LANE_REGISTRY,
        answered_by=None,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        natural_key=lambda record: joined(
            "FEEDBACK", *ref_parts(record.measure_feedback.notice), record.measure_feedback.matter_no
        ),
        subject=lambda record: record.measure_feedback.subject,
        level=lambda record: record.measure_feedback.matter_kind,
        sort_date=lambda record: record.measure_feedback.acted_on,
        about=lambda record: record.measure_feedback.notice,
        about_kinds=_MEASURED,
        reach=Reach.KNOWN,
    ),
    KindSpec(
        kind=Kind.KIND_REPAIR_NOTICE,
        field="repair_notice",
        name="RepairNotice",
        zh="修复",
        en="repair notice",
        lane=Lane.LANE_REGISTRY,
        answered_by=Kind.KIND_ANSWER,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        effects=REPAIR_EFFECTS,
        natural_key=lambda record: _act_key("REPAIR", record),
        subject=lambda record: record.repair_notice.subject,
        sort_date=lambda record: record.header.issued.issued_on,
        about=lambda record: record.repair_notice.notice,
        about_kinds=_NOTICES,
        reach=Reach.OWN,
    ),
    KindSpec(
        kind=Kind.KIND_REVOCATION_NOTICE,
        field="revocation_notice",
        name="RevocationNotice",
        zh="撤销",
        en="revocation notice",
        lane=Lane.LANE_REGISTRY,
        answered_by=Kind.KIND_ANSWER,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        effects=REPAIR_EFFECTS,
        natural_key=lambda record: _act_key("REVOCATION", record),
        subject=lambda record: record.revocation_notice.subject,
        level=lambda record: record.revocation_notice.ground,
        sort_date=lambda record: record.header.issued.issued_on,
        about=lambda record: record.revocation_notice.notice,
        about_kinds=_NOTICES,
        reach=Reach.OWN,
    ),
    # What is proposed may quote what the record says of a person.
    KindSpec(
        kind=Kind.KIND_CORRECTION_REQUEST,
        field="correction_request",
        name="CorrectionRequest",
        zh="校核纠错",
        en="correction request",
        lane=None,
        answered_by=Kind.KIND_ANSWER,
        erasure_class=ErasureClass.ERASURE_CLASS_PERSONAL,
        effects=("CORRECTION",),
        area=lambda record: record.correction_request.area_code,
        state=lambda record: record.correction_request.state,
        sort_date=lambda record: record.correction_request.requested_on,
        ended=lambda record: "WITHDRAWN" if record.correction_request.state == CORRECTION_STATE_WITHDRAWN else "",
        about=lambda record: record.correction_request.record,
        reach=Reach.KNOWN,
    ),
    KindSpec(
        kind=Kind.KIND_CASE_REFERRAL,
        field="case_referral",
        name="CaseReferral",
        zh="案件移送",
        en="case referral",
        lane=Lane.LANE_REGISTRY,
        answered_by=Kind.KIND_ANSWER,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        effects=("REFERRAL",),
        natural_key=lambda record: joined("CASE", normalise_document_no(record.case_referral.case_no)),
        subject=lambda record: record.case_referral.subject,
        state=lambda record: record.case_referral.state,
        level=lambda record: record.case_referral.referral_kind,
        sort_date=lambda record: record.case_referral.referred_on,
        ended=lambda record: "WITHDRAWN" if record.case_referral.state == REFERRAL_STATE_WITHDRAWN else "",
    ),
    KindSpec(
        kind=Kind.KIND_INSPECTION_TASK,
        field="inspection_task",
        name="InspectionTask",
        zh="联合检查",
        en="inspection task",
        lane=Lane.LANE_REGISTRY,
        answered_by=Kind.KIND_ANSWER,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        effects=("TASK",),
        natural_key=lambda record: joined("TASK", normalise_document_no(record.inspection_task.task_no)),
        persons=lambda record: any(is_personal(target.subject) for target in record.inspection_task.targets),
        area=lambda record: record.inspection_task.area_code,
        state=lambda record: record.inspection_task.state,
        level=lambda record: record.inspection_task.mode,
        sort_date=lambda record: record.inspection_task.planned_from,
    ),
    KindSpec(
        kind=Kind.KIND_ALERT,
        field="alert",
        name="Alert",
        zh="突发事件预警",
        en="alert",
        lane=Lane.LANE_URGENT,
        answered_by=Kind.KIND_ANSWER,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        effects=("ALERT",),
        natural_key=_alert_key,
        succeeds=_alert_before,
        agrees=lambda record: (record.alert.is_exercise, record.alert.alert_kind),
        area=lambda record: record.alert.location.area_code,
        state=lambda record: record.alert.report_kind,
        level=lambda record: record.alert.level,
        sort_date=lambda record: day_of(record.alert.reported_at),
    ),
    KindSpec(
        kind=Kind.KIND_STANDARDS_EQUIVALENCE,
        field="standards_equivalence",
        name="StandardsEquivalence",
        zh="标准对应",
        en="standards equivalence",
        lane=Lane.LANE_REGISTRY,
        answered_by=Kind.KIND_ANSWER,
        erasure_class=ErasureClass.ERASURE_CLASS_PERMANENT,
        effects=("APPROVAL",),
        natural_key=_equivalence_key,
        level=lambda record: record.standards_equivalence.equivalence_kind,
        sort_date=lambda record: record.standards_equivalence.valid_from,
    ),
)
"""Told, or asked for."""
