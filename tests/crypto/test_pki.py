"""Issuing certificates by the profile."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from exchange.crypto.keys import KeyFile, KeyUnreadable, encode_private, generate_p256, generate_rsa
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import CertificateUnreadable, facts_of, identity_of, load_chain, public_key_of
from exchange.crypto.x509.pki import Authority
from exchange.crypto.x509.pki_profile import CaKey, KeyKind, Profile, ProfileRefused
from exchange.crypto.x509.pki_request import PkiRefused
from tests.crypto.region import AGENCY, NODE, NOW, PROFILE, only, plain, region

CQ = region()
TOML = """
edition = "1"
backdate_minutes = 10
root = { days = 3650, key = "EC P-256" }
intermediate = { days = 1825, key = "RSA 3072" }
server = { days = 397, key = "EC P-256" }
client = { days = 397, key = "RSA 3072" }
signing = { days = 730, key = "EC P-256" }
crl = { days = 35 }
"""


def test_the_profile_decides_lifetimes_and_keys() -> None:
    """Days count from now, back-dated by minutes, and keys are of the kind asked for."""
    profile = Profile.parse(TOML.encode())
    root = pki.create_root(profile, "root", now=NOW)
    middle = pki.create_intermediate(profile, root, "middle", now=NOW)
    client = facts_of(only(pki.issue_client(profile, middle, identity=AGENCY, now=NOW).chain))
    assert facts_of(middle.certificate).key == client.key == "RSA 3072"
    assert (client.not_before, client.not_after) == (NOW - timedelta(minutes=10), NOW + timedelta(days=397))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('edition = "1"', "", "edition"),
        ("backdate_minutes = 10", "backdate_minutes = -1", "backdate_minutes"),
        ("days = 3650", "days = 0", "root.days"),
        ("days = 3650", "days = 40000", "root.days"),
        ("days = 3650", "days = 1.5", "root.days"),
        ("days = 3650", "days = true", "root.days"),
        ("days = 1825,", "", "intermediate.days"),
        ("RSA 3072", "RSA 1024", "intermediate.key"),
        ('server = { days = 397, key = "EC P-256" }', 'server = { days = 397, key = "RSA 3072" }', "server.key"),
        ("crl = { days = 35 }", "", "crl.days"),
        ("crl = { days = 35 }", "crl = 35", "crl.days"),
        ('root = { days = 3650, key = "EC P-256" }', "root = 1", "root.days"),
        ('edition = "1"', 'edition = "1"\nx = 1', "x"),
        ("days = 3650", "days = 3650, x = 1", "root.x"),
        ("{", "", "profile.toml"),
    ],
)
def test_each_mistake_of_a_profile_is_named(old: str, new: str, place: str) -> None:
    """A profile with a mistake is refused with its place."""
    with pytest.raises(ProfileRefused) as refused:
        Profile.parse(TOML.replace(old, new).encode())
    assert place in [problem.place for problem in refused.value.problems]


def test_a_server_certificate_names_hosts_addresses_and_identity() -> None:
    """EC P-256, with DNS names and IP addresses beside the identity."""
    issued = pki.issue_server(PROFILE, CQ.intermediate, identity=NODE, hosts=["a.example", "127.0.0.1"], now=NOW)
    certificate = issued.certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert identity_of(certificate) == str(NODE)
    assert facts_of(certificate).key == "EC P-256"


def test_an_issued_bundle_is_a_key_file() -> None:
    """Key, leaf and intermediate in one file, without the root."""
    issued = pki.issue_client(PROFILE, CQ.intermediate, identity=AGENCY, now=NOW)
    file = KeyFile.parse(issued.bundle)
    leaf, *others = load_chain(file.chain)
    assert others == [CQ.intermediate.certificate]
    assert file.load().public_key() == public_key_of(leaf)
    assert "PRIVATE" not in repr(issued)


@pytest.mark.parametrize("hosts", [[], [""], ["a b"], ["https://a"], ["a:1"], ["重庆.example"], ["a" * 300], ["a\n"]])
def test_hosts_are_names_or_addresses(hosts: list[str]) -> None:
    """Anything else is refused."""
    with pytest.raises(PkiRefused):
        pki.issue_server(PROFILE, CQ.intermediate, identity=NODE, hosts=hosts, now=NOW)


def request(key: CaKey) -> bytes:
    """A request with a name and an identity of the applicant's own choice."""
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody else")]))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(NODE))]),
            critical=False,
        )
        .sign(plain(key), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def test_of_a_request_only_the_key_is_taken() -> None:
    """Name and identity are what the authority says, and the private key stays with the holder."""
    key = generate_rsa(2048)
    issued = pki.issue_client(PROFILE, CQ.intermediate, identity=AGENCY, now=NOW, request=request(key))
    assert issued.key == b""
    assert identity_of(issued.certificate) == str(AGENCY)
    assert facts_of(issued.certificate).subject == "CN=credit-office"
    assert public_key_of(issued.certificate) == key.public_key()


def test_requests_that_can_not_be_relied_on_are_refused() -> None:
    """Rubbish, a request signed by another key, and a signing key that is not P-256."""
    good = x509.load_pem_x509_csr(request(generate_p256())).public_bytes(serialization.Encoding.DER)
    at = len(good) - 5
    forged = x509.load_der_x509_csr(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    for pem in (b"rubbish", forged.public_bytes(serialization.Encoding.PEM)):
        with pytest.raises(PkiRefused):
            pki.issue_client(PROFILE, CQ.intermediate, identity=AGENCY, now=NOW, request=pem)
    with pytest.raises(PkiRefused):
        pki.issue_signing(
            PROFILE, CQ.intermediate, identity=NODE, organisation="局", now=NOW, request=request(generate_rsa(2048))
        )


def test_nothing_outlives_its_issuer() -> None:
    """A leaf issued late ends with its intermediate, and an expired authority issues nothing."""
    late = NOW + timedelta(days=1825 - 100)
    leaf = pki.issue_client(PROFILE, CQ.intermediate, identity=AGENCY, now=late).certificate
    assert leaf.not_valid_after_utc == CQ.intermediate.certificate.not_valid_after_utc
    with pytest.raises(PkiRefused):
        pki.issue_client(PROFILE, CQ.intermediate, identity=AGENCY, now=NOW + timedelta(days=1825))


@pytest.mark.parametrize("kind", list(KeyKind))
def test_an_authority_survives_its_files(kind: KeyKind) -> None:
    """Key and chain are written and read back."""
    made = region("cq" if kind is KeyKind.EC_P256 else "rsa", kind).intermediate
    loaded = Authority.load(key=made.key_pem, chain=made.chain_pem)
    assert loaded.chain == made.chain
    assert loaded.key_pem == made.key_pem
    assert loaded.root_pem == made.root_pem


def test_an_authority_whose_parts_do_not_belong_together_is_refused() -> None:
    """Another key, a chain without its root, and files that are none."""
    good = CQ.intermediate
    for key, chain in (
        (encode_private(generate_p256()), good.chain_pem),
        (good.key_pem, load_chain(good.chain_pem)[0].public_bytes(serialization.Encoding.PEM)),
    ):
        with pytest.raises(PkiRefused):
            Authority.load(key=key, chain=chain)
    with pytest.raises(KeyUnreadable):
        Authority.load(key=b"", chain=good.chain_pem)
    with pytest.raises(CertificateUnreadable):
        Authority.load(key=good.key_pem, chain=b"")
