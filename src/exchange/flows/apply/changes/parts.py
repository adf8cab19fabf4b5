"""What stands within a record and has registers of its own: rows made beside the record's row, and dropped with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from exchange.domain.labs import lab_code, slices_of
from exchange.domain.record_index import raw_id
from exchange.flows.instants import micros_of
from exchange.v1.monitoring_batch_pb2 import MonitoringBatch, Series
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
    batch, station = record.monitoring_batch, record.monitoring_batch.station
    place = station.station_id, batch.medium_code, station.section_id, batch.interval
    lab = batch.lab_cma_no, batch.lab_uscc
    factors: dict[str, list[Series]] = {}
    for series in batch.series:
        factors.setdefault(series.factor_code, []).append(series)
    for factor, block in factors.items():
        # Points are in order of time (TIME_ORDER).
        first = min([micros_of(series.points[0].data_time) for series in block])
        last = max([micros_of(series.points[-1].data_time) for series in block])
        yield (
            "blocks",
            {
                "origin": row["origin"],
                "station": place[0],
                "medium": place[1],
                "section": place[2],
                "interval": place[3],
                "factor": factor,
                "first_time": first,
                "last_time": last,
                "record_id": row["record_id"],
                "revision": row["revision"],
                "area": row["area"],
                "lab_cma_no": lab[0],
                "lab_uscc": lab[1],
                "series": _packed(block),
            },
        )


def _packed(block: Sequence[Series]) -> bytes:
    message = MonitoringBatch()
    message.series.extend(block)
    return message.SerializeToString(deterministic=True)


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
