"""Which signatures travel, and what a node makes of an envelope that lacks one it requires."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from exchange.crypto.dsse import ES256, SM2
from exchange.crypto.ed25519 import verify_cosignature
from exchange.crypto.keys import generate_ml_dsa
from exchange.storage.logs import log_store
from exchange.tlog import note
from exchange.tlog.checkpoint import parse_note
from exchange.tlog.note import NoteSignature, SignedNote
from exchange.v1.kind_pb2 import Lane
from exchange.v1.relay_service_pb2 import DeliverResponse
from exchange.v1.statement_pb2 import Envelope
from exchange.v1.submission_pb2 import SubmissionState
from tests import evidence
from tests.domain import records
from tests.test_walk import status_of
from tests.world import World, keyring, lane_origin


def test_two_signatures_travel_where_both_are_required(local_world: World) -> None:
    """One side signs by ES256 and SM2, the other requires both: recognised, and the decision comes back by ES256."""
    world = local_world
    world.sign["cq"] = (ES256, SM2)
    world.require["sc"] = (ES256, SM2)
    world.start()
    answer = world.submit("cq", records.credit(), "key-1")
    keys = [keyring("cq").signer.keyid, keyring("cq").sm2[1].keyid]
    assert [each.keyid for each in Envelope.FromString(answer.envelope).signatures] == keys
    world.wait(world.settled)
    assert status_of(world, "cq", answer.record_id).state == SubmissionState.SUBMISSION_STATE_RECOGNISED
    assert not world.rows("sc", "reg_waits")
    evidence.assert_replays(world)


def test_a_signature_that_is_missing_has_its_own_reason(local_world: World) -> None:
    """One side signs by ES256 alone, the other requires SM2 as well: mirrored, not recognised, and told why."""
    world = local_world
    world.require["sc"] = (ES256, SM2)
    world.start()
    answer = world.submit("cq", records.credit(), "key-1")
    world.wait(world.settled)
    status = status_of(world, "cq", answer.record_id)
    assert status.state == SubmissionState.SUBMISSION_STATE_NOT_RECOGNISED
    assert [problem.reason for problem in status.reasons] == ["SIGNATURE_MISSING"]
    evidence.assert_replays(world)


def test_a_mirror_may_sign_by_ml_dsa_as_well(local_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receipt carries a second line, which verifies; a receipt whose second line is spoiled is not taken."""
    monkeypatch.setattr(keyring("sc"), "second", generate_ml_dsa())
    world = local_world
    outbound, spoil, answered = lane_origin("cq", "sc"), True, []

    def tamper(_verb: str, request: Message, response: Message) -> Message:
        if spoil and isinstance(response, DeliverResponse) and response.note:
            if getattr(request, "origin", "") == outbound:
                answered.append(response.size)
            signed, _ = parse_note(response.note)
            last = signed.signatures[-1]
            bad = NoteSignature(last.name, last.key_id, last.signature[:-1] + bytes((last.signature[-1] ^ 1,)))
            response.note = note.format(SignedNote(signed.text, (*signed.signatures[:-1], bad)))
        return response

    world.wires["cq"].after = tamper
    world.start()
    world.submit("cq", records.credit(), "key-1")
    world.wait(lambda: len(answered) > len(set(answered)), what="the same size is asked for again: nothing was taken")
    assert world.delivered("cq", outbound) == 0
    spoil = False
    # The pauses between attempts have grown meanwhile: an operator does not wait for the next one either.
    world.nodes["cq"].core.lanes.retry("sc", Lane.LANE_REGISTRY, "operator", "the answers are sound again")
    world.wait(lambda: world.delivered("cq", outbound) > 1, 60)
    with world.nodes["cq"].database.read() as connection:
        log = log_store.head(connection, outbound)
        assert log is not None
        stored = log_store.last_checkpoint(connection, log.id)
    assert stored is not None
    first, second = keyring("sc").keys.mirror.keys
    assert verify_cosignature(stored.note, first) == verify_cosignature(stored.note, second) is not None
