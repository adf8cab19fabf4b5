"""Certificate authorities for development and small deployments: root → intermediate → leaves, by a profile.

Everything takes the time and returns PEM; nothing is stored here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha1

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from exchange.crypto.keys import (
    encode_private,
    load_private,
    names_sm2,
)
from exchange.crypto.sm2 import signed
from exchange.crypto.sm2.key import SM2PrivateKey, SM2PublicKey
from exchange.crypto.x509.certificates import (
    Certificate,
    Identity,
    LibraryKey,
    PublicKey,
    load_chain,
    public_key_of,
    to_pem,
)
from exchange.crypto.x509.pki_profile import CaKey, KeyKind, Lifetime, Profile
from exchange.crypto.x509.pki_request import refused, requested_key

_SHA256 = hashes.SHA256()
_TLS_CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Issued:
    """A leaf certificate as its holder gets it.

    Attributes:
        key: PKCS#8 PEM; empty when the holder brought a request and keeps the key.
        chain: PEM, leaf first, then the intermediates, without the root.
    """

    key: bytes
    chain: bytes

    @property
    def bundle(self) -> bytes:
        """One key file: key, then chain."""
        return self.key + self.chain

    @property
    def certificate(self) -> Certificate:
        """The leaf."""
        return load_chain(self.chain)[0]


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Authority:
    """A certificate authority with its key.

    Attributes:
        chain: Own certificate first, up to and including the root.
    """

    key: CaKey
    chain: tuple[Certificate, ...]

    @classmethod
    def load(cls, *, key: bytes, chain: bytes) -> Authority:
        """Read an authority from PEM.

        Args:
            key: PKCS#8, EC, RSA or SM2.
            chain: Own certificate first, root last.

        Raises:
            KeyUnreadable: The key.
            CertificateUnreadable: The certificates.
            PkiRefused: Reason PKI_AUTHORITY: they do not belong together, or the last one is no root.
        """
        private = SM2PrivateKey.from_pem(key) if names_sm2(key) else load_private(key)
        certificates = load_chain(chain)
        if not isinstance(private, CaKey) or public_key_of(certificates[0]) != private.public_key():
            raise refused("PKI_AUTHORITY", "key", "not the key of the first certificate")
        if certificates[-1].issuer != certificates[-1].subject:
            raise refused("PKI_AUTHORITY", "chain", "the last certificate is no root")
        return cls(key=private, chain=certificates)

    @property
    def certificate(self) -> Certificate:
        """Own certificate."""
        return self.chain[0]

    @property
    def root_pem(self) -> bytes:
        """The root, to be trusted."""
        return to_pem(self.chain[-1])

    @property
    def chain_pem(self) -> bytes:
        """Own certificate first, root last."""
        return b"".join(to_pem(certificate) for certificate in self.chain)

    @property
    def key_pem(self) -> bytes:
        """The key in PKCS#8."""
        return _key_pem(self.key)


def create_root(profile: Profile, common_name: str, *, now: datetime, key: KeyKind | None = None) -> Authority:
    """A self-signed root that allows one authority below it.

    Args:
        profile: Lifetimes and keys.
        common_name: For people; identities never come from it.
        now: Aware instant of issue.
        key: Another kind of key than the profile's.
    """
    private = (key or profile.root.key).generate()
    name = _name(common_name)
    end = now + timedelta(days=profile.root.days)
    builder = _builder(name, name, private.public_key(), begin=now - profile.backdate, end=end)
    builder = _as_authority(builder, path_length=1)
    return Authority(key=private, chain=(_signed(builder, private, private.public_key()),))


def create_intermediate(
    profile: Profile, parent: Authority, common_name: str, *, now: datetime, key: KeyKind | None = None
) -> Authority:
    """An authority below a root, which issues leaves only. Below an SM2 root its key is SM2 as well."""
    private = (key or _kind_under(parent, profile.intermediate.key)).generate()
    days = profile.intermediate.days
    builder = _issued_by(profile, parent, _name(common_name), private.public_key(), days=days, now=now)
    builder = _as_authority(builder, path_length=0)
    return Authority(key=private, chain=(_signed(builder, parent.key, private.public_key()), *parent.chain))


def issue_server(
    profile: Profile,
    authority: Authority,
    *,
    identity: Identity,
    hosts: Sequence[str],
    now: datetime,
    request: bytes | None = None,
) -> Issued:
    """A node's TLS server certificate: EC P-256, host names and addresses, and its identity.

    It may also dial: a node calls its peers by the same certificate.

    Args:
        profile: Lifetimes and keys.
        authority: Issuer.
        identity: ``spiffe://<node>.<domain>/node/<name>``.
        hosts: DNS names and IP addresses under which it is reached; at least one.
        now: Aware instant of issue.
        request: PKCS#10 in PEM, of which only the public key is taken; it must be EC.

    Raises:
        PkiRefused: Reason PKI_REQUEST: no host, or one that is neither name nor address; a request that does not
            parse, or of a key that is not EC.
    """
    if not hosts:
        raise refused("PKI_REQUEST", "hosts", "a server certificate names at least one host")
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    names = [*map(_host, hosts), x509.UniformResourceIdentifier(str(identity))]
    if request is not None and not isinstance(requested_key(request), ec.EllipticCurvePublicKey):
        raise refused("PKI_REQUEST", "request", "a server key is EC: the TLS 1.3 floor rests on that")
    return _issue(profile, authority, profile.server, hosts[0], names=names, uses=uses, now=now, request=request)


def issue_client(
    profile: Profile,
    authority: Authority,
    *,
    identity: Identity,
    now: datetime,
    key: KeyKind | None = None,
    request: bytes | None = None,
) -> Issued:
    """A TLS client certificate with an identity.

    Args:
        profile: Lifetimes and keys.
        authority: Issuer.
        identity: What the holder is.
        now: Aware instant of issue.
        key: Another kind of key than the profile's.
        request: PKCS#10 in PEM, of which only the public key is taken; the holder keeps the private one.

    Raises:
        PkiRefused: Reason PKI_REQUEST: the request does not parse or is not signed by its own key.
    """
    names = [x509.UniformResourceIdentifier(str(identity))]
    lifetime = Lifetime(days=profile.client.days, key=key or profile.client.key)
    return _issue(profile, authority, lifetime, identity.name, names=names, uses=_TLS_CLIENT, now=now, request=request)


def issue_signing(
    profile: Profile,
    authority: Authority,
    *,
    identity: Identity,
    organisation: str,
    now: datetime,
    request: bytes | None = None,
) -> Issued:
    """A region's signing certificate: EC P-256, or SM2 by an SM2 authority; digital signatures only, not for TLS.

    Args:
        profile: Lifetimes and keys.
        authority: Issuer.
        identity: Identity of the node in whose name it signs.
        organisation: Name of the authority, for people.
        now: Aware instant of issue.
        request: PKCS#10 in PEM; the key must be EC P-256, or SM2 by an SM2 authority.

    Raises:
        PkiRefused: Reason PKI_REQUEST: the request does not parse, or is of another key.
    """
    names = [x509.UniformResourceIdentifier(str(identity))]
    issued = _issue(
        profile,
        authority,
        Lifetime(days=profile.signing.days, key=_kind_under(authority, profile.signing.key)),
        identity.name,
        names=names,
        uses=None,
        now=now,
        request=request,
        organisation=organisation,
    )
    key = public_key_of(issued.certificate)
    if not isinstance(key, SM2PublicKey) and not (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        raise refused("PKI_REQUEST", "request", "a signing key is EC P-256 or SM2")
    return issued


def issue_crl(
    profile: Profile, authority: Authority, revoked: Iterable[tuple[int, datetime]], *, number: int, now: datetime
) -> bytes:
    """A revocation list in PEM.

    Args:
        profile: Lifetimes.
        authority: Issuer of the revoked certificates.
        revoked: Serial number and aware instant of each.
        number: Of the list; higher than that of the one before.
        now: Aware instant of issue.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now)
        .next_update(now + timedelta(days=profile.crl_days))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_identifier(authority.key.public_key()), critical=False)
    )
    for serial, at in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(at).build()
        builder = builder.add_revoked_certificate(entry)
    key = authority.key
    crl = signed.sign_crl(builder, key) if isinstance(key, SM2PrivateKey) else builder.sign(key, _SHA256)
    return crl.public_bytes(serialization.Encoding.PEM)


def _issue(
    profile: Profile,
    authority: Authority,
    lifetime: Lifetime,
    common_name: str,
    *,
    names: Sequence[x509.GeneralName],
    uses: x509.ExtendedKeyUsage | None,
    now: datetime,
    request: bytes | None = None,
    organisation: str = "",
) -> Issued:
    private: CaKey | None = None
    if request is None:
        private = lifetime.key.generate()
        public: PublicKey = private.public_key()
    else:
        public = requested_key(request)
    builder = _issued_by(profile, authority, _name(common_name, organisation), public, days=lifetime.days, now=now)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if uses is not None:
        builder = builder.add_extension(uses, critical=False)
    leaf = _signed(builder, authority.key, public)
    intermediates = authority.chain[:-1]
    return Issued(
        key=_key_pem(private) if private is not None else b"",
        chain=to_pem(leaf) + b"".join(to_pem(certificate) for certificate in intermediates),
    )


def _kind_under(authority: Authority, kind: KeyKind) -> KeyKind:
    """One kind of key from root to leaf, where it is SM2: a path of GB/T 20518 is of SM2 throughout."""
    return KeyKind.SM2 if isinstance(authority.key, SM2PrivateKey) else kind


def _key_pem(key: CaKey) -> bytes:
    return key.to_pem() if isinstance(key, SM2PrivateKey) else encode_private(key)


def _signed(builder: x509.CertificateBuilder, key: CaKey, subject: PublicKey) -> Certificate:
    """The finished certificate.

    Raises:
        PkiRefused: Reason PKI_REQUEST: an SM2 authority certifies SM2 keys, and nobody else does.
    """
    if isinstance(key, SM2PrivateKey) and isinstance(subject, SM2PublicKey):
        return signed.sign_certificate(builder, key, subject)
    if isinstance(key, SM2PrivateKey) or isinstance(subject, SM2PublicKey):
        raise refused("PKI_REQUEST", "key", "an SM2 authority certifies SM2 keys, and nobody else does")
    return builder.sign(key, _SHA256)


def _key_identifier(key: PublicKey) -> bytes:
    """Names a key within certificates: SHA-1 of its bits (RFC 5280 §4.2.1.2). Nothing rests on it."""
    if isinstance(key, SM2PublicKey):
        return sha1(key.point, usedforsecurity=False).digest()
    return x509.SubjectKeyIdentifier.from_public_key(key).digest


def _authority_identifier(key: PublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier(_key_identifier(key), None, None)


_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*")


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if len(host) <= 253 and _HOST.fullmatch(host):
            return x509.DNSName(host)
        raise refused("PKI_REQUEST", "hosts", f"neither host name nor address: {host[:80]!r}") from None


MAX_COMMON_NAME = 64
"""Characters (RFC 5280 appendix A, ub-common-name)."""


def _name(common_name: str, organisation: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name[:MAX_COMMON_NAME])]
    if organisation:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:MAX_COMMON_NAME]))
    return x509.Name(attributes)


def _issued_by(
    profile: Profile, authority: Authority, subject: x509.Name, public: PublicKey, *, days: int, now: datetime
) -> x509.CertificateBuilder:
    issuer = authority.certificate
    # Never beyond the issuer: such a certificate would look valid and lead nowhere.
    begin = max(now - profile.backdate, issuer.not_valid_before_utc)
    end = min(now + timedelta(days=days), issuer.not_valid_after_utc)
    if end <= now:
        raise refused("PKI_AUTHORITY", "certificate", "the authority's certificate has expired")
    builder = _builder(subject, issuer.subject, public, begin=begin, end=end)
    return builder.add_extension(_authority_identifier(authority.key.public_key()), critical=False)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: PublicKey, *, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    if begin.tzinfo is None:
        raise ValueError("an aware instant is needed")
    placed: LibraryKey = signed.stand_in().public_key() if isinstance(public, SM2PublicKey) else public
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(placed)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier(_key_identifier(public)), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, path_length: int) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(_usage(authority=True), critical=True)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
