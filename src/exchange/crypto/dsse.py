"""DSSE v1 envelopes signed with ECDSA P-256 and SHA-256 (ES256), so that ``openssl`` verifies them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.crypto.certificates import Certificate, load_chain, load_der, public_key_of, spki_hash, to_der
from exchange.crypto.keys import KeyFile, KeyUnreadable, PrivateKey
from exchange.v1.statement_pb2 import Envelope, Signature

PAYLOAD_TYPE: Final = "application/vnd.env-exchange.statement.v1+protobuf"
"""Media type of a statement."""

ES256: Final = "ES256"
"""Name of ECDSA P-256 with SHA-256 in ``require``."""

MAX_SIGNATURES = 8
"""Signatures in one envelope: the region's, the agency's, and a second algorithm of each, twice over."""

MAX_CHAIN = 8
"""Certificates of a signing chain without its root."""

MAX_TRIES = 32
"""Keys tried for one envelope beyond those it names: 2 ms, so that key ids that name nothing cost little."""

_ECDSA = ec.ECDSA(hashes.SHA256())


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding: what is signed. Lengths are byte lengths in decimal."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


class Signer:
    """A region's signing key with its certificate.

    Attributes:
        keyid: Hex SHA-256 of the public key (SubjectPublicKeyInfo).
        chain: DER certificates, leaf first, without the root.
    """

    def __init__(self, private: PrivateKey, chain: Sequence[bytes]) -> None:
        """Join key and chain.

        Raises:
            KeyUnreadable: Not a P-256 key, no certificate, or the first certificate is of another key.
        """
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise KeyUnreadable("a signing key is EC P-256")
        if not 1 <= len(chain) <= MAX_CHAIN:
            raise KeyUnreadable(f"a signing key comes with 1 to {MAX_CHAIN} certificates, leaf first")
        leaf = load_der(chain[0])
        if public_key_of(leaf) != private.public_key():
            raise KeyUnreadable("the first certificate is not that of the signing key")
        self._private = private
        self.keyid = spki_hash(leaf)
        self.chain = tuple(chain)

    @classmethod
    def from_pem(cls, pem: bytes) -> Signer:
        """Read a key file: private key and certificates, leaf first. A self-signed last one (the root) is left out.

        Raises:
            KeyUnreadable: See the constructor.
            CertificateUnreadable: A certificate does not parse.
        """
        file = KeyFile.parse(pem)
        if not file.chain:
            raise KeyUnreadable("a signing key comes with its certificates")
        chain = load_chain(file.chain)
        if len(chain) > 1 and chain[-1].issuer == chain[-1].subject:
            chain = chain[:-1]
        return cls(file.load(), [to_der(certificate) for certificate in chain])

    @property
    def certificate(self) -> Certificate:
        """The leaf certificate."""
        return load_der(self.chain[0])

    def sign(self, payload: bytes, payload_type: str = PAYLOAD_TYPE) -> Signature:
        """Signature over the payload's pre-authentication encoding, ECDSA in DER."""
        return Signature(keyid=self.keyid, sig=self._private.sign(pae(payload_type, payload), _ECDSA))

    def envelope(self, payload: bytes) -> Envelope:
        """Envelope over a statement's exact bytes with this signature."""
        return Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signatures=[self.sign(payload)])


@dataclass(frozen=True, kw_only=True, slots=True)
class SignatureCheck:
    """What became of an envelope's signatures.

    Attributes:
        verified: Key ids by whose keys a signature verified.
        failed: Key ids that are known, whose signature did not verify.
        unknown: Number of signatures by no known key.
    """

    verified: tuple[str, ...]
    failed: tuple[str, ...]
    unknown: int


def verify(envelope: Envelope, keys: Mapping[str, ec.EllipticCurvePublicKey]) -> SignatureCheck:
    """Try each signature.

    The key id is only a hint: the key that it names is tried first, then the others, the last known first.

    Args:
        envelope: Its payload's bytes are verified as they are; at most ``MAX_SIGNATURES`` signatures.
        keys: Known keys by key id, oldest first.
    """
    message = pae(envelope.payload_type, envelope.payload)
    verified, failed, unknown = [], [], 0
    left = MAX_TRIES
    for signature in envelope.signatures:
        hinted = [signature.keyid] if signature.keyid in keys else []
        order = hinted + [keyid for keyid in reversed(list(keys)) if keyid not in hinted]
        tried = order[: max(left, len(hinted))]
        found = None
        for keyid in tried:
            left -= 1
            if _verifies(keys[keyid], signature.sig, message):
                found = keyid
                break
        if found is not None:
            verified.append(found)
        elif hinted:
            failed.append(signature.keyid)
        else:
            unknown += 1
    return SignatureCheck(verified=tuple(verified), failed=tuple(failed), unknown=unknown)


def _verifies(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, _ECDSA)
    except InvalidSignature:
        return False
    return True
