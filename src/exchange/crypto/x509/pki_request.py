"""Certificate requests (PKCS#10, RFC 2986): how a key gets its certificate without leaving its machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from exchange.crypto.keys import MAX_RSA_BITS, MIN_RSA_BITS, KeyUnreadable, load_private, names_sm2
from exchange.crypto.sm2.key import SM2PrivateKey, SM2PublicKey
from exchange.crypto.sm2.signed import SM2_WITH_SM3, is_signed_by, sign_request, spki_of, stand_in
from exchange.crypto.x509 import der
from exchange.crypto.x509.certificates import PublicKey
from exchange.domain.problems import Problem, Refused


class PkiRefused(Refused):
    """A request or an authority that certificates can not be issued from."""


def refused(reason: str, place: str, detail: str) -> PkiRefused:
    """One refusal, to be raised."""
    return PkiRefused([Problem(reason=reason, place=place, detail=detail)])


def requested_key(request: bytes) -> PublicKey:
    """The public key of a request in PEM, of which nothing else is taken.

    Raises:
        PkiRefused: Reason PKI_REQUEST: it does not parse, is not signed by its own key, or the key is neither EC, RSA
            nor SM2.
        LibcryptoMissing: It is of an SM2 key, on a system that can not check it.
    """
    try:
        parsed = x509.load_pem_x509_csr(request)
        if parsed.signature_algorithm_oid == SM2_WITH_SM3:
            sm2 = SM2PublicKey.from_spki(spki_of(parsed))
            if not is_signed_by(parsed, sm2):
                raise refused("PKI_REQUEST", "request", "signed by another key")
            return sm2
        valid = parsed.is_signature_valid
        key = parsed.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, KeyUnreadable):
        raise refused("PKI_REQUEST", "request", "not a readable PKCS#10 request") from None
    strong_rsa = isinstance(key, rsa.RSAPublicKey) and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS
    if not valid or not (isinstance(key, ec.EllipticCurvePublicKey) or strong_rsa):
        raise refused("PKI_REQUEST", "request", "signed by another key, or a key that is neither EC nor RSA")
    return cast("PublicKey", key)


def make_request(private: bytes, common_name: str, *, hosts: Sequence[str] = (), identity: str = "") -> bytes:
    """A request in PEM, signed by the key itself.

    Args:
        private: The private key, PKCS#8 PEM; EC, RSA or SM2.
        common_name: For the people of the certificate office; identities never come from it.
        hosts: Host names and addresses that the certificate is to be for.
        identity: URI that it is to carry.

    Raises:
        KeyUnreadable: No such key.
        LibcryptoMissing: An SM2 key on a system that can not use it.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    names = [*map(host_name, hosts), *([x509.UniformResourceIdentifier(identity)] if identity else [])]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if names_sm2(private):
        request = sign_request(builder, SM2PrivateKey.from_pem(private))
        return request.public_bytes(serialization.Encoding.PEM)
    key = load_private(private)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        raise KeyUnreadable("a certificate is requested for an EC, RSA or SM2 key")
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def make_request_elsewhere(
    public: ec.EllipticCurvePublicKey, sign: Callable[[bytes], bytes], common_name: str
) -> bytes:
    """A request in PEM for a P-256 key that this program does not hold.

    Args:
        public: Its public key.
        sign: Signs by ECDSA with SHA-256, in DER.
        common_name: As above.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
    # The library signs with a key of its own; its public key and its signature are then replaced.
    built = x509.CertificateSigningRequestBuilder().subject_name(name).sign(stand_in(), hashes.SHA256())
    whole = der.elements(built.public_bytes(serialization.Encoding.DER))
    fields = list(der.elements(built.tbs_certrequest_bytes))
    fields[2] = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    content = der.sequence(*fields)
    made = der.sequence(content, whole[1], der.bit_string(sign(content)))
    return x509.load_der_x509_csr(made).public_bytes(serialization.Encoding.PEM)


def host_name(host: str) -> x509.GeneralName:
    """An address or host name as certificates carry it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
