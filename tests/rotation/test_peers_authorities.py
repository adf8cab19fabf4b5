"""An authority that a peer announces: confirmed by our officer or not trusted, and gone again when the peer ends it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from exchange.crypto.trusted.authority_proof import named_root, sign_by
from exchange.crypto.trusted.possession import possession_message, prove_authority
from exchange.crypto.trusted.trust import to_trust_files
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import fingerprint
from exchange.flows.certificates import peer_roots
from exchange.flows.certificates.seen import PEERS
from exchange.settings.trust_folder import write_peer
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState
from tests import evidence
from tests.rotation.officers import OFFICER, now
from tests.rotation.test_peers_keys import announce, answers, pending_of
from tests.world import FEDERATION, World, keyring, profile, tls_root

OLD = fingerprint(tls_root().certificate)
CQ = f"spiffe://cq.{FEDERATION}/node/cq"


def another_root(name: str = "cq TLS root 2") -> pki.Authority:
    """A root that nobody trusts yet."""
    return pki.create_root(profile(), name, now=datetime.now(UTC))


def announced_root(
    new: pki.Authority, *, proven: bool = True, endorsed: bool = True, state: int = KeyState.KEY_STATE_NEXT
) -> AnnouncedKey:
    """A root of cq that takes over from the one on its card."""
    old = tls_root()
    made = prove_authority(new, old.certificate, old if endorsed else None, federation=FEDERATION, node="cq")
    key = made.announced(OLD)
    if not proven:
        key.possession = sign_by(another_root(), possession_message(FEDERATION, "cq", key))
    return in_state(key, state)


def in_state(key: AnnouncedKey, state: int) -> AnnouncedKey:
    """The same key, announced in another state."""
    found = AnnouncedKey()
    found.CopyFrom(key)
    found.state = state  # type: ignore[assignment]
    found.valid_from.FromDatetime(datetime(2026, 1, 1, tzinfo=UTC))
    return found


def ended() -> AnnouncedKey:
    """The end of the root on cq's card."""
    key = in_state(named_root(tls_root().certificate), KeyState.KEY_STATE_RETIRED)
    key.valid_until.FromDatetime(now())
    return key


def roots(world: World) -> list[str]:
    """Authorities of cq by the trust folder of sc; empty while sc does not use just these."""
    found = world.nodes["sc"].trust.roots("cq")
    card = world.nodes["sc"].node.peers.card("cq")
    assert card is not None
    return found if [fingerprint(each) for each in card.tls_roots] == found else []


def decide(world: World, *, refuse: bool = False) -> None:
    """Sc's officer decides on the one thing that waits."""
    trust = world.nodes["sc"].core.trust
    world.wait(trust.pending)
    (pending,) = trust.pending()
    trust.confirm(pending.id, pending.fingerprint, "read aloud", OFFICER, now(), refuse=refuse)


def applied(world: World) -> None:
    """Until sc has taken everything that cq announced, and has done what follows from it."""
    world.wait(world.settled)
    world.nodes["sc"].trust.announced.follow("cq")


@pytest.mark.parametrize(
    ("proven", "endorsed", "verb", "reason"),
    [
        (True, True, AnswerVerb.ANSWER_VERB_ACKNOWLEDGED, "KEY_AWAITS_OFFICER"),
        (True, False, AnswerVerb.ANSWER_VERB_ACKNOWLEDGED, "KEY_OUT_OF_TURN"),
        (False, True, AnswerVerb.ANSWER_VERB_REFUSED, "KEY_NOT_POSSESSED"),
    ],
)
def test_an_authority_is_never_trusted_by_itself(
    world: World, proven: bool, endorsed: bool, verb: int, reason: str
) -> None:
    """The next root waits for the officer, also when both authorities signed; one that nobody holds is refused."""
    world.wait(world.settled)
    announce(world, announced_root(another_root(), proven=proven, endorsed=endorsed))
    world.wait(lambda: (verb, reason) in answers(world), what=reason)
    applied(world)
    assert roots(world) == [OLD]
    assert pending_of(world) == ([] if reason == "KEY_NOT_POSSESSED" else [reason])


def test_the_thief_of_signing_key_and_log_names_no_authority(world: World) -> None:
    """His root waits as out of turn, with an alarm; refused it is never trusted, and he ends nobody's root either."""
    world.wait(world.settled)
    thief = another_root("a thief")
    announce(world, announced_root(thief, endorsed=False))
    world.wait(lambda: ("KEY_WAITING", "cq/tls-ca") in world.nodes["sc"].bell.open)
    assert pending_of(world) == ["KEY_OUT_OF_TURN"]
    announce(world, announced_root(thief, endorsed=False, state=KeyState.KEY_STATE_ACTIVE), ended())
    applied(world)
    assert roots(world) == [OLD]
    decide(world, refuse=True)
    assert ("KEY_WAITING", "cq/tls-ca") not in world.nodes["sc"].bell.open
    assert roots(world) == [OLD]
    world.stop()
    world.start()
    applied(world)
    assert roots(world) == [OLD]
    evidence.assert_replays(world)


def test_a_confirmed_authority_is_trusted_at_once_and_the_old_one_goes_when_it_is_used_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both in the overlap; at the announced end the old one stays while the peer is still seen on it alone."""
    monkeypatch.setattr(peer_roots, "AGAIN_SECONDS", 0.05)
    world.wait(world.settled)
    new = another_root()
    root = fingerprint(new.certificate)
    announce(world, announced_root(new))
    decide(world)
    assert roots(world) == [OLD, root]
    world.wait(lambda: (AnswerVerb.ANSWER_VERB_CONFIRMED, "") in answers(world), what="sc's answer")
    seen = world.nodes["sc"].trust.seen
    seen.tally(PEERS, CQ, "old leaf", roots=[tls_root().certificate]).calls += 1
    announce(world, announced_root(new, state=KeyState.KEY_STATE_ACTIVE), ended())
    applied(world)
    assert roots(world) == [OLD, root]
    seen.tally(PEERS, CQ, "new leaf", roots=[new.certificate]).calls += 1
    world.wait(lambda: roots(world) == [root], what="the old root goes")
    world.stop()
    world.start()
    applied(world)
    assert roots(world) == [root]
    evidence.assert_replays(world)


def test_an_authority_that_nobody_confirms_is_never_trusted(world: World) -> None:
    """Whatever is announced of it later: it waits, the old root stays, and the announcer is told so."""
    world.wait(world.settled)
    new = another_root()
    announce(world, announced_root(new))
    announce(world, announced_root(new, state=KeyState.KEY_STATE_ACTIVE))
    announce(world, announced_root(new, state=KeyState.KEY_STATE_ACTIVE), ended())
    applied(world)
    assert roots(world) == [OLD]
    assert pending_of(world) == ["KEY_AWAITS_OFFICER"]
    assert {verb for verb, _ in answers(world) if verb != AnswerVerb.ANSWER_VERB_CONFIRMED} == {
        AnswerVerb.ANSWER_VERB_ACKNOWLEDGED
    }


def test_an_aborted_authority_waits_no_more_and_goes(world: World) -> None:
    """Aborted before the officer looked: nothing waits. Aborted behind his word: it is trusted no more."""
    world.wait(world.settled)
    first, second = another_root("first"), another_root("second")
    announce(world, announced_root(first))
    world.wait(lambda: pending_of(world))
    announce(world, announced_root(first, state=KeyState.KEY_STATE_ABORTED))
    world.wait(lambda: not pending_of(world))
    announce(world, announced_root(second))
    decide(world)
    assert roots(world) == [OLD, fingerprint(second.certificate)]
    announce(world, announced_root(second, state=KeyState.KEY_STATE_ABORTED))
    world.wait(lambda: roots(world) == [OLD], what="the aborted root goes")
    evidence.assert_replays(world)


def test_what_an_officer_takes_out_by_hand_does_not_come_back(world: World) -> None:
    """The word that was given once is carried out once: a card taken behind it decides."""
    world.wait(world.settled)
    announce(world, announced_root(another_root()))
    decide(world)
    assert len(roots(world)) == 2
    sc = world.nodes["sc"]
    write_peer(world.folder / "sc" / "trust", "cq", to_trust_files(keyring("cq").card_for("sc")))
    sc.trust.flow.reload("officer", now())
    sc.trust.announced.follow("cq")
    assert roots(world) == [OLD]
    world.stop()
    world.start()
    applied(world)
    assert roots(world) == [OLD]


def test_a_set_that_could_not_be_written_is_written_by_the_next_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is in the journal; the disk was full; the alarm says so, and nothing is lost."""
    world.wait(world.settled)
    new = another_root()
    announce(world, announced_root(new))

    def full(*_: Any) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("tests.world.write_peer", full)
        decide(world)
        assert world.nodes["sc"].bell.open["TRUST_REFUSED", "cq"] == "no space left"
        assert roots(world) == [OLD]
        world.stop("sc")
    world.start("sc")
    world.wait(lambda: roots(world) == [OLD, fingerprint(new.certificate)], what="the set is written")
    evidence.assert_replays(world)
