"""Signers whose private key lies in a file: EC P-256 (ES256) and SM2."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric import ec

from exchange.crypto.dsse import ES256, MAX_CHAIN, SM2, Signer
from exchange.crypto.keys import KeyFile, KeyUnreadable, PrivateKey
from exchange.crypto.signers.verifiers import ECDSA
from exchange.crypto.sm2.key import SM2PrivateKey
from exchange.crypto.x509.certificates import PublicKey, load_chain, load_der, public_key_of, spki_hash, to_der


def check_chain(chain: Sequence[bytes], public: PublicKey) -> str:
    """The key id of a signing key that comes with its certificates.

    Args:
        chain: DER, leaf first.
        public: Public key of the signing key.

    Raises:
        KeyUnreadable: No certificate, too many, or the first one is of another key.
        CertificateUnreadable: The first one does not parse.
    """
    if not 1 <= len(chain) <= MAX_CHAIN:
        raise KeyUnreadable(f"a signing key comes with 1 to {MAX_CHAIN} certificates, leaf first")
    leaf = load_der(chain[0])
    if public_key_of(leaf) != public:
        raise KeyUnreadable("the first certificate is not that of the signing key")
    return spki_hash(leaf)


def read_signing_chain(pem: bytes) -> tuple[bytes, ...]:
    """DER certificates of a signing key, leaf first. A self-signed last one (the root) is left out.

    Raises:
        KeyUnreadable: There is none.
        CertificateUnreadable: One does not parse.
    """
    if not pem:
        raise KeyUnreadable("a signing key comes with its certificates")
    chain = load_chain(pem)
    if len(chain) > 1 and chain[-1].issuer == chain[-1].subject:
        chain = chain[:-1]
    return tuple(to_der(certificate) for certificate in chain)


class P256Signer:
    """Signs by ECDSA P-256 with SHA-256."""

    algorithm = ES256

    def __init__(self, private: PrivateKey, chain: Sequence[bytes]) -> None:
        """Join key and chain.

        Raises:
            KeyUnreadable: Not a P-256 key, no certificate, or the first certificate is of another key.
            CertificateUnreadable: The first one does not parse.
        """
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise KeyUnreadable("a signing key is EC P-256 or SM2")
        self._private = private
        self.keyid = check_chain(chain, private.public_key())
        self.chain = tuple(chain)

    def sign(self, message: bytes) -> bytes:
        """Signature in DER."""
        return self._private.sign(message, ECDSA)


class SM2Signer:
    """Signs by SM2 with SM3, for the distinguishing id 1234567812345678."""

    algorithm = SM2

    def __init__(self, private: SM2PrivateKey, chain: Sequence[bytes]) -> None:
        """Join key and chain.

        Raises:
            KeyUnreadable: No certificate, or the first certificate is of another key.
            CertificateUnreadable: The first one does not parse.
        """
        self._private = private
        self.keyid = check_chain(chain, private.public_key())
        self.chain = tuple(chain)

    def sign(self, message: bytes) -> bytes:
        """Signature in DER."""
        return self._private.sign(message)


def read_signer(pem: bytes) -> Signer:
    """The signer of a key file: private key and certificates, leaf first, the root at will. The key decides the kind.

    Raises:
        KeyUnreadable: No such key, or not with its certificates.
        CertificateUnreadable: A certificate does not parse.
        LibcryptoMissing: An SM2 key on a system that can not use it.
    """
    file = KeyFile.parse(pem)
    if file.is_sm2:
        return SM2Signer(SM2PrivateKey.from_pem(file.key), read_signing_chain(file.chain))
    return P256Signer(file.load(), read_signing_chain(file.chain))
