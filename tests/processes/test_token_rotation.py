"""A signing key in a PKCS#11 token, rotated within the token on a running node, by the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.crypto import keys
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.v1.security_service_pb2 import ListKeysRequest
from exchange.v1.statement_pb2 import Envelope
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitRecordRequest, SubmitResult
from tests.cli.conftest import Run, run
from tests.processes import laws
from tests.rigs.pair import DOMAIN, NodeFolder, Pair, certificate_profile
from tests.rigs.softhsm import SoftHsm
from tests.rotation.officers import credit

LABELS = ("rotated-1", "rotated-2")


@pytest.fixture
def pair(softhsm: SoftHsm, tmp_path: Path) -> Any:
    """Two nodes; cq signs by its token, which holds its next key already."""
    made = Pair(tmp_path / "pair")
    folder = made.nodes["cq"].folder
    file = keys.KeyFile.parse((folder / "keys/sign-p256.pem").read_bytes())
    for label, key in zip(LABELS, (file.key, keys.encode_private(keys.generate_p256())), strict=True):
        (folder / "key.pem").write_bytes(key)
        softhsm.take(folder / "key.pem", label, f"{len(label)}{label[-1]}")
        (folder / "key.pem").unlink()
    (folder / "keys/sign-p256.pem").unlink()
    (folder / "keys/sign-token.pem").write_bytes(file.chain)
    (folder / "keys/token.pin").write_text(softhsm.pin)
    (folder / "keys/token.pin").chmod(0o600)
    query = f"module-path={softhsm.module}&pin-source=file:keys/token.pin&x-chain=keys/sign-token.pem"
    uri = f"pkcs11:token={softhsm.token};object={LABELS[0]}?{query}"
    node_file = made.nodes["cq"].node_file
    node_file.write_text(f'{node_file.read_text()}\n[keys]\nsigning = ["{uri}"]\n')
    try:
        made.start()
        for name in made.nodes:
            made.grant(name)
        yield made
    finally:
        made.kill()
        for label in LABELS:
            softhsm.drop(label)


def certs(node: NodeFolder, *arguments: object) -> Run:
    """A security officer's command."""
    return run("certs", *arguments, "--profile", node.profiles["security"], "--json")


def submit(node: NodeFolder, number: int) -> str:
    """A record's signing key, by the envelope that the agency gets back."""
    with node.client() as client:
        submission = RecordSubmission(idempotency_key=f"token-{number}", record=credit(number))
        answer = client.call(client.submissions.SubmitRecord, SubmitRecordRequest(submission=submission)).submitted
    assert answer.result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    (signature,) = Envelope.FromString(answer.envelope).signatures
    return signature.keyid


def test_a_signing_key_is_rotated_within_its_token(pair: Pair, softhsm: SoftHsm, tmp_path: Path) -> None:
    """Request, certificate, announcement, use, end; then the old object is destroyed, and the node starts again."""
    cq = pair.nodes["cq"]
    old = submit(cq, 1)
    laws.wait_at_rest(pair)
    for wrong, words in (
        ("pkcs11:object=none", "no public key none"),
        (f"pkcs11:token=other;object={LABELS[1]}", "tokens that keys.signing of the node file names: exchange"),
        (f"pkcs11:object={LABELS[0]}?x-chain={cq.folder}/keys/sign-token.pem", "KEY_SHARED"),
    ):
        done = certs(cq, "rotate", "signing", "--new", wrong, "--reason", "yearly")
        assert done.status == 1
        assert words in done.out
    done = certs(cq, "rotate", "signing", "--new", f"pkcs11:object={LABELS[1]}", "--reason", "yearly")
    assert done.status == 0, done.out
    identity = Identity(node="cq", domain=DOMAIN, role=Role.NODE, name="cq")
    with cq.client("security") as client:
        view = client.call(client.security.ListKeys, ListKeysRequest()).open[0]
    issued = pki.issue_signing(
        certificate_profile(),
        cq.authorities["signing"],
        identity=identity,
        organisation="演示",
        now=datetime.now(UTC),
        request=view.request,
    )
    (tmp_path / "issued.pem").write_bytes(issued.chain)
    assert certs(cq, "install", "signing", tmp_path / "issued.pem").status == 0
    assert certs(cq, "announce", "signing").status == 0
    laws.wait("the peer accepts the new key", lambda: certs(cq, "activate", "signing").status == 0)
    new = submit(cq, 2)
    assert new not in ("", old)
    assert certs(cq, "retire", "signing").json["rotation"]["state"] == "ROTATION_STATE_RETIRED"
    held = cq.folder / "keys" / "sign-token.2.pem"
    assert held.read_bytes().startswith(b"pkcs11:token=exchange;object=rotated-2\n-----BEGIN CERTIFICATE-----")
    assert [each.name for each in held.parent.glob("sign*") if b"PRIVATE KEY" in each.read_bytes()] == []
    softhsm.drop(LABELS[0])
    pair.stop("cq")
    assert run("config", "validate", cq.node_file).status == 0
    pair.start("cq")
    assert submit(cq, 3) == new
    laws.wait_at_rest(pair)
    report = certs(cq, "report", view.rotation.number)
    assert (report.json["agrees"], report.json["sound"]) == (True, True)
