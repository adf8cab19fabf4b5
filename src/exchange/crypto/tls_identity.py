"""What a node shows on its connections: a key with its certificates, and whether it may take the place of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.crypto.keys import KeyFile, KeyUnreadable
from exchange.crypto.x509.certificates import (
    Certificate,
    CertificateUnreadable,
    fingerprint,
    identity_of,
    load_chain,
    public_hash,
    public_key_of,
)
from exchange.crypto.x509.chains import ChainProblem, Purpose, find_paths
from exchange.domain.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TlsIdentity:
    """A private key and its certificates.

    Attributes:
        key: PEM.
        chain: PEM, leaf first, then intermediates.
    """

    key: bytes
    chain: bytes

    @classmethod
    def parse(cls, pem: bytes) -> TlsIdentity:
        """Take a key file apart.

        Raises:
            KeyUnreadable: Not exactly one private key, or blocks of another kind.
        """
        file = KeyFile.parse(pem)
        return cls(key=file.key, chain=file.chain)

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The leaf and its intermediates.

        Raises:
            CertificateUnreadable: There is none, or one does not parse.
        """
        return load_chain(self.chain)

    @property
    def leaf(self) -> Certificate:
        """The leaf."""
        return self.certificates[0]

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the leaf."""
        return fingerprint(self.leaf)


def check_successor(
    new: TlsIdentity, old: TlsIdentity | None, roots: Sequence[Certificate], purpose: Purpose, now: datetime
) -> tuple[Problem, ...]:
    """Why a key with its certificates can not take the place of another one; empty when it can.

    1. The certificates parse, and the first one is for the key.
    2. A server's key is EC: the TLS 1.3 floor rests on that.
    3. The chain leads to one of our own roots, now.
    4. Whatever names the old one covered are covered: nobody who dialled it is turned away. The identity is the same.

    Args:
        new: The successor.
        old: What it replaces; ``None`` where there was nothing.
        roots: Our own TLS roots.
        purpose: ``SERVER`` or ``CLIENT``.
        now: Aware instant.
    """
    # 1
    if not new.chain:
        return (Problem("CERTIFICATE_MISSING", purpose.value),)
    try:
        leaf, *others = new.certificates
        public, private = public_key_of(leaf), KeyFile(key=new.key, chain=b"").load()
    except CertificateUnreadable as error:
        return (Problem("CERTIFICATE_UNREADABLE", purpose.value, str(error)),)
    except KeyUnreadable as error:
        return (Problem("KEY_UNREADABLE", purpose.value, str(error)),)
    problems = []
    if public_hash(public) != public_hash(private.public_key()):
        problems.append(Problem("CERTIFICATE_OF_ANOTHER_KEY", purpose.value, leaf.subject.rfc4514_string()))
    # 2
    if purpose is Purpose.SERVER and not isinstance(public, ec.EllipticCurvePublicKey):
        problems.append(Problem("SERVER_KEY_NOT_EC", purpose.value))
    # 3
    verdict = find_paths(leaf, [*others, *roots], roots, purpose).at(now)
    if verdict.problem is not None:
        reason = {
            ChainProblem.EXPIRED: "CERTIFICATE_EXPIRED",
            ChainProblem.NOT_YET_VALID: "CERTIFICATE_NOT_YET_VALID",
        }.get(verdict.problem, "CERTIFICATE_UNTRUSTED")
        problems.append(Problem(reason, purpose.value, f"{verdict.problem.value}: {verdict.detail}"))
    # 4
    if old is not None:
        lacking = sorted(names_of(old.leaf) - names_of(leaf)) if purpose is Purpose.SERVER else []
        if identity_of(leaf) != identity_of(old.leaf):
            lacking.append(identity_of(old.leaf) or "no identity")
        if lacking:
            problems.append(Problem("CERTIFICATE_NAMES", purpose.value, ", ".join(dict.fromkeys(lacking))))
    return tuple(problems)


def names_of(certificate: Certificate) -> frozenset[str]:
    """Host names and addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return frozenset()
    found = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    return frozenset(found)
