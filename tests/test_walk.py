"""The walk of one record, step by step, as the architecture tells it; then in every lane and both directions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from exchange.domain.record_index import raw_id
from exchange.flows.queries.exchanged.submissions import submission_messages
from exchange.flows.queries.ground.wording import Wording
from exchange.storage import schema
from exchange.storage.intake import submissions
from exchange.storage.logs import log_store
from exchange.tlog.checkpoint import parse_note
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Kind, Lane, Outcome
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import LogEntry
from exchange.v1.submission_pb2 import AddresseeStatus, SubmissionState
from exchange.v1.submission_service_pb2 import SubmitResult
from tests import evidence
from tests.domain import records
from tests.world import AREAS, AUTHORITIES, World, keyring, lane_origin


def of_region(record: Record, name: str) -> Record:
    """The same record, stated by a region's own authority for its own area."""
    area = AREAS[name][0] + "0107"
    record.header.authority.uscc = AUTHORITIES[name]
    record.header.area_code = area
    for subject in (record.credit_result.subject, record.penalty_notice.subject):
        if subject.uscc:
            subject.area_code = area
    if record.HasField("monitoring_batch"):
        record.monitoring_batch.station.area_code = area
    return record


def status_of(world: World, name: str, record_id: str) -> AddresseeStatus:
    """What the agency sees of its submission, for the only addressee."""
    node = world.nodes[name].node
    with node.database.read() as connection:
        row = submissions.of_record(connection, raw_id(record_id), 0)
        assert row is not None
        (message,) = submission_messages(connection, [row], Wording(node.tables.reasons, "en"))
    return message.addressees[0]


def test_one_record_walks_from_an_agency_to_the_peers_register_and_back(world: World) -> None:
    """Submit, seal, log, hello, deliver, cosign, receipt, apply, recognise, answer: each step leaves its proof."""
    world.start("cq")
    record = records.credit()

    # 1 to 4: the answer is the agency's own proof that the region stated it
    answer = world.submit("cq", record, "key-1")
    assert answer.result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    outbound = lane_origin("cq", "sc")
    entry = evidence.entries(world, "cq", outbound)[1]
    assert LogEntry.FromString(entry.entry).envelope == answer.envelope
    assert entry.salt == answer.salt
    row = evidence.submission(world, "cq", answer.record_id)
    assert row is not None
    assert (row.agency, row.idempotency_key) == ("agency", "key-1")
    assert [address.index for address in row.addresses] == [1]

    # the peer is away: nothing is signed, and the submission waits
    assert world.delivered("cq", outbound) == 0
    assert status_of(world, "cq", answer.record_id).state == SubmissionState.SUBMISSION_STATE_ACCEPTED

    # 5 to 11: hello, deliver, mirror, cosign
    world.start("sc")
    world.wait(lambda: world.delivered("cq", outbound) > 1, what="the peer cosigns")
    stated = evidence.verified(world, "cq", answer.envelope).statement
    assert (stated.origin, list(stated.addressees)) == ("cq", ["sc"])
    assert (stated.kind, stated.record_id, stated.revision) == (Kind.KIND_CREDIT_RESULT, answer.record_id, 1)
    proven = evidence.receipt(world, "cq", outbound, 1)
    assert proven.entry == entry.entry
    assert proven.cosigner == keyring("sc").keys.mirror.name
    assert proven.cosigned_at - evidence.logged_at(entry.entry) < timedelta(seconds=10)
    mirrored = evidence.entries(world, "sc", outbound)[1]
    assert (mirrored.entry, mirrored.salt, mirrored.body) == (entry.entry, entry.salt, entry.body)

    # 12: registers of both sides
    world.wait(world.settled, what="both sides at rest")
    mine = next(each for each in world.rows("cq") if each.record_id == raw_id(answer.record_id))
    theirs = next(each for each in world.rows("sc") if each.record_id == raw_id(answer.record_id))
    assert (mine.origin, mine.outcome, mine.mirrored_at) == ("cq", Outcome.OUTCOME_UNSPECIFIED, None)
    assert (theirs.origin, theirs.outcome, theirs.newest) == ("cq", Outcome.OUTCOME_FULL, True)
    assert theirs.mirrored_at == int(proven.cosigned_at.timestamp() * 1_000_000)
    assert theirs.subject == record.credit_result.subject.uscc

    # 13: the decision is a signed record of sc's, in the lane of what it answers, and travels back the same way
    back = lane_origin("sc", "cq")
    at, decision = next(
        (at, each)
        for at, each in enumerate(evidence.records(world, "sc", back))
        if each.recognition.answered_log == outbound and each.recognition.first <= 1 < each.recognition.end
    )
    assert decision.recognition.default_outcome == Outcome.OUTCOME_FULL
    assert evidence.receipt(world, "sc", back, at).index == at
    arrived = LogEntry.FromString(evidence.entries(world, "cq", back)[at].entry)
    assert evidence.verified(world, "sc", arrived.envelope).statement.kind == Kind.KIND_RECOGNITION

    # the agency sees all of it
    status = status_of(world, "cq", answer.record_id)
    assert status.state == SubmissionState.SUBMISSION_STATE_RECOGNISED
    assert (status.addressee, status.log, status.index) == ("sc", outbound, 1)
    assert status.decision == f"{back}#{at}"
    assert status.rule_edition == world.nodes["sc"].node.rules.book.editions[0].edition
    evidence.assert_laws(world)


@pytest.mark.parametrize("name", ["cq", "sc"])
def test_every_kind_in_its_lane_in_either_direction(local_world: World, name: str) -> None:
    """Credit, penalty, monitoring and erasure walk from either side, each in its lane, and each is answered."""
    world = local_world
    other = "sc" if name == "cq" else "cq"
    world.start()
    notice = world.submit(name, of_region(records.penalty(), name), "penalty")
    batch = world.submit(name, of_region(records.monitoring(), name), "batch")
    credit = world.submit(name, of_region(records.credit(), name), "credit")
    for each in (notice, batch, credit):
        assert each.result == SubmitResult.SUBMIT_RESULT_ACCEPTED, each
    world.wait(world.settled)
    origins = {
        each.record_id: log
        for log in (lane_origin(name, other, "registry"), lane_origin(name, other, "telemetry"))
        for each in map(evidence.statement_of, (raw.entry for raw in evidence.entries(world, other, log)))
    }
    assert origins[notice.record_id] == origins[credit.record_id] == lane_origin(name, other, "registry")
    assert origins[batch.record_id] == lane_origin(name, other, "telemetry")
    assert len(world.rows(other, "reg_blocks")) == 2
    for each in (notice, batch, credit):
        assert status_of(world, name, each.record_id).state in (
            SubmissionState.SUBMISSION_STATE_RECOGNISED,
            SubmissionState.SUBMISSION_STATE_CONDITIONAL,
        )

    # a repair reaches whoever got the notice, and stands in its place there
    repaired = of_region(records.penalty(), name)
    repaired.header.record_id = notice.record_id
    repaired.penalty_notice.state = PenaltyState.PENALTY_STATE_REPAIRED
    answer = world.submit(name, repaired, "repair")
    assert (answer.result, answer.revision) == (SubmitResult.SUBMIT_RESULT_REVISED, 2), answer
    world.wait(world.settled)
    rows = [row for row in world.rows(other) if row.record_id == raw_id(notice.record_id)]
    assert [(row.revision, row.newest, row.tombstone) for row in rows] == [
        (1, False, "REPAIRED"),
        (2, True, "REPAIRED"),
    ]

    # an erasure travels in the lane of what it erases
    for victim, key in ((credit, "erase-credit"), (batch, "erase-batch")):
        erasure = of_region(records.erasure(), name)
        erasure.erasure.record.CopyFrom(RecordRef(origin=name, record_id=victim.record_id))
        answer = world.submit(name, erasure, key)
        assert answer.result == SubmitResult.SUBMIT_RESULT_ACCEPTED, answer
        world.wait(world.settled)
        for side in (name, other):
            (row,) = (row for row in world.rows(side) if row.record_id == raw_id(victim.record_id))
            assert (row.tombstone, row.subject, row.natural_key) == ("ERASED", "", "")
            held = evidence.entries(world, side, origins[victim.record_id])
            erased = next(each for each in held if evidence.statement_of(each.entry).record_id == victim.record_id)
            assert (erased.body, erased.salt) == (None, None)
        status = status_of(world, name, victim.record_id)
        assert status.state == SubmissionState.SUBMISSION_STATE_NOT_RECOGNISED
        assert [problem.reason for problem in status.reasons] == ["ERASED"]
    assert world.rows(other, "reg_blocks") == []
    evidence.assert_laws(world)


def test_the_lanes_speak_by_their_announced_keys(local_world: World) -> None:
    """Entry 0 of every lane announces its keys, and the peer confirms that it took them."""
    world = local_world
    world.start()
    world.wait(world.settled)
    for lane in ("urgent", "registry", "telemetry"):
        first = evidence.records(world, "sc", lane_origin("cq", "sc", lane))[0]
        assert first.HasField("key_announcement")
        answers = evidence.records(world, "cq", lane_origin("sc", "cq", lane))
        assert [each.answer.effect for each in answers if each.HasField("answer")] == ["KEY_ACCEPTED"]
    assert {row.origin for row in world.rows("sc", "reg_keys")} == {"cq", "sc"}


def test_a_checkpoint_is_signed_only_behind_a_hello(local_world: World) -> None:
    """While the peer is away nothing is signed, and what was submitted lies in the log."""
    world = local_world
    world.start("cq")
    for number in range(5):
        record = records.credit()
        record.credit_result.evaluation_year = 2020 + number
        world.submit("cq", record, f"key-{number}")
    with world.nodes["cq"].database.read() as connection:
        assert log_store.heads(connection)
        assert connection.execute(schema.checkpoints.select()).all() == []
    world.start("sc")
    world.wait(world.settled)
    with world.nodes["cq"].database.read() as connection:
        log = log_store.current(connection, "outbound", "sc", Lane.LANE_REGISTRY)
        assert log is not None
        newest = log_store.last_checkpoint(connection, log.id)
    assert newest is not None
    assert parse_note(newest.note)[1].size == newest.size == world.log_size("sc", lane_origin("cq", "sc"))
