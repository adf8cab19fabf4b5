"""A signing key that is revoked behind what it signed: by a list, or by its own region's announcement."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message

from exchange.crypto.dsse import Signer
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import load_der
from exchange.domain.record_index import raw_id
from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.intake.seal import Draft, seal, seal_all
from exchange.flows.link.announce import announcement
from exchange.flows.trust.revocations import SIGNING
from exchange.v1.credit_result_pb2 import CreditState
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.recognition_pb2 import DecisionCause
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry
from exchange.v1.submission_service_pb2 import SubmitResult
from tests import evidence
from tests.domain import records
from tests.flows.test_recovering import credit
from tests.flows.test_replay import _append
from tests.rotation.officers import OFFICER
from tests.rotation.test_peers_keys import announce, signing_key
from tests.test_walk import of_region
from tests.world import World, keyring, lane_origin, profile, worlds

FULL, DEFERRED = Outcome.OUTCOME_FULL, Outcome.OUTCOME_DEFERRED


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two linked nodes."""
    yield from worlds(tmp_path)


@pytest.fixture
def own_signer() -> Signer:
    """The signing key that cq starts with."""
    return keyring("cq").signer


def submit(world: World, number: int, key: str = "") -> str:
    """One credit result of cq; its record id."""
    answer = world.submit("cq", credit(5000 + number, "cq"), key or f"key-{number}")
    assert answer.result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    return answer.record_id


def row(world: World, record_id: str, revision: int = 1) -> Any:
    """The record as sc has it."""
    found = [each for each in world.rows("sc") if (each.record_id, each.revision) == (raw_id(record_id), revision)]
    return found[0] if found else None


def revoke(world: World, at: datetime, signer: Signer, number: int = 1) -> None:
    """A list of cq's signing authority, put into cq's folder: sc has it by the relay."""
    listed = pki.issue_crl(
        profile(),
        keyring("cq").root,
        [(load_der(signer.chain[0]).serial_number, at)],
        number=number,
        now=datetime.now(UTC),
    )
    world.nodes["cq"].core.revocations.offer("cq", SIGNING, listed, "test", datetime.now(UTC))


def listed(world: World) -> bool:
    """Whether sc has the list."""
    return bool(world.nodes["sc"].core.revocations.of("cq", SIGNING).lists)


def new_key(world: World) -> Signer:
    """Cq goes on with another signing key, out of turn as when one is lost: sc's officer confirms it."""
    key, signer = signing_key()
    announce(world, key, signer=signer)
    trust = world.nodes["sc"].core.trust
    world.wait(trust.pending)
    (pending,) = trust.pending()
    trust.confirm(pending.id, pending.fingerprint, "read aloud", OFFICER, datetime.now(UTC), refuse=False)
    world.nodes["cq"].node.keys.signers = (signer,)
    return signer


def confirm(world: World, record_id: str, revision: int = 1) -> None:
    """The same statement bytes in a new envelope under the key that cq has now."""
    node = world.nodes["cq"].node
    origin = lane_origin("cq", "sc")
    for each in evidence.entries(world, "cq", origin):
        envelope = Envelope.FromString(LogEntry.FromString(each.entry).envelope)
        statement = evidence.statement_of(each.entry)
        if (statement.record_id, statement.revision) == (record_id, revision):
            again = Draft(envelope.payload, each.body or b"", each.salt or b"", b"")
            node.writer.call(_append, (origin, seal_all(node, [again], node.clock())[0].entry))
            return
    raise LookupError(record_id)


def causes(world: World, record_id: str) -> list[int]:
    """Causes of the decisions that sc made of a record, in order."""
    read = [Record.FromString(each.body or b"") for each in evidence.entries(world, "sc", lane_origin("sc", "cq"))]
    return [
        item.cause or each.recognition.cause
        for each in read
        for item in each.recognition.items
        if item.record_id == record_id
    ]


def test_what_was_mirrored_before_the_revocation_stands(world: World, own_signer: Signer) -> None:
    """Old evidence never breaks: only what was mirrored at or after the instant is decided again."""
    world.start()
    early = submit(world, 1)
    world.wait(world.settled)
    at = datetime.now(UTC) + timedelta(seconds=2)
    world.wait(lambda: datetime.now(UTC) > at + timedelta(seconds=1))
    late = submit(world, 2)
    world.wait(world.settled)
    revoke(world, at, own_signer)
    world.wait(lambda: row(world, late).outcome == DEFERRED, what="decided again")
    world.wait(world.settled)
    assert row(world, early).outcome == FULL
    assert row(world, early).decision_revision == 1
    decided = row(world, late)
    assert read_decision(decided.decision).reasons == ("UNPROVEN_TIME",)
    assert (decided.newest, decided.subject, decided.decision_revision) == (False, "", 2)
    assert causes(world, late) == [DecisionCause.DECISION_CAUSE_KEY_REVOKED]
    evidence.assert_laws(world)


def test_a_confirmation_under_a_key_that_is_valid_now_lifts_it(world: World, own_signer: Signer) -> None:
    """The record counts again by its own entry; the confirmation is a duplicate; a replay agrees with all of it."""
    world.start()
    first, other = submit(world, 1), submit(world, 2)
    world.wait(world.settled)
    revoke(world, datetime.now(UTC) - timedelta(hours=1), own_signer)
    world.wait(lambda: {row(world, each).outcome for each in (first, other)} == {DEFERRED})
    before = row(world, first)
    new_key(world)
    confirm(world, first)
    world.wait(lambda: row(world, first).outcome == FULL, what="lifted")
    world.wait(world.settled)
    lifted = row(world, first)
    assert (lifted.log_id, lifted.idx, lifted.newest, lifted.decision_revision) == (before.log_id, before.idx, True, 3)
    assert lifted.subject == records.make_uscc(6001)
    assert row(world, other).outcome == DEFERRED
    assert causes(world, first)[:2] == [
        DecisionCause.DECISION_CAUSE_KEY_REVOKED,
        DecisionCause.DECISION_CAUSE_ARRIVAL,
    ]
    assert DecisionCause.DECISION_CAUSE_RECONFIRMED in causes(world, first)
    assert {each.token for each in world.rows("sc", "reg_waits")} == {"TIME"}
    evidence.assert_laws(world)


def test_a_confirmation_that_came_first_keeps_the_record(world: World, own_signer: Signer) -> None:
    """Confirmed before the revocation was learned, a record is not deferred for a moment."""
    world.start()
    first, other = submit(world, 1), submit(world, 2)
    world.wait(world.settled)
    new_key(world)
    confirm(world, first)
    world.wait(world.settled)
    revoke(world, datetime.now(UTC) - timedelta(hours=1), own_signer)
    world.wait(lambda: row(world, other).outcome == DEFERRED)
    world.wait(world.settled)
    assert row(world, first).outcome == FULL
    assert DecisionCause.DECISION_CAUSE_KEY_REVOKED not in causes(world, first)
    evidence.assert_laws(world)


def test_what_was_deferred_on_arrival_is_lifted_too(world: World, own_signer: Signer) -> None:
    """Logged before the revocation and mirrored behind it, a record waits; its confirmation lets it in, once."""
    world.start()
    world.wait(world.settled)
    world.stop("sc")
    waiting = submit(world, 1)
    # Lists hold whole seconds: cut down to one, the instant would lie before the submission.
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    world.wait(lambda: datetime.now(UTC) > at)
    revoke(world, at, own_signer)

    async def list_first(verb: str, request: Message) -> Message:
        if verb == "deliver":
            await asyncio.to_thread(world.wait, lambda: "sc" in world.nodes and listed(world))
        return request

    world.wires["cq"].before = list_first
    world.start("sc")
    world.wait(lambda: [each.token for each in world.rows("sc", "reg_waits")].count("TIME"))
    world.wait(world.settled)
    new_key(world)
    confirm(world, waiting)
    world.wait(lambda: row(world, waiting) is not None and row(world, waiting).outcome == FULL, what="lifted")
    world.wait(world.settled)
    lifted = row(world, waiting)
    assert DecisionCause.DECISION_CAUSE_KEY_REVOKED not in causes(world, waiting)
    assert (lifted.log_id, lifted.idx) not in {(each.log_id, each.idx) for each in world.rows("sc", "reg_waits")}
    evidence.assert_laws(world)


def test_what_an_unproven_revision_had_replaced_is_shown_again(world: World) -> None:
    """The revision before it counts, with its own state; the confirmed one replaces it anew, and ends it."""
    world.start()
    record = of_region(records.credit(), "cq")
    answer = world.submit("cq", record, "one")
    world.wait(world.settled)
    stolen = new_key(world)
    at = datetime.now(UTC) - timedelta(milliseconds=1)
    record.header.record_id, record.header.revision = answer.record_id, 2
    record.credit_result.state = CreditState.CREDIT_STATE_REPAIRED
    world.submit("cq", record, "two")
    world.wait(lambda: row(world, answer.record_id, 2) is not None)
    world.wait(world.settled)
    assert [row(world, answer.record_id, each).newest for each in (1, 2)] == [False, True]
    assert row(world, answer.record_id, 1).tombstone == "REPAIRED"
    before = row(world, answer.record_id, 2).outcome
    revoke(world, at, stolen)
    world.wait(lambda: row(world, answer.record_id, 2).outcome == DEFERRED)
    shown = row(world, answer.record_id, 1)
    assert (shown.newest, shown.tombstone, shown.outcome) == (True, "", FULL)
    evidence.assert_replays(world)
    new_key(world)
    confirm(world, answer.record_id, 2)
    world.wait(lambda: row(world, answer.record_id, 2).outcome == before, what="lifted")
    world.wait(world.settled)
    assert row(world, answer.record_id, 1).tombstone == "REPAIRED"
    evidence.assert_laws(world)


def test_an_announcement_revokes_and_is_never_taken_back(world: World, own_signer: Signer) -> None:
    """A region revokes its key in its own log; a later announcement of the same key as active changes nothing."""
    world.start()
    record_id = submit(world, 1)
    world.wait(world.settled)
    new_key(world)
    node, origin = world.nodes["cq"].node, lane_origin("cq", "sc")
    for state in ("REVOKED", "ACTIVE"):
        record = announcement(node, origin, node.clock())
        key = record.key_announcement.keys[0]
        del record.key_announcement.keys[1:]
        del key.chain[:]
        key.key_id = own_signer.keyid
        key.chain.extend(own_signer.chain)
        if state == "REVOKED":
            key.state = KeyState.KEY_STATE_REVOKED
            key.revoked_at.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
        node.writer.call(_append, (origin, seal(node, record, ["sc"], node.clock()).entry))
        world.wait(lambda: row(world, record_id).outcome == DEFERRED, what=state)
        world.wait(world.settled)
    world.stop("sc")
    world.start("sc")
    confirm(world, record_id)
    world.wait(lambda: row(world, record_id).outcome == FULL)
    world.wait(world.settled)
    evidence.assert_laws(world)
