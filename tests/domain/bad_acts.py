"""Records of lists, laboratories and of what the two sides ask of each other that break exactly one rule each."""

from __future__ import annotations

from exchange.v1.alert_pb2 import AlertKind, ReportKind
from exchange.v1.credit_result_pb2 import CreditLevel, NotEvaluatedReason
from exchange.v1.inspection_task_pb2 import InspectionState
from exchange.v1.lab_qualification_pb2 import LabState
from exchange.v1.list_entry_pb2 import ListExitReason, ListKind, ListState
from exchange.v1.measure_feedback_pb2 import FeedbackResult
from exchange.v1.record_pb2 import Record
from exchange.v1.standards_equivalence_pb2 import EquivalenceKind
from tests.domain.breaking import BadRecord, bad, clear, put, together
from tests.domain.records import DATA_SECOND, TODAY

_ENTRY = "list_entry"
_LAB = "lab_qualification"
_EXITED = put(f"{_ENTRY}.state", ListState.LIST_STATE_EXITED)
_SOLD = put(f"{_ENTRY}.exit.reason", ListExitReason.LIST_EXIT_REASON_EXPIRED)


def _one_effect(record: Record) -> None:
    del record.repair_notice.effects[1:]


BAD_FACTS: tuple[BadRecord, ...] = (
    bad("not_evaluated", "credit_result.not_evaluated_reason", 0, "ENUM_UNSPECIFIED"),
    bad("not_evaluated", "credit_result.score", "92", "FIELD_NOT_ALLOWED", "a score of what was not evaluated"),
    BadRecord(
        "another reason without its words",
        "not_evaluated",
        together(
            put("credit_result.not_evaluated_reason", NotEvaluatedReason.NOT_EVALUATED_REASON_OTHER),
            clear("credit_result.source_not_evaluated_text"),
        ),
        "FIELD_MISSING",
        "credit_result.source_not_evaluated_text",
    ),
    bad("credit", "credit_result.not_evaluated_reason", 1, "FIELD_NOT_ALLOWED", "evaluated and not evaluated"),
    bad("credit", "credit_result.shared_level", CreditLevel.CREDIT_LEVEL_NOT_EVALUATED + 1, "ENUM_UNKNOWN"),
    bad("list_entry", f"{_ENTRY}.subject.uscc", "", "FIELD_MISSING"),
    bad("list_entry", f"{_ENTRY}.list_kind", 0, "ENUM_UNSPECIFIED"),
    bad("list_entry", f"{_ENTRY}.list_kind", 9, "ENUM_UNKNOWN"),
    bad("list_entry", f"{_ENTRY}.list_id", "", "FIELD_MISSING"),
    bad("list_entry", f"{_ENTRY}.entered_on", "", "FIELD_MISSING"),
    bad("list_entry", f"{_ENTRY}.entered_on", f"{TODAY.year + 1}-01-01", "DATE_IN_FUTURE"),
    bad("list_entry", f"{_ENTRY}.valid_until", "2026-01-01", "DATES_REVERSED"),
    bad("list_entry", f"{_ENTRY}.entry_reason", "", "FIELD_MISSING"),
    BadRecord(
        "a list without law",
        "list_entry",
        clear(f"{_ENTRY}.legal_basis"),
        "LEGAL_BASIS_MISSING",
        f"{_ENTRY}.legal_basis",
    ),
    bad("list_entry", f"{_ENTRY}.derived_from.origin", "cq", "RECORD_REF_INVALID", "derived from nothing").at(
        f"{_ENTRY}.derived_from"
    ),
    bad("list_entry", f"{_ENTRY}.state", 0, "ENUM_UNSPECIFIED"),
    bad("list_entry", f"{_ENTRY}.wastes.0.category", "08", "WASTE_CODE_FORMAT"),
    bad("list_entry", f"{_ENTRY}.wastes.0.waste_code", "900-249-8", "WASTE_CODE_FORMAT"),
    bad("list_entry", f"{_ENTRY}.wastes.0.tonnes_per_year", "一千", "DECIMAL_FORMAT"),
    BadRecord(
        "wastes on a red list",
        "list_entry",
        put(f"{_ENTRY}.list_kind", ListKind.LIST_KIND_RED),
        "FIELD_NOT_ALLOWED",
        f"{_ENTRY}.wastes",
    ),
    BadRecord("an exit without reason", "list_entry", _EXITED, "ENUM_UNSPECIFIED", f"{_ENTRY}.exit.reason"),
    BadRecord(
        "an exit without a day",
        "list_entry",
        together(_EXITED, _SOLD),
        "FIELD_MISSING",
        f"{_ENTRY}.exit.exited_on",
    ),
    BadRecord(
        "an exit before the entry",
        "list_entry",
        together(_EXITED, _SOLD, put(f"{_ENTRY}.exit.exited_on", "2026-01-01")),
        "DATES_REVERSED",
        f"{_ENTRY}.exit.exited_on",
    ),
    BadRecord("an exit of who is on the list", "list_entry", _SOLD, "FIELD_NOT_ALLOWED", f"{_ENTRY}.exit"),
    BadRecord(
        "a measure that no catalogue has",
        "list_entry",
        lambda record: record.list_entry.measures.add(
            catalogue="全国失信惩戒措施基础清单", edition="2024", code="A99", addressee="GOVERNMENT"
        ),
        "MEASURE_UNKNOWN",
        f"{_ENTRY}.measures[0].code",
    ),
    bad("lab", f"{_LAB}.cma_no", "", "FIELD_MISSING"),
    bad("lab", f"{_LAB}.cma_no", "渝检1号", "CMA_NO_FORMAT"),
    bad("lab", f"{_LAB}.issuing_body", "", "FIELD_MISSING"),
    bad("lab", f"{_LAB}.valid_until", "2022-04-30", "DATES_REVERSED"),
    bad("lab", f"{_LAB}.roster", "", "FIELD_MISSING"),
    bad("lab", f"{_LAB}.state", 0, "ENUM_UNSPECIFIED"),
    bad("lab", f"{_LAB}.state_since", "", "FIELD_MISSING"),
    BadRecord("a laboratory without scope", "lab", clear(f"{_LAB}.scope"), "FIELD_MISSING", f"{_LAB}.scope"),
    bad("lab", f"{_LAB}.scope.0.factor_code", "w99999", "FACTOR_UNMAPPED"),
    bad("lab", f"{_LAB}.scope.0.method_standard", "", "FIELD_MISSING"),
    bad("lab", f"{_LAB}.scope.0.valid_from", "", "FIELD_MISSING"),
    bad("lab", f"{_LAB}.scope.0.valid_until", "2022-01-01", "DATES_REVERSED"),
    BadRecord(
        "suspended, since when is not said",
        "lab",
        put(f"{_LAB}.state", LabState.LAB_STATE_SUSPENDED),
        "FIELD_MISSING",
        f"{_LAB}.suspensions",
    ),
    BadRecord(
        "a suspension that ends before it begins",
        "lab",
        lambda record: record.lab_qualification.suspensions.add(
            suspended_from="2026-02-01", suspended_until="2026-01-01", ground="出具不实数据"
        ),
        "DATES_REVERSED",
        f"{_LAB}.suspensions[0].suspended_until",
    ),
    BadRecord(
        "removed without a reason",
        "lab",
        put(f"{_LAB}.state", LabState.LAB_STATE_REMOVED),
        "FIELD_MISSING",
        f"{_LAB}.removal_ground",
    ),
    bad("lab", f"{_LAB}.removal_ground", "弄虚作假", "FIELD_NOT_ALLOWED", "a ground of removal on the roster"),
)
"""Bad records of lists, laboratories and of what was not evaluated."""

_FEEDBACK = "measure_feedback"
_NOT = FeedbackResult.FEEDBACK_RESULT_NOT_IMPLEMENTED
_CASE = "case_referral"
_TASK = "inspection_task"
_EQUAL = "standards_equivalence"

BAD_ACTS: tuple[BadRecord, ...] = (
    bad("feedback", f"{_FEEDBACK}.notice.record_id", "17", "RECORD_REF_INVALID").at(f"{_FEEDBACK}.notice"),
    bad("feedback", f"{_FEEDBACK}.subject.kind", 0, "ENUM_UNSPECIFIED"),
    bad("feedback", f"{_FEEDBACK}.matter_kind", 0, "ENUM_UNSPECIFIED"),
    bad("feedback", f"{_FEEDBACK}.matter_no", "", "FIELD_MISSING"),
    BadRecord(
        "feedback about nothing", "feedback", clear(f"{_FEEDBACK}.results"), "FIELD_MISSING", f"{_FEEDBACK}.results"
    ),
    bad("feedback", f"{_FEEDBACK}.results.0.code", "Z1", "MEASURE_UNKNOWN"),
    bad("feedback", f"{_FEEDBACK}.results.0.edition", "1999", "MEASURE_CATALOGUE_UNKNOWN"),
    bad("feedback", f"{_FEEDBACK}.results.0.result", 0, "ENUM_UNSPECIFIED"),
    BadRecord(
        "not implemented and no reason",
        "feedback",
        put(f"{_FEEDBACK}.results.0.result", _NOT),
        "FIELD_MISSING",
        f"{_FEEDBACK}.results[0].reason",
    ),
    BadRecord(
        "a measure twice",
        "feedback",
        lambda record: record.measure_feedback.results.append(record.measure_feedback.results[0]),
        "DUPLICATE_ITEM",
        f"{_FEEDBACK}.results[1]",
    ),
    bad("feedback", f"{_FEEDBACK}.document_no", "", "FIELD_MISSING", "implemented by no document"),
    bad("feedback", f"{_FEEDBACK}.acted_on", "", "FIELD_MISSING"),
    bad("feedback", f"{_FEEDBACK}.officer_ref", "张三", "OFFICER_REF_FORMAT"),
    bad("feedback", f"{_FEEDBACK}.check_id", "1", "CHECK_ID_FORMAT"),
    bad("repair", "header.issued.document_no", "", "FIELD_MISSING", "a repair without number"),
    bad("repair", "header.issued.issued_on", "", "FIELD_MISSING", "a repair without a day"),
    BadRecord(
        "a repair of nothing", "repair", clear("repair_notice.notice"), "RECORD_REF_INVALID", "repair_notice.notice"
    ),
    BadRecord(
        "a repair without effect", "repair", clear("repair_notice.effects"), "FIELD_MISSING", "repair_notice.effects"
    ),
    bad("repair", "repair_notice.effects.0", 9, "ENUM_UNKNOWN"),
    bad("repair", "repair_notice.effects.0", 2, "DUPLICATE_ITEM", "an effect twice").at("repair_notice.effects"),
    BadRecord("a repair of one effect", "repair", _one_effect, "EFFECTS_INCOMPLETE", "repair_notice.effects"),
    bad("repair", "repair_notice.due_by", "", "FIELD_MISSING"),
    bad("repair", "repair_notice.repair_rule", "", "FIELD_MISSING"),
    bad("revocation", "header.issued.document_no", "", "FIELD_MISSING", "a revocation without number"),
    bad("revocation", "revocation_notice.ground", 0, "ENUM_UNSPECIFIED"),
    BadRecord(
        "a revocation without law",
        "revocation",
        clear("revocation_notice.legal_basis"),
        "LEGAL_BASIS_MISSING",
        "revocation_notice.legal_basis",
    ),
    bad("correction", "correction_request.area_code", "", "FIELD_MISSING"),
    bad("correction", "correction_request.requester", 0, "ENUM_UNSPECIFIED"),
    bad("correction", "correction_request.state", 0, "ENUM_UNSPECIFIED"),
    bad("correction", "correction_request.items.0.field", "分数", "FIELD_PATH_FORMAT"),
    bad("correction", "correction_request.items.0.reason", "", "FIELD_MISSING"),
    bad("correction", "correction_request.due_by", "2026-02-01", "DATES_REVERSED"),
    BadRecord(
        "a correction of nothing",
        "correction",
        clear("correction_request.items"),
        "FIELD_MISSING",
        "correction_request.items",
    ),
    bad("referral", f"{_CASE}.case_no", "", "FIELD_MISSING"),
    bad("referral", f"{_CASE}.referral_kind", 0, "ENUM_UNSPECIFIED"),
    bad("referral", f"{_CASE}.facts", "", "FIELD_MISSING"),
    BadRecord(
        "a referral without law",
        "referral",
        clear(f"{_CASE}.legal_basis"),
        "LEGAL_BASIS_MISSING",
        f"{_CASE}.legal_basis",
    ),
    bad("referral", f"{_CASE}.referred_on", "", "FIELD_MISSING"),
    bad("referral", f"{_CASE}.closing_ground", "已办结", "FIELD_NOT_ALLOWED", "a ground of closing of an open case"),
    bad("inspection", f"{_TASK}.task_no", "", "FIELD_MISSING"),
    bad("inspection", f"{_TASK}.mode", 0, "ENUM_UNSPECIFIED"),
    bad("inspection", f"{_TASK}.area_code", "", "FIELD_MISSING"),
    bad("inspection", f"{_TASK}.planned_until", "2026-03-01", "DATES_REVERSED"),
    bad("inspection", f"{_TASK}.sampling_rule", "", "FIELD_MISSING", "firms drawn by no rule"),
    BadRecord(
        "a firm twice",
        "inspection",
        lambda record: record.inspection_task.targets.append(record.inspection_task.targets[0]),
        "DUPLICATE_ITEM",
        f"{_TASK}.targets[1]",
    ),
    BadRecord(
        "done without a conclusion",
        "inspection",
        put(f"{_TASK}.state", InspectionState.INSPECTION_STATE_COMPLETED),
        "FIELD_MISSING",
        f"{_TASK}.conclusion",
    ),
    bad("inspection", f"{_TASK}.conclusion", "合格", "FIELD_NOT_ALLOWED", "a conclusion before the inspection"),
    bad("alert", "alert.event_id", "", "FIELD_MISSING"),
    bad("alert", "alert.event_id", "事件1", "EVENT_ID_FORMAT"),
    bad("alert", "alert.sequence", 0, "ALERT_SEQUENCE"),
    bad("alert", "alert.sequence", 2, "ALERT_SEQUENCE", "a first report with number 2"),
    BadRecord(
        "a follow-up with number 1",
        "alert",
        put("alert.report_kind", ReportKind.REPORT_KIND_FOLLOW_UP),
        "ALERT_SEQUENCE",
        "alert.sequence",
    ),
    bad("alert", "alert.report_kind", 0, "ENUM_UNSPECIFIED"),
    bad("alert", "alert.alert_kind", 0, "ENUM_UNSPECIFIED"),
    bad("alert", "alert.level", 0, "ENUM_UNSPECIFIED"),
    bad("alert", "alert.colour", 9, "ENUM_UNKNOWN"),
    BadRecord(
        "when it was learned of is not said", "alert", clear("alert.learned_at"), "TIME_MISSING", "alert.learned_at"
    ),
    bad(
        "alert", "alert.learned_at.seconds", DATA_SECOND + 60, "DATES_REVERSED", "reported before it was learned of"
    ).at("alert.reported_at"),
    bad("alert", "alert.location.area_code", "", "FIELD_MISSING"),
    bad("alert", "alert.location.place", "", "FIELD_MISSING"),
    bad("alert", "alert.location.longitude", "186.55", "COORDINATE_RANGE"),
    bad("alert", "alert.location.latitude", "", "COORDINATE_RANGE", "half a coordinate").at("alert.location"),
    bad("alert", "alert.pollutants.0.cas_no", "71-43-3", "CAS_NO_FORMAT"),
    bad("alert", "alert.pollutants.0.unit", "", "FIELD_MISSING", "an amount without unit"),
    bad("alert", "alert.readings.0.factor_code", "w99999", "FACTOR_UNMAPPED"),
    bad("alert", "alert.readings.0.value", "", "FIELD_MISSING"),
    bad("alert", "alert.sensitive_points.0.distance_km", "-1", "VALUE_NEGATIVE"),
    bad("alert", "alert.reporting_unit.name", "", "FIELD_MISSING"),
    bad("alert", "alert.contact_desk", "", "FIELD_MISSING"),
    bad("alert", "alert.water.river_id", "", "FIELD_MISSING"),
    BadRecord(
        "toxic gas told as water",
        "alert",
        put("alert.alert_kind", AlertKind.ALERT_KIND_TOXIC_GAS),
        "ALERT_DETAILS",
        "alert.gas",
    ),
    BadRecord("no details", "alert", clear("alert.water"), "ALERT_DETAILS", "alert.water"),
    BadRecord(
        "a gas alarm of no ring",
        "alert",
        together(put("alert.alert_kind", AlertKind.ALERT_KIND_TOXIC_GAS), put("alert.gas.park_id", "P1")),
        "ENUM_UNSPECIFIED",
        "alert.gas.ring",
    ),
    BadRecord(
        "more wastewater than the pool holds",
        "alert",
        together(
            put("alert.alert_kind", AlertKind.ALERT_KIND_ACCIDENT_WASTEWATER),
            put("alert.wastewater.defence_level", 1),
            put("alert.wastewater.gate_state", 2),
            put("alert.wastewater.pool_volume_m3", "100"),
            put("alert.wastewater.pool_used_m3", "100.5"),
        ),
        "RANGE_INVALID",
        "alert.wastewater.pool_used_m3",
    ),
    BadRecord(
        "a last report without a cause",
        "alert",
        together(put("alert.report_kind", ReportKind.REPORT_KIND_FINAL), put("alert.sequence", 2)),
        "REPORT_INCOMPLETE",
        "alert.cause",
    ),
    bad("equivalence", f"{_EQUAL}.left.node", "", "FIELD_MISSING"),
    bad("equivalence", f"{_EQUAL}.left.node", "重庆", "NODE_NAME_FORMAT"),
    bad("equivalence", f"{_EQUAL}.right.node", "cq", "EQUIVALENCE_SIDES"),
    bad("equivalence", f"{_EQUAL}.relation", 0, "ENUM_UNSPECIFIED"),
    bad("equivalence", f"{_EQUAL}.stricter", 0, "ENUM_UNSPECIFIED"),
    bad("equivalence", f"{_EQUAL}.evidence_ref", "", "FIELD_MISSING"),
    bad("equivalence", f"{_EQUAL}.approvals.0.node", "gz", "EQUIVALENCE_SIDES"),
    BadRecord(
        "a conversion of levels",
        "equivalence",
        together(
            put(f"{_EQUAL}.equivalence_kind", EquivalenceKind.EQUIVALENCE_KIND_CREDIT_LEVEL),
            put(f"{_EQUAL}.conversion.factor", "1.08"),
        ),
        "CONVERSION_NOT_ALLOWED",
        f"{_EQUAL}.conversion",
    ),
    bad("equivalence", f"{_EQUAL}.conversion.factor", "0", "RANGE_INVALID"),
)
"""Bad records of what is asked for or told."""
