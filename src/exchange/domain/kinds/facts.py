"""Kinds that the receiving region decides about by its rules of recognition."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from exchange.domain.kinds.keys import joined, normalise_document_no
from exchange.domain.kinds.spec import KindSpec, day_of
from exchange.v1.credit_result_pb2 import CREDIT_STATE_REPAIRED, CREDIT_STATE_WITHDRAWN
from exchange.v1.kind_pb2 import ErasureClass, Kind, Lane
from exchange.v1.list_entry_pb2 import (
    LIST_EXIT_REASON_ERROR,
    LIST_EXIT_REASON_REPAIRED,
    LIST_EXIT_REASON_REVOKED,
    LIST_STATE_EXITED,
)
from exchange.v1.penalty_notice_pb2 import PENALTY_STATE_REPAIRED, PENALTY_STATE_REVOKED

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from exchange.v1.common_pb2 import RecordRef
    from exchange.v1.record_pb2 import Record

# Bare constants where every record passes: a name of an enum wrapper is looked up by Python code each time.

_CREDIT_ENDS: Final[dict[int, str]] = {CREDIT_STATE_REPAIRED: "REPAIRED", CREDIT_STATE_WITHDRAWN: "WITHDRAWN"}
_PENALTY_ENDS: Final[dict[int, str]] = {PENALTY_STATE_REPAIRED: "REPAIRED", PENALTY_STATE_REVOKED: "REVOKED"}
_LIST_ENDS: Final[dict[int, str]] = {
    LIST_EXIT_REASON_REPAIRED: "REPAIRED",
    LIST_EXIT_REASON_REVOKED: "REVOKED",
    LIST_EXIT_REASON_ERROR: "WITHDRAWN",
}
"""An entry whose time ended stays to be seen as such: what was true then was rightly stated."""


def _credit_key(record: Record) -> str:
    body = record.credit_result
    subject = body.subject
    return joined(subject.uscc, subject.permit_code, str(body.evaluation_year), record.header.authority.uscc)


def _penalty_key(record: Record) -> str:
    body = record.penalty_notice
    return joined(record.header.authority.uscc, normalise_document_no(body.decision_no), body.subject.uscc)


def _monitoring_key(record: Record) -> str:
    """Station, medium, interval, and a digest of the sorted data times and of the sorted factors with statistic.

    The digest keeps the key short: a batch may hold thousands of times.
    """
    body = record.monitoring_batch
    times: set[tuple[int, int]] = set()
    factors: list[str] = []
    for series in body.series:
        factors.append(f"{series.factor_code}:{series.value_kind}")
        for point in series.points:
            at = point.data_time
            times.add((at.seconds, at.nanos))
    text = f"{sorted(times)}{sorted(factors)}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return joined(body.station.station_id, body.medium_code, str(body.interval), digest)


def _monitoring_date(record: Record) -> str:
    """Day of the last data time."""
    last: Timestamp | None = None
    for series in record.monitoring_batch.series:
        points = series.points
        at = points[-1].data_time if points else None
        if at is not None and (last is None or (at.seconds, at.nanos) > (last.seconds, last.nanos)):
            last = at
    return day_of(last) if last is not None else ""


def _list_key(record: Record) -> str:
    body = record.list_entry
    return joined("LIST", normalise_document_no(body.list_id), body.subject.uscc, body.entered_on)


def _list_end(record: Record) -> str:
    body = record.list_entry
    return _LIST_ENDS.get(body.exit.reason, "") if body.state == LIST_STATE_EXITED else ""


def _derived_from(record: Record) -> RecordRef | None:
    body = record.list_entry
    return body.derived_from if body.HasField("derived_from") else None


def _lab_key(record: Record) -> str:
    body = record.lab_qualification
    return joined("LAB", body.cma_no, body.subject.uscc)


FACTS: Final = (
    KindSpec(
        kind=Kind.KIND_CREDIT_RESULT,
        field="credit_result",
        name="CreditResult",
        zh="信用评价结果",
        en="credit result",
        lane=Lane.LANE_REGISTRY,
        answered_by=Kind.KIND_RECOGNITION,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        natural_key=_credit_key,
        subject=lambda record: record.credit_result.subject,
        state=lambda record: record.credit_result.state,
        level=lambda record: record.credit_result.shared_level,
        year=lambda record: record.credit_result.evaluation_year,
        sort_date=lambda record: record.credit_result.published_on or record.credit_result.window_end,
        ended=lambda record: _CREDIT_ENDS.get(record.credit_result.state, ""),
    ),
    KindSpec(
        kind=Kind.KIND_MONITORING_BATCH,
        field="monitoring_batch",
        name="MonitoringBatch",
        zh="监测数据批",
        en="monitoring batch",
        lane=Lane.LANE_TELEMETRY,
        answered_by=Kind.KIND_RECOGNITION,
        erasure_class=ErasureClass.ERASURE_CLASS_MEASUREMENT,
        natural_key=_monitoring_key,
        uscc=lambda record: record.monitoring_batch.station.uscc,
        area=lambda record: record.monitoring_batch.station.area_code,
        sort_date=_monitoring_date,
    ),
    KindSpec(
        kind=Kind.KIND_PENALTY_NOTICE,
        field="penalty_notice",
        name="PenaltyNotice",
        zh="处罚、联合惩戒通知",
        en="penalty notice",
        lane=Lane.LANE_REGISTRY,
        answered_by=Kind.KIND_RECOGNITION,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        natural_key=_penalty_key,
        subject=lambda record: record.penalty_notice.subject,
        persons=lambda record: len(record.penalty_notice.responsible_persons) > 0,
        state=lambda record: record.penalty_notice.state,
        level=lambda record: record.penalty_notice.notice_kind,
        sort_date=lambda record: record.penalty_notice.decided_on,
        ended=lambda record: _PENALTY_ENDS.get(record.penalty_notice.state, ""),
    ),
    KindSpec(
        kind=Kind.KIND_LIST_ENTRY,
        field="list_entry",
        name="ListEntry",
        zh="红黑白名单",
        en="list entry",
        lane=Lane.LANE_REGISTRY,
        answered_by=Kind.KIND_RECOGNITION,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        natural_key=_list_key,
        subject=lambda record: record.list_entry.subject,
        state=lambda record: record.list_entry.state,
        level=lambda record: record.list_entry.list_kind,
        sort_date=lambda record: record.list_entry.entered_on,
        ended=_list_end,
        ended_on=lambda record: record.list_entry.exit.exited_on,
        about=_derived_from,
        about_kinds=frozenset({Kind.KIND_CREDIT_RESULT, Kind.KIND_PENALTY_NOTICE}),
    ),
    KindSpec(
        kind=Kind.KIND_LAB_QUALIFICATION,
        field="lab_qualification",
        name="LabQualification",
        zh="监测机构资质",
        en="laboratory qualification",
        lane=Lane.LANE_REGISTRY,
        answered_by=Kind.KIND_RECOGNITION,
        erasure_class=ErasureClass.ERASURE_CLASS_ORGANISATION,
        natural_key=lambda record: joined(
            "LAB", record.lab_qualification.cma_no, record.lab_qualification.subject.uscc
        ),
        subject=lambda record: record.lab_qualification.subject,
        state=lambda record: record.lab_qualification.state,
        sort_date=lambda record: record.lab_qualification.state_since or record.lab_qualification.valid_from,
    ),
)
"""Answered by a Recognition."""
