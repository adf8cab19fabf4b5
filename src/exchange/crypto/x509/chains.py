"""Certificate paths from a leaf to a trusted root (RFC 5280 §6), judged at a given time.

What is processed: signatures, names, validity, basicConstraints with path length, keyUsage, extendedKeyUsage of the
leaf. Any other extension marked critical, and name constraints however marked, make a certificate unusable: what is
not understood is not trusted. Revocation is judged apart (``revocation``), because it has a time of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from exchange.crypto.sm2.key import SM2PublicKey
from exchange.crypto.sm2.signed import is_signed_by
from exchange.crypto.x509.certificates import Certificate, CertificateUnreadable, fingerprint, public_key_of

MAX_DEPTH = 8
"""Certificates in a path, root included: governments use three or four."""

MAX_SIGNATURE_CHECKS = 64
"""Signatures checked for one leaf, so that certificates that name each other in a circle cost little."""

_E = TypeVar("_E", bound=x509.ExtensionType)
_TRUSTED_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_PROCESSED = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.CERTIFICATE_POLICIES,
}
_TLS_USES = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}


class Purpose(StrEnum):
    """What the leaf is used for."""

    SIGNING = "signing"
    CLIENT = "client"
    SERVER = "server"


class ChainProblem(StrEnum):
    """Why no path holds."""

    UNKNOWN_ISSUER = "no path to a trusted root"
    BAD_SIGNATURE = "signature of a certificate does not verify"
    WEAK = "weak or unknown algorithm"
    NOT_YET_VALID = "not valid yet at that time"
    EXPIRED = "expired at that time"
    NOT_A_CA = "issuer is no certificate authority"
    PATH_LENGTH = "more certificates below an authority than it allows"
    KEY_USAGE = "key usage forbids this use"
    EXTENSION = "critical extension that is not understood"
    IS_A_CA = "an authority's certificate is used as a leaf"


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificatePath:
    """A path whose signatures and constraints hold; when it is valid stands beside it.

    Attributes:
        certificates: Leaf first, root last.
        valid_from: First instant at which every certificate of it is valid.
        valid_until: Last such instant; before ``valid_from`` when there is none.
    """

    certificates: tuple[Certificate, ...]
    valid_from: datetime
    valid_until: datetime

    def holds_at(self, at: datetime) -> bool:
        """Whether every certificate is valid at an aware instant."""
        return self.valid_from <= at <= self.valid_until


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainVerdict:
    """Whether a leaf leads to a trusted root.

    Attributes:
        path: The path that holds; ``None`` when none does.
        problem: Why not; ``None`` when one holds.
        detail: Which certificate, for people.
    """

    path: CertificatePath | None
    problem: ChainProblem | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether a path holds."""
        return self.path is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class PathSearch:
    """All paths of a leaf, whatever the time.

    Attributes:
        paths: Those whose signatures and constraints hold.
        problem: The first thing that was wrong when there are none.
        detail: Which certificate.
    """

    paths: tuple[CertificatePath, ...]
    problem: ChainProblem = ChainProblem.UNKNOWN_ISSUER
    detail: str = ""

    def at(self, when: datetime) -> ChainVerdict:
        """Verdict at an aware instant."""
        if when.tzinfo is None:
            raise ValueError("an aware instant is needed")
        for path in self.paths:
            if path.holds_at(when):
                return ChainVerdict(path=path)
        if not self.paths:
            return ChainVerdict(path=None, problem=self.problem, detail=self.detail)
        certificates = self.paths[0].certificates
        early = next((c for c in certificates if when < c.not_valid_before_utc), None)
        if early is not None:
            return ChainVerdict(path=None, problem=ChainProblem.NOT_YET_VALID, detail=_name(early))
        late = next((c for c in certificates if when > c.not_valid_after_utc), certificates[0])
        return ChainVerdict(path=None, problem=ChainProblem.EXPIRED, detail=_name(late))


def verify_chain(
    leaf: Certificate,
    intermediates: Sequence[Certificate],
    roots: Sequence[Certificate],
    at: datetime,
    purpose: Purpose = Purpose.SIGNING,
) -> ChainVerdict:
    """Judge a leaf at an instant.

    Args:
        leaf: The certificate in question.
        intermediates: Candidates, in any order; not trusted.
        roots: Trust anchors. They too must be authorities, and valid at that time.
        at: Aware instant.
        purpose: What the leaf is used for.
    """
    return find_paths(leaf, intermediates, roots, purpose).at(at)


def find_paths(
    leaf: Certificate,
    intermediates: Sequence[Certificate],
    roots: Sequence[Certificate],
    purpose: Purpose = Purpose.SIGNING,
) -> PathSearch:
    """Search all paths of a leaf.

    1. The leaf may be used for the purpose and is no authority.
    2. Each issuer bears the name that the certificate gives, and its key verifies the signature.
    3. Each issuer is an authority, may sign certificates, and allows the certificates below it.
    4. No certificate has an extension that is not understood, or a weak algorithm.
    5. The last one is a trusted root, by its whole bytes.
    """
    # 1
    problem = _leaf_problem(leaf, purpose)
    if problem is not None:
        return PathSearch(paths=(), problem=problem, detail=_name(leaf))
    search = _Search(intermediates, roots)
    paths = tuple(search.paths_from((leaf,)))
    if paths or not search.problems:
        return PathSearch(paths=paths, detail=_name(leaf))
    problem, detail = search.problems[0]
    return PathSearch(paths=(), problem=problem, detail=detail)


def authority_paths(
    authority: Certificate, intermediates: Sequence[Certificate], roots: Sequence[Certificate]
) -> tuple[CertificatePath, ...]:
    """All paths of an intermediate authority, whatever the time; empty when it leads to no root."""
    if _authority_problem(authority, ()) is not None:
        return ()
    return tuple(_Search(intermediates, roots).paths_from((authority,)))


def authority_problem(root: Certificate) -> ChainProblem | None:
    """Why a certificate can not be trusted as a root: no authority, weak, or with what is not understood."""
    return _authority_problem(root, ()) or _signature_problem(root, root)


class _Search:
    def __init__(self, intermediates: Sequence[Certificate], roots: Sequence[Certificate]) -> None:
        self._roots = {fingerprint(root): root for root in roots}
        self._candidates = self._roots | {fingerprint(c): c for c in intermediates}
        self._left = MAX_SIGNATURE_CHECKS
        self.problems: list[tuple[ChainProblem, str]] = []

    def paths_from(self, below: tuple[Certificate, ...]) -> Iterator[CertificatePath]:
        last = below[-1]
        for digest, issuer in self._candidates.items():
            # 2
            if issuer.subject != last.issuer or issuer in below or self._left <= 0:
                continue
            self._left -= 1
            problem = _signature_problem(last, issuer) or _authority_problem(issuer, below)
            if problem is not None:
                self.problems.append((problem, _name(issuer)))
                continue
            path = (*below, issuer)
            # 5
            if digest in self._roots:
                yield CertificatePath(
                    certificates=path,
                    valid_from=max(c.not_valid_before_utc for c in path),
                    valid_until=min(c.not_valid_after_utc for c in path),
                )
            elif len(path) < MAX_DEPTH:
                yield from self.paths_from(path)


def _leaf_problem(leaf: Certificate, purpose: Purpose) -> ChainProblem | None:
    problem = _any_problem(leaf)
    if problem is not None:
        return problem
    basic = _extension(leaf, x509.BasicConstraints)
    if basic is not None and basic.ca:
        return ChainProblem.IS_A_CA
    usage = _extension(leaf, x509.KeyUsage)
    extended = _extension(leaf, x509.ExtendedKeyUsage)
    if usage is not None and not usage.digital_signature:
        return ChainProblem.KEY_USAGE
    if purpose is Purpose.SIGNING:
        # A certificate made for TLS never signs statements, even where one authority issues both.
        allowed = usage is not None and (extended is None or _TLS_USES.isdisjoint(extended))
    else:
        needed = ExtendedKeyUsageOID.CLIENT_AUTH if purpose is Purpose.CLIENT else ExtendedKeyUsageOID.SERVER_AUTH
        allowed = extended is None or needed in extended
    return None if allowed else ChainProblem.KEY_USAGE


def _authority_problem(issuer: Certificate, below: tuple[Certificate, ...]) -> ChainProblem | None:
    # 3
    problem = _any_problem(issuer)
    if problem is not None:
        return problem
    basic = _extension(issuer, x509.BasicConstraints)
    if basic is None or not basic.ca:
        return ChainProblem.NOT_A_CA
    usage = _extension(issuer, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        return ChainProblem.KEY_USAGE
    # Self-issued certificates do not count (RFC 5280 §6.1.4 l), nor does the last one, the leaf.
    counted = sum(c.subject != c.issuer for c in below[1:])
    if basic.path_length is not None and counted > basic.path_length:
        return ChainProblem.PATH_LENGTH
    return None


def _any_problem(certificate: Certificate) -> ChainProblem | None:
    # 4
    for extension in certificate.extensions:
        if extension.oid == ExtensionOID.NAME_CONSTRAINTS:
            return ChainProblem.EXTENSION
        if extension.critical and extension.oid not in _PROCESSED:
            return ChainProblem.EXTENSION
    try:
        public_key_of(certificate)
    except CertificateUnreadable:
        return ChainProblem.WEAK
    return None


def _signature_problem(certificate: Certificate, issuer: Certificate) -> ChainProblem | None:
    try:
        key = public_key_of(issuer)
        if isinstance(key, SM2PublicKey):
            return None if is_signed_by(certificate, key) else ChainProblem.BAD_SIGNATURE
        algorithm = certificate.signature_hash_algorithm
        if algorithm is not None and not isinstance(algorithm, _TRUSTED_HASHES):
            return ChainProblem.WEAK
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return ChainProblem.BAD_SIGNATURE
    except (ValueError, TypeError, UnsupportedAlgorithm, CertificateUnreadable):
        return ChainProblem.WEAK
    return None


def _extension(certificate: Certificate, kind: type[_E]) -> _E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: Certificate) -> str:
    return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"
