"""TLS keys rotated step by step on running nodes, by the rpcs that the command line calls, under load from outside."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.crypto.key_lock import KeyLock
from exchange.crypto.tls_identity import TlsIdentity
from exchange.crypto.trusted.trust import to_trust_files
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.rpc.failure import CallFailed
from exchange.settings.trust_folder import write_peer
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.operation_service_pb2 import GetStatusRequest
from exchange.v1.rotation_pb2 import RotationState, RotationStep, Waiting
from exchange.v1.security_service_pb2 import (
    AbortRotationRequest,
    AdvanceRotationRequest,
    GetRotationRequest,
    ListKeysRequest,
    ListKeysResponse,
    ListTrustRequest,
    RotationView,
    StartRotationRequest,
)
from tests.processes import laws
from tests.processes.callers import calling, replace_file, shown_at
from tests.processes.test_certificates import QUICK, reload, retries
from tests.rigs.pair import DOMAIN, OFFICERS, NodeFolder, Pair, certificate_profile, give_caller, new_root, running_pair

OWN_CLIENT_KEY = QUICK + '\n[keys]\ntls_client = "file:keys/dial.pem"\n'


def start(pair: Pair, name: str, key: str) -> RotationView:
    """A security officer begins a rotation."""
    with pair.nodes[name].client("security") as client:
        return client.call(client.security.StartRotation, StartRotationRequest(key=key, reason="test")).rotation


def advance(
    pair: Pair, name: str, view: RotationView, step: RotationStep.ValueType, material: bytes = b""
) -> RotationView:
    """Another one takes it a step on."""
    request = AdvanceRotationRequest(number=view.rotation.number, step=step, material=material)
    with pair.nodes[name].client("security") as client:
        return client.call(client.security.AdvanceRotation, request).rotation


def reasons(failure: pytest.ExceptionInfo[CallFailed]) -> set[str]:
    """Why a step was refused."""
    return {problem.reason for problem in failure.value.problems} or {failure.value.reason}


def waits(pair: Pair, name: str, view: RotationView) -> list[Waiting]:
    """What a rotation's next step waits for."""
    (found,) = [each for each in keys(pair, name).open if each.rotation.number == view.rotation.number]
    return list(found.waits)


def see(node: NodeFolder, caller: str) -> None:
    """An officer calls, whatever it may: refused for its role or not, it was seen."""
    with node.client(caller) as client, contextlib.suppress(CallFailed):
        client.call(client.operation.GetStatus, GetStatusRequest())


def issued(node: NodeFolder, authority: pki.Authority, request: bytes, *, server: bool = True) -> bytes:
    """What the region's authority makes of a request."""
    identity = Identity(node=node.name, domain=DOMAIN, role=Role.NODE, name=node.name)
    now = datetime.now(UTC)
    if server:
        hosts = ["127.0.0.1", "localhost"]
        made = pki.issue_server(
            certificate_profile(), authority, identity=identity, hosts=hosts, now=now, request=request
        )
    else:
        made = pki.issue_client(certificate_profile(), authority, identity=identity, now=now, request=request)
    assert made.key == b""
    return made.chain


def test_a_server_key_is_rotated_by_its_steps_and_no_call_fails(tmp_path: Path) -> None:
    """Request, install, announce, activate, retire, each in its turn; a foreign certificate is refused on the way.

    All key files of both nodes are encrypted, and so is what the rotation writes.
    """
    lock = KeyLock(lambda: b"correct horse")
    with running_pair(tmp_path / "pair", settings=QUICK, passphrase=b"correct horse") as pair:
        cq, sc = pair.nodes["cq"], pair.nodes["sc"]
        laws.wait_at_rest(pair)
        before = retries(cq)
        old = shown_at(cq, cq.agencies_port)
        with calling(cq, tmp_path / "report.json") as counted:
            view = start(pair, "cq", "tls-server")
            assert view.rotation.old_fingerprint == old
            assert view.request.startswith(b"-----BEGIN CERTIFICATE REQUEST-----")
            key_file = cq.folder / "keys" / f"tls.{view.rotation.generation}.pem"
            assert key_file.stat().st_mode & 0o777 == 0o600
            with pytest.raises(CallFailed) as failure:
                advance(pair, "cq", view, RotationStep.ROTATION_STEP_INSTALL, issued(cq, sc.tls_ca, view.request))
            assert reasons(failure) == {"CERTIFICATE_UNTRUSTED"}
            view = advance(pair, "cq", view, RotationStep.ROTATION_STEP_INSTALL, issued(cq, cq.tls_ca, view.request))
            new = view.rotation.new_fingerprint
            assert new == TlsIdentity.parse(lock.open(key_file.read_bytes(), "")).fingerprint
            assert shown_at(cq, cq.agencies_port) == old
            view = advance(pair, "cq", view, RotationStep.ROTATION_STEP_ANNOUNCE)
            view = advance(pair, "cq", view, RotationStep.ROTATION_STEP_ACTIVATE)
            assert (shown_at(cq, cq.agencies_port), shown_at(cq, cq.peers_port)) == (new, new)
            with pytest.raises(CallFailed) as failure:
                advance(pair, "cq", view, RotationStep.ROTATION_STEP_RETIRE)
            assert reasons(failure) <= {"CONNECTIONS_RECYCLING", "CONNECTION_NOT_RENEWED"}
            counted.wait(80)
            laws.wait("the overlap ends", lambda: not keys(pair, "cq").open[0].waits)
            view = advance(pair, "cq", view, RotationStep.ROTATION_STEP_RETIRE)
            assert view.rotation.state == RotationState.ROTATION_STATE_RETIRED
        laws.wait_at_rest(pair)
        assert counted.failures == []
        assert (counted.submitted > 20, counted.unseen) == (True, 0)
        assert retries(cq) == before
        pair.stop("cq")
        pair.start("cq")
        assert shown_at(cq, cq.agencies_port) == new
        with cq.client("security") as client:
            request = GetRotationRequest(number=view.rotation.number)
            report = client.call(client.security.GetRotation, request).report
        assert len(report) == 6
        assert [path for path in (cq.folder / "keys").glob("*") if b"BEGIN PRIVATE KEY" in path.read_bytes()] == []
        assert b"correct horse" not in (tmp_path / "pair" / "cq.log").read_bytes()


def keys(pair: Pair, name: str) -> ListKeysResponse:
    """Keys and open rotations, as an officer sees them."""
    with pair.nodes[name].client("security") as client:
        return client.call(client.security.ListKeys, ListKeysRequest())


@pytest.mark.slow
def test_an_activated_server_key_is_returned_from_by_abort(tmp_path: Path) -> None:
    """Until it is retired, the old leaf can be taken up again; both ports show it at once."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        cq = pair.nodes["cq"]
        old = shown_at(cq, cq.agencies_port)
        view = start(pair, "cq", "tls-server")
        chain = issued(cq, cq.tls_ca, view.request)
        for step, material in (
            (RotationStep.ROTATION_STEP_INSTALL, chain),
            (RotationStep.ROTATION_STEP_ANNOUNCE, b""),
            (RotationStep.ROTATION_STEP_ACTIVATE, b""),
        ):
            view = advance(pair, "cq", view, step, material)
        assert shown_at(cq, cq.agencies_port) == view.rotation.new_fingerprint
        with cq.client("security") as client:
            request = AbortRotationRequest(number=view.rotation.number, reason="test")
            client.call(client.security.AbortRotation, request)
        assert (shown_at(cq, cq.agencies_port), shown_at(cq, cq.peers_port)) == (old, old)
        pair.kill("cq")
        pair.start("cq")
        assert shown_at(cq, cq.agencies_port) == old


def test_a_client_key_of_its_own_is_rotated_and_no_call_to_the_peer_fails(tmp_path: Path) -> None:
    """Make before break: the peer answers a call over the new connection before the old one is given up."""
    pair = Pair(tmp_path / "pair", settings=OWN_CLIENT_KEY)
    for node in pair.nodes.values():
        identity = Identity(node=node.name, domain=DOMAIN, role=Role.NODE, name=node.name)
        made = pki.issue_client(certificate_profile(), node.tls_ca, identity=identity, now=datetime.now(UTC))
        (node.folder / "keys" / "dial.pem").write_bytes(made.bundle)
        (node.folder / "keys" / "dial.pem").chmod(0o600)
    try:
        pair.start()
        for name in pair.nodes:
            pair.grant(name)
        cq = pair.nodes["cq"]
        laws.wait_at_rest(pair)
        before = retries(cq)
        with calling(cq, tmp_path / "report.json") as counted:
            view = start(pair, "cq", "tls-client")
            chain = issued(cq, cq.tls_ca, view.request, server=False)
            for step, material in (
                (RotationStep.ROTATION_STEP_INSTALL, chain),
                (RotationStep.ROTATION_STEP_ANNOUNCE, b""),
                (RotationStep.ROTATION_STEP_ACTIVATE, b""),
            ):
                view = advance(pair, "cq", view, step, material)
            counted.wait(40)
            laws.wait("no peer is dialled by the old key", lambda: not keys(pair, "cq").open[0].waits)
            counted.wait(40)
            view = advance(pair, "cq", view, RotationStep.ROTATION_STEP_RETIRE)
        laws.wait_at_rest(pair)
        assert (counted.failures, counted.unseen) == ([], 0)
        assert retries(cq) == before
        (mine,) = [each for each in keys(pair, "cq").keys if (each.owner, each.key) == ("cq", "tls-client")]
        assert mine.fingerprint == view.rotation.new_fingerprint
        assert [(each.what, each.who) for each in mine.counts] == [("CALLS", "sc")]
        (theirs,) = [
            each
            for each in keys(pair, "sc").keys
            if (each.owner, each.key, each.fingerprint) == ("cq", "tls-client", mine.fingerprint)
        ]
        assert theirs.counts[0].count > 0
        assert (theirs.valid_from, theirs.valid_until) == (mine.valid_from, mine.valid_until)
    finally:
        pair.kill()


def test_an_authority_is_replaced_and_who_is_missing_is_named(tmp_path: Path) -> None:
    """Both trusted, new issued, old dropped: refused while an agency or the peer was not seen on the new one."""
    with running_pair(tmp_path / "pair", settings=QUICK) as pair:
        cq, sc = pair.nodes["cq"], pair.nodes["sc"]
        new = new_root("cq TLS root 2")
        both = cq.tls_ca.root_pem + new.root_pem
        replace_file(cq.folder / "callers" / "ca.pem", both)
        laws.wait_at_rest(pair)
        before = {name: retries(node) for name, node in pair.nodes.items()}
        with calling(cq, tmp_path / "old.json") as by_old:
            view = start(pair, "cq", "tls-ca")
            view = advance(pair, "cq", view, RotationStep.ROTATION_STEP_INSTALL, new.root_pem)
            view = advance(pair, "cq", view, RotationStep.ROTATION_STEP_ANNOUNCE)
            # The peer's officer takes our new card, on the running node.
            write_peer(sc.folder / "trust", "cq", to_trust_files(replace(cq.card, tls_roots=both)))
            assert reload(pair, "sc")["cq"] in ("TAKEN", "UNCHANGED")
            with pytest.raises(CallFailed) as failure:
                advance(pair, "cq", view, RotationStep.ROTATION_STEP_ACTIVATE)
            assert reasons(failure) == {"LEAF_UNDER_OLD_ROOT"}
            leaf = start(pair, "cq", "tls-server")
            for step, material in (
                (RotationStep.ROTATION_STEP_INSTALL, issued(cq, new, leaf.request)),
                (RotationStep.ROTATION_STEP_ANNOUNCE, b""),
                (RotationStep.ROTATION_STEP_ACTIVATE, b""),
            ):
                leaf = advance(pair, "cq", leaf, step, material)
            view = advance(pair, "cq", view, RotationStep.ROTATION_STEP_ACTIVATE)
            by_old.wait(60)
            with pytest.raises(CallFailed) as failure:
                advance(pair, "cq", view, RotationStep.ROTATION_STEP_RETIRE)
            assert ("SEEN_ON_OLD_ONLY", "agency/agency") in {(p.reason, p.place) for p in failure.value.problems}
        with pytest.raises(CallFailed) as failure:
            advance(pair, "cq", view, RotationStep.ROTATION_STEP_RETIRE)
        assert {p.place for p in failure.value.problems} >= {"agency/agency", "security/security", "operator/operator"}
        for role, caller in [(Role.AGENCY, "agency"), *((role, role.value) for role in OFFICERS)]:
            give_caller(cq, new, role, caller)
        with calling(cq, tmp_path / "new.json") as by_new:
            by_new.wait(20)
            for caller in ("operator", "auditor"):
                see(cq, caller)
            laws.wait("everybody was seen on the new root", lambda: not waits(pair, "cq", view))
            view = advance(pair, "cq", view, RotationStep.ROTATION_STEP_RETIRE)
            by_new.wait(40)
        assert (by_old.failures, by_new.failures) == ([], [])
        assert {name: retries(node) for name, node in pair.nodes.items()} == before
        assert (cq.folder / "trust" / "own" / "tls-roots.pem").read_bytes() == new.root_pem
        laws.wait_at_rest(pair)
        with cq.client("security") as client:
            report = client.call(client.security.GetRotation, GetRotationRequest(number=view.rotation.number)).report
        last = JournalEntry.FromString(report[-1].entry).rotation_stepped
        seen = {each.who: each.count for each in last.counts if each.fingerprint == view.rotation.new_fingerprint}
        assert seen["agency/agency"] >= 20
        with cq.client("security") as client:
            items = client.call(client.security.ListTrust, ListTrustRequest()).items
            mine = [each for each in items if (each.owner, each.use) == ("cq", "tls-root")]
            assert [each.fingerprint for each in mine] == [view.rotation.new_fingerprint]
            assert {each.who for each in mine[0].seen} >= {"agency/agency", "operator/operator"}
            assert mine[0].since.seconds > 0
