"""What a peer's keys need before this node relies on them: who names no successor is the thief."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from exchange.crypto.dsse import Signer
from exchange.crypto.keys import generate_ed25519
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.trusted.possession import id_of, possession_message, prove
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.domain.problems import Refused
from exchange.flows.access import NotFound
from exchange.flows.apply.changes.answered import node_record
from exchange.flows.intake.seal import seal
from exchange.storage.engine.transaction import Transaction
from exchange.tlog.note import COSIGNATURE_V1, VerifierKey
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState, KeyUse
from exchange.v1.record_pb2 import Record
from exchange.v1.rotation_pb2 import KeyVerdict
from exchange.v1.submission_service_pb2 import SubmitResult
from tests import evidence
from tests.domain import records
from tests.rotation.officers import OFFICER, advance, confirm, credit, flow, now
from tests.test_walk import of_region
from tests.world import FEDERATION, World, keyring, lane_origin, profile


def announce(world: World, *keys: AnnouncedKey, signer: Signer | None = None) -> None:
    """Append an announcement to cq's registry lane, as whoever holds its log would; signed by any key."""
    node = world.nodes["cq"].node
    record = node_record(node, now())
    record.key_announcement.keys.extend(keys)
    honest = node.keys.signers
    try:
        node.keys.signers = (signer,) if signer else honest
        entry = seal(node, record, ["sc"], now()).entry
    finally:
        node.keys.signers = honest

    def append(tx: Transaction, payloads: Any) -> list[None]:
        log = tx.head(lane_origin("cq", "sc"))
        assert log is not None
        tx.append(log.id, list(payloads))
        return [None] * len(payloads)

    node.writer.call(append, entry)


def mirror_key(world: World, *, proven: bool = True, endorsed: bool = True) -> AnnouncedKey:
    """A next mirror key of cq, made by somebody."""
    node, private = world.nodes["cq"].node, generate_ed25519()
    verifier = VerifierKey.of(node.keys.mirror.name, COSIGNATURE_V1, private.public_key().public_bytes_raw())
    key = AnnouncedKey(
        use=KeyUse.KEY_USE_MIRROR,
        key_id=id_of(verifier),
        vkey=str(verifier),
        state=KeyState.KEY_STATE_NEXT,
        replaces=id_of(node.keys.mirror.key),
    )
    key.valid_from.FromDatetime(now())
    message = possession_message(FEDERATION, "cq", key)
    key.possession = prove(private if proven else generate_ed25519(), message)
    key.endorsement = prove(keyring("cq").mirror if endorsed else generate_ed25519(), message)
    return key


def signing_key(*, replaces: str = "", root: str = "cq") -> tuple[AnnouncedKey, Signer]:
    """Another signing key with a certificate in cq's name."""
    identity = Identity(node="cq", domain=FEDERATION, role=Role.NODE, name="cq")
    issued = pki.issue_signing(
        profile(), keyring(root).root, identity=identity, organisation="演示", now=datetime.now(UTC)
    )
    signer = read_signer(issued.bundle)
    key = AnnouncedKey(
        use=KeyUse.KEY_USE_SIGNING,
        key_id=signer.keyid,
        chain=signer.chain,
        state=KeyState.KEY_STATE_NEXT,
        replaces=replaces,
    )
    key.valid_from.FromDatetime(datetime.now(UTC))
    key.possession = signer.sign(possession_message(FEDERATION, "cq", key))
    return key, signer


def answers(world: World) -> list[tuple[int, str]]:
    """What sc answered to cq's announcements: the verb, and the reasons."""
    found = [each.answer for each in evidence.records(world, "cq", lane_origin("sc", "cq")) if each.HasField("answer")]
    return [(each.verb, ",".join(each.reasons)) for each in found]


def pending_of(world: World) -> list[str]:
    """Reasons of what waits for sc's officer."""
    return [each.reason for each in world.nodes["sc"].core.trust.pending()]


@pytest.mark.parametrize(
    ("proven", "endorsed", "verb", "reason"),
    [
        (True, True, AnswerVerb.ANSWER_VERB_ACKNOWLEDGED, "KEY_AWAITS_OFFICER"),
        (True, False, AnswerVerb.ANSWER_VERB_ACKNOWLEDGED, "KEY_OUT_OF_TURN"),
        (False, True, AnswerVerb.ANSWER_VERB_REFUSED, "KEY_NOT_POSSESSED"),
    ],
)
def test_a_mirror_key_is_never_relied_on_by_itself(
    world: World, proven: bool, endorsed: bool, verb: int, reason: str
) -> None:
    """The next key of a mirror waits for the officer; one that nobody proved to hold is refused at once."""
    world.wait(world.settled)
    announce(world, mirror_key(world, proven=proven, endorsed=endorsed))
    world.wait(lambda: (verb, reason) in answers(world), what=reason)
    peer = world.nodes["sc"].node.peers.get("cq")
    assert peer is not None
    assert peer.mirror.active == (keyring("cq").keys.mirror.key,)
    assert bool(pending_of(world)) == (reason != "KEY_NOT_POSSESSED")
    evidence.assert_replays(world)


def test_the_thief_of_the_log_names_no_signing_key(world: World) -> None:
    """A key that nobody announced in turn, signed by itself, waits with an alarm; its records have no effect."""
    world.wait(world.settled)
    key, thief = signing_key()
    announce(world, key, signer=thief)
    world.wait(lambda: ("KEY_WAITING", "cq/signing") in world.nodes["sc"].bell.open)
    assert pending_of(world) == ["KEY_OUT_OF_TURN"]
    peer = world.nodes["sc"].node.peers.get("cq")
    assert peer is not None
    assert thief.keyid not in peer.signing.keyids
    (pending,) = world.nodes["sc"].core.trust.pending()
    trust = world.nodes["sc"].core.trust
    trust.confirm(pending.id, pending.fingerprint, "theft", OFFICER, now(), refuse=True)
    assert trust.pending() == []
    assert ("KEY_WAITING", "cq/signing") not in world.nodes["sc"].bell.open
    world.stop()
    world.start()
    peer = world.nodes["sc"].node.peers.get("cq")
    assert peer is not None
    assert thief.keyid not in peer.signing.keyids
    evidence.assert_replays(world)


def test_a_lost_signing_key_is_followed_by_one_that_the_officer_confirms(world: World) -> None:
    """Out of turn, behind the officer's word, what the new key signed while it waited gets its decision."""
    world.wait(world.settled)
    key, signer = signing_key()
    announce(world, key, signer=signer)
    trust = world.nodes["sc"].core.trust
    world.wait(trust.pending)
    world.nodes["cq"].node.keys.signers = (signer,)
    answer = world.submit("cq", credit(1), "by the new key")
    world.wait(lambda: world.delivered("cq", lane_origin("cq", "sc")) == world.log_size("cq", lane_origin("cq", "sc")))
    (pending,) = trust.pending()
    trust.confirm(pending.id, pending.fingerprint.upper(), "called the desk", OFFICER, now(), refuse=False)

    def recognised() -> bool:
        rows = [row for row in world.rows("sc") if row.record_id.hex() == answer.record_id.replace("-", "")]
        return any(row.outcome in (1, 2) for row in rows)

    world.wait(recognised, what="the deferred record")
    evidence.assert_replays(world)


def test_a_signing_key_of_another_authority_is_refused_whoever_announced_it(world: World) -> None:
    """In turn, but under a root that no card names: the announcer learns that it is not relied on."""
    world.wait(world.settled)
    key, signer = signing_key(replaces=world.nodes["cq"].node.keys.signers[0].keyid, root="sc")
    announce(world, key)
    world.wait(lambda: (AnswerVerb.ANSWER_VERB_REFUSED, "KEY_CHAIN_UNTRUSTED") in answers(world))
    peer = world.nodes["sc"].node.peers.get("cq")
    assert peer is not None
    assert signer.keyid not in peer.signing.keyids
    assert pending_of(world) == []


def test_a_wrong_fingerprint_confirms_nothing(world: World) -> None:
    """The officer's word counts for the fingerprint that was read aloud, whole, and for nothing else."""
    world.wait(world.settled)
    announce(world, mirror_key(world))
    trust = world.nodes["sc"].core.trust
    world.wait(trust.pending)
    (pending,) = trust.pending()
    for wrong in (pending.fingerprint[:-1], pending.fingerprint[::-1], ""):
        with pytest.raises(Refused) as refused:
            trust.confirm(pending.id, wrong, "misread", OFFICER, now(), refuse=False)
        assert refused.value.reason == "KEY_FINGERPRINT_DIFFERS"
    with pytest.raises(NotFound):
        trust.confirm("0" * 16, pending.fingerprint, "other id", OFFICER, now(), refuse=False)
    assert len(trust.pending()) == 1


def test_an_agency_confirms_no_key_in_its_nodes_name(world: World) -> None:
    """An Answer about keys is the node's own: from an agency it is refused at the door."""
    world.wait(world.settled)
    record = of_region(records.credit(), "sc")
    forged = Record(header=record.header)
    forged.answer.effect = "KEY_ACCEPTED"
    forged.answer.verb = AnswerVerb.ANSWER_VERB_CONFIRMED
    forged.answer.keys.add(key_id="x", verdict=KeyVerdict.KEY_VERDICT_ACCEPTED)
    answer = world.submit("sc", forged, "forged")
    assert answer.result == SubmitResult.SUBMIT_RESULT_REFUSED
    assert "KIND_NOT_SUBMITTABLE" in [each.reason for each in answer.problems]


def test_a_confirmed_key_is_known_again_behind_a_restart(world: World) -> None:
    """What the officer confirmed is in the journal: a restarted node relies on it, and replay gives the same."""
    view = advance(world, flow(world).start("mirror", b"", "yearly", OFFICER, now()))
    confirm(world, "mirror", view.rotation.number)
    world.wait(world.settled)
    world.stop()
    world.start()
    peer = world.nodes["sc"].node.peers.get("cq")
    assert peer is not None
    assert len(peer.mirror.active) == 2
    evidence.assert_replays(world)
