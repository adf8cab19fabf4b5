"""A laboratory is suspended, with effect in the past: what it sampled in that time falls, and nothing is edited."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.table import Table

from exchange.v1.lab_qualification_pb2 import LabStanding
from exchange.v1.monitoring_batch_pb2 import CrcVerdict, Interval, ProtocolEdition, TimeSemantics
from exchange.v1.monitoring_service_pb2 import ListReadingsRequest, ReadingView
from exchange.v1.record_pb2 import Record
from tests.domain import records
from tools.demo.stage import Stage, claim, console, wait

STATION = f"LAB{1:019d}"
FACTOR, METHOD = "w01018", "HJ 828-2017"
DAYS = ("2026-03-09", "2026-03-10", "2026-03-12", "2026-03-13")
FIRST, LAST = "2026-03-10", "2026-03-12"


def laboratory(stage: Stage) -> None:
    """A laboratory of Chongqing, its samples, and what Sichuan sees of them before and after."""
    console.rule("6 · 监测机构停用 A laboratory is suspended, with effect in the past")
    lab = _lab()
    sent = stage.submit("cq", lab, "lab-1").record_id
    stage.submit("cq", _samples(lab), "lab-samples")
    wait("readings at sc", lambda: len(_readings(stage)) == len(DAYS), 60)
    before = _readings(stage)
    claim(
        all(view.usable for view in before.values()),
        "资质、项目范围均有效，四天数据可用 certificate and scope held: the readings of all four days may be used",
    )
    lab.header.record_id = sent
    suspension = lab.lab_qualification.suspensions.add(suspended_from=FIRST, suspended_until=LAST)
    suspension.ground, suspension.document_no = "演示：监测数据弄虚作假", "演市监停〔2026〕演示1号"
    stage.submit("cq", lab, "lab-2")
    wait("the suspension at sc", lambda: not all(view.usable for view in _readings(stage).values()), 60)
    after = _readings(stage)
    table = Table("采样日 sampled on", "此前 before", "停用通报之后 after", "可用 usable")
    for day in DAYS:
        table.add_row(day, _standing(before[day]), _standing(after[day]), "是 yes" if after[day].usable else "否 no")
    console.print(table)
    fallen = [day for day in DAYS if not after[day].usable]
    claim(
        fallen == [FIRST, LAST],
        "停用期内的数据随之失效，原记录一字未改 readings of that time fall; not a byte of their record has changed",
    )
    stage.wait_answered("cq")


def _lab() -> Record:
    record = records.lab()
    body = record.lab_qualification
    body.subject.uscc, body.subject.name = records.make_uscc(88_002), "演示乙检测有限公司"
    body.cma_no = "222212059001"
    return record


def _samples(lab: Record) -> Record:
    record = records.monitoring()
    batch = record.monitoring_batch
    batch.station.station_id = STATION
    batch.lab_cma_no, batch.lab_uscc = lab.lab_qualification.cma_no, lab.lab_qualification.subject.uscc
    batch.interval = Interval.INTERVAL_MANUAL_SAMPLE
    batch.time_semantics = TimeSemantics.TIME_SEMANTICS_SAMPLE_TIME
    batch.protocol_edition = ProtocolEdition.PROTOCOL_EDITION_UNSPECIFIED
    batch.crc_verdict = CrcVerdict.CRC_VERDICT_UNSPECIFIED
    del batch.series[1:]
    series = batch.series[0]
    series.method_standard = METHOD
    point = series.points[0]
    del series.points[1:]
    for day in DAYS:
        made = series.points.add()
        made.CopyFrom(point)
        made.data_time.FromDatetime(datetime.fromisoformat(f"{day}T04:00:00").replace(tzinfo=UTC))
    del series.points[0]
    return record


def _readings(stage: Stage) -> dict[str, ReadingView]:
    with stage.pair.nodes["sc"].client() as client:
        request = ListReadingsRequest(station_id=STATION, factor_code=FACTOR)
        return {view.sampled_on: view for view in client.call(client.monitoring.ListReadings, request).readings}


def _standing(view: ReadingView) -> str:
    return LabStanding.Name(view.lab_standing).removeprefix("LAB_STANDING_")
