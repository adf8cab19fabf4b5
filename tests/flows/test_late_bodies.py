"""A body that did not come with its entry always finds its way, and what depended on it is decided again."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import Message

from exchange.domain.problems import Refused
from exchange.domain.record_index import raw_id
from exchange.flows.link.peer_port import PeerAwayError
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredEntry
from exchange.storage.registers import registers
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.credit_result_pb2 import CreditState
from exchange.v1.kind_pb2 import Lane, Outcome
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.relay_service_pb2 import DeliverRequest, DeliverResponse, LateBody
from exchange.v1.statement_pb2 import Body
from exchange.v1.submission_service_pb2 import SubmittedRecord
from tests import evidence
from tests.domain import records
from tests.flows.test_recovering import OUT, credit, submit
from tests.flows.withholding import Withholding
from tests.test_walk import of_region
from tests.world import World, lane_origin


def row_of(world: World, answer: SubmittedRecord, revision: int = 1) -> Any:
    """The register row of a revision at the receiver."""
    found = [row for row in world.rows("sc") if row.record_id == raw_id(answer.record_id)]
    return next((row for row in found if row.revision == revision), None)


def revised(world: World, answer: SubmittedRecord, record: Record, key: str) -> SubmittedRecord:
    """Submit the next revision of a record."""
    record.header.record_id = answer.record_id
    return world.submit("cq", record, key)


def lose(world: World, *numbers: int, revision: int = 1, late: bool = False) -> Withholding:
    """Bodies of these firms' results do not come with their entries, nor later on when ``late`` says so."""
    firms = {records.make_uscc(1000 + number) for number in numbers}

    def lost(_: int, record: Record) -> bool:
        return record.credit_result.subject.uscc in firms and record.header.revision == revision

    withholding = Withholding(lost, late=late)
    world.wires["cq"].before = withholding
    return withholding


def entry_of(world: World, name: str, answer: SubmittedRecord) -> StoredEntry:
    """The entry of a record's first revision, as a node holds it."""
    found = [each for each in evidence.entries(world, name, OUT) if _states(each, answer)]
    return found[0]


def body_of(entry: StoredEntry) -> Body:
    """The body of an entry, as it travels."""
    return Body(record=entry.body or b"", salt=entry.salt or b"")


def _states(entry: StoredEntry, answer: SubmittedRecord) -> bool:
    return evidence.statement_of(entry.entry).record_id == answer.record_id


def release(world: World) -> None:
    """The wire is whole again, and the sender starts anew."""
    world.wires["cq"].before = None
    world.stop("cq")
    world.start("cq")
    world.wait(lambda: world.rows("sc", "reg_waits") == [], what="decided again")
    world.wait(world.settled)


@pytest.mark.parametrize("again", ["cq", "sc"], ids=["sender", "receiver"])
def test_a_restart_of_either_side_brings_what_was_lost(world: World, again: str) -> None:
    """Bodies that did not come, nor when they were offered again, come in the next session."""
    lose(world, 1, 2, late=True)
    world.start()
    answers = submit(world, range(4))
    world.wait(world.settled)
    world.wait(lambda: len(world.rows("sc", "reg_waits")) == 2)
    assert row_of(world, answers[1]).outcome == Outcome.OUTCOME_DEFERRED
    world.wires["cq"].before = None
    world.stop(again)
    world.start(again)
    world.wait(lambda: world.rows("sc", "reg_waits") == [], what="decided again")
    for number, answer in answers.items():
        row = row_of(world, answer)
        assert (row.outcome, row.decision_revision) == (Outcome.OUTCOME_FULL, 1 + (number in (1, 2)))
    world.wait(world.settled)
    evidence.assert_laws(world)


def test_the_answer_that_named_them_is_lost(local_world: World) -> None:
    """Which bodies are missing is told again, without any new entry."""
    world = local_world
    lose(world, 1, 2)
    lost: list[Message] = []

    def lose_first(verb: str, request: Message, response: Message) -> Message:
        if isinstance(response, DeliverResponse) and response.missing_bodies and not lost:
            lost.append(response)
            raise PeerAwayError("the answer was lost")
        return response

    world.wires["cq"].after = lose_first
    world.start()
    submit(world, range(4))
    world.wait(lambda: lost and world.settled() and world.rows("sc", "reg_waits") == [], what="the bodies")
    evidence.assert_laws(world)


@pytest.mark.parametrize("fault", ["call", "answer", "session"])
def test_the_call_that_brings_them_fails(local_world: World, fault: str) -> None:
    """Late bodies of a call that failed are brought by the next one."""
    world = local_world
    withholding = lose(world, 1, 2)
    failed: list[Message] = []

    async def before(verb: str, request: Message) -> Message:
        passed = await withholding(verb, request)
        if isinstance(passed, DeliverRequest) and passed.late_bodies and not failed and fault != "answer":
            failed.append(passed)
            if fault == "call":
                raise PeerAwayError("the call was lost")
            passed.session = bytes(16)  # as if the peer had been restarted meanwhile
        return passed

    def after(verb: str, request: Message, response: Message) -> Message:
        if isinstance(request, DeliverRequest) and request.late_bodies and not failed:
            failed.append(request)
            raise PeerAwayError("the answer was lost")
        return response

    world.wires["cq"].before = before
    world.wires["cq"].after = after
    world.start()
    submit(world, range(4))
    world.wait(lambda: failed and world.settled() and world.rows("sc", "reg_waits") == [], what="the bodies")
    evidence.assert_laws(world)


def test_a_body_that_arrives_while_the_loop_looks(local_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrives after the loop has read what waits, and before it has done looking, is not overlooked."""
    world = local_world
    lose(world, 1, late=True)
    world.start()
    answers = submit(world, range(3))
    world.wait(world.settled)
    world.wait(lambda: len(world.rows("sc", "reg_waits")) == 1)
    entry = entry_of(world, "cq", answers[1])
    sc = world.nodes["sc"].core
    peer = sc.node.peers.get("cq")
    assert peer is not None
    late = DeliverRequest(session=sc.links.of("cq").issued or b"", origin=OUT)
    late.start = world.log_size("cq", OUT)
    with world.nodes["cq"].database.read() as connection:
        log = evidence.heads(world, "cq")[OUT]
        late.checkpoint = log_store.last_checkpoint(connection, log.id).note  # type: ignore[union-attr]
    late.late_bodies.append(LateBody(index=entry.index, body=body_of(entry)))
    sound = registers.wait_tokens
    arrived: list[DeliverResponse] = []

    def arrives(connection: Any) -> Any:
        tokens = sound(connection)
        if tokens and not arrived:
            arrived.append(sc.mirror.deliver(peer, late, sc.node.clock()))
        return tokens

    monkeypatch.setattr("exchange.flows.apply.loop.registers.wait_tokens", arrives)
    sc.apply.wake()
    world.wait(lambda: arrived)
    world.wait(lambda: world.rows("sc", "reg_waits") == [], 5.0, "the loop to look again")


def test_an_epoch_that_ended(local_world: World) -> None:
    """Bodies of a retired log come, too, after a restart."""
    world = local_world
    lose(world, 1, late=True)
    world.start()
    submit(world, range(3))
    world.wait(world.settled)
    world.wait(lambda: len(world.rows("sc", "reg_waits")) == 1)
    lane = Lane.LANE_REGISTRY
    world.nodes["cq"].core.lanes.stop("sc", lane, "FORK", (), world.nodes["cq"].node.clock())
    world.nodes["sc"].core.lanes.retire("cq", lane, "operator", "forked", mirror=True)
    world.nodes["cq"].core.lanes.retire("sc", lane, "operator", "forked", mirror=False)
    submit(world, range(3, 5))
    world.wait(world.settled, 40)
    assert world.log_size("sc", lane_origin("cq", "sc", epoch=2)) > 2
    release(world)
    evidence.assert_laws(world)


def test_erased_before_it_arrived(world: World) -> None:
    """An Erasure of a deferred entry decides it; its body is not taken any more, whoever brings it."""
    withholding = lose(world, 0, late=True)
    world.start()
    victim = submit(world, range(1))[0]
    world.wait(lambda: world.rows("sc", "reg_waits"))
    entry = entry_of(world, "cq", victim)
    erasure = of_region(records.erasure(), "cq")
    erasure.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=victim.record_id))
    world.submit("cq", erasure, "erase")
    world.wait(world.settled)
    row = row_of(world, victim)
    assert (row.outcome, row.tombstone, row.decision_revision) == (Outcome.OUTCOME_NOT_RECOGNISED, "ERASED", 2)
    assert world.rows("sc", "reg_waits") == []

    async def brings(verb: str, request: Message) -> Message:
        passed = await withholding(verb, request)
        if isinstance(passed, DeliverRequest) and passed.origin == OUT:
            passed.late_bodies.append(LateBody(index=entry.index, body=body_of(entry)))
        return passed

    world.wires["cq"].before = brings
    other = submit(world, range(1, 2))[1]
    world.wait(world.settled)
    for name in ("cq", "sc"):
        gone = entry_of(world, name, victim)
        assert (gone.body, gone.salt) == (None, None)
        assert entry_of(world, name, other).body is not None
    evidence.assert_laws(world)


def test_a_revision_that_depends_on_a_missing_one(world: World) -> None:
    """Whether it may follow is not known until the earlier one arrives: deferred, not refused, and decided then."""
    lose(world, 0, late=True)
    world.start()
    first = submit(world, range(1))[0]
    repaired = credit(0)
    repaired.credit_result.state = CreditState.CREDIT_STATE_REPAIRED
    revised(world, first, repaired, "repaired")
    world.wait(world.settled)
    world.wait(lambda: len(world.rows("sc", "reg_waits")) == 2)
    assert row_of(world, first, 2).outcome == Outcome.OUTCOME_DEFERRED
    assert "EARLIER_REVISION_MISSING" in row_of(world, first, 2).decision
    release(world)
    assert row_of(world, first, 1).outcome == Outcome.OUTCOME_FULL
    assert "RESULT_REPAIRED" in row_of(world, first, 2).decision
    assert [row_of(world, first, revision).tombstone for revision in (1, 2)] == ["REPAIRED"] * 2
    assert [row_of(world, first, revision).newest for revision in (1, 2)] == [False, True]
    evidence.assert_laws(world)


def test_a_revision_that_depends_on_an_erased_one(local_world: World) -> None:
    """What it waited for was erased: it is decided by what is left."""
    world = local_world
    lose(world, 0, late=True)
    world.start()
    first = submit(world, range(1))[0]
    repaired = credit(0)
    repaired.credit_result.state = CreditState.CREDIT_STATE_REPAIRED
    revised(world, first, repaired, "repaired")
    world.wait(lambda: len(world.rows("sc", "reg_waits")) == 2)
    erasure = of_region(records.erasure(), "cq")
    erasure.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=first.record_id, revision=1))
    world.submit("cq", erasure, "erase")
    world.wait(lambda: world.rows("sc", "reg_waits") == [], what="decided again")
    world.wait(world.settled)
    assert row_of(world, first, 1).tombstone == "ERASED"
    assert "STATE_NOT_ENTERED" in row_of(world, first, 2).decision
    evidence.assert_laws(world)


def test_a_late_revision_of_an_ended_record(local_world: World) -> None:
    """It is decided like any other, and shown no more: the record has ended since."""
    world = local_world
    lose(world, 0, revision=2, late=True)
    world.start()
    first = submit(world, range(1))[0]
    scored = credit(0)
    scored.credit_result.score = "81"
    revised(world, first, scored, "scored")
    ended = credit(0)
    ended.credit_result.state = CreditState.CREDIT_STATE_REPAIRED
    revised(world, first, ended, "ended")
    world.wait(world.settled)
    world.wait(lambda: len(world.rows("sc", "reg_waits")) == 1)
    release(world)
    row = row_of(world, first, 2)
    assert (row.outcome, row.newest, row.tombstone) == (Outcome.OUTCOME_FULL, False, "REPAIRED")
    evidence.assert_laws(world)


def test_a_repaired_penalty_may_be_revoked(local_world: World) -> None:
    """The receiver goes by the state that was left, also where that ended the record."""
    world = local_world
    world.start()
    notice = of_region(records.SOUND["penalty"](), "cq")
    first = world.submit("cq", notice, "issued")
    for revision, state in ((2, PenaltyState.PENALTY_STATE_REPAIRED), (3, PenaltyState.PENALTY_STATE_REVOKED)):
        following = of_region(records.SOUND["penalty"](), "cq")
        following.penalty_notice.state = state
        assert revised(world, first, following, f"revision {revision}").revision == revision
        world.wait(world.settled)
    row = row_of(world, first, 3)
    assert (row.outcome, row.newest) == (row_of(world, first, 1).outcome, True)
    assert "reasons" not in row.decision
    evidence.assert_laws(world)


def test_a_call_over_the_protocols_bytes(local_world: World) -> None:
    """More than 4 MiB of entries and bodies in one call are refused, late bodies counted."""
    world = local_world
    world.start()
    submit(world, range(1))
    world.wait(world.settled)
    sc = world.nodes["sc"].core
    peer = sc.node.peers.get("cq")
    assert peer is not None
    request = DeliverRequest(session=sc.links.of("cq").issued or b"", origin=OUT)
    request.late_bodies.extend([LateBody(index=1, body=Body(record=bytes(1 << 20)))] * 5)
    with pytest.raises(Refused) as refused:
        sc.mirror.deliver(peer, request, sc.node.clock())
    assert [problem.reason for problem in refused.value.problems] == ["MESSAGE_TOO_LARGE"]
