"""Certificates, revocation lists and requests signed by SM2 with SM3 (GB/T 20518).

``cryptography`` parses their fields, and can neither load their keys nor check or make their signatures. To make one,
the library builds and signs the structure with a key of its own; then the algorithm, the public key and the signature
are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from exchange.crypto.sm2.key import SM2PrivateKey, SM2PublicKey
from exchange.crypto.x509 import der

SM2_WITH_SM3: Final = x509.ObjectIdentifier("1.2.156.10197.1.501")
"""Signature algorithm: SM2 with SM3."""

_ALGORITHM: Final = bytes.fromhex("300a06082a811ccf55018375")
"""Its AlgorithmIdentifier, without parameters (GM/T 0015)."""

_VERSION_TAG: Final = 0xA0

Signed = x509.Certificate | x509.CertificateRevocationList | x509.CertificateSigningRequest


def spki_of(signed: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    """SubjectPublicKeyInfo of a certificate or request, in DER.

    Raises:
        DerUnreadable: The library parsed what this can not take apart.
    """
    if isinstance(signed, x509.CertificateSigningRequest):
        return der.elements(signed.tbs_certrequest_bytes)[2]
    fields = der.elements(signed.tbs_certificate_bytes)
    return fields[6 if fields[0][0] == _VERSION_TAG else 5]


def is_signed_by(signed: Signed, key: SM2PublicKey) -> bool:
    """Whether the key made the signature, by SM2 with SM3 and the default distinguishing id.

    Raises:
        LibcryptoMissing: It can not be computed here.
    """
    if signed.signature_algorithm_oid != SM2_WITH_SM3:
        return False
    content = _content(signed)
    try:
        if not isinstance(signed, x509.CertificateSigningRequest):
            # The algorithm stands twice; both must say the same (RFC 5280 §4.1.1.2).
            fields = der.elements(content)
            named = fields[2 if isinstance(signed, x509.Certificate) and fields[0][0] == _VERSION_TAG else 1]
            outer = der.elements(signed.public_bytes(serialization.Encoding.DER))[1]
            if named != outer:
                return False
    except (der.DerUnreadable, IndexError):
        return False
    return key.verify(signed.signature, content)


def _content(signed: Signed) -> bytes:
    match signed:
        case x509.Certificate():
            return signed.tbs_certificate_bytes
        case x509.CertificateSigningRequest():
            return signed.tbs_certrequest_bytes
        case _:
            return signed.tbs_certlist_bytes


@cache
def stand_in() -> ec.EllipticCurvePrivateKey:
    """The key whose place in a built structure an SM2 key takes. It signs nothing that leaves this module."""
    return ec.generate_private_key(ec.SECP256R1())


def sign_certificate(builder: x509.CertificateBuilder, key: SM2PrivateKey, subject: SM2PublicKey) -> x509.Certificate:
    """Finish a certificate for an SM2 key.

    Args:
        builder: Complete, with the public key of ``stand_in``.
        key: The issuer's.
        subject: Public key that is certified.
    """
    built = builder.sign(stand_in(), hashes.SHA256()).tbs_certificate_bytes
    return x509.load_der_x509_certificate(_signed(built, {2: _ALGORITHM, 6: subject.spki}, key))


def sign_crl(builder: x509.CertificateRevocationListBuilder, key: SM2PrivateKey) -> x509.CertificateRevocationList:
    """Finish a revocation list."""
    built = builder.sign(stand_in(), hashes.SHA256()).tbs_certlist_bytes
    return x509.load_der_x509_crl(_signed(built, {1: _ALGORITHM}, key))


def sign_request(builder: x509.CertificateSigningRequestBuilder, key: SM2PrivateKey) -> x509.CertificateSigningRequest:
    """Finish a certificate request."""
    built = builder.sign(stand_in(), hashes.SHA256()).tbs_certrequest_bytes
    return x509.load_der_x509_csr(_signed(built, {2: key.public_key().spki}, key))


def _signed(built: bytes, replaced: Mapping[int, bytes], key: SM2PrivateKey) -> bytes:
    fields = list(der.elements(built))
    for place, element in replaced.items():
        fields[place] = element
    content = der.sequence(*fields)
    return der.sequence(content, _ALGORITHM, der.bit_string(key.sign(content)))
