"""SM2 certificates and envelopes with two signatures: the same rules as for every other algorithm."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.crypto import dsse
from exchange.crypto.dsse import ES256, PAYLOAD_TYPE, SM2, make_envelope
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust, VerdictStatus
from exchange.crypto.keys import KeyFile, KeyUnreadable, encode_private, generate_p256
from exchange.crypto.signers.key_file import P256Signer, SM2Signer, read_signer
from exchange.crypto.sm2 import libcrypto, signed
from exchange.crypto.sm2.key import SM2PrivateKey, SM2PublicKey
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import (
    CertificateUnreadable,
    facts_of,
    load_chain,
    load_der,
    public_key_of,
    spki_hash,
    to_der,
    to_pem,
)
from exchange.crypto.x509.chains import ChainProblem, verify_chain
from exchange.crypto.x509.pki_profile import KeyKind
from exchange.crypto.x509.pki_request import PkiRefused, make_request
from exchange.crypto.x509.revocation import Revocations, RevocationUnreadable
from exchange.v1.statement_pb2 import Envelope, Signature
from tests.crypto.region import DOMAIN, NODE, NOW, PROFILE, Region, region

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl-missing")

CQ, GM = region("cq"), region("cq", KeyKind.SM2)
AT = NOW + timedelta(days=1)
ROOTS = CQ.root.root_pem + GM.root.root_pem
CHAINS = [SigningChain(certificates=each.signer.chain) for each in (CQ, GM)]
LEAF, MIDDLE, ROOT = load_der(GM.signer.chain[0]), load_der(GM.signer.chain[1]), GM.root.certificate


def trust(*require: str, chains: list[SigningChain] = CHAINS) -> SigningTrust:
    """What a peer believes that requires these algorithms."""
    return SigningTrust.build(node="cq", domain=DOMAIN, roots=ROOTS, chains=chains, require=require or (ES256,))


def envelope(*signers: dsse.Signer) -> Envelope:
    """A statement signed by each."""
    return make_envelope(CQ.statement().SerializeToString(), signers)


def status(judge: SigningTrust, made: Envelope) -> VerdictStatus:
    """What becomes of it."""
    return judge.verify(made.SerializeToString(), AT).status


HINTS = [CQ.signer.keyid, GM.signer.keyid, "", "x"]


# -- certificates ------------------------------------------------------------------------------------------------


def test_a_path_of_sm2_holds() -> None:
    """Leaf, intermediate and root, all SM2 with SM3, at a time when all are valid."""
    assert verify_chain(LEAF, [MIDDLE], [ROOT], AT).ok
    assert facts_of(LEAF).key == "SM2"
    assert isinstance(GM.signer, SM2Signer)
    assert spki_hash(LEAF) == GM.signer.keyid


@needs_openssl
def test_openssl_accepts_the_path_and_the_request(tmp_path: Path) -> None:
    """`openssl verify`, link by link since its id holds for one certificate, `req -verify`, and the key id by hand."""
    (tmp_path / "root.pem").write_bytes(to_pem(ROOT))
    (tmp_path / "middle.pem").write_bytes(to_pem(MIDDLE))
    (tmp_path / "leaf.pem").write_bytes(to_pem(LEAF))
    (tmp_path / "key.pem").write_bytes(SM2PrivateKey.generate().to_pem())
    (tmp_path / "request.pem").write_bytes(make_request((tmp_path / "key.pem").read_bytes(), "cq"))
    checks = """
        check="openssl verify -attime $AT -vfyopt distid:1234567812345678 -partial_chain"
        $check -trusted middle.pem leaf.pem && $check -trusted root.pem middle.pem &&
        openssl req -verify -noout -vfyopt distid:1234567812345678 -in request.pem 2>/dev/null &&
        openssl x509 -in leaf.pem -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum
    """
    at = {"AT": str(int(AT.timestamp())), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["/bin/sh", "-c", checks], cwd=tmp_path, env=at, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split() == ["leaf.pem:", "OK", "middle.pem:", "OK", GM.signer.keyid, "-"]


@needs_openssl
def test_a_path_that_openssl_made_holds(tmp_path: Path) -> None:
    """Root and leaf made by the command are read and verified; a leaf for another id is not."""
    script = """
        for name in root leaf; do openssl genpkey -algorithm SM2 -out $name.key; done
        openssl req -x509 -new -key root.key -sm3 -sigopt distid:1234567812345678 -subj /CN=root -days 10 -out root.pem
        printf 'basicConstraints=critical,CA:FALSE\\nkeyUsage=critical,digitalSignature\\n' > ext
        openssl req -new -key leaf.key -sm3 -sigopt distid:1234567812345678 -subj /CN=leaf -out leaf.csr
        for id in 1234567812345678 ALICE123@YAHOO.COM; do
            openssl x509 -req -in leaf.csr -vfyopt distid:1234567812345678 -CA root.pem -CAkey root.key -sm3 \
                -sigopt distid:$id -days 9 -extfile ext -set_serial 7 -out $id.pem
        done
    """
    subprocess.run(["/bin/sh", "-ec", script], cwd=tmp_path, capture_output=True, check=True)
    root = load_chain((tmp_path / "root.pem").read_bytes())[0]
    assert verify_chain(load_chain((tmp_path / "1234567812345678.pem").read_bytes())[0], [], [root], _now(root)).ok
    other = load_chain((tmp_path / "ALICE123@YAHOO.COM.pem").read_bytes())[0]
    assert verify_chain(other, [], [root], _now(root)).problem is ChainProblem.BAD_SIGNATURE


def _now(root: x509.Certificate) -> datetime:
    return root.not_valid_before_utc + timedelta(hours=1)


def test_the_rules_for_paths_hold_for_sm2() -> None:
    """Dates, another issuer of the same name, an authority as leaf, a leaf as authority."""
    late, early = NOW + timedelta(days=4000), NOW - timedelta(days=1)
    assert verify_chain(LEAF, [MIDDLE], [ROOT], late).problem is ChainProblem.EXPIRED
    assert verify_chain(LEAF, [MIDDLE], [ROOT], early).problem is ChainProblem.NOT_YET_VALID
    assert verify_chain(LEAF, [], [ROOT], AT).problem is ChainProblem.UNKNOWN_ISSUER
    assert verify_chain(MIDDLE, [], [ROOT], AT).problem is ChainProblem.IS_A_CA
    impostor = pki.create_root(PROFILE, "cq root", now=NOW, key=KeyKind.SM2)
    assert verify_chain(LEAF, [MIDDLE], [impostor.certificate], AT).problem is ChainProblem.BAD_SIGNATURE
    tls = pki.issue_client(PROFILE, CQ.intermediate, identity=NODE, now=NOW).certificate
    assert verify_chain(tls, [MIDDLE], [ROOT], AT).problem is ChainProblem.KEY_USAGE


@given(st.integers(0, len(to_der(LEAF)) - 1), st.integers(1, 255))
def test_a_changed_byte_spoils_a_certificate(place: int, change: int) -> None:
    """Wherever it stands: unreadable, or on no path."""
    data = bytearray(to_der(LEAF))
    data[place] ^= change
    try:
        leaf = load_der(bytes(data))
    except CertificateUnreadable:
        return
    assert not verify_chain(leaf, [MIDDLE], [ROOT], AT).ok


def test_the_algorithm_stands_twice_and_is_one() -> None:
    """A certificate whose signed part names another algorithm than its end is refused, though the signature fits."""
    key = GM.intermediate.key
    assert isinstance(key, SM2PrivateKey)
    builder = pki._builder(LEAF.subject, MIDDLE.subject, public_key_of(LEAF), begin=NOW, end=AT)
    made = builder.sign(signed.stand_in(), pki._SHA256).tbs_certificate_bytes
    wrong = load_der(signed._signed(made, {6: signed.spki_of(LEAF)}, key))
    public = key.public_key()
    assert public.verify(wrong.signature, wrong.tbs_certificate_bytes)
    assert not signed.is_signed_by(wrong, public)


def test_a_point_beside_the_curve_is_no_certificate_key() -> None:
    """The certificate parses and its key does not: it can sign nothing."""
    spki = bytearray(signed.spki_of(LEAF))
    data = to_der(LEAF).replace(bytes(spki), bytes(spki[:-1]) + bytes((spki[-1] ^ 1,)))
    with pytest.raises(CertificateUnreadable):
        public_key_of(load_der(data))


def test_an_sm2_authority_certifies_sm2_keys_alone() -> None:
    """A request of an SM2 key is served by an SM2 authority; of another kind, or by another authority, it is not."""
    private = SM2PrivateKey.generate()
    request = make_request(private.to_pem(), "cq")
    issued = pki.issue_signing(PROFILE, GM.intermediate, identity=NODE, organisation="局", now=NOW, request=request)
    assert public_key_of(issued.certificate) == private.public_key()
    assert issued.key == b""
    p256 = make_request(KeyFile(key=encode_private(generate_p256()), chain=b"").key, "cq")
    for authority, asked in ((CQ.intermediate, request), (GM.intermediate, p256)):
        with pytest.raises(PkiRefused):
            pki.issue_signing(PROFILE, authority, identity=NODE, organisation="局", now=NOW, request=asked)


def test_a_request_signed_by_another_sm2_key_is_refused() -> None:
    """Whoever asks proves that he holds the key."""
    request = x509.load_pem_x509_csr(make_request(SM2PrivateKey.generate().to_pem(), "cq"))
    other = SM2PrivateKey.generate().public_key().spki
    der = request.public_bytes(serialization.Encoding.DER).replace(signed.spki_of(request), other)
    pem = x509.load_der_x509_csr(der).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(PkiRefused):
        pki.issue_signing(PROFILE, GM.intermediate, identity=NODE, organisation="局", now=NOW, request=pem)


def test_an_authority_survives_its_folder() -> None:
    """Key and chain of an SM2 authority, written and read, issue as before."""
    again = pki.Authority.load(key=GM.intermediate.key_pem, chain=GM.intermediate.chain_pem)
    issued = pki.issue_signing(PROFILE, again, identity=NODE, organisation="局", now=NOW)
    assert isinstance(read_signer(issued.bundle), SM2Signer)
    with pytest.raises(KeyUnreadable):
        read_signer(issued.key + CQ.intermediate.chain_pem)


def test_a_revocation_list_by_sm2_counts() -> None:
    """Signed by the SM2 authority it revokes the leaf; changed, or by another authority, it is unreadable."""
    at = NOW + timedelta(hours=5)
    made = pki.issue_crl(PROFILE, GM.intermediate, [(LEAF.serial_number, at)], number=1, now=NOW)
    found = Revocations.load(made + to_pem(MIDDLE), [ROOT])
    assert found.revoked_at([LEAF]) == at
    with pytest.raises(RevocationUnreadable):
        Revocations.load(made + to_pem(MIDDLE), [CQ.root.certificate])
    crl = x509.load_pem_x509_crl(made)
    data = bytearray(crl.public_bytes(serialization.Encoding.DER))
    data[-1] ^= 1
    spoiled = x509.load_der_x509_crl(bytes(data)).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(RevocationUnreadable):
        Revocations.load(spoiled + to_pem(MIDDLE), [ROOT])


# -- envelopes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("require", "signers", "expected"),
    [
        ((ES256,), (CQ, GM), VerdictStatus.VALID),
        ((SM2,), (CQ, GM), VerdictStatus.VALID),
        ((ES256, SM2), (CQ, GM), VerdictStatus.VALID),
        ((ES256, SM2), (GM, CQ), VerdictStatus.VALID),
        ((ES256, SM2), (CQ,), VerdictStatus.SIGNATURE_MISSING),
        ((ES256, SM2), (GM,), VerdictStatus.SIGNATURE_MISSING),
        ((ES256,), (GM,), VerdictStatus.SIGNATURE_MISSING),
        ((SM2,), (CQ,), VerdictStatus.SIGNATURE_MISSING),
        ((SM2,), (GM,), VerdictStatus.VALID),
    ],
)
def test_each_required_signature_must_be_there(
    require: tuple[str, ...], signers: tuple[Region, ...], expected: VerdictStatus
) -> None:
    """Whatever else signed; the order does not matter."""
    made = envelope(*(each.signer for each in signers))
    assert status(trust(*require), made) is expected


def test_both_signatures_are_over_the_same_bytes() -> None:
    """The pre-authentication encoding, by either key; the verdict names both."""
    made = envelope(CQ.signer, GM.signer)
    message = dsse.pae(PAYLOAD_TYPE, made.payload)
    key = public_key_of(LEAF)
    assert isinstance(key, SM2PublicKey)
    assert key.verify(made.signatures[1].sig, message)
    verdict = trust(ES256, SM2).verify(made.SerializeToString(), AT)
    assert verdict.algorithms == (ES256, SM2)
    assert verdict.keyids == (CQ.signer.keyid, GM.signer.keyid)


def test_one_wrong_signature_of_a_known_key_spoils_all() -> None:
    """Also where that algorithm is not required, and where the other signature is right."""
    for place in (0, 1):
        made = envelope(CQ.signer, GM.signer)
        made.signatures[place].sig = dsse.sign((CQ, GM)[place].signer, made.payload + b"!").sig
        assert status(trust(ES256), made) is VerdictStatus.UNTRUSTED_SIGNATURE


def test_a_key_that_is_not_known_yet_may_be_the_missing_one() -> None:
    """The required signature is there, its key is not announced yet: unknown, with the key to wait for."""
    made = envelope(CQ.signer, GM.signer)
    verdict = trust(ES256, SM2, chains=CHAINS[:1]).verify(made.SerializeToString(), AT)
    assert (verdict.status, verdict.unknown) == (VerdictStatus.KEY_UNKNOWN, (GM.signer.keyid,))
    assert status(trust(ES256, chains=CHAINS[:1]), made) is VerdictStatus.VALID


def test_the_sm2_chain_must_be_valid_too() -> None:
    """Announced for a time that is over: the envelope is not trusted, whatever the other signature says."""
    over = [CHAINS[0], replace(CHAINS[1], valid_until=NOW)]
    assert status(trust(ES256, chains=over), envelope(CQ.signer, GM.signer)) is VerdictStatus.UNTRUSTED_SIGNATURE
    elsewhere = SigningTrust.build(node="cq", domain=DOMAIN, roots=CQ.root.root_pem, chains=CHAINS)
    assert status(elsewhere, envelope(CQ.signer, GM.signer)) is VerdictStatus.UNTRUSTED_SIGNATURE


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from([CQ.signer.keyid, GM.signer.keyid, "", "x"]), st.binary(max_size=80)), max_size=8
    )
)
def test_no_signatures_break_the_verifier(signatures: list[tuple[str, bytes]]) -> None:
    """Arbitrary signatures in any number and order, under known and unknown names, are never trusted."""
    made = Envelope(payload=CQ.statement().SerializeToString(), payload_type=PAYLOAD_TYPE)
    made.signatures.extend(Signature(keyid=keyid, sig=sig) for keyid, sig in signatures)
    assert status(trust(ES256), made) is not VerdictStatus.VALID


def test_without_libcrypto_an_sm2_key_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can not be checked is not known; a requirement of it fails when trust is built, not per envelope."""

    def missing() -> None:
        raise libcrypto.LibcryptoMissing("none here")

    monkeypatch.setattr("exchange.crypto.envelope_verifier.require_libcrypto", missing)
    made = trust(ES256).verify(envelope(CQ.signer, GM.signer).SerializeToString(), AT)
    assert (made.status, made.unknown) == (VerdictStatus.VALID, (GM.signer.keyid,))
    with pytest.raises(libcrypto.LibcryptoMissing):
        trust(ES256, SM2)


def test_the_key_decides_the_kind_of_signer() -> None:
    """A P-256 file gives ES256, an SM2 file SM2; neither takes the other's certificates."""
    assert isinstance(CQ.signer, P256Signer)
    issued = pki.issue_signing(PROFILE, GM.intermediate, identity=NODE, organisation="局", now=NOW)
    file = KeyFile.parse(issued.bundle)
    assert file.is_sm2
    with pytest.raises(KeyUnreadable):
        file.load()
    with pytest.raises(KeyUnreadable):
        SM2Signer(SM2PrivateKey.from_pem(file.key), CQ.signer.chain)
