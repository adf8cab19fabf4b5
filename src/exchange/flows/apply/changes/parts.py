"""What stands within a record and has registers of its own: rows made beside the record's row, and dropped with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from exchange.domain.labs import lab_code, slices_of
from exchange.domain.record_index import raw_id
from exchange.flows.instants import micros_of
from exchange.v1.monitoring_batch_pb2 import MonitoringBatch
from exchange.v1.record_pb2 import Record

Part = tuple[str, dict[str, Any]]
"""Name of the register, and the row but for its number."""


def parts_of(record: Record, row: Mapping[str, Any]) -> Iterator[Part]:
    """The parts of a record that takes effect, in order.

    Args:
        record: The record.
        row: Its own row.
    """
    maker = _MAKERS.get(record.WhichOneof("body") or "")
    if maker is not None:
        yield from maker(record, row)


def _revision(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"origin": row["origin"], "record_id": row["record_id"], "revision": row["revision"]}


def _blocks(record: Record, row: Mapping[str, Any]) -> Iterator[Part]:
    """One block for each factor of the batch: every statistic of it, as packed series."""
    batch = record.monitoring_batch
    factors: dict[str, MonitoringBatch] = {}
    spans: dict[str, tuple[int, int]] = {}
    for series in batch.series:
        code = series.factor_code
        block = factors.get(code)
        if block is None:
            block = factors[code] = MonitoringBatch()
        block.series.append(series)
        times = [micros_of(point.data_time) for point in series.points]
        if code in spans:
            times += spans[code]
        spans[code] = (min(times), max(times))
    for factor, block in factors.items():
        first, last = spans[factor]
        yield (
            "blocks",
            {
                "origin": row["origin"],
                "station": batch.station.station_id,
                "medium": batch.medium_code,
                "section": batch.station.section_id,
                "interval": batch.interval,
                "factor": factor,
                "first_time": first,
                "last_time": last,
                "record_id": row["record_id"],
                "revision": row["revision"],
                "area": row["area"],
                "lab_cma_no": batch.lab_cma_no,
                "lab_uscc": batch.lab_uscc,
                "series": block.SerializeToString(deterministic=True),
            },
        )


def _feedback(record: Record, row: Mapping[str, Any]) -> Iterator[Part]:
    """What became of each measure (措施反馈)."""
    body = record.measure_feedback
    for result in body.results:
        yield (
            "feedback",
            {
                **_revision(row),
                "notice_origin": body.notice.origin,
                "notice": raw_id(body.notice.record_id),
                "matter_no": body.matter_no,
                "catalogue": result.catalogue,
                "code": result.code,
                "result": int(result.result),
            },
        )


def _slices(record: Record, row: Mapping[str, Any]) -> Iterator[Part]:
    """Each run of days of a laboratory's certificate, scope, suspensions and removal."""
    body = record.lab_qualification
    for each in slices_of(body):
        yield (
            "labs",
            {
                **_revision(row),
                "cma_no": body.cma_no,
                "uscc": body.subject.uscc,
                "code": lab_code(body.cma_no),
                "firm_code": lab_code(body.cma_no, body.subject.uscc),
                "slice": int(each.kind),
                "object": each.object,
                "factor": each.factor,
                "method": each.method,
                "first_on": each.first,
                "last_on": each.last,
            },
        )


_MAKERS: Mapping[str, Callable[[Record, Mapping[str, Any]], Iterator[Part]]] = {
    "monitoring_batch": _blocks,
    "measure_feedback": _feedback,
    "lab_qualification": _slices,
}
