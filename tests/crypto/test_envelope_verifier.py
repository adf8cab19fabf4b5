"""Verdicts about envelopes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto import envelope_verifier
from exchange.crypto.dsse import PAYLOAD_TYPE, Signer, make_envelope, sign
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust, VerdictStatus
from exchange.crypto.keys import generate_p256
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role, to_der
from exchange.crypto.x509.pki_profile import KeyKind
from exchange.v1.statement_pb2 import Envelope, Signature
from tests.crypto.region import DOMAIN, NODE, NOW, PROFILE, build, region, usage

CQ, SC = region("cq"), region("sc")
CHAIN = SigningChain(certificates=CQ.signer.chain)
BARE = SigningTrust.build(node="cq", domain=DOMAIN, roots=CQ.root.root_pem)
TRUST = BARE.with_chains([CHAIN])


def status(trust: SigningTrust, envelope: bytes, at: datetime = NOW) -> VerdictStatus:
    """The verdict's status."""
    return trust.verify(envelope, at).status


def test_an_envelope_of_a_known_key_is_valid() -> None:
    """The verified statement carries what was stated, by which key, in which bytes."""
    envelope = CQ.envelope(record_id="a")
    verdict = TRUST.verify(envelope, NOW)
    assert verdict.status is VerdictStatus.VALID
    assert verdict.keyids == (CQ.signer.keyid,)
    assert verdict.verified is not None
    assert verdict.verified.statement.record_id == "a"
    assert (verdict.verified.envelope, verdict.verified.keyid) == (envelope, CQ.signer.keyid)


def test_an_unknown_key_is_not_a_wrong_one() -> None:
    """Before its chain is announced the key is unknown, and what is claimed can be read but is not verified."""
    verdict = BARE.verify(CQ.envelope(record_id="a"), NOW)
    assert (verdict.status, verdict.verified) == (VerdictStatus.KEY_UNKNOWN, None)
    assert verdict.statement is not None
    assert verdict.statement.record_id == "a"


def test_a_chain_to_another_root_is_known_and_wrong() -> None:
    """An announced chain that leads to no root of the card makes its envelopes untrusted."""
    trust = BARE.with_chains([SigningChain(certificates=SC.signer.chain)])
    verdict = trust.verify(SC.envelope(), NOW)
    assert verdict.status is VerdictStatus.UNTRUSTED_SIGNATURE
    assert verdict.verified is None


@pytest.mark.parametrize(
    ("days", "expected"), [(-1, "UNTRUSTED_SIGNATURE"), (0, "VALID"), (729, "VALID"), (731, "UNTRUSTED_SIGNATURE")]
)
def test_the_chain_is_judged_at_logged_time(days: int, expected: str) -> None:
    """Before and after the certificate's days the signature is not trusted; rotating later breaks nothing."""
    assert status(TRUST, CQ.envelope(), NOW + timedelta(days=days)) == expected


def test_an_announcement_bounds_the_use_of_a_key() -> None:
    """[from, until) of the announcement counts beside the certificate's dates."""
    chain = SigningChain(
        certificates=CQ.signer.chain, valid_from=NOW + timedelta(days=1), valid_until=NOW + timedelta(days=2)
    )
    trust = BARE.with_chains([chain])
    found = [status(trust, CQ.envelope(), NOW + timedelta(days=d)) for d in (0, 1, 2)]
    assert found == [VerdictStatus.UNTRUSTED_SIGNATURE, VerdictStatus.VALID, VerdictStatus.UNTRUSTED_SIGNATURE]


def test_an_announcement_again_replaces_the_earlier_one() -> None:
    """A key retired by a second announcement is retired."""
    until = NOW - timedelta(days=1)
    retired = TRUST.with_chains([SigningChain(certificates=CQ.signer.chain, valid_until=until)])
    assert status(retired, CQ.envelope()) is VerdictStatus.UNTRUSTED_SIGNATURE
    assert status(TRUST, CQ.envelope()) is VerdictStatus.VALID


@given(st.integers(0, 400), st.integers(1, 255))
def test_no_changed_byte_leaves_another_statement_valid(at: int, change: int) -> None:
    """With one byte changed, either nothing is verified or exactly what was signed is."""
    good = CQ.envelope(record_id="a", addressees=["sc"])
    data = bytearray(good)
    data[at % len(data)] ^= change
    verdict = TRUST.verify(bytes(data), NOW)
    if verdict.verified is not None:
        assert verdict.verified.statement == CQ.statement(record_id="a", addressees=["sc"])


@given(st.binary(max_size=200))
def test_no_bytes_break_the_verifier(data: bytes) -> None:
    """Arbitrary bytes are never verified."""
    assert TRUST.verify(data, NOW).verified is None


def test_envelopes_beyond_the_limits_are_untrusted() -> None:
    """Too large, of another type, without a signature, with too many, or over something that is no statement."""
    payload = CQ.statement().SerializeToString()
    signature = sign(CQ.signer, payload)
    other_type = sign(CQ.signer, payload, "text/plain")
    for envelope in (
        Envelope(payload=bytes(65_536), payload_type=PAYLOAD_TYPE, signatures=[signature]),
        Envelope(payload=payload, payload_type="text/plain", signatures=[other_type]),
        Envelope(payload=payload, payload_type=PAYLOAD_TYPE),
        Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures=[signature] * 9),
        make_envelope(b"\xff\xff", [CQ.signer]),
    ):
        assert status(TRUST, envelope.SerializeToString()) is VerdictStatus.UNTRUSTED_SIGNATURE


def test_a_signature_by_somebody_unknown_beside_does_not_harm() -> None:
    """The agency's own signature, of which nothing is known, is passed over."""
    envelope = Envelope.FromString(CQ.envelope())
    envelope.signatures.append(sign(SC.signer, envelope.payload))
    assert status(TRUST, envelope.SerializeToString()) is VerdictStatus.VALID


def test_every_signature_of_a_known_key_must_verify() -> None:
    """One that names a known key and fails spoils the others."""
    envelope = Envelope.FromString(CQ.envelope())
    envelope.signatures.append(Signature(keyid=CQ.signer.keyid, sig=b"wrong"))
    assert status(TRUST, envelope.SerializeToString()) is VerdictStatus.UNTRUSTED_SIGNATURE


def signer(identity: Identity, authority: pki.Authority = CQ.intermediate) -> Signer:
    """A signer whose certificate names somebody."""
    issued = pki.issue_signing(PROFILE, authority, identity=identity, organisation="局", now=NOW)
    return read_signer(issued.bundle)


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        (NODE, VerdictStatus.VALID),
        (Identity(node="sc", domain=DOMAIN, role=Role.NODE, name="s"), VerdictStatus.UNTRUSTED_SIGNATURE),
        (Identity(node="cq", domain="other.example", role=Role.NODE, name="s"), VerdictStatus.UNTRUSTED_SIGNATURE),
        (Identity(node="cq", domain=DOMAIN, role=Role.AGENCY, name="s"), VerdictStatus.UNTRUSTED_SIGNATURE),
    ],
)
def test_a_named_certificate_signs_for_its_node_only(identity: Identity, expected: VerdictStatus) -> None:
    """Under a root that several nodes share, another's certificate does not sign in this one's name."""
    one = signer(identity)
    trust = BARE.with_chains([SigningChain(certificates=one.chain)])
    assert status(trust, make_envelope(CQ.statement().SerializeToString(), [one]).SerializeToString()) is expected


def test_a_tls_certificate_signs_nothing() -> None:
    """An agency's client certificate of the same authority is known and wrong."""
    issued = pki.issue_client(PROFILE, CQ.intermediate, identity=NODE, now=NOW)
    tls = read_signer(issued.bundle)
    trust = BARE.with_chains([SigningChain(certificates=tls.chain)])
    envelope = make_envelope(CQ.statement().SerializeToString(), [tls]).SerializeToString()
    assert status(trust, envelope) is VerdictStatus.UNTRUSTED_SIGNATURE


def test_a_revoked_certificate_is_reported_with_its_time() -> None:
    """The envelope stays valid by its bytes; the caller compares the mirrored time with the revocation."""
    at = NOW + timedelta(days=3)
    crl = pki.issue_crl(PROFILE, CQ.intermediate, [(CQ.signing.serial_number, at)], number=1, now=at)
    pem = crl + CQ.intermediate.chain_pem
    trust = SigningTrust.build(node="cq", domain=DOMAIN, roots=CQ.root.root_pem, chains=[CHAIN], revocations=pem)
    verdict = trust.verify(CQ.envelope(), NOW + timedelta(days=1))
    assert (verdict.status, verdict.revoked_at) == (VerdictStatus.VALID, at)
    assert TRUST.verify(CQ.envelope(), NOW).revoked_at is None


def test_a_revocation_by_announcement_counts_too() -> None:
    """The earlier of both times is reported."""
    at = NOW + timedelta(days=2)
    trust = BARE.with_chains([SigningChain(certificates=CQ.signer.chain, revoked_at=at)])
    assert trust.verify(CQ.envelope(), NOW).revoked_at == at


def test_chains_that_are_none_stay_unknown() -> None:
    """Rubbish, nothing, too many certificates and a key of another kind are left out."""
    key = generate_p256()
    bare = to_der(build("x", key.public_key(), "x", key, usage()))
    rsa = to_der(region("rsa", KeyKind.RSA_3072).root.certificate)
    chains = [(), (b"rubbish",), (bare,) * 9, (rsa,)]
    assert BARE.with_chains(SigningChain(certificates=c) for c in chains).keyids == ()


def test_the_number_of_known_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a new key is left out, and a known one still changes."""
    monkeypatch.setattr(envelope_verifier, "MAX_KNOWN_CHAINS", 1)
    full = TRUST.with_chains([SigningChain(certificates=SC.signer.chain)])
    assert full.keyids == (CQ.signer.keyid,)
    assert full.with_chains([CHAIN]).keyids == (CQ.signer.keyid,)


def test_an_algorithm_that_is_not_known_can_not_be_required() -> None:
    """What nothing could satisfy is a mistake of the node file."""
    with pytest.raises(ValueError, match="ES512"):
        SigningTrust.build(node="cq", domain=DOMAIN, roots=CQ.root.root_pem, require=["ES256", "ES512"])


def test_naive_times_are_refused() -> None:
    """A logged time is aware."""
    with pytest.raises(ValueError, match="aware"):
        TRUST.verify(CQ.envelope(), NOW.replace(tzinfo=None))


def test_many_are_verified_in_order_with_and_without_threads() -> None:
    """A pool gives the same verdicts in the same order."""
    items = [(CQ.envelope(record_id=str(n)) if n % 3 else b"x", NOW) for n in range(100)]
    with ThreadPoolExecutor(2) as pool:
        pooled = TRUST.verify_many(items, pool)
    assert pooled == TRUST.verify_many(items)
    assert [v.statement.record_id for v in pooled if v.statement is not None and v.verified] == [
        str(n) for n in range(100) if n % 3
    ]
