"""Second keys, beside those that every node has: SM2 for envelopes, ML-DSA-44 for mirror and witness."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.message import Message

from exchange.crypto.dsse import ES256, SM2, pae
from exchange.crypto.ed25519 import verify_cosignature
from exchange.crypto.keys import generate_ml_dsa
from exchange.crypto.x509.certificates import load_der, to_pem
from exchange.storage.logs import log_store
from exchange.tlog import note
from exchange.tlog.checkpoint import parse_note
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, COSIGNATURE_V1, NoteSignature, SignedNote
from exchange.tlog.origin import LogName
from exchange.v1.key_announcement_pb2 import KeyState
from exchange.v1.relay_service_pb2 import DeliverResponse
from exchange.v1.rotation_pb2 import RotationState
from exchange.v1.statement_pb2 import Envelope, LogEntry
from exchange.v1.submission_pb2 import SubmissionState
from tests import evidence
from tests.rotation.officers import OFFICER, Load, advance, credit, flow, now, rotate, until_active
from tests.test_walk import status_of
from tests.world import FEDERATION, World, keyring, lane_origin, worlds

OPENSSL = shutil.which("openssl")


@pytest.fixture
def quantum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two linked nodes: cq cosigns by ML-DSA-44 as well, as mirror and as witness."""
    monkeypatch.setattr(keyring("cq"), "second", generate_ml_dsa())
    monkeypatch.setattr(keyring("cq"), "second_witness", generate_ml_dsa())
    for made in worlds(tmp_path):
        made.start()
        yield made


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two linked nodes: cq signs by P-256 and SM2, and sc requires both."""
    for made in worlds(tmp_path):
        made.sign["cq"] = (ES256, SM2)
        made.require["sc"] = (ES256, SM2)
        made.start()
        yield made


def signers(envelope: bytes) -> list[str]:
    """Who signed an envelope."""
    return [each.keyid for each in Envelope.FromString(envelope).signatures]


def openssl_verifies(envelope: bytes, leaf: bytes, folder: Path) -> bool:
    """Whether `openssl dgst -sm3` verifies the SM2 signature under the public key of a certificate."""
    assert OPENSSL is not None
    message = Envelope.FromString(envelope)
    (folder / "leaf.pem").write_bytes(to_pem(load_der(leaf)))
    (folder / "signature").write_bytes(message.signatures[1].sig)
    (folder / "message").write_bytes(pae(message.payload_type, message.payload))
    told = [OPENSSL, "x509", "-in", folder / "leaf.pem", "-pubkey", "-noout", "-out", folder / "public.pem"]
    subprocess.run([*map(str, told)], check=True, capture_output=True)
    asked = [OPENSSL, "dgst", "-sm3", "-verify", folder / "public.pem", "-sigopt", "distid:1234567812345678"]
    asked += ["-signature", folder / "signature", folder / "message"]
    return subprocess.run([*map(str, asked)], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(OPENSSL is None, reason="openssl-missing")
def test_the_second_signing_key_is_rotated_under_load_and_both_signatures_stay(world: World, tmp_path: Path) -> None:
    """Where both are required, every record carries two signatures over the same bytes that verify, at every step."""
    before = world.submit("cq", credit(9_001), "before")
    old = world.nodes["cq"].node.keys.signers[1].chain[0]
    world.wait(world.settled, 60)
    with Load(world) as load:
        world.wait(lambda: min(load.sent.values()) >= 5)
        view = rotate(world, "signing-sm2")
        sent = dict(load.sent)
        world.wait(lambda: all(load.sent[name] >= sent[name] + 5 for name in sent))
    assert load.failed == []
    after = world.submit("cq", credit(9_000), "after")
    world.wait(world.settled, 60, what="settled")
    assert signers(before.envelope)[0] == signers(after.envelope)[0]
    assert signers(before.envelope)[1] == view.rotation.old_fingerprint
    assert signers(after.envelope)[1] == view.rotation.new_fingerprint
    rows = [row for row in world.rows("sc") if row.origin == "cq"]
    assert len([row for row in rows if row.outcome in (1, 2)]) >= load.sent["cq"] + 2
    assert not world.rows("sc", "reg_waits")
    for entry in evidence.entries(world, "cq", lane_origin("cq", "sc")):
        envelope = LogEntry.FromString(entry.entry).envelope
        assert len(signers(envelope)) == 2
        evidence.verified(world, "cq", envelope, evidence.logged_at(entry.entry))
    new = world.nodes["cq"].node.keys.signers[1].chain[0]
    verified = [[openssl_verifies(each.envelope, leaf, tmp_path) for leaf in (old, new)] for each in (before, after)]
    assert verified == [[True, False], [False, True]]
    evidence.assert_sound(world)
    evidence.assert_replays(world)


@pytest.mark.slow
def test_both_signing_keys_rotate_at_once_and_go_on_behind_a_restart(world: World) -> None:
    """Two open rotations of two keys, both nodes stopped in the overlap: each keeps its own generations."""
    views = [until_active(world, key) for key in ("signing", "signing-sm2")]
    world.stop()
    world.start()
    for view in views:
        assert advance(world, view).rotation.state == RotationState.ROTATION_STATE_RETIRED
    answer = world.submit("cq", credit(3), "behind")
    assert signers(answer.envelope) == [view.rotation.new_fingerprint for view in views]
    world.wait(world.settled, 60)
    assert status_of(world, "cq", answer.record_id).state == SubmissionState.SUBMISSION_STATE_RECOGNISED
    for key in ("signing", "signing-sm2"):
        states = [each.state for each in flow(world).keys(now()) if (each.owner, each.key) == ("cq", key)]
        assert states == [KeyState.KEY_STATE_RETIRED, KeyState.KEY_STATE_ACTIVE]
    evidence.assert_laws(world)


def test_an_aborted_rotation_of_the_second_key_returns_to_the_old_one(world: World) -> None:
    """In the overlap the officer goes back: the first key's signature is untouched, and the old SM2 key signs again."""
    first = world.submit("cq", credit(1), "before")
    view = until_active(world, "signing-sm2")
    between = world.submit("cq", credit(2), "between")
    flow(world).abort(view.rotation.number, "not now", OFFICER, now())
    after = world.submit("cq", credit(3), "after")
    assert signers(after.envelope) == signers(first.envelope) != signers(between.envelope)
    world.wait(world.settled, 60)
    for answer in (first, between, after):
        assert status_of(world, "cq", answer.record_id).state == SubmissionState.SUBMISSION_STATE_RECOGNISED
    evidence.assert_replays(world)


def lines(world: World, key: str) -> tuple[list[int], int]:
    """Types of cq's signatures under the newest head of sc that it cosigned, and the size of that head."""
    mirror = key.startswith("mirror")
    origin = lane_origin("sc", "cq") if mirror else str(LogName.journal("sc", FEDERATION))
    cosigner = world.nodes["cq"].node.keys.mirror if mirror else world.nodes["cq"].node.keys.witness
    with world.nodes["sc"].database.read() as connection:
        log = log_store.head(connection, origin)
        assert log is not None
        stored = log_store.last_checkpoint(connection, log.id, cosigner.name)
    assert stored is not None
    signed, _ = parse_note(stored.note)
    found = [each for each in cosigner.keys if signed.by(each)]
    assert all(verify_cosignature(stored.note, each) for each in found)
    return [each.alg for each in found], stored.size


@pytest.mark.parametrize("key", ["mirror-mldsa", pytest.param("witness-mldsa", marks=pytest.mark.slow)])
def test_an_ml_dsa_key_is_rotated_and_both_kinds_sign_in_the_overlap(quantum: World, key: str) -> None:
    """Ed25519 and two ML-DSA-44 lines in the overlap, one of each behind it; the officer confirmed the new one."""
    world = quantum

    def grow(number: int, types: list[int]) -> None:
        size = lines(world, key)[1]
        world.submit("sc", credit(number, "sc"), f"grow-{number}")
        world.wait(lambda: lines(world, key)[1] > size, what="a newer head")
        world.wait(world.settled, 60)
        assert lines(world, key)[0] == types

    world.submit("sc", credit(1, "sc"), "first")
    world.wait(world.settled, 60)
    world.wait(lambda: lines(world, key)[1] > 0)
    grow(2, [COSIGNATURE_V1, COSIGNATURE_ML_DSA_44])
    view = until_active(world, key)
    grow(3, [COSIGNATURE_V1, COSIGNATURE_ML_DSA_44, COSIGNATURE_ML_DSA_44])
    assert advance(world, view).rotation.state == RotationState.ROTATION_STATE_RETIRED
    grow(4, [COSIGNATURE_V1, COSIGNATURE_ML_DSA_44])
    peer = world.nodes["sc"].node.peers.get("cq")
    assert peer is not None
    line = peer.second_mirror if key.startswith("mirror") else peer.second_witness
    cosigner = world.nodes["cq"].node.keys.mirror if key.startswith("mirror") else world.nodes["cq"].node.keys.witness
    assert (line.active, len(line.ended)) == (cosigner.second_keys, 1)
    world.stop()
    world.start()
    grow(5, [COSIGNATURE_V1, COSIGNATURE_ML_DSA_44])
    evidence.assert_sound(world)
    evidence.assert_replays(world)


def test_a_spoiled_line_by_the_new_ml_dsa_key_is_noticed_once_it_is_relied_on(quantum: World) -> None:
    """Before the officer confirmed it nobody looks at the new key's line; from then on a receipt must not spoil it."""
    world = quantum
    spoil: list[bytes] = []

    def tamper(_verb: str, _request: Message, response: Message) -> Message:
        if spoil and isinstance(response, DeliverResponse) and response.note:
            signed, _ = parse_note(response.note)
            bad = [
                NoteSignature(each.name, each.key_id, each.signature[:-1] + bytes((each.signature[-1] ^ 1,)))
                if each.key_id == spoil[0]
                else each
                for each in signed.signatures
            ]
            response.note = note.format(SignedNote(signed.text, tuple(bad)))
        return response

    until_active(world, "mirror-mldsa")
    new = world.nodes["cq"].node.keys.mirror.second_keys[0]
    world.wait(world.settled, 60)
    world.wires["sc"].after = tamper
    spoil.append(new.key_id)
    world.submit("sc", credit(1, "sc"), "spoiled")
    world.wait(
        lambda: ("LANE_STOPPED", "cq/registry") in world.nodes["sc"].bell.open, what="the spoiled line is refused"
    )
    assert "BAD_COSIGNATURE" in world.nodes["sc"].bell.open["LANE_STOPPED", "cq/registry"]
