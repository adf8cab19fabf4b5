"""The public keys of signing certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.crypto.dsse import ES256, SM2, Verifier
from exchange.crypto.sm2.key import SM2PublicKey
from exchange.crypto.x509.certificates import PublicKey

ECDSA: Final = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class P256Verifier:
    """ECDSA P-256 with SHA-256."""

    key: ec.EllipticCurvePublicKey

    @property
    def algorithm(self) -> str:
        """ES256."""
        return ES256

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is by this key."""
        try:
            self.key.verify(signature, message, ECDSA)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True)
class SM2Verifier:
    """SM2 with SM3, for the distinguishing id 1234567812345678."""

    key: SM2PublicKey

    @property
    def algorithm(self) -> str:
        """SM2."""
        return SM2

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether the signature is by this key.

        Raises:
            LibcryptoMissing: It can not be computed here.
        """
        return self.key.verify(signature, message)


def verifier_of(key: PublicKey) -> Verifier | None:
    """The verifier of a certificate's key; None for kinds of keys that sign no envelopes."""
    match key:
        case SM2PublicKey():
            return SM2Verifier(key)
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, ec.SECP256R1):
            return P256Verifier(key)
        case _:
            return None
