"""The table of kinds: what each kind of record is called, where it travels, what answers it, what makes it unique."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Final

from exchange.v1.common_pb2 import SUBJECT_KIND_NATURAL_PERSON, SUBJECT_KIND_SOLE_TRADER
from exchange.v1.kind_pb2 import ERASURE_CLASS_PERSONAL, KIND_UNSPECIFIED, ErasureClass, Kind, Lane
from exchange.v1.record_pb2 import Record

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from exchange.v1.common_pb2 import RecordRef, Subject

# Bare constants where every record passes: a name of an enum wrapper is looked up by Python code each time.

KIND_EDITION: Final = 1
"""Edition of every kind's schema that this program writes and reads."""

NATIVE_TIME_ZONE: Final = timezone(timedelta(hours=8))
"""Dates of records are days of UTC+8, the legal time of both regions."""

_SOLE_TRADER_PREFIX = "92"
_BRACKETS = str.maketrans({"【": "〔", "】": "〕", "[": "〔", "]": "〕", "(": "〔", ")": "〕", "「": "〔", "」": "〕"})
_BLANKS = re.compile(r"[\s\u200b-\u200f\u2060\ufeff]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class KindSpec:
    """One line of the table of kinds.

    Attributes:
        field: Alternative of ``Record.body``.
        name: Name on the wire and in commands, as in ``CreditResult``.
        lane: Lane it travels in; None: the lane of what it answers or erases, or every lane.
        natural_key: What makes the fact unique within its origin; None where the mechanism makes the kind unique.
        answered_by: Kind of the first answer; None: never answered.
        is_answer: It answers another record, so it is never answered itself.
        submittable: Agencies may submit it; others are made by nodes.
        erasure_class: Class by which bodies may be destroyed, where nothing in the record asks for another one.
    """

    kind: Kind.ValueType
    field: str
    name: str
    zh: str
    en: str
    lane: Lane.ValueType | None
    natural_key: Callable[[Record], str] | None
    answered_by: Kind.ValueType | None
    is_answer: bool
    submittable: bool
    erasure_class: ErasureClass.ValueType


def normalise_document_no(text: str) -> str:
    """A document number for comparison: NFKC, every kind of bracket as 〔〕, no blanks. Never for display."""
    bare = _BLANKS.sub("", unicodedata.normalize("NFKC", text).translate(_BRACKETS))
    # Again: what blanks held apart may now compose.
    return bare if bare.isascii() else unicodedata.normalize("NFKC", bare)


def _key(*parts: str) -> str:
    """Join parts so that no two lists of parts give the same text."""
    return "|".join(part.replace("%", "%25").replace("|", "%7C") for part in parts)


def _credit_key(record: Record) -> str:
    body = record.credit_result
    subject = body.subject
    return _key(subject.uscc, subject.permit_code, str(body.evaluation_year), record.header.authority.uscc)


def _penalty_key(record: Record) -> str:
    body = record.penalty_notice
    return _key(record.header.authority.uscc, normalise_document_no(body.decision_no), body.subject.uscc)


def _monitoring_key(record: Record) -> str:
    """Station, medium, interval, and a digest of the sorted data times and of the sorted factors with statistic.

    The digest keeps the key short: a batch may hold thousands of times.
    """
    body = record.monitoring_batch
    times: set[tuple[int, int]] = set()
    factors: list[str] = []
    for series in body.series:
        factors.append(f"{series.factor_code}:{series.value_kind}")
        times.update((point.data_time.seconds, point.data_time.nanos) for point in series.points)
    text = f"{sorted(times)}{sorted(factors)}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return _key(body.station.station_id, body.medium_code, str(body.interval), digest)


def _ref_parts(ref: RecordRef) -> tuple[str, str, str]:
    return ref.origin, ref.record_id, str(ref.revision)


def _erasure_key(record: Record) -> str:
    return _key(*_ref_parts(record.erasure.record))


def _answer_key(record: Record) -> str:
    body = record.answer
    return _key(*_ref_parts(body.record), str(body.verb), body.effect)


_SPECS = (
    KindSpec(
        kind=Kind.KIND_CREDIT_RESULT,
        field="credit_result",
        name="CreditResult",
        zh="信用评价结果",
        en="credit result",
        lane=Lane.LANE_REGISTRY,
        natural_key=_credit_key,
        answered_by=Kind.KIND_RECOGNITION,
        is_answer=False,
        submittable=True,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
    ),
    KindSpec(
        kind=Kind.KIND_MONITORING_BATCH,
        field="monitoring_batch",
        name="MonitoringBatch",
        zh="监测数据批",
        en="monitoring batch",
        lane=Lane.LANE_TELEMETRY,
        natural_key=_monitoring_key,
        answered_by=Kind.KIND_RECOGNITION,
        is_answer=False,
        submittable=True,
        erasure_class=ErasureClass.ERASURE_CLASS_MEASUREMENT,
    ),
    KindSpec(
        kind=Kind.KIND_PENALTY_NOTICE,
        field="penalty_notice",
        name="PenaltyNotice",
        zh="处罚、联合惩戒通知",
        en="penalty notice",
        lane=Lane.LANE_REGISTRY,
        natural_key=_penalty_key,
        answered_by=Kind.KIND_RECOGNITION,
        is_answer=False,
        submittable=True,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
    ),
    # A recognition made anew after a restore says the same under another record id, so it has no natural key here.
    KindSpec(
        kind=Kind.KIND_RECOGNITION,
        field="recognition",
        name="Recognition",
        zh="互认决定",
        en="recognition",
        lane=None,
        natural_key=None,
        answered_by=None,
        is_answer=True,
        submittable=False,
        erasure_class=ErasureClass.ERASURE_CLASS_PERMANENT,
    ),
    KindSpec(
        kind=Kind.KIND_ERASURE,
        field="erasure",
        name="Erasure",
        zh="销毁",
        en="erasure",
        lane=None,
        natural_key=_erasure_key,
        answered_by=None,
        is_answer=False,
        submittable=True,
        erasure_class=ErasureClass.ERASURE_CLASS_PERMANENT,
    ),
    KindSpec(
        kind=Kind.KIND_ANSWER,
        field="answer",
        name="Answer",
        zh="答复",
        en="answer",
        lane=None,
        natural_key=_answer_key,
        answered_by=None,
        is_answer=True,
        submittable=True,
        erasure_class=ErasureClass.ERASURE_CLASS_PERMANENT,
    ),
    # One key is announced in every lane, and again with each new state: several records, one key id.
    KindSpec(
        kind=Kind.KIND_KEY_ANNOUNCEMENT,
        field="key_announcement",
        name="KeyAnnouncement",
        zh="密钥公告",
        en="key announcement",
        lane=None,
        natural_key=None,
        answered_by=Kind.KIND_ANSWER,
        is_answer=False,
        submittable=False,
        erasure_class=ErasureClass.ERASURE_CLASS_PERMANENT,
    ),
)

_BY_KIND = {spec.kind: spec for spec in _SPECS}
_BY_FIELD = {spec.field: spec.kind for spec in _SPECS}
_BY_NAME = {spec.name.lower(): spec.kind for spec in _SPECS}
KINDS: Final[tuple[Kind.ValueType, ...]] = tuple(_BY_KIND)
"""Every kind of the table."""


def spec(kind: Kind.ValueType) -> KindSpec:
    """The table's line for a kind.

    Raises:
        KeyError: This edition does not know the kind.
    """
    return _BY_KIND[kind]


def kind_of(record: Record) -> Kind.ValueType:
    """The kind of a record; ``KIND_UNSPECIFIED`` when its body is not set or of a newer edition."""
    field = record.WhichOneof("body")
    return KIND_UNSPECIFIED if field is None else _BY_FIELD[field]


def kind_by_name(name: str) -> Kind.ValueType | None:
    """The kind of a name such as ``CreditResult``, ``credit_result`` or ``credit-result``; None when there is none."""
    return _BY_NAME.get(name.replace("_", "").replace("-", "").lower())


def lane_of(kind: Kind.ValueType, answered: Lane.ValueType | None = None) -> Lane.ValueType:
    """The lane that a record of this kind belongs in.

    Args:
        kind: A kind of the table.
        answered: Lane of the record that it answers or erases, or the lane that a key is announced in.

    Raises:
        KeyError: This edition does not know the kind.
        ValueError: The kind follows what it answers, and that lane was not given.
    """
    lane = _BY_KIND[kind].lane
    if lane is not None:
        return lane
    if answered is None or answered == Lane.LANE_UNSPECIFIED:
        raise ValueError(f"{_BY_KIND[kind].name} travels in the lane of what it answers: name that lane")
    return answered


def natural_key(record: Record) -> str | None:
    """What makes the fact unique within its origin; None for kinds that the mechanism makes unique."""
    kind = kind_of(record)
    maker = _BY_KIND[kind].natural_key if kind else None
    return None if maker is None else maker(record)


def _subject(record: Record) -> Subject | None:
    field = record.WhichOneof("body")
    if field == "credit_result":
        return record.credit_result.subject
    if field == "penalty_notice":
        return record.penalty_notice.subject
    return None


def subject_uscc(record: Record) -> str:
    """USCC of the firm that the fact is about; of a station, that of the discharging unit. Empty when there is none."""
    subject = _subject(record)
    if subject is not None:
        return subject.uscc
    return record.monitoring_batch.station.uscc if record.HasField("monitoring_batch") else ""


def area_of(record: Record) -> str:
    """Area that reading and checking are granted by: that of subject or station, else that of the header."""
    subject = _subject(record)
    area = ""
    if subject is not None:
        area = subject.area_code
    elif record.HasField("monitoring_batch"):
        area = record.monitoring_batch.station.area_code
    return area or record.header.area_code


def state_of(record: Record) -> int:
    """Number of the record's state in its own life cycle; 0 for kinds without one."""
    field = record.WhichOneof("body")
    if field == "credit_result":
        return record.credit_result.state
    if field == "penalty_notice":
        return record.penalty_notice.state
    return 0


def _day(at: Timestamp) -> str:
    """The day of an instant in UTC+8; empty when the instant is outside the years 1 to 9999."""
    try:
        return at.ToDatetime(NATIVE_TIME_ZONE).date().isoformat()
    except (ValueError, OverflowError):
        return ""


def sort_date(record: Record) -> str:
    """The record's own date, ``YYYY-MM-DD`` in UTC+8: what lists are sorted by and rule editions chosen by.

    Publication of a credit result, else the end of its window; decision of a penalty; last data time of a batch;
    otherwise the day of the act. Empty when the record states none.
    """
    field = record.WhichOneof("body")
    if field == "credit_result":
        return record.credit_result.published_on or record.credit_result.window_end
    if field == "penalty_notice":
        return record.penalty_notice.decided_on
    if field == "monitoring_batch":
        times = [series.points[-1].data_time for series in record.monitoring_batch.series if series.points]
        return _day(max(times, key=lambda at: (at.seconds, at.nanos))) if times else ""
    if field == "recognition":
        return _day(record.recognition.decided_at)
    if field == "erasure":
        return record.erasure.ordered_on
    if field == "answer":
        return _day(record.answer.answered_at)
    if field == "key_announcement":
        starts = [key.valid_from for key in record.key_announcement.keys if key.HasField("valid_from")]
        return _day(min(starts, key=lambda at: (at.seconds, at.nanos))) if starts else ""
    return ""


def erasure_class_of(record: Record) -> ErasureClass.ValueType:
    """Class by which the record's body may be destroyed.

    PERSONAL where a sole trader or a natural person stands in it: by the kind of subject, by a USCC that begins
    with 92, or by a person who is named beside the unit.

    Raises:
        KeyError: This edition does not know the kind.
    """
    default = _BY_KIND[kind_of(record)].erasure_class
    subject = _subject(record)
    if subject is None:
        return default
    personal = (
        subject.kind in (SUBJECT_KIND_SOLE_TRADER, SUBJECT_KIND_NATURAL_PERSON)
        or subject.uscc.startswith(_SOLE_TRADER_PREFIX)
        or subject.legal_representative != ""
        or len(record.penalty_notice.responsible_persons) > 0
    )
    return ERASURE_CLASS_PERSONAL if personal else default


def content_bytes(record: Record) -> bytes:
    """What the record says, as bytes: equal exactly when two records say the same.

    Leaves out record id, revision and provenance: they say which record it is and where it came from. Only for
    comparison within one program: never signed, never stored as a body.
    """
    content = Record()
    content.CopyFrom(record)
    header = content.header
    header.record_id = ""
    header.revision = 0
    header.ClearField("provenance")
    return content.SerializeToString(deterministic=True)


__all__ = [
    "KINDS",
    "KIND_EDITION",
    "NATIVE_TIME_ZONE",
    "KindSpec",
    "area_of",
    "content_bytes",
    "erasure_class_of",
    "kind_by_name",
    "kind_of",
    "lane_of",
    "natural_key",
    "normalise_document_no",
    "sort_date",
    "spec",
    "state_of",
    "subject_uscc",
]
