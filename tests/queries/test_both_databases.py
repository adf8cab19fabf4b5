"""The same questions on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exchange.crypto.x509.certificates import Role
from exchange.v1 import (
    audit_service_pb2,
    monitoring_service_pb2,
    operation_service_pb2,
    penalty_service_pb2,
    record_service_pb2,
    submission_service_pb2,
)
from exchange.v1.kind_pb2 import Kind
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_pb2 import SubmissionState
from tests.rigs.postgres import PostgresServer
from tests.rpc.doors import AgencyDoor
from tests.rpc.facts import batch_of, credit_of, firm, penalty_of, submission, submit, wait_settled
from tests.rpc.test_check import check, question
from tests.world import World


@pytest.fixture(params=["sqlite", "postgresql"])
def doors(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, AgencyDoor]]:
    """Two linked nodes with their ports, both on one kind of database."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("cq", "sc")}
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            urls = {name: stack.enter_context(server.database()) for name in ("cq", "sc")}
        world = World(urls)
        stack.callback(world.close)
        world.start()
        made: dict[str, AgencyDoor] = {}
        for name in urls:
            made[name] = AgencyDoor(world, world.nodes[name])
            stack.callback(made[name].close)
        yield made


def test_every_question_has_the_same_answer(doors: dict[str, AgencyDoor]) -> None:
    """Records, revisions, tombstones, stations, readings, submissions, counts, proofs and checks."""
    cq, sc = doors["cq"].agency("both"), doors["sc"].agency("both")
    about = firm(400)
    first = submit(cq, credit_of(about), "both-1")
    notice = penalty_of(about, "演环罚〔2025〕4001号")
    sent = submit(cq, notice, "both-2")
    for number in range(3):
        batch = batch_of(f"BOTH{number % 2:018d}", start=number)
        batch.monitoring_batch.station.section_id = "DM-BOTH"
        submit(cq, batch, f"both-b{number}")
    ended = Record()
    ended.CopyFrom(notice)
    ended.header.record_id = sent.record_id
    ended.penalty_notice.state = PenaltyState.PENALTY_STATE_REPAIRED
    submit(cq, ended, "both-3")
    wait_settled(doors["cq"])

    for stubs in (cq, sc):
        listed = stubs.call(
            stubs.record.ListRecords,
            record_service_pb2.ListRecordsRequest(uscc=about, area="50", include_replaced=True),
        ).records
        assert {(view.kind, view.ref.revision, view.WhichOneof("content")) for view in listed} == {
            (Kind.KIND_PENALTY_NOTICE, 2, "tombstone"),
            (Kind.KIND_PENALTY_NOTICE, 1, "tombstone"),
            (Kind.KIND_CREDIT_RESULT, 1, "record"),
        }
        found = stubs.call(
            stubs.penalty.GetNotice, penalty_service_pb2.GetNoticeRequest(decision_no="演环罚[2025]4001号")
        ).notices
        assert [view.tombstone.reason for view in found] == ["REPAIRED"]
        stations = stubs.call(stubs.monitoring.ListStations, monitoring_service_pb2.ListStationsRequest()).stations
        assert [view.station.station_id for view in stations] == [f"BOTH{number:018d}" for number in (0, 1)]
        readings = stubs.call(
            stubs.monitoring.ListReadings,
            monitoring_service_pb2.ListReadingsRequest(station_id=f"BOTH{0:018d}", include_replaced=True, page_size=3),
        )
        assert len(readings.readings) == 3
        assert readings.next_page_token
        of_section = monitoring_service_pb2.ListStationsRequest(section_id="DM-BOTH", page_size=1)
        assert [view.station.section_id for view in stubs.call(stubs.monitoring.ListStations, of_section).stations] == [
            "DM-BOTH"
        ]
        merged = stubs.call(
            stubs.monitoring.ListReadings,
            monitoring_service_pb2.ListReadingsRequest(section_id="DM-BOTH", factor_code="w01018"),
        ).readings
        times = [view.point.data_time.seconds for view in merged]
        assert (len(times), times) == (6, sorted(times, reverse=True))
        blue = record_service_pb2.ListRecordsRequest(kind=Kind.KIND_CREDIT_RESULT, level="CREDIT_LEVEL_BLUE")
        assert [view.ref.record_id for view in stubs.call(stubs.record.ListRecords, blue).records] == [first.record_id]
    states = {
        each.addressees[0].state
        for each in cq.call(cq.submission.ListSubmissions, submission_service_pb2.ListSubmissionsRequest()).submissions
    }
    assert min(states) >= SubmissionState.SUBMISSION_STATE_DELIVERED
    assert submission(cq, record_id=first.record_id).addressees[0].decision
    assert cq.call(
        cq.submission.GetReceipt, submission_service_pb2.GetReceiptRequest(record_id=first.record_id)
    ).receipt
    answer = check(sc, question(about, area_code="510100"))
    assert [view.tombstone.reason for view in answer.notices] == ["REPAIRED"]
    operator, auditor = doors["cq"].officer(Role.OPERATOR), doors["cq"].officer(Role.AUDITOR)
    status = operator.call(operator.operation.GetStatus, operation_service_pb2.GetStatusRequest())
    total = next(row for row in status.counts if not row.kind)
    assert (total.submitted, total.delivered, total.pending) == (6, 6, 0)
    for log in auditor.call(auditor.audit.ListLogs, audit_service_pb2.ListLogsRequest()).logs:
        if log.cosigned_size:
            assert (
                auditor.call(
                    auditor.audit.GetInclusionProof, audit_service_pb2.GetInclusionProofRequest(origin=log.origin)
                ).hashes
                is not None
            )
