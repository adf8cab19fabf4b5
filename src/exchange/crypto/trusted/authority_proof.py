"""What an authority of TLS certificates says of its successor: both sign the same bytes, where their keys are kept.

The file that an officer brings to the node holds the new root in PEM, and behind it

    EXCHANGE POSSESSION     the new authority's signature over the possession message: it holds its key
    EXCHANGE ENDORSEMENT    the old one's over the same bytes: it names its successor; missing when its key is lost

ECDSA in DER or RSA PKCS #1 v1.5, with SHA-256.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from exchange.crypto.x509.certificates import (
    Certificate,
    CertificateUnreadable,
    fingerprint,
    load_chain,
    load_der,
    public_key_of,
    to_der,
    to_pem,
)
from exchange.crypto.x509.chains import authority_problem
from exchange.crypto.x509.pki import Authority
from exchange.domain.problems import Problem, Refused
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyUse

POSSESSION: Final = b"EXCHANGE POSSESSION"
ENDORSEMENT: Final = b"EXCHANGE ENDORSEMENT"

MAX_PROOF_BYTES: Final = 1024
"""Bytes of a signature: RSA of 8,192 bits."""

_BLOCK = re.compile(
    rb"-----BEGIN (" + POSSESSION + rb"|" + ENDORSEMENT + rb")-----\r?\n"
    rb"([A-Za-z0-9+/=\r\n]{1,2048})-----END \1-----\r?\n?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityFile:
    """A new root, and what proves that it is the next one; without a proof it is told by the card alone.

    Attributes:
        root: Its certificate.
        possession: Its own signature; empty when nobody made one.
        endorsement: That of the authority before it.
    """

    root: Certificate
    possession: bytes = b""
    endorsement: bytes = b""

    @classmethod
    def parse(cls, pem: bytes) -> AuthorityFile:
        """Take a file apart.

        Raises:
            CertificateUnreadable: Not exactly one certificate, or a proof that is none.
        """
        found: dict[bytes, bytes] = {}
        for label, body in _BLOCK.findall(pem):
            try:
                proof = base64.b64decode(b"".join(body.split()), validate=True)
            except binascii.Error:
                raise CertificateUnreadable("a proof is base64") from None
            if label in found or len(proof) > MAX_PROOF_BYTES:
                raise CertificateUnreadable("one proof of each kind")
            found[label] = proof
        roots = load_chain(_BLOCK.sub(b"", pem))
        if len(roots) != 1:
            raise CertificateUnreadable("one root is needed")
        return cls(root=roots[0], possession=found.get(POSSESSION, b""), endorsement=found.get(ENDORSEMENT, b""))

    def to_pem(self) -> bytes:
        """The file."""
        return to_pem(self.root) + _block(POSSESSION, self.possession) + _block(ENDORSEMENT, self.endorsement)

    def announced(self, replaces: str) -> AnnouncedKey:
        """The root as it is announced, without state and times.

        Args:
            replaces: Fingerprint of the root before it.
        """
        key = named_root(self.root)
        key.replaces, key.possession, key.endorsement = replaces, self.possession, self.endorsement
        return key


def _block(label: bytes, proof: bytes) -> bytes:
    if not proof:
        return b""
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label, base64.encodebytes(proof), label)


def named_root(root: Certificate) -> AnnouncedKey:
    """A root as announcements name it: by its whole certificate."""
    return AnnouncedKey(use=KeyUse.KEY_USE_TLS_CA, key_id=fingerprint(root), chain=[to_der(root)])


def root_of(key: AnnouncedKey) -> Certificate | None:
    """The root of an announced authority; None when it is none, or has another id."""
    try:
        root = load_der(key.chain[0]) if len(key.chain) == 1 else None
        if root is None or fingerprint(root) != key.key_id or root.issuer != root.subject:
            return None
        return root if authority_problem(root) is None else None
    except CertificateUnreadable:
        return None


def sign_by(authority: Authority, message: bytes) -> bytes:
    """An authority's signature over a message.

    Raises:
        Refused: PKI_AUTHORITY: its key is neither EC nor RSA.
    """
    key = authority.key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    raise Refused([Problem("PKI_AUTHORITY", "key", "EC or RSA")])


def has_signed(root: Certificate, signature: bytes, message: bytes) -> bool:
    """Whether an authority signed a message."""
    if not signature or len(signature) > MAX_PROOF_BYTES:
        return False
    try:
        key = public_key_of(root)
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        else:
            return False
    except (InvalidSignature, ValueError, CertificateUnreadable):
        return False
    return True
