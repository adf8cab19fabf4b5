"""The authority of TLS certificates, announced in the lanes and confirmed by the peer's officer, on running nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.crypto.trusted.possession import prove_authority
from exchange.crypto.x509.certificates import Role, fingerprint, load_chain
from exchange.crypto.x509.pki import Authority
from exchange.rpc.failure import CallFailed
from exchange.settings.trust_folder import read_peer
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.key_announcement_pb2 import KeyUse
from exchange.v1.rotation_pb2 import KeyVerdict, RotationStep
from exchange.v1.security_service_pb2 import (
    ConfirmTrustRequest,
    GetRotationRequest,
    ListPendingKeysRequest,
    PendingKeys,
    RehearseRotationRequest,
    RotationView,
)
from tests.processes import laws
from tests.processes.callers import calling, replace_file, shown_at
from tests.processes.test_certificates import QUICK, codes
from tests.processes.test_tls_rotation import advance, issued, keys, reasons, see, start, waits
from tests.rigs.pair import DOMAIN, OFFICERS, NodeFolder, Pair, give_caller, new_root, running_pair

_STEP = RotationStep


def proof(node: NodeFolder, new: Authority, *, endorsed: bool = True) -> bytes:
    """What both authorities sign where their keys are kept."""
    old = node.tls_ca
    made = prove_authority(new, old.certificate, old if endorsed else None, federation=DOMAIN, node=node.name)
    return made.to_pem()


def pending(pair: Pair, name: str) -> list[PendingKeys]:
    """What waits for a node's officer."""
    with pair.nodes[name].client("security") as client:
        return list(client.call(client.security.ListPendingKeys, ListPendingKeysRequest()).pending)


def announced(pair: Pair, view: RotationView, new: Authority, *, endorsed: bool = True) -> PendingKeys:
    """Cq announces a root; what sc's officer sees then."""
    material = proof(pair.nodes["cq"], new, endorsed=endorsed)
    view = advance(pair, "cq", view, _STEP.ROTATION_STEP_INSTALL, material)
    advance(pair, "cq", view, _STEP.ROTATION_STEP_ANNOUNCE)
    laws.wait("the announcement arrives", lambda: bool(pending(pair, "sc")))
    (found,) = pending(pair, "sc")
    assert found.use == KeyUse.KEY_USE_TLS_CA
    assert found.fingerprint == fingerprint(new.certificate)
    return found


def confirm(pair: Pair, name: str, found: PendingKeys, *, refuse: bool = False) -> None:
    """The officer compares the fingerprint, and decides."""
    request = ConfirmTrustRequest(id=found.id, fingerprint=found.fingerprint, reason="read aloud", refuse=refuse)
    with pair.nodes[name].client("security") as client:
        client.call(client.security.ConfirmTrust, request)


def roots_of_cq(pair: Pair) -> list[str]:
    """Fingerprints of cq's authorities in sc's trust folder."""
    return [
        fingerprint(each) for each in load_chain(read_peer(pair.nodes["sc"].folder / "trust", "cq")["tls-roots.pem"])
    ]


def verdict(pair: Pair) -> int:
    """What sc says of cq's new authority."""
    (view,) = [each for each in keys(pair, "cq").open if each.rotation.key == "tls-ca"]
    return view.confirmations[0].verdict


def rehearse(pair: Pair, key: str) -> set[tuple[str, str]]:
    """What would break: reason and who."""
    with pair.nodes["cq"].client("security") as client:
        found = client.call(client.security.RehearseRotation, RehearseRotationRequest(key=key)).findings
    return {(each.reason, each.who) for each in found}


def test_a_new_authority_reaches_the_peer_by_announcement_and_no_call_fails(tmp_path: Path) -> None:
    """Announced, confirmed, both trusted, new leaves, old dropped on both sides: nobody's call fails on the way."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        cq = pair.nodes["cq"]
        new = new_root("cq TLS root 2")
        old_one, new_one = fingerprint(cq.tls_ca.certificate), fingerprint(new.certificate)
        replace_file(cq.folder / "callers" / "ca.pem", cq.tls_ca.root_pem + new.root_pem)
        laws.wait_at_rest(pair)
        with calling(pair.nodes["sc"], tmp_path / "sc.json") as at_sc:
            with calling(cq, tmp_path / "old.json") as by_old:
                view = start(pair, "cq", "tls-ca")
                found = announced(pair, view, new)
                assert "KEY_WAITING" in codes(pair, "sc")
                laws.wait("sc says that it waits", lambda: verdict(pair) == KeyVerdict.KEY_VERDICT_WAITING)
                assert roots_of_cq(pair) == [old_one]
                leaf = start(pair, "cq", "tls-server")
                leaf = advance(pair, "cq", leaf, _STEP.ROTATION_STEP_INSTALL, issued(cq, new, leaf.request))
                leaf = advance(pair, "cq", leaf, _STEP.ROTATION_STEP_ANNOUNCE)
                laws.wait("sc has said whom it trusts", lambda: bool(waits(pair, "cq", leaf)))
                assert {("ROOT_UNKNOWN_TO_PEER", "sc"), ("ROOT_PERHAPS_UNKNOWN", "agency/agency")} <= rehearse(
                    pair, "tls-server"
                )
                with pytest.raises(CallFailed) as failure:
                    advance(pair, "cq", leaf, _STEP.ROTATION_STEP_ACTIVATE)
                assert reasons(failure) == {"ROOT_UNKNOWN_TO_PEER"}
                confirm(pair, "sc", found)
                assert roots_of_cq(pair) == [old_one, new_one]
                laws.wait("cq knows that sc trusts the root", lambda: not waits(pair, "cq", leaf))
                advance(pair, "cq", leaf, _STEP.ROTATION_STEP_ACTIVATE)
                assert shown_at(cq, cq.peers_port) == leaf.rotation.new_fingerprint
                laws.wait("sc's signed answer", lambda: verdict(pair) == KeyVerdict.KEY_VERDICT_ACCEPTED)
                view = advance(pair, "cq", view, _STEP.ROTATION_STEP_ACTIVATE)
                by_old.wait(40)
            for role, caller in [(Role.AGENCY, "agency"), *((role, role.value) for role in OFFICERS)]:
                give_caller(cq, new, role, caller)
            with calling(cq, tmp_path / "new.json") as by_new:
                by_new.wait(20)
                for caller in ("operator", "auditor"):
                    see(cq, caller)
                laws.wait("everybody was seen on the new root", lambda: not waits(pair, "cq", view))
                view = advance(pair, "cq", view, _STEP.ROTATION_STEP_RETIRE)
                laws.wait("sc drops the old root by itself", lambda: roots_of_cq(pair) == [new_one])
                by_new.wait(40)
            at_sc.wait(40)
        laws.wait_at_rest(pair)
        for counted in (by_old, by_new, at_sc):
            assert (counted.failures, counted.unseen) == ([], 0)
        assert codes(pair, "cq") == codes(pair, "sc") == []
        with cq.client("security") as client:
            report = client.call(client.security.GetRotation, GetRotationRequest(number=view.rotation.number)).report
        steps = [JournalEntry.FromString(each.entry).rotation_stepped for each in report]
        (used,) = [each for each in steps if each.step == _STEP.ROTATION_STEP_ACTIVATE]
        assert [(each.peer, each.verdict) for each in used.confirmations] == [("sc", KeyVerdict.KEY_VERDICT_ACCEPTED)]
        pair.stop()
        pair.start("sc")
        assert roots_of_cq(pair) == [new_one]
        pair.stop()
        laws.assert_replays(pair)
