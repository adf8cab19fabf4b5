"""Walking a node's journal over its logs gives its registers, byte for byte, whatever happened meanwhile."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from exchange.crypto.dsse import Signer
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.trusted.possession import possession_message
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.domain.lanes import LANE_NAMES
from exchange.domain.record_index import index_of, raw_id
from exchange.flows.intake.seal import seal
from exchange.flows.link.announce import announcement
from exchange.storage.engine.transaction import NewEntry, Transaction
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.credit_result_pb2 import CreditState
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import SubmitResult
from tests import evidence
from tests.domain import records
from tests.flows.test_recovering import OUT, credit, submit
from tests.flows.withholding import Withholding
from tests.test_walk import of_region
from tests.world import FEDERATION, World, keyring, lane_origin, profile


class History:
    """Random submissions of one side: new facts of every kind, revisions, repairs and erasures of earlier ones."""

    def __init__(self, world: World, name: str, seed: int) -> None:
        self.world, self.name = world, name
        self.random = random.Random(seed)
        self.records: list[Record] = []
        self.count = 0

    def step(self) -> None:
        """One submission."""
        make = self.random.choice([self._new, self._new, self._new, self._revised, self._ended, self._erased])
        record = make()
        if record is None:
            return
        self.count += 1
        answer = self.world.submit(self.name, record, f"{self.name}-{self.count}")
        if answer.result in (SubmitResult.SUBMIT_RESULT_ACCEPTED, SubmitResult.SUBMIT_RESULT_REVISED):
            kept = Record.FromString(record.SerializeToString())
            kept.header.record_id = answer.record_id
            kept.header.revision = 0
            if not record.HasField("erasure"):
                self.records.append(kept)

    def _new(self) -> Record:
        number = self.random.randrange(100_000, 999_999)
        sort = self.random.choice(["credit", "penalty", "monitoring"])
        if sort == "credit":
            return credit(number, self.name)
        record = of_region(records.SOUND[sort](), self.name)
        if sort == "penalty":
            record.penalty_notice.decision_no = f"演环罚〔2025〕{number}号"
        else:
            record.monitoring_batch.station.station_id = f"{number:024d}"
        return record

    def _earlier(self) -> Record | None:
        if not self.records:
            return None
        return Record.FromString(self.random.choice(self.records).SerializeToString())

    def _revised(self) -> Record | None:
        record = self._earlier()
        if record is not None and record.HasField("credit_result"):
            record.credit_result.score = str(self.random.randrange(60, 100))
        return record

    def _ended(self) -> Record | None:
        record = self._earlier()
        if record is not None and record.HasField("credit_result"):
            record.credit_result.state = CreditState.CREDIT_STATE_REPAIRED
        elif record is not None and record.HasField("penalty_notice"):
            record.penalty_notice.state = PenaltyState.PENALTY_STATE_REVOKED
        return record

    def _erased(self) -> Record | None:
        victim = self._earlier()
        if victim is None:
            return None
        record = of_region(records.erasure(), self.name)
        reference = RecordRef(origin=self.name, record_id=victim.header.record_id)
        reference.revision = self.random.choice([0, 0, 1])
        record.erasure.record.CopyFrom(reference)
        return record


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_random_histories(local_world: World, seed: int) -> None:
    """Revisions, repairs, erasures and late bodies of both sides, in any order: registers and digests agree."""
    world = local_world
    chance = random.Random(seed)
    held_back = {"cq": True, "sc": True}
    for name in ("cq", "sc"):
        world.wires[name].before = Withholding(
            lambda index, _, name=name: held_back[name] and hash((seed, index)) % 3 == 0  # type: ignore[misc]
        )
    world.start()
    sides = [History(world, name, seed * 2 + at) for at, name in enumerate(("cq", "sc"))]
    for _ in range(45):
        chance.choice(sides).step()
        if chance.random() < 0.1:
            world.wait(world.settled)
    world.wait(world.settled)
    evidence.assert_replays(world)
    for name in held_back:
        held_back[name] = False
    # Bodies that did not come are offered once in a session: a restart of either side begins another.
    again = chance.choice(["cq", "sc"])
    world.stop(again)
    world.start(again)
    world.wait(lambda: not evidence.waiting(world, "BODY"), what="late bodies")
    world.wait(world.settled)
    evidence.assert_laws(world)


@pytest.mark.parametrize("database", ["world"])
def test_on_either_database(request: pytest.FixtureRequest, database: str, world: World) -> None:
    """The same law on both kinds of database, with revisions and erasures."""
    world.start()
    history = History(world, "cq", 99)
    for _ in range(25):
        history.step()
    world.wait(world.settled)
    evidence.assert_laws(world)


def new_signer(name: str) -> Signer:
    """Another signing key of a region, which no announcement has named."""
    now = datetime.now(UTC)
    issued = pki.issue_signing(
        profile(),
        keyring(name).root,
        identity=Identity(node=name, domain=FEDERATION, role=Role.NODE, name=name),
        organisation=f"{name} authority",
        now=now,
    )
    return read_signer(issued.bundle)


def announce(world: World, name: str, other: str) -> None:
    """What rotating a key does first, done last."""
    node = world.nodes[name].node
    for lane_name in LANE_NAMES.values():
        origin = lane_origin(name, other, lane_name)
        now = node.clock()
        entry = seal(node, announcement(node, origin, now), [other], now).entry
        node.writer.call(_append, (origin, entry))


def _append(tx: Transaction, payloads: Sequence[tuple[str, NewEntry]]) -> list[int]:
    indices = []
    for origin, entry in payloads:
        log = tx.head(origin)
        assert log is not None
        indices.append(tx.append(log.id, [entry]))
    return indices


@pytest.mark.parametrize("name", ["cq", "sc"])
def test_a_key_that_becomes_known(local_world: World, name: str) -> None:
    """Records, erasures and decisions under an unknown key wait for it; then each is decided again, and replays."""
    world = local_world
    other = "sc" if name == "cq" else "cq"
    world.start()
    victims = submit(world, range(2), name)
    world.wait(world.settled)
    node = world.nodes[name].node
    (old,), fresh = node.keys.signers, new_signer(name)
    node.keys.signers = (fresh,)
    submit(world, range(2, 5), name)
    erasure = of_region(records.erasure(), name)
    erasure.erasure.record.CopyFrom(RecordRef(origin=name, record_id=victims[0].record_id))
    assert world.submit(name, erasure, "erase").result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    # What the other side states is answered under the unknown key.
    answered = submit(world, range(10, 13), other)
    world.wait(world.settled)
    waiting = world.rows(other, "reg_waits")
    assert len(waiting) >= 5
    assert {row.token.partition(":")[0] for row in waiting} == {"KEY"}
    assert "KEY_UNKNOWN" in evidence.evidence(world, other)
    evidence.assert_replays(world)

    # Announced by the old key, as succession has it.
    node.keys.signers = (old,)
    origin = lane_origin(name, other)
    record = announcement(node, origin, node.clock())
    record.key_announcement.keys[0].key_id = fresh.keyid
    del record.key_announcement.keys[0].chain[:]
    record.key_announcement.keys[0].chain.extend(fresh.chain)
    del record.key_announcement.keys[1:]
    named = record.key_announcement.keys[0]
    named.replaces = old.keyid
    named.possession = fresh.sign(possession_message(FEDERATION, name, named))
    node.writer.call(_append, (origin, seal(node, record, [other], node.clock()).entry))
    world.wait(lambda: world.rows(other, "reg_waits") == [], what="decided again")
    world.wait(world.settled)
    rows = {row.record_id: row for row in world.rows(other)}
    assert rows[raw_id(victims[0].record_id)].tombstone == "ERASED"
    assert rows[raw_id(victims[1].record_id)].outcome == Outcome.OUTCOME_FULL
    with world.nodes[other].database.read():
        decided = world.rows(other, "reg_decisions")
    assert {each.source_idx for each in decided}
    assert all(answer.record_id for answer in answered.values())
    evidence.assert_laws(world)


def test_a_parked_entry(local_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry whose apply keeps failing is parked with its trace, told to its origin, and replays as parked."""
    world = local_world
    broken = records.make_uscc(1003)

    def fails(record: Record) -> Any:
        if record.credit_result.subject.uscc == broken:
            raise ZeroDivisionError
        return index_of(record)

    monkeypatch.setattr("exchange.flows.apply.facts.index_of", fails)
    world.start()
    answers = submit(world, range(6))
    world.wait(world.settled)
    (parked,) = world.rows("sc", "reg_parked")
    assert evidence.statement_of(evidence.entries(world, "sc", OUT)[parked.idx].entry).record_id == answers[3].record_id
    assert "ZeroDivisionError" in parked.trace
    assert "INTERNAL" in world.nodes["sc"].bell.codes()
    monkeypatch.undo()
    evidence.assert_laws(world)
