"""Records that break exactly one rule each, and the reason by which they are refused. The door's tests use them too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.kind_pb2 import Condition, Outcome
from exchange.v1.monitoring_batch_pb2 import CrcVerdict, TimeSemantics, Usability
from exchange.v1.penalty_notice_pb2 import DishonestyClass, NoticeKind, PenaltyType
from exchange.v1.record_pb2 import Record
from tests.domain.bad_acts import BAD_ACTS, BAD_FACTS
from tests.domain.breaking import BadRecord, bad, clear, put, together
from tests.domain.records import DATA_SECOND, RECORD_ID, TODAY, make_uscc


def _publicity(low: str, high: str, rule: str) -> Callable[[Record], None]:
    """Publicity of a general dishonesty, as somebody computed it."""

    def mutate(record: Record) -> None:
        body = record.penalty_notice
        body.publicity_min_until, body.publicity_max_until, body.repair_rule = low, high, rule
        body.dishonesty_class = DishonestyClass.DISHONESTY_CLASS_GENERAL

    return mutate


def _id_number() -> str:
    """A made-up resident identity number with a right check character."""
    body = "50010119000101000"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return body + "10X98765432"[sum(int(char) * weight for char, weight in zip(body, weights, strict=True)) % 11]


ID_NUMBER = _id_number()
_TOO_LATE = int(datetime.combine(TODAY + timedelta(days=3), time(), UTC).timestamp()) - 8 * 3600 + 1
"""The first second, in UTC+8, that no data time may show on that day."""

_OTHER_FIRM = make_uscc(2)
_WRONG_CHECK = make_uscc(1)[:17] + ("A" if make_uscc(1)[17] != "A" else "B")
_CREDIT = "credit_result"
_PENALTY = "penalty_notice"
_BATCH = "monitoring_batch"

_HEADER: tuple[BadRecord, ...] = (
    BadRecord("nothing at all", "credit", lambda record: record.Clear(), "BODY_NOT_SET", ""),
    BadRecord("no body", "credit", clear(_CREDIT), "BODY_NOT_SET", ""),
    BadRecord(
        "a field that no rule knows",
        "credit",
        lambda record: record.credit_result.subject.MergeFromString(b"\xfa\x3e\x03abc"),
        "UNKNOWN_FIELD",
        "",
    ),
    bad("credit", "header.record_id", "7", "RECORD_ID_FORMAT"),
    bad(
        "credit",
        "header.record_id",
        "019573a0-6c00-4000-8000-0000000000aa",
        "RECORD_ID_FORMAT",
        "a UUIDv4 as record id",
    ),
    bad("credit", "header.record_id", RECORD_ID.upper(), "RECORD_ID_FORMAT", "record id in upper case"),
    bad("credit", "header.revision", -1, "REVISION_INVALID"),
    bad("credit", "header.kind_edition", 0, "KIND_EDITION_UNKNOWN"),
    bad("credit", "header.kind_edition", 99, "KIND_EDITION_UNKNOWN", "kind edition from the future"),
    bad("credit", "header.authority.uscc", "", "FIELD_MISSING"),
    bad("credit", "header.authority.uscc", "11500000MB1614741W", "USCC_CHECK"),
    bad("credit", "header.authority.uscc", "11500000MB1614741u", "USCC_FORMAT", "authority's USCC in lower case"),
    bad("credit", "header.authority.name", "", "FIELD_MISSING"),
    bad("credit", "header.authority.name", "局" * 201, "TEXT_TOO_LONG"),
    bad("credit", "header.authority.name", "某局\u202e", "TEXT_CONTROL_CHARACTER", "a direction override in a name"),
    bad("credit", "header.area_code", "", "FIELD_MISSING"),
    bad("credit", "header.area_code", "500199", "AREA_UNKNOWN"),
    bad("credit", "header.area_code", "50", "AREA_UNKNOWN", "a prefix as area"),
    bad("credit", "header.catalogue_no", "目录 1", "CATALOGUE_NO_FORMAT"),
    bad("credit", "header.share_class", 0, "ENUM_UNSPECIFIED"),
    bad("credit", "header.share_class", 7, "ENUM_UNKNOWN"),
    bad("credit", "header.purpose", "", "PURPOSE_MISSING"),
    bad("credit", "header.purpose", " \u3000", "PURPOSE_MISSING", "a blank purpose"),
    bad("credit", "header.purpose", "核对" + ID_NUMBER, "PERSONAL_ID_PRESENT", "an id number in the purpose"),
    bad("credit", "header.issued.issued_on", "2025-02-29", "DATE_FORMAT", "a day that does not exist"),
    bad("credit", "header.issued.issued_on", f"{TODAY.year + 1}-01-01", "DATE_IN_FUTURE"),
    bad("credit", "header.issued.approver", "处长\x00", "TEXT_CONTROL_CHARACTER"),
    BadRecord(
        "a reference without record id",
        "credit",
        put("header.supersedes.origin", "cq"),
        "RECORD_REF_INVALID",
        "header.supersedes",
    ),
    BadRecord(
        "superseding itself",
        "credit",
        together(
            put("header.record_id", RECORD_ID),
            put("header.supersedes.origin", "cq"),
            put("header.supersedes.record_id", RECORD_ID),
        ),
        "SUPERSEDES_ITSELF",
        "header.supersedes.record_id",
    ),
    BadRecord(
        "an unsalted document digest",
        "credit",
        lambda record: record.header.provenance.document.MergeFromString(b"\x0a\x07SHA-256\x12\x20" + bytes(32)),
        "DIGEST_INVALID",
        "header.provenance.document",
    ),
    BadRecord(
        "an id number as provenance",
        "credit",
        lambda record: record.header.provenance.fields.add(field="credit_result.score", source=ID_NUMBER),
        "PERSONAL_ID_PRESENT",
        "header.provenance.fields[0].source",
    ),
    BadRecord(
        "an attachment without media type",
        "credit",
        lambda record: record.header.attachments.add(name="a.pdf"),
        "ATTACHMENT_INVALID",
        "header.attachments[0]",
    ),
    BadRecord(
        "too many attachments",
        "credit",
        lambda record: [record.header.attachments.add(name="a.pdf") for _ in range(21)],
        "TOO_MANY_ITEMS",
        "header.attachments",
    ),
)

_CREDITS: tuple[BadRecord, ...] = (
    bad("credit", f"{_CREDIT}.subject.uscc", "", "FIELD_MISSING"),
    bad("credit", f"{_CREDIT}.subject.uscc", _WRONG_CHECK, "USCC_CHECK"),
    bad("credit", f"{_CREDIT}.subject.uscc", "123456789012345678", "USCC_ORG_CODE"),
    bad("credit", f"{_CREDIT}.subject.uscc", make_uscc(1, prefix="91990000").replace("9199", "9198"), "USCC_CHECK"),
    bad("credit", f"{_CREDIT}.subject.uscc", make_uscc(4, prefix="91980000"), "USCC_REGION"),
    bad("credit", f"{_CREDIT}.subject.name", "", "FIELD_MISSING"),
    bad("credit", f"{_CREDIT}.subject.name", "演示公司\n", "TEXT_CONTROL_CHARACTER"),
    bad("credit", f"{_CREDIT}.subject.kind", 0, "ENUM_UNSPECIFIED"),
    bad("credit", f"{_CREDIT}.subject.kind", 9, "ENUM_UNKNOWN"),
    bad("credit", f"{_CREDIT}.subject.kind", 3, "SUBJECT_KIND_NOT_ALLOWED"),
    bad("credit", f"{_CREDIT}.subject.area_code", "510199", "AREA_UNKNOWN"),
    bad("credit", f"{_CREDIT}.subject.permit_code", f"{_OTHER_FIRM}001P", "PERMIT_OTHER_SUBJECT"),
    bad("credit", f"{_CREDIT}.subject.permit_code", "91500000MX0000019C", "PERMIT_FORMAT"),
    BadRecord(
        "an older number of no register",
        "credit",
        lambda record: record.credit_result.subject.other_ids.add(scheme="PASSPORT", value="1"),
        "OTHER_ID_SCHEME",
        "credit_result.subject.other_ids[0].scheme",
    ),
    bad("credit", f"{_CREDIT}.evaluation_year", 0, "YEAR_RANGE"),
    bad("credit", f"{_CREDIT}.evaluation_year", TODAY.year + 5, "YEAR_RANGE", "an evaluation year in the future"),
    bad("credit", f"{_CREDIT}.window_end", "", "FIELD_MISSING"),
    bad("credit", f"{_CREDIT}.window_end", "2024-1-1", "DATE_FORMAT"),
    bad("credit", f"{_CREDIT}.window_end", "20241231", "DATE_FORMAT", "a date without hyphens"),
    bad("credit", f"{_CREDIT}.window_end", "２０２４-12-31", "DATE_FORMAT", "a date in full-width digits"),
    bad("credit", f"{_CREDIT}.window_end", "2023-12-31", "DATES_REVERSED"),
    bad("credit", f"{_CREDIT}.window_start", "1900-01-01", "DATE_TOO_OLD"),
    bad("credit", f"{_CREDIT}.published_on", "", "FIELD_MISSING"),
    bad("credit", f"{_CREDIT}.published_on", (TODAY + timedelta(days=1)).isoformat(), "DATE_IN_FUTURE"),
    bad("credit", f"{_CREDIT}.publicity_until", "2025-11-01", "DATES_REVERSED"),
    bad("credit", f"{_CREDIT}.valid_until", "2025-11-01", "DATES_REVERSED"),
    bad("credit", f"{_CREDIT}.scheme_id", "", "FIELD_MISSING"),
    bad("credit", f"{_CREDIT}.scheme_id", "XX-1号", "SCHEME_UNKNOWN"),
    bad("credit", f"{_CREDIT}.scheme_edition", "1999", "SCHEME_EDITION_UNKNOWN"),
    bad("credit", f"{_CREDIT}.source_level_text", "", "FIELD_MISSING"),
    bad("credit", f"{_CREDIT}.source_level_text", "级" * 101, "TEXT_TOO_LONG"),
    bad("credit", f"{_CREDIT}.shared_level", 0, "ENUM_UNSPECIFIED"),
    bad("credit", f"{_CREDIT}.shared_level", 12, "ENUM_UNKNOWN"),
    bad("credit", f"{_CREDIT}.shared_level", CreditLevel.CREDIT_LEVEL_RED, "LEVEL_SCORE_MISMATCH"),
    BadRecord(
        "a veto that would raise the level",
        "credit",
        together(
            lambda record: record.credit_result.veto_reasons.add(shared_code="NV02"),
            put(f"{_CREDIT}.shared_level", CreditLevel.CREDIT_LEVEL_GREEN),
        ),
        "LEVEL_SCORE_MISMATCH",
        f"{_CREDIT}.shared_level",
    ),
    bad("credit", f"{_CREDIT}.score", "92分", "DECIMAL_FORMAT"),
    bad("credit", f"{_CREDIT}.score", "9e1", "DECIMAL_FORMAT", "a score with an exponent"),
    bad("credit", f"{_CREDIT}.score", "+92", "DECIMAL_FORMAT", "a score with a plus"),
    bad("credit", f"{_CREDIT}.score", "９２", "DECIMAL_FORMAT", "a score in full-width digits"),
    bad("credit", f"{_CREDIT}.score", "9" * 40, "DECIMAL_FORMAT", "a score of forty digits"),
    bad("credit", f"{_CREDIT}.score", "109", "SCORE_RANGE"),
    bad("credit", f"{_CREDIT}.score", "-1", "SCORE_RANGE", "a negative score"),
    bad("credit", f"{_CREDIT}.score", "92.5", "SCORE_NOT_INTEGER"),
    bad("credit", f"{_CREDIT}.score_max", "110", "SCORE_MAX_MISMATCH"),
    bad("credit", f"{_CREDIT}.bonus_score", "-2", "VALUE_NEGATIVE"),
    BadRecord(
        "parts that do not reach the score",
        "credit",
        together(put(f"{_CREDIT}.base_score", "80"), put(f"{_CREDIT}.bonus_score", "2")),
        "SCORE_PARTS_MISMATCH",
        f"{_CREDIT}.score",
    ),
    bad("credit", f"{_CREDIT}.state", 0, "ENUM_UNSPECIFIED"),
    bad("credit", f"{_CREDIT}.state", 77, "ENUM_UNKNOWN"),
    BadRecord(
        "a veto of no list",
        "credit",
        lambda record: record.credit_result.veto_reasons.add(shared_code="NV99"),
        "VETO_UNKNOWN",
        f"{_CREDIT}.veto_reasons[0].shared_code",
    ),
    BadRecord(
        "a veto of another region's list",
        "credit",
        lambda record: record.credit_result.veto_reasons.add(shared_code="SV01"),
        "VETO_UNKNOWN",
        f"{_CREDIT}.veto_reasons[0].shared_code",
    ),
    bad("credit", f"{_CREDIT}.legal_basis.0", "", "FIELD_MISSING", "an empty legal basis"),
    bad("credit", f"{_CREDIT}.objection", f"申请人身份证{ID_NUMBER}", "PERSONAL_ID_PRESENT"),
)

_PENALTIES: tuple[BadRecord, ...] = (
    bad("penalty", f"{_PENALTY}.notice_kind", 0, "ENUM_UNSPECIFIED"),
    bad("penalty", f"{_PENALTY}.decision_no", "", "FIELD_MISSING"),
    bad("penalty", f"{_PENALTY}.decision_no", "号" * 101, "TEXT_TOO_LONG"),
    bad("penalty", f"{_PENALTY}.decided_on", "", "FIELD_MISSING"),
    bad("penalty", f"{_PENALTY}.decided_on", f"{TODAY.year}-12-01", "DATE_IN_FUTURE"),
    bad("penalty", f"{_PENALTY}.violation_facts", "", "FIELD_MISSING"),
    bad("penalty", f"{_PENALTY}.violation_facts", f"经查，{ID_NUMBER}排放废水。", "PERSONAL_ID_PRESENT"),
    bad(
        "penalty",
        f"{_PENALTY}.violation_facts",
        f"经查，{' '.join(ID_NUMBER)}。",
        "PERSONAL_ID_PRESENT",
        "a spaced id number",
    ),
    bad("penalty", f"{_PENALTY}.content", "罚" * 20_001, "TEXT_TOO_LONG"),
    bad("penalty", f"{_PENALTY}.note", "备注\x07", "TEXT_CONTROL_CHARACTER"),
    BadRecord(
        "no legal basis", "penalty", clear(f"{_PENALTY}.legal_basis"), "LEGAL_BASIS_MISSING", f"{_PENALTY}.legal_basis"
    ),
    BadRecord(
        "no penalty type", "penalty", clear(f"{_PENALTY}.penalty_types"), "FIELD_MISSING", f"{_PENALTY}.penalty_types"
    ),
    bad("penalty", f"{_PENALTY}.penalty_types.0", 0, "ENUM_UNSPECIFIED"),
    bad("penalty", f"{_PENALTY}.penalty_types.0", 55, "ENUM_UNKNOWN"),
    BadRecord(
        "a penalty type twice",
        "penalty",
        lambda record: record.penalty_notice.penalty_types.append(PenaltyType.PENALTY_TYPE_FINE),
        "DUPLICATE_ITEM",
        f"{_PENALTY}.penalty_types",
    ),
    bad("penalty", f"{_PENALTY}.fine_cny", "2万元", "DECIMAL_FORMAT"),
    bad("penalty", f"{_PENALTY}.fine_cny", "20,000", "DECIMAL_FORMAT", "a fine with a comma"),
    bad("penalty", f"{_PENALTY}.fine_cny", "-20000", "VALUE_NEGATIVE"),
    bad("penalty", f"{_PENALTY}.fine_cny", "1" * 16, "DECIMAL_FORMAT", "a fine of sixteen digits"),
    bad("penalty", f"{_PENALTY}.confiscation_cny", "NaN", "DECIMAL_FORMAT"),
    bad("penalty", f"{_PENALTY}.publicity_until", "2025-09-02", "PUBLICITY_BEFORE_DECISION"),
    bad("penalty", f"{_PENALTY}.effective_until", "2020-01-01", "PUBLICITY_BEFORE_DECISION"),
    bad("penalty", f"{_PENALTY}.dishonesty_class", 0, "ENUM_UNSPECIFIED"),
    BadRecord(
        "publicity computed without a class",
        "penalty",
        together(put(f"{_PENALTY}.publicity_min_until", "2025-12-03"), put(f"{_PENALTY}.repair_rule", "第36号令")),
        "PUBLICITY_COMPUTED",
        f"{_PENALTY}.publicity_min_until",
    ),
    BadRecord(
        "publicity computed by no rule",
        "penalty",
        together(
            put(f"{_PENALTY}.publicity_min_until", "2025-12-03"),
            put(f"{_PENALTY}.dishonesty_class", DishonestyClass.DISHONESTY_CLASS_GENERAL),
        ),
        "REPAIR_RULE_MISSING",
        f"{_PENALTY}.repair_rule",
    ),
    BadRecord(
        "shortest publicity after the longest",
        "penalty",
        _publicity("2026-12-03", "2026-09-03", "国办发〔2025〕22号"),
        "DATES_REVERSED",
        f"{_PENALTY}.publicity_max_until",
    ),
    BadRecord(
        "publicity by a rule that is not known",
        "penalty",
        _publicity("2025-12-03", "2026-09-03", "某市第1号令"),
        "REPAIR_RULE_UNKNOWN",
        f"{_PENALTY}.repair_rule",
    ),
    BadRecord(
        "publicity by a rule that came after the decision",
        "penalty",
        _publicity("2025-12-03", "2026-09-03", "国家发展改革委令第36号"),
        "REPAIR_RULE_NOT_IN_FORCE",
        f"{_PENALTY}.repair_rule",
    ),
    BadRecord(
        "a day more of publicity than the rule gives",
        "penalty",
        _publicity("2025-12-03", "2026-09-04", "国办发〔2025〕22号"),
        "PUBLICITY_NOT_BY_RULE",
        f"{_PENALTY}.publicity_max_until",
    ),
    BadRecord(
        "a shortest publicity where the rule has none",
        "penalty",
        together(
            _publicity("2025-09-04", "2025-12-03", "国办发〔2025〕22号"),
            put(f"{_PENALTY}.dishonesty_class", DishonestyClass.DISHONESTY_CLASS_MINOR),
        ),
        "PUBLICITY_NOT_BY_RULE",
        f"{_PENALTY}.publicity_min_until",
    ),
    bad("penalty", f"{_PENALTY}.state", 0, "ENUM_UNSPECIFIED"),
    BadRecord(
        "a natural person with a USCC",
        "penalty",
        together(put(f"{_PENALTY}.subject.kind", 3), put(f"{_PENALTY}.subject.name", "张**")),
        "PERSON_WITH_USCC",
        f"{_PENALTY}.subject.uscc",
    ),
    BadRecord(
        "a natural person's whole name",
        "penalty",
        together(
            put(f"{_PENALTY}.subject.kind", 3),
            put(f"{_PENALTY}.subject.uscc", ""),
            put(f"{_PENALTY}.subject.name", "张某甲乙"),
        ),
        "NAME_NOT_MASKED",
        f"{_PENALTY}.subject.name",
    ),
    BadRecord(
        "a responsible person's whole name",
        "penalty",
        lambda record: record.penalty_notice.responsible_persons.add(role="主要负责人", name_masked="张三丰"),
        "NAME_NOT_MASKED",
        f"{_PENALTY}.responsible_persons[0].name_masked",
    ),
    BadRecord(
        "too many orders",
        "penalty",
        lambda record: record.penalty_notice.orders.extend(["责令改正"] * 51),
        "TOO_MANY_ITEMS",
        f"{_PENALTY}.orders",
    ),
    bad("penalty", f"{_PENALTY}.source_unit.uscc", "X", "USCC_FORMAT"),
    BadRecord(
        "a serious listing without measures",
        "penalty",
        put(f"{_PENALTY}.notice_kind", NoticeKind.NOTICE_KIND_SERIOUS_LIST),
        "MEASURES_MISSING",
        f"{_PENALTY}.measures",
    ),
    bad("joint_measure", f"{_PENALTY}.measures.0.code", "B9", "MEASURE_UNKNOWN"),
    bad("joint_measure", f"{_PENALTY}.measures.0.edition", "1999", "MEASURE_CATALOGUE_UNKNOWN"),
    bad("joint_measure", f"{_PENALTY}.measures.0.addressee", "所有人", "MEASURE_ADDRESSEE"),
    BadRecord(
        "an ordered measure of class C",
        "joint_measure",
        clear(f"{_PENALTY}.measures.1.recommendation"),
        "MEASURE_NOT_RECOMMENDED",
        f"{_PENALTY}.measures[1].recommendation",
    ),
    BadRecord(
        "an ordered measure without legal basis",
        "joint_measure",
        clear(f"{_PENALTY}.measures.0.legal_basis"),
        "LEGAL_BASIS_MISSING",
        f"{_PENALTY}.measures[0].legal_basis",
    ),
)

_POINT = f"{_BATCH}.series.0.points.0"
_BATCHES: tuple[BadRecord, ...] = (
    bad("monitoring", f"{_BATCH}.station.station_id", "", "STATION_ID_FORMAT"),
    bad("monitoring", f"{_BATCH}.station.station_id", "站 1", "STATION_ID_FORMAT"),
    bad("monitoring", f"{_BATCH}.station.uscc", _WRONG_CHECK, "USCC_CHECK"),
    bad("monitoring", f"{_BATCH}.station.permit_code", f"{_OTHER_FIRM}001P", "PERMIT_OTHER_SUBJECT"),
    bad("monitoring", f"{_BATCH}.station.permit_code", f"{make_uscc(1)}0A1P", "PERMIT_FORMAT"),
    bad("monitoring", f"{_BATCH}.station.outlet_code", "DX01", "OUTLET_FORMAT"),
    bad("monitoring", f"{_BATCH}.station.area_code", "000000", "AREA_UNKNOWN"),
    bad("monitoring", f"{_BATCH}.medium_code", "", "FIELD_MISSING"),
    bad("monitoring", f"{_BATCH}.medium_code", "99", "MEDIUM_UNKNOWN"),
    bad("monitoring", f"{_BATCH}.interval", 0, "ENUM_UNSPECIFIED"),
    bad("monitoring", f"{_BATCH}.interval", 42, "ENUM_UNKNOWN"),
    bad("monitoring", f"{_BATCH}.time_semantics", 0, "ENUM_UNSPECIFIED"),
    bad(
        "monitoring",
        f"{_BATCH}.time_semantics",
        TimeSemantics.TIME_SEMANTICS_SAMPLE_TIME,
        "TIME_SEMANTICS_MISMATCH",
    ),
    bad("monitoring", f"{_BATCH}.protocol_edition", 0, "ENUM_UNSPECIFIED", "a verdict without an edition"),
    bad("monitoring", f"{_BATCH}.crc_verdict", 0, "ENUM_UNSPECIFIED", "frames without a verdict"),
    bad("monitoring", f"{_BATCH}.crc_verdict", CrcVerdict.CRC_VERDICT_BAD, "CRC_BAD"),
    bad("monitoring", f"{_BATCH}.lab_cma_no", "12345", "CMA_NO_FORMAT"),
    bad("monitoring", f"{_BATCH}.lab_cma_no", "渝检1号", "CMA_NO_FORMAT"),
    bad("monitoring", f"{_BATCH}.lab_uscc", "91", "USCC_FORMAT"),
    BadRecord("no series", "monitoring", clear(f"{_BATCH}.series"), "SERIES_MISSING", f"{_BATCH}.series"),
    BadRecord(
        "no points", "monitoring", clear(f"{_BATCH}.series.0.points"), "SERIES_MISSING", f"{_BATCH}.series[0].points"
    ),
    BadRecord(
        "too many series",
        "monitoring",
        lambda record: [record.monitoring_batch.series.add() for _ in range(512)],
        "TOO_MANY_ITEMS",
        f"{_BATCH}.series",
    ),
    BadRecord(
        "too many points",
        "monitoring",
        lambda record: [record.monitoring_batch.series[0].points.add() for _ in range(10_000)],
        "TOO_MANY_ITEMS",
        f"{_BATCH}.series.points",
    ),
    BadRecord(
        "a series twice",
        "monitoring",
        put(f"{_BATCH}.series.1.factor_code", "w01018"),
        "DUPLICATE_ITEM",
        f"{_BATCH}.series[1]",
    ),
    bad("monitoring", f"{_BATCH}.series.0.factor_code", "w99999", "FACTOR_UNMAPPED"),
    bad("monitoring", f"{_BATCH}.series.0.factor_code", "W01018", "FACTOR_UNMAPPED", "a factor in upper case"),
    bad("monitoring", f"{_BATCH}.series.0.factor_code", "011", "FACTOR_UNMAPPED", "an old code as factor"),
    bad("monitoring", f"{_BATCH}.series.0.value_kind", 0, "ENUM_UNSPECIFIED"),
    bad("monitoring", f"{_BATCH}.series.0.unit", "", "UNIT_UNKNOWN"),
    bad("monitoring", f"{_BATCH}.series.0.unit", "毫克/升", "UNIT_UNKNOWN", "a unit that is no UCUM code"),
    bad("monitoring", f"{_BATCH}.series.0.unit", "ug/L", "UNIT_NOT_STANDARD"),
    bad("monitoring", f"{_BATCH}.series.0.unit_source", 0, "ENUM_UNSPECIFIED"),
    bad("monitoring", f"{_POINT}.value", "", "VALUE_NOT_DECIMAL"),
    bad("monitoring", f"{_POINT}.value", "1.5e3", "VALUE_NOT_DECIMAL", "a value with an exponent"),
    bad("monitoring", f"{_POINT}.value", "NaN", "VALUE_NOT_DECIMAL", "not a number"),
    bad("monitoring", f"{_POINT}.value", "0.01L", "VALUE_NOT_DECIMAL", "a value below detection written as text"),
    bad("monitoring", f"{_POINT}.value", "1" * 65, "VALUE_NOT_DECIMAL", "a value of 65 digits"),
    bad("monitoring", f"{_POINT}.value", "1.5\n", "VALUE_NOT_DECIMAL", "a value with a line break"),
    bad("monitoring", f"{_POINT}.detection_limit", "<1", "VALUE_NOT_DECIMAL"),
    bad("monitoring", f"{_POINT}.usability", 0, "ENUM_UNSPECIFIED"),
    bad("monitoring", f"{_POINT}.usability", Usability.USABILITY_MANUAL, "FLAG_USABILITY_MISMATCH"),
    BadRecord(
        "a missing flag passed off as N",
        "monitoring",
        put(f"{_POINT}.source_flag", ""),
        "FLAG_USABILITY_MISMATCH",
        f"{_BATCH}.series[0].points[0].usability",
    ),
    BadRecord(
        "no data time",
        "monitoring",
        clear(f"{_POINT}.data_time"),
        "TIME_MISSING",
        f"{_BATCH}.series[0].points[0].data_time",
    ),
    *(
        BadRecord(
            name, "monitoring", put(f"{_BATCH}.series.0.points.{index}.data_time.seconds", seconds), reason, place
        )
        for name, index, seconds, reason, place in (
            ("data of 1989", 0, 600_000_000, "TIME_RANGE", f"{_BATCH}.series[0].points[0].data_time"),
            (
                "data of the day after tomorrow",
                1,
                _TOO_LATE,
                "TIME_RANGE",
                f"{_BATCH}.series[0].points[1].data_time",
            ),
            ("a data time twice", 1, DATA_SECOND, "TIME_DUPLICATE", f"{_BATCH}.series[0].points[1].data_time"),
            ("values out of order", 1, DATA_SECOND - 60, "TIME_ORDER", f"{_BATCH}.series[0].points[1].data_time"),
        )
    ),
    BadRecord(
        "a sample of 1989",
        "monitoring",
        put(f"{_POINT}.sample_time.seconds", 600_000_000),
        "TIME_RANGE",
        f"{_BATCH}.series[0].points[0].sample_time",
    ),
)

_ACTS: tuple[BadRecord, ...] = (
    bad("erasure", "header.area_code", "", "FIELD_MISSING", "an erasure without area"),
    BadRecord("an erasure of nothing", "erasure", clear("erasure.record"), "RECORD_REF_INVALID", "erasure.record"),
    bad("erasure", "erasure.legal_ground", "", "FIELD_MISSING"),
    bad("erasure", "erasure.ground_code", "", "FIELD_MISSING"),
    bad("erasure", "erasure.ground_code", "BECAUSE", "ERASURE_GROUND_UNKNOWN"),
    bad("erasure", "erasure.ordered_by", "", "FIELD_MISSING"),
    bad("erasure", "erasure.ordered_on", "2099-01-01", "DATE_IN_FUTURE"),
    BadRecord("an answer to nothing", "answer", clear("answer.record"), "RECORD_REF_INVALID", "answer.record"),
    bad("answer", "answer.verb", 0, "ENUM_UNSPECIFIED"),
    bad("answer", "answer.effect", "", "FIELD_MISSING"),
    bad("answer", "answer.effect", "key accepted", "ANSWER_EFFECT_FORMAT"),
    bad("answer", "answer.answered_by", "", "FIELD_MISSING"),
    BadRecord("an answer at no time", "answer", clear("answer.answered_at"), "TIME_MISSING", "answer.answered_at"),
    BadRecord("a refusal without reasons", "answer", put("answer.verb", 3), "REASONS_MISSING", "answer.reasons"),
    BadRecord(
        "a reason that is no code",
        "answer",
        lambda record: record.answer.reasons.append("no good"),
        "REASON_CODE_FORMAT",
        "answer.reasons[0]",
    ),
)

BAD_SUBMISSIONS: tuple[BadRecord, ...] = (
    *_HEADER,
    *_CREDITS,
    *_PENALTIES,
    *_BATCHES,
    *BAD_FACTS,
    *BAD_ACTS,
    *_ACTS,
)
"""Bad records of the kinds that agencies may submit."""

_ITEM = "recognition.items.0"
BAD_NODE_RECORDS: tuple[BadRecord, ...] = (
    bad("recognition", "recognition.answered_log", "cq", "LOG_ORIGIN_FORMAT"),
    bad("recognition", "recognition.end", -1, "RANGE_INVALID"),
    BadRecord(
        "a range without default and items",
        "recognition",
        together(put("recognition.default_outcome", 0), clear("recognition.items")),
        "ENUM_UNSPECIFIED",
        "recognition.default_outcome",
    ),
    BadRecord(
        "a negative default without reasons",
        "recognition",
        put("recognition.default_outcome", Outcome.OUTCOME_NOT_RECOGNISED),
        "REASONS_MISSING",
        "recognition.default_reasons",
    ),
    BadRecord(
        "nothing decided",
        "recognition",
        together(put("recognition.end", 0), clear("recognition.items")),
        "FIELD_MISSING",
        "recognition.items",
    ),
    bad("recognition", "recognition.cause", 0, "ENUM_UNSPECIFIED"),
    bad("recognition", "recognition.rule_edition", "", "FIELD_MISSING"),
    bad("recognition", "recognition.rule_digest", "AB" * 32, "RULE_DIGEST_FORMAT"),
    BadRecord(
        "decided at no time", "recognition", clear("recognition.decided_at"), "TIME_MISSING", "recognition.decided_at"
    ),
    bad("recognition", f"{_ITEM}.index", -1, "RANGE_INVALID"),
    bad("recognition", f"{_ITEM}.record_id", "x", "RECORD_ID_FORMAT"),
    bad("recognition", f"{_ITEM}.revision", 0, "REVISION_INVALID"),
    BadRecord(
        "a condition missing",
        "recognition",
        clear(f"{_ITEM}.conditions"),
        "CONDITIONS_MISSING",
        "recognition.items[0].conditions",
    ),
    bad("recognition", f"{_ITEM}.conditions.0", 99, "ENUM_UNKNOWN"),
    BadRecord(
        "conditions on FULL",
        "recognition",
        put(f"{_ITEM}.outcome", Outcome.OUTCOME_FULL),
        "CONDITIONS_NOT_ALLOWED",
        "recognition.items[0].conditions",
    ),
    BadRecord(
        "a condition twice",
        "recognition",
        lambda record: record.recognition.items[0].conditions.append(Condition.CONDITION_RECEIVER_DECIDES_MEASURES),
        "DUPLICATE_ITEM",
        "recognition.items[0].conditions",
    ),
    BadRecord(
        "deferred for nothing",
        "recognition",
        together(put(f"{_ITEM}.outcome", Outcome.OUTCOME_DEFERRED), clear(f"{_ITEM}.conditions")),
        "WAITS_FOR_MISSING",
        "recognition.items[0].waits_for",
    ),
    BadRecord(
        "a firm's code among the facts",
        "recognition",
        put(f"{_ITEM}.facts.0.value", make_uscc(1)),
        "FACT_NOT_ALLOWED",
        "recognition.items[0].facts[0]",
    ),
    BadRecord(
        "a name among the facts",
        "recognition",
        put(f"{_ITEM}.facts.0.value", "演示公司"),
        "FACT_NOT_ALLOWED",
        "recognition.items[0].facts[0]",
    ),
    BadRecord(
        "a rule id with a blank",
        "recognition",
        put(f"{_ITEM}.rules.0", "rule one"),
        "REASON_CODE_FORMAT",
        "recognition.items[0].rules",
    ),
    BadRecord("no keys", "key_announcement", clear("key_announcement.keys"), "FIELD_MISSING", "key_announcement.keys"),
    bad("key_announcement", "key_announcement.keys.0.use", 0, "ENUM_UNSPECIFIED"),
    bad("key_announcement", "key_announcement.keys.0.state", 0, "ENUM_UNSPECIFIED"),
    bad("key_announcement", "key_announcement.keys.0.key_id", "abc", "KEY_INVALID"),
    BadRecord(
        "a signing key without certificate",
        "key_announcement",
        clear("key_announcement.keys.0.chain"),
        "KEY_INVALID",
        "key_announcement.keys[0].chain",
    ),
    bad("key_announcement", "key_announcement.keys.1.vkey", "", "KEY_INVALID"),
    BadRecord(
        "a key from no time",
        "key_announcement",
        clear("key_announcement.keys.0.valid_from"),
        "TIME_MISSING",
        "key_announcement.keys[0].valid_from",
    ),
    BadRecord(
        "a key that ends before it begins",
        "key_announcement",
        put("key_announcement.keys.0.valid_until.seconds", 1),
        "DATES_REVERSED",
        "key_announcement.keys[0].valid_until",
    ),
    BadRecord(
        "a key twice",
        "key_announcement",
        lambda record: record.key_announcement.keys.append(record.key_announcement.keys[0]),
        "DUPLICATE_ITEM",
        "key_announcement.keys[2]",
    ),
    BadRecord(
        "going on from nothing",
        "key_announcement",
        put("key_announcement.continues.reason", "WHY_NOT"),
        "CONTINUES_INVALID",
        "key_announcement.continues",
    ),
)
"""Bad records of the kinds that nodes make."""
