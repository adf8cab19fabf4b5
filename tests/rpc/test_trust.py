"""Trust as security officers list, change and remove it, through the door."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchange.crypto.trusted.trust import SIGNING_ROOTS, TLS_ROOTS
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Role, fingerprint
from exchange.rpc.failure import CallFailed
from exchange.v1.action_pb2 import ActionState
from exchange.v1.security_service_pb2 import (
    ConfirmActionRequest,
    ListTrustRequest,
    ReloadResult,
    ReloadTrustRequest,
    RemoveTrustRequest,
)
from tests.rpc.doors import AgencyDoor, client_issued, identity_root
from tests.world import profile


def test_a_root_is_added_listed_and_removed(doors: dict[str, AgencyDoor]) -> None:
    """What lies in the folder is taken by a reload; a root that nobody needs goes with a reason; the last one stays."""
    door = doors["cq"]
    officer = door.officer(Role.SECURITY)
    other = pki.create_root(profile(), "another office", now=datetime.now(UTC))
    first = door.own[TLS_ROOTS]
    door.own[TLS_ROOTS] = first + other.root_pem
    taken = officer.call(officer.security.ReloadTrust, ReloadTrustRequest())
    results = {each.name: each.result for each in taken.sets}
    assert results == {
        "own": ReloadResult.RELOAD_RESULT_TAKEN,
        "tls-server": ReloadResult.RELOAD_RESULT_UNCHANGED,
        "tls-client": ReloadResult.RELOAD_RESULT_UNCHANGED,
    }
    listed = officer.call(officer.security.ListTrust, ListTrustRequest()).items
    roots = {each.fingerprint for each in listed if each.use == "tls-root"}
    assert roots == {fingerprint(identity_root().certificate), fingerprint(other.certificate)}
    spelled = " ".join(fingerprint(other.certificate)[at : at + 4] for at in range(0, 64, 4))
    with pytest.raises(CallFailed) as failure:
        officer.call(officer.security.RemoveTrust, RemoveTrustRequest(owner="cq", fingerprint=spelled))
    assert failure.value.reason == "REASON_MISSING"
    request = RemoveTrustRequest(owner="cq", fingerprint=spelled, reason="closed")
    removed = officer.call(officer.security.RemoveTrust, request)
    assert removed.fingerprint == fingerprint(other.certificate)
    assert removed.edition != taken.edition
    assert door.own[TLS_ROOTS] == first
    for root, reason in ((identity_root().certificate, "LEAF_UNDER_ROOT"), (other.certificate, "NOT_FOUND")):
        request = RemoveTrustRequest(owner="cq", fingerprint=fingerprint(root), reason="closed", force=True)
        with pytest.raises(CallFailed) as failure:
            officer.call(officer.security.RemoveTrust, request)
        assert failure.value.reason == reason


def test_a_bad_own_set_is_refused_whole(doors: dict[str, AgencyDoor]) -> None:
    """One bad file refuses the other, good one beside it; nobody's call is judged by any of it."""
    door = doors["cq"]
    officer = door.officer(Role.SECURITY)
    good = dict(door.own)
    other = pki.create_root(profile(), "another office", now=datetime.now(UTC))
    try:
        door.own[TLS_ROOTS] = other.root_pem
        door.own[SIGNING_ROOTS] = b"no certificate"
        (own, *_) = officer.call(officer.security.ReloadTrust, ReloadTrustRequest()).sets
        assert (own.name, own.result) == ("own", ReloadResult.RELOAD_RESULT_REFUSED)
        assert [(each.reason, each.place) for each in own.problems] == [("TRUST_REFUSED", SIGNING_ROOTS)]
        assert officer.call(officer.security.ListTrust, ListTrustRequest()).items
    finally:
        door.own.clear()
        door.own.update(good)


def test_a_forced_removal_needs_two_officers(doors: dict[str, AgencyDoor]) -> None:
    """The security officer asks, the operator confirms what he was shown; only then the root is gone."""
    door = doors["cq"]
    officer, operator = door.officer(Role.SECURITY), door.stubs(client_issued("cq", Role.OPERATOR, "second"))
    other = pki.create_root(profile(), "a stolen authority", now=datetime.now(UTC))
    first = door.own[TLS_ROOTS]
    door.own[TLS_ROOTS] = first + other.root_pem
    officer.call(officer.security.ReloadTrust, ReloadTrustRequest())
    wanted = fingerprint(other.certificate)
    request = RemoveTrustRequest(owner="cq", fingerprint=wanted, reason="stolen", force=True)
    asked = officer.call(officer.security.RemoveTrust, request)
    assert asked.action.verb == "authorities.remove"
    assert door.own[TLS_ROOTS] == first + other.root_pem
    confirm = ConfirmActionRequest(action_id=asked.action.action_id, digest=asked.action.digest, reason="seen")
    with pytest.raises(CallFailed) as failure:
        officer.call(officer.security.ConfirmAction, confirm)
    assert failure.value.reason == "ROLE_NOT_ALLOWED"
    done = operator.call(operator.security.ConfirmAction, confirm).action
    assert (done.state, done.outcome) == (ActionState.ACTION_STATE_DONE, "removed")
    assert door.own[TLS_ROOTS] == first
