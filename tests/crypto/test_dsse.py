"""Envelopes: the bytes that are signed, the openssl command as witness, commitments of bodies."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto import dsse, keys
from exchange.crypto.dsse import PAYLOAD_TYPE, Signer, Verifier, make_envelope, sign
from exchange.crypto.keys import KeyUnreadable
from exchange.crypto.sealing import SM3, commit, matches
from exchange.crypto.signers.key_file import P256Signer, read_signer
from exchange.crypto.signers.verifiers import verifier_of
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import CertificateUnreadable, load_der, public_key_of, spki_hash, to_der, to_pem
from exchange.v1.statement_pb2 import BodyCommitment, Envelope, Signature, Statement
from tests.crypto.region import NODE, NOW, PROFILE, region

CQ, SC = region("cq"), region("sc")
OPENSSL = shutil.which("openssl")


def known(*signers: Signer) -> dict[str, Verifier]:
    """Public keys of signers by key id."""
    found = {}
    for signer in signers:
        verifier = verifier_of(public_key_of(load_der(signer.chain[0])))
        assert verifier is not None
        found[signer.keyid] = verifier
    return found


def test_the_signed_bytes_are_those_of_dsse() -> None:
    """The example of the DSSE protocol text, and lengths counted in bytes."""
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    assert dsse.pae("类", "水".encode()) == b"DSSEv1 3 \xe7\xb1\xbb 3 \xe6\xb0\xb4"
    assert dsse.pae("", b"") == b"DSSEv1 0  0 "


@given(st.text(max_size=20), st.binary(max_size=30), st.text(max_size=20), st.binary(max_size=30))
def test_no_two_contents_have_the_same_bytes(a: str, b: bytes, c: str, d: bytes) -> None:
    """Type and payload can not be shifted into each other."""
    assert (dsse.pae(a, b) == dsse.pae(c, d)) == ((a, b) == (c, d))


@pytest.mark.skipif(OPENSSL is None, reason="openssl-missing")
def test_openssl_verifies_an_envelope(tmp_path: Path) -> None:
    """`openssl dgst -verify` accepts the signature over the same bytes, and refuses it over others."""
    payload = CQ.statement().SerializeToString()
    signature = sign(CQ.signer, payload)
    (tmp_path / "leaf.pem").write_bytes(to_pem(CQ.signing))
    (tmp_path / "sig").write_bytes(signature.sig)
    (tmp_path / "pae").write_bytes(dsse.pae(PAYLOAD_TYPE, payload))
    (tmp_path / "other").write_bytes(dsse.pae(PAYLOAD_TYPE, payload + b"\0"))

    def openssl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([str(OPENSSL), *arguments], cwd=tmp_path, capture_output=True, check=False, timeout=30)

    public = openssl("x509", "-in", "leaf.pem", "-pubkey", "-noout").stdout
    (tmp_path / "pub.pem").write_bytes(public)
    verify = ("dgst", "-sha256", "-verify", "pub.pem", "-signature", "sig")
    assert openssl(*verify, "pae").stdout.strip() == b"Verified OK"
    assert openssl(*verify, "other").returncode == 1


@pytest.mark.skipif(OPENSSL is None, reason="openssl-missing")
def test_openssl_verifies_the_chain_and_names_the_key_alike(tmp_path: Path) -> None:
    """`openssl verify` accepts leaf, intermediate and root, and the key id is what its digest of the key says."""
    (tmp_path / "root.pem").write_bytes(CQ.root.root_pem)
    (tmp_path / "mid.pem").write_bytes(to_pem(CQ.intermediate.certificate))
    (tmp_path / "leaf.pem").write_bytes(to_pem(CQ.signing))
    command = (
        f"openssl verify -x509_strict -attime {NOW.timestamp():.0f} -CAfile root.pem -untrusted mid.pem leaf.pem && "
        "openssl x509 -in leaf.pem -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum"
    )
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True, timeout=30)  # noqa: S607
    assert done.stdout.decode().split() == ["leaf.pem:", "OK", CQ.signer.keyid, "-"]


def test_statements_signed_together_have_each_its_own_signatures() -> None:
    """Of every payload, one by each signer in their order; nothing where nobody signs."""
    payloads = [b"one", b"two", b"three"]
    keys_of = known(CQ.signer, SC.signer)
    made = dsse.sign_all(payloads, [SC.signer, CQ.signer])
    for payload, signatures in zip(payloads, made, strict=True):
        envelope = Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures=signatures)
        assert dsse.verify(envelope, keys_of).verified == (SC.signer.keyid, CQ.signer.keyid)
    assert dsse.sign_all(payloads, []) == [(), (), ()]


def test_a_signature_verifies_under_its_key_alone() -> None:
    """The region's own key verifies; with another one known, the signature is unknown."""
    envelope = make_envelope(b"payload", [CQ.signer])
    assert dsse.verify(envelope, known(CQ.signer)).verified == (CQ.signer.keyid,)
    assert dsse.verify(envelope, known(SC.signer)).unknown == (CQ.signer.keyid,)
    assert dsse.verify(envelope, {}).unknown == (CQ.signer.keyid,)


def test_the_key_id_is_only_a_hint() -> None:
    """A signature with a wrong, empty or foreign key id is found by trying."""
    for hint in ("", "nonsense", SC.signer.keyid):
        envelope = make_envelope(b"payload", [CQ.signer])
        envelope.signatures[0].keyid = hint
        check = dsse.verify(envelope, known(CQ.signer, SC.signer))
        assert (check.verified, check.failed, check.unknown) == ((CQ.signer.keyid,), (), ())


@pytest.mark.parametrize("field", ["payload", "payload_type", "sig"])
def test_a_changed_envelope_fails(field: str) -> None:
    """Another payload, type or signature under a known key is a failure, not an unknown key."""
    envelope = make_envelope(b"payload", [CQ.signer])
    match field:
        case "payload":
            envelope.payload += b"!"
        case "payload_type":
            envelope.payload_type += "!"
        case _:
            envelope.signatures[0].sig = b"\x30\x06\x02\x01\x01\x02\x01\x01"
    assert dsse.verify(envelope, known(CQ.signer)).failed == (CQ.signer.keyid,)


@given(st.binary(max_size=90))
def test_no_signature_bytes_break_the_verifier(sig: bytes) -> None:
    """Arbitrary bytes in place of a signature only fail."""
    envelope = Envelope(payload=b"x", payload_type=PAYLOAD_TYPE, signatures=[Signature(keyid=CQ.signer.keyid, sig=sig)])
    assert dsse.verify(envelope, known(CQ.signer)).failed == (CQ.signer.keyid,)


def test_key_ids_that_name_nothing_cost_little() -> None:
    """However many keys are known and signatures sent, tries are bounded, and named keys are tried regardless."""
    tried = []

    @dataclass
    class Counting:
        real: Verifier
        algorithm: str = "ES256"

        def verify(self, signature: bytes, message: bytes) -> bool:
            tried.append(signature)
            return self.real.verify(signature, message)

    other = Counting(known(SC.signer)[SC.signer.keyid])
    keys_known: dict[str, Verifier] = {str(n): other for n in range(100)}
    keys_known |= {keyid: Counting(key) for keyid, key in known(CQ.signer).items()}
    envelope = Envelope(payload=b"x", payload_type=PAYLOAD_TYPE, signatures=[Signature(sig=b"s")] * 8)
    assert dsse.verify(envelope, keys_known).unknown == ("",) * 8
    assert len(tried) == dsse.MAX_TRIES
    envelope.signatures.extend(make_envelope(b"x", [CQ.signer]).signatures)
    assert dsse.verify(envelope, keys_known).verified == (CQ.signer.keyid,)


def test_a_signer_needs_its_own_certificate() -> None:
    """Another key, another curve, RSA, no certificate and no key are refused when the signer is made."""
    chain = [to_der(CQ.signing)]
    for private in (keys.generate_p256(), keys.generate_rsa(2048), ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(KeyUnreadable):
            P256Signer(private, chain)
    with pytest.raises(KeyUnreadable):
        P256Signer(keys.generate_p256(), [])
    with pytest.raises(CertificateUnreadable):
        P256Signer(keys.generate_p256(), [b"no certificate"])
    with pytest.raises(KeyUnreadable):
        read_signer(keys.encode_private(keys.generate_p256()))


def test_the_chain_leaves_the_root_out() -> None:
    """A key file with the root at its end gives the same signer as one without."""
    issued = pki.issue_signing(PROFILE, CQ.intermediate, identity=NODE, organisation="局", now=NOW)
    without, with_root = read_signer(issued.bundle), read_signer(issued.bundle + CQ.root.root_pem)
    assert without.chain == with_root.chain
    assert len(without.chain) == 2
    assert without.keyid == spki_hash(load_der(without.chain[0]))


SALT, BODY = bytes(range(32)), b"body"


def stating(*commitments: BodyCommitment, size: int = len(BODY)) -> Statement:
    """A statement with these commitments."""
    return Statement(body_size=size, commitments=commitments)


def test_a_commitment_can_be_made_by_hand() -> None:
    """`cat salt body | sha256sum`."""
    assert commit(SALT, BODY) == BodyCommitment(algorithm="SHA-256", digest=hashlib.sha256(SALT + BODY).digest())
    assert matches(stating(commit(SALT, BODY)), BODY, SALT)


@pytest.mark.skipif(OPENSSL is None, reason="openssl-missing")
def test_a_commitment_by_sm3_can_be_made_by_hand() -> None:
    """`cat salt body | openssl dgst -sm3`."""
    assert OPENSSL is not None
    done = subprocess.run([OPENSSL, "dgst", "-sm3", "-binary"], input=SALT + BODY, capture_output=True, check=True)
    assert commit(SALT, BODY, SM3) == BodyCommitment(algorithm="SM3", digest=done.stdout)


def test_another_body_salt_or_size_does_not_match() -> None:
    """Every part counts; bytes moved from salt to body too."""
    statement = stating(commit(SALT, BODY))
    assert not matches(statement, b"Body", SALT)
    assert not matches(statement, BODY, bytes(32))
    assert not matches(statement, SALT[-1:] + BODY, SALT[:-1])
    assert not matches(stating(commit(SALT, BODY), size=5), BODY, SALT)


def test_a_known_algorithm_must_be_among_the_commitments() -> None:
    """None, only an unknown algorithm, one wrong of two, and too many do not match; an unknown one beside does."""
    good, other = commit(SALT, BODY), BodyCommitment(algorithm="SHA-4", digest=bytes(32))
    wrong = BodyCommitment(algorithm="SHA-256", digest=bytes(32))
    sm3, wrong_sm3 = commit(SALT, BODY, SM3), BodyCommitment(algorithm="SM3", digest=bytes(32))
    for held in ([good, other], [good, sm3], [sm3], [sm3, good, other]):
        assert matches(stating(*held), BODY, SALT)
    for commitments in ((), (other,), (good, wrong), (wrong,), (good,) * 5, (good, wrong_sm3), (wrong, sm3)):
        assert not matches(stating(*commitments), BODY, SALT)


def test_a_salt_has_32_bytes() -> None:
    """A shorter one is refused when committing."""
    with pytest.raises(ValueError, match="32"):
        commit(bytes(16), BODY)
