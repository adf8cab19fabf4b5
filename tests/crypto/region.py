"""One region's authorities and certificates, made once for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from exchange.crypto.dsse import Signer, make_envelope
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Certificate, Identity, LibraryKey, Role, load_chain, load_der
from exchange.crypto.x509.pki_profile import CaKey, KeyKind, LibraryCaKey, Profile
from exchange.v1.statement_pb2 import Statement

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
DOMAIN = "exchange.example"
NODE = Identity(node="cq", domain=DOMAIN, role=Role.NODE, name="gateway")
AGENCY = Identity(node="cq", domain=DOMAIN, role=Role.AGENCY, name="credit-office")
PROFILE = Profile.parse((Path(__file__).parents[2] / "certs" / "profile.toml").read_bytes())


@dataclass(frozen=True, kw_only=True)
class Region:
    """Root, intermediate and a signer below it."""

    root: pki.Authority
    intermediate: pki.Authority
    signer: Signer

    @property
    def signing(self) -> Certificate:
        """The signing certificate."""
        return load_der(self.signer.chain[0])

    def statement(self, **changes: object) -> Statement:
        """A statement of this region."""
        values: dict[str, object] = {"federation": DOMAIN, "origin": "cq", "record_id": "r", "revision": 1} | changes
        return Statement(**values)  # type: ignore[arg-type]

    def envelope(self, **changes: object) -> bytes:
        """A signed statement's envelope."""
        return make_envelope(self.statement(**changes).SerializeToString(), [self.signer]).SerializeToString()


@cache
def region(name: str = "cq", kind: KeyKind = KeyKind.EC_P256) -> Region:
    """A region by name: the same one each time."""
    root = pki.create_root(PROFILE, f"{name} root", now=NOW, key=kind)
    intermediate = pki.create_intermediate(PROFILE, root, f"{name} issuing", now=NOW, key=kind)
    identity = Identity(node=name, domain=DOMAIN, role=Role.NODE, name="signing")
    issued = pki.issue_signing(PROFILE, intermediate, identity=identity, organisation="生态环境局", now=NOW)
    return Region(root=root, intermediate=intermediate, signer=read_signer(issued.bundle))


def build(
    subject: str,
    public: LibraryKey,
    issuer: str,
    key: CaKey,
    *extensions: tuple[x509.ExtensionType, bool],
    days: int = 365,
    begin: datetime = NOW,
) -> Certificate:
    """A certificate with exactly these extensions, right or wrong."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(plain(key), hashes.SHA256())


def plain(key: CaKey) -> LibraryCaKey:
    """The key, which the library can sign with."""
    assert isinstance(key, LibraryCaKey)
    return key


def usage(*, sign: bool = True, certify: bool = False) -> tuple[x509.KeyUsage, bool]:
    """A key usage for digital signatures or for certificates."""
    return (
        x509.KeyUsage(
            digital_signature=sign,
            content_commitment=False,
            key_encipherment=not sign and not certify,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=certify,
            crl_sign=certify,
            encipher_only=False,
            decipher_only=False,
        ),
        True,
    )


def constraints(*, ca: bool, length: int | None = None) -> tuple[x509.BasicConstraints, bool]:
    """Basic constraints."""
    return x509.BasicConstraints(ca=ca, path_length=length), True


def only(pem: bytes) -> Certificate:
    """The first certificate of a file."""
    return load_chain(pem)[0]
