"""Certificate requests: how a key gets its certificate without leaving its machine."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from exchange.crypto.keys import KeyUnreadable, load_private


def make_request(private: bytes, common_name: str) -> bytes:
    """A PKCS#10 request (RFC 2986) in PEM, signed by the key itself.

    Args:
        private: The private key, PKCS#8 PEM; EC or RSA.
        common_name: For the people of the certificate office; identities never come from it.

    Raises:
        KeyUnreadable: No such key.
    """
    key = load_private(private)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raise KeyUnreadable("a certificate is requested for an EC or RSA key")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)
