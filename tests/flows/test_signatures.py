"""Which signatures travel, and what a node makes of an envelope that lacks one it requires."""

from __future__ import annotations

from exchange.crypto.dsse import ES256, SM2
from exchange.v1.statement_pb2 import Envelope
from exchange.v1.submission_pb2 import SubmissionState
from tests import evidence
from tests.domain import records
from tests.test_walk import status_of
from tests.world import World, keyring


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
