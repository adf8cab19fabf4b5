"""Reading certificates and the identities in them."""

from __future__ import annotations

import contextlib

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.keys import encode_private, generate_p256
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import (
    Certificate,
    CertificateUnreadable,
    Identity,
    Role,
    facts_of,
    fingerprint,
    identity_of,
    load_chain,
    load_der,
    spki_hash,
    to_der,
    to_pem,
)
from exchange.crypto.x509.pki_profile import KeyKind
from exchange.tlog.errors import LogFormatError
from tests.crypto.region import AGENCY, NOW, PROFILE, build, only, region

CQ = region()
KEY = generate_p256()


def named(*names: x509.GeneralName) -> Certificate:
    """A certificate with these alternative names."""
    return build("x", KEY.public_key(), "x", KEY, (x509.SubjectAlternativeName(names), False))


def uri(text: str) -> x509.UniformResourceIdentifier:
    """A URI among the names."""
    return x509.UniformResourceIdentifier(text)


def test_an_identity_is_read_from_the_only_uri() -> None:
    """DNS names beside it do not matter; the common name never does."""
    assert identity_of(named(uri(str(AGENCY)), x509.DNSName("a.example"))) == str(AGENCY)
    assert str(AGENCY) == "spiffe://cq.exchange.example/agency/credit-office"
    assert identity_of(build(str(AGENCY)[:60], KEY.public_key(), "x", KEY)) is None


@pytest.mark.parametrize(
    "names",
    [
        (),
        (x509.DNSName("cq.exchange.example"),),
        (uri(str(AGENCY)), uri(str(AGENCY))),
        (uri(str(AGENCY)), uri("https://a.example")),
        (uri("https://cq.exchange.example/agency/a"),),
        (uri("spiffe://cq.exchange.example/agency"),),
        (uri("spiffe://cq.exchange.example/agency/"),),
        (uri("spiffe://cq.exchange.example/agency/a/b"),),
        (uri("spiffe://cq.exchange.example/agency/a?x"),),
        (uri("spiffe://cq.exchange.example/agency/a#x"),),
        (uri("spiffe://cq.exchange.example/agency/A"),),
        (uri("spiffe://cq.exchange.example/agency/%61"),),
        (uri("spiffe://cq.exchange.example/agency/.."),),
        (uri("spiffe://cq.exchange.example/admin/a"),),
        (uri("spiffe://cq.exchange.example:443/agency/a"),),
        (uri("spiffe://u@cq.exchange.example/agency/a"),),
        (uri("SPIFFE://cq.exchange.example/agency/a"),),
        (uri("spiffe://CQ.exchange.example/agency/a"),),
        (uri("spiffe://cq/agency/a"),),
        (uri("spiffe:///agency/a"),),
    ],
)
def test_what_is_no_identity_gives_none(names: tuple[x509.GeneralName, ...]) -> None:
    """No URI, two of them, and every other spelling give no identity at all."""
    assert identity_of(named(*names) if names else build("x", KEY.public_key(), "x", KEY)) is None


@given(st.sampled_from(list(Role)), st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,8}[a-z0-9])?", fullmatch=True))
def test_a_written_identity_is_read_back(role: Role, name: str) -> None:
    """Whatever can be written is read back unchanged."""
    identity = Identity(node="sc", domain="exchange.example", role=role, name=name)
    assert Identity.parse(str(identity)) == identity


@given(st.text(max_size=60))
def test_no_text_breaks_the_identity_parser(text: str) -> None:
    """Arbitrary text is an identity in its one spelling, or a format error."""
    with contextlib.suppress(LogFormatError):
        assert str(Identity.parse(text)) == text


def test_a_chain_is_read_in_order_with_text_around() -> None:
    """Leaf first, as in the file; what openssl writes between blocks is passed over."""
    pem = b"subject=CN = x\n" + to_pem(CQ.signing) + b"\nissuer\n" + CQ.intermediate.chain_pem
    chain = load_chain(pem)
    assert chain == (CQ.signing, *CQ.intermediate.chain)
    assert load_der(to_der(chain[0])) == chain[0]


def test_files_that_are_not_certificates_are_refused() -> None:
    """Nothing, a cut block, rubbish inside, a private key beside, and too much."""
    good = to_pem(CQ.signing)
    for pem in (
        b"",
        good[:-30],
        good.replace(good[60:80], b"A" * 20),
        good + encode_private(KEY),
        good * 65,
        bytes(300 * 1024),
    ):
        with pytest.raises(CertificateUnreadable):
            load_chain(pem)


@given(st.integers(0, len(to_der(CQ.signing)) - 1), st.integers(1, 255))
def test_no_changed_byte_breaks_the_reader(at: int, change: int) -> None:
    """A certificate with one byte changed is read, or refused by our own error."""
    data = bytearray(to_der(CQ.signing))
    data[at] ^= change
    with contextlib.suppress(CertificateUnreadable):
        certificate = load_der(bytes(data))
        identity_of(certificate)
        facts_of(certificate)
        spki_hash(certificate)


def test_a_renewed_certificate_keeps_its_key_hash() -> None:
    """The key hash names the key, the fingerprint the certificate."""
    one = build("a", KEY.public_key(), "x", KEY)
    two = build("b", KEY.public_key(), "x", KEY)
    assert spki_hash(one) == spki_hash(two)
    assert fingerprint(one) != fingerprint(two)


def test_facts_show_what_a_certificate_says() -> None:
    """Kind of key, names, days and identity."""
    rsa = pki.issue_client(PROFILE, CQ.intermediate, identity=AGENCY, now=NOW, key=KeyKind.RSA_3072)
    facts = facts_of(only(rsa.chain))
    assert (facts.key, facts.subject, facts.issuer) == ("RSA 3072", "CN=credit-office", "CN=cq issuing")
    assert facts.identity == str(AGENCY)
    assert (facts.not_after - facts.not_before).days == 397
    assert facts_of(CQ.signing).key == "EC P-256"
