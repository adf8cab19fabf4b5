"""X.509 certificates: reading them, and what they say about their holder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.utils import CryptographyDeprecationWarning

from exchange.crypto.keys import MAX_PEM_BYTES, MAX_RSA_BITS, MIN_RSA_BITS, KeyUnreadable
from exchange.crypto.sm2 import signed
from exchange.crypto.sm2.key import SM2PublicKey
from exchange.crypto.x509.der import DerUnreadable
from exchange.domain.problems import ExchangeError
from exchange.tlog.errors import LogFormatError
from exchange.tlog.origin import check_domain, check_node

Certificate = x509.Certificate
LibraryKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
PublicKey = LibraryKey | SM2PublicKey

MAX_CERTIFICATES = 64
"""Certificates in one file: a federation's roots with their successors."""

MAX_DER_BYTES = 16 * 1024
"""Bytes of one certificate: real ones have one to three thousand."""

_UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)
"""What the library raises on certificates that are none; the warning where warnings are errors."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_PEM_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n.*?-----END CERTIFICATE-----", re.DOTALL)
_PEM_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")


class CertificateUnreadable(ExchangeError):
    """Bytes that should be certificates are none, or of a kind that nobody here can use."""

    reason = "CERTIFICATE_UNREADABLE"


class Role(StrEnum):
    """What the holder of an identity is. One identity holds one role (三员分立)."""

    NODE = "node"
    AGENCY = "agency"
    OPERATOR = "operator"
    SECURITY = "security"
    AUDITOR = "auditor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who a certificate belongs to: ``spiffe://<node>.<domain>/<role>/<name>``.

    Attributes:
        node: Node whose region it belongs to.
        domain: Federation's domain.
        role: What it is.
        name: Its name within node and role.
    """

    node: str
    domain: str
    role: Role
    name: str

    def __post_init__(self) -> None:
        check_node(self.node)
        check_domain(self.domain)
        if not _NAME.fullmatch(self.name):
            raise LogFormatError("the name in an identity is lower-case letters, digits, dot, dash or underscore")

    @classmethod
    def parse(cls, uri: str) -> Identity:
        """Read an identity.

        Raises:
            LogFormatError: Not an identity in its one spelling.
        """
        parts = uri.split("/")
        if len(parts) != 5 or parts[:2] != ["spiffe:", ""]:
            raise LogFormatError("an identity is spiffe://<node>.<domain>/<role>/<name>")
        node, _, domain = parts[2].partition(".")
        try:
            role = Role(parts[3])
        except ValueError:
            raise LogFormatError("the role in an identity is node, agency, operator, security or auditor") from None
        return cls(node=node, domain=domain, role=role, name=parts[4])

    def __str__(self) -> str:
        return f"spiffe://{self.node}.{self.domain}/{self.role.value}/{self.name}"


def load_der(data: bytes) -> Certificate:
    """Read one certificate.

    Raises:
        CertificateUnreadable: Not a certificate, or with extensions that do not parse.
    """
    if len(data) > MAX_DER_BYTES:
        raise CertificateUnreadable(f"a certificate has at most {MAX_DER_BYTES} bytes")
    try:
        certificate = x509.load_der_x509_certificate(data)
        serial = _touch(certificate)
    except _UNREADABLE:
        raise CertificateUnreadable("not a readable certificate") from None
    if serial <= 0:
        raise CertificateUnreadable("a certificate's serial number is positive")
    return certificate


def _touch(certificate: Certificate) -> int:
    """Parse now what the library would parse, and fail on, only when it is looked at; gives the serial number."""
    _ = (
        certificate.version,
        certificate.subject,
        certificate.issuer,
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        list(certificate.extensions),
    )
    return certificate.serial_number


def load_chain(pem: bytes) -> tuple[Certificate, ...]:
    """Read certificates in PEM, at least one, in the order of the file.

    Text around the blocks is passed over (``openssl`` writes it); other kinds of blocks are refused, so that a
    private key never travels among certificates.

    Raises:
        CertificateUnreadable: No certificate, too many, one that does not parse, or another kind of block.
    """
    if len(pem) > MAX_PEM_BYTES:
        raise CertificateUnreadable(f"a file of certificates has at most {MAX_PEM_BYTES} bytes")
    if any(label != b"CERTIFICATE" for label in _PEM_BEGIN.findall(pem)):
        raise CertificateUnreadable("a file of certificates holds nothing else")
    blocks = _PEM_CERTIFICATE.findall(pem)
    if not 1 <= len(blocks) <= MAX_CERTIFICATES or len(blocks) != pem.count(b"-----BEGIN "):
        raise CertificateUnreadable(f"a file of certificates holds 1 to {MAX_CERTIFICATES}")
    chain = []
    for number, block in enumerate(blocks, 1):
        try:
            chain.append(load_der(to_der(x509.load_pem_x509_certificate(block))))
        except (CertificateUnreadable, *_UNREADABLE):
            raise CertificateUnreadable(f"certificate {number} does not parse") from None
    return tuple(chain)


def to_der(certificate: Certificate) -> bytes:
    """The certificate's bytes."""
    return certificate.public_bytes(serialization.Encoding.DER)


def to_pem(certificate: Certificate) -> bytes:
    """The certificate as one PEM block."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def public_key_of(certificate: Certificate) -> PublicKey:
    """The certificate's public key.

    Raises:
        CertificateUnreadable: Neither EC, RSA of 2,048 to 8,192 bits, Ed25519, nor SM2.
    """
    try:
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return _sm2_key_of(certificate)
    if isinstance(key, rsa.RSAPublicKey) and not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise CertificateUnreadable(f"RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {key.key_size}")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise CertificateUnreadable("a public key is EC, RSA, Ed25519 or SM2")
    return key


def _sm2_key_of(certificate: Certificate) -> SM2PublicKey:
    """The library knows the curve by no name: its key is read here."""
    try:
        return SM2PublicKey.from_spki(signed.spki_of(certificate))
    except (KeyUnreadable, DerUnreadable, IndexError):
        raise CertificateUnreadable("a public key of unknown kind") from None


def spki_hash(certificate: Certificate) -> str:
    """Hex SHA-256 of the SubjectPublicKeyInfo: names the key, whoever certifies it.

    By hand: ``openssl x509 -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum``.
    """
    return public_hash(public_key_of(certificate))


def public_hash(key: PublicKey) -> str:
    """Hex SHA-256 of a public key's SubjectPublicKeyInfo in DER."""
    if isinstance(key, SM2PublicKey):
        return sha256(key.spki).hexdigest()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return sha256(spki).hexdigest()


def fingerprint(certificate: Certificate) -> str:
    """Hex SHA-256 of the whole certificate in DER."""
    return sha256(to_der(certificate)).hexdigest()


def uris_of(certificate: Certificate) -> tuple[str, ...]:
    """The URIs among the subject's alternative names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))


def identity_of(certificate: Certificate) -> str | None:
    """The identity that the certificate claims, as a URI that ``Identity.parse`` reads.

    To be believed only when the certificate's authority is trusted for identities. Never from the common name.

    Returns:
        ``None`` unless there is exactly one URI among its names, and it is an identity in its one spelling.
    """
    uris = uris_of(certificate)
    if len(uris) != 1:
        return None
    try:
        return str(Identity.parse(uris[0])) if str(Identity.parse(uris[0])) == uris[0] else None
    except LogFormatError:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateFacts:
    """What ``status`` and ``doctor`` show of a certificate.

    Attributes:
        key: ``EC P-256``, ``RSA 3072``, ``Ed25519``, ``SM2`` or ``unknown``.
    """

    subject: str
    issuer: str
    serial: str
    key: str
    fingerprint: str
    not_before: datetime
    not_after: datetime
    identity: str | None


_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def facts_of(certificate: Certificate) -> CertificateFacts:
    """What a certificate says, to be shown."""
    try:
        key = public_key_of(certificate)
    except CertificateUnreadable:
        kind = "unknown"
    else:
        match key:
            case ec.EllipticCurvePublicKey():
                kind = f"EC {_CURVES.get(key.curve.name, key.curve.name)}"
            case rsa.RSAPublicKey():
                kind = f"RSA {key.key_size}"
            case SM2PublicKey():
                kind = "SM2"
            case _:
                kind = "Ed25519"
    return CertificateFacts(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        key=kind,
        fingerprint=fingerprint(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        identity=identity_of(certificate),
    )
