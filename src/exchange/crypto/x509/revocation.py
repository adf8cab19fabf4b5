"""Certificate revocation lists (RFC 5280 §5): whole ones, signed by the authority itself.

A list proves itself: whoever brings it, only its signature and its age matter. Of one authority's lists the newest
counts; what an older one revoked stays revoked, so that a list without expired certificates takes nothing back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from exchange.crypto.sm2.key import SM2PublicKey
from exchange.crypto.sm2.signed import SM2_WITH_SM3, is_signed_by
from exchange.crypto.x509.certificates import (
    MAX_CERTIFICATES,
    Certificate,
    CertificateUnreadable,
    load_chain,
    public_key_of,
    spki_hash,
    to_pem,
)
from exchange.crypto.x509.chains import authority_paths
from exchange.domain.problems import ExchangeError

MAX_CRL_BYTES = 4 * 1024 * 1024
"""Bytes of a file of lists: about 100,000 revoked certificates."""

_BLOCK = re.compile(rb"-----BEGIN (X509 CRL|CERTIFICATE)-----\r?\n.*?-----END \1-----\r?\n?", re.DOTALL)
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")


class RevocationUnreadable(ExchangeError):
    """A revocation list does not parse, is partial, or is not signed by a trusted authority."""

    reason = "REVOCATION_UNREADABLE"


@dataclass(frozen=True, kw_only=True, slots=True)
class RevocationList:
    """One list whose signature was verified. Made by ``read_lists`` and nowhere else.

    Attributes:
        authority: Hex SHA-256 of the public key that signed it: names the authority.
        subject: The authority's name, for people.
        issuer: The same in DER, as certificates give it.
        number: CRL number; -1 where the list has none.
        this_update: When it was made.
        next_update: When it is due to be replaced; ``None`` where it does not say.
        entries: When a certificate was revoked, by serial number.
        pem: The list, with the certificates of the intermediate authorities above it.
    """

    authority: str
    subject: str
    issuer: bytes
    number: int
    this_update: datetime
    next_update: datetime | None
    entries: Mapping[int, datetime]
    pem: bytes

    @property
    def age(self) -> tuple[int, datetime]:
        """What makes a list newer than another one of the same authority."""
        return self.number, self.this_update

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the bytes."""
        return sha256(self.pem).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Revocations:
    """What the authorities of one set of roots have revoked.

    Attributes:
        entries: When a certificate was revoked, by issuer's name in DER and serial number.
        due: When the newest list of an authority is due to be replaced, by the authority's name in DER.
        lists: The newest list of each authority.
    """

    entries: Mapping[tuple[bytes, int], datetime] = field(default_factory=dict)
    due: Mapping[bytes, datetime] = field(default_factory=dict)
    lists: tuple[RevocationList, ...] = ()

    @classmethod
    def of(cls, lists: Iterable[RevocationList], before: Revocations | None = None) -> Revocations:
        """Of several lists, of one authority or of many.

        Args:
            lists: Verified lists, in any order.
            before: What was known before: it stays revoked.
        """
        entries = dict(before.entries) if before else {}
        newest = {each.authority: each for each in (before.lists if before else ())}
        for each in lists:
            known = newest.get(each.authority)
            if known is None or each.age > known.age:
                newest[each.authority] = each
            for serial, at in each.entries.items():
                entries[each.issuer, serial] = min(at, entries.get((each.issuer, serial), at))
        kept = tuple(newest[authority] for authority in sorted(newest))
        return cls(
            entries=entries,
            due={each.issuer: each.next_update for each in kept if each.next_update is not None},
            lists=kept,
        )

    @classmethod
    def load(cls, pem: bytes, roots: Sequence[Certificate]) -> Revocations:
        """Read lists in PEM: ``read_lists`` and ``of``.

        Raises:
            RevocationUnreadable: As ``read_lists``.
        """
        return cls.of(read_lists(pem, roots))

    @property
    def next_update(self) -> datetime | None:
        """When the first of the lists is due to be replaced; ``None`` without lists."""
        return min(self.due.values(), default=None)

    def revoked_at(self, certificates: Iterable[Certificate]) -> datetime | None:
        """When the first of some certificates (a leaf, or its whole path) was revoked; ``None`` when none is."""
        if not self.entries:
            return None
        found = (self.entries.get((c.issuer.public_bytes(), c.serial_number)) for c in certificates)
        return min((at for at in found if at is not None), default=None)

    def due_for(self, certificates: Iterable[Certificate]) -> datetime | None:
        """When the first list that speaks of some certificates is due to be replaced; ``None`` when none does."""
        if not self.due:
            return None
        found = (self.due.get(c.issuer.public_bytes()) for c in certificates)
        return min((at for at in found if at is not None), default=None)


def read_lists(pem: bytes, roots: Sequence[Certificate]) -> tuple[RevocationList, ...]:
    """Read lists in PEM.

    Certificates of intermediate authorities may stand in the same file; they must lead to a root.

    Raises:
        RevocationUnreadable: A block that is neither list nor certificate; a list that does not parse, has an
            extension that is not understood (partial lists), or whose signature no trusted authority's key
            verifies.
    """
    blocks = _blocks(pem)
    try:
        extra = [c for label, block in blocks if label == b"CERTIFICATE" for c in load_chain(block)]
    except CertificateUnreadable as error:
        raise RevocationUnreadable(str(error)) from None
    authorities: dict[Certificate, tuple[Certificate, ...]] = dict.fromkeys(roots, ())
    for each in extra:
        paths = authority_paths(each, extra, roots)
        if paths:
            authorities.setdefault(each, paths[0].certificates[:-1])
    return tuple(_read(block, authorities) for label, block in blocks if label == b"X509 CRL")


def check_form(pem: bytes) -> None:
    """Look whether a file holds revocation lists at all, whoever signed them.

    Raises:
        RevocationUnreadable: It holds none, or something else, or one that does not parse.
    """
    lists = [block for label, block in _blocks(pem) if label == b"X509 CRL"]
    if not lists:
        raise RevocationUnreadable("a file without a revocation list")
    try:
        for each in lists:
            x509.load_pem_x509_crl(each)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise RevocationUnreadable("not a readable revocation list") from None


def _blocks(pem: bytes) -> list[tuple[bytes, bytes]]:
    """Label and bytes of each block of a file."""
    if len(pem) > MAX_CRL_BYTES:
        raise RevocationUnreadable(f"a file of revocation lists has at most {MAX_CRL_BYTES} bytes")
    blocks = [(m.group(1), m.group(0)) for m in _BLOCK.finditer(pem)]
    if len(blocks) != len(_BEGIN.findall(pem)) or len(blocks) > 2 * MAX_CERTIFICATES:
        raise RevocationUnreadable("a file of revocation lists holds lists and certificates, nothing else")
    return blocks


def _read(block: bytes, authorities: Mapping[Certificate, tuple[Certificate, ...]]) -> RevocationList:
    try:
        crl = x509.load_pem_x509_crl(block)
        authority = _issuer_of(crl, authorities)
        if any(extension.critical for extension in crl.extensions):
            raise RevocationUnreadable("a revocation list with a critical extension, as partial ones have")
        return RevocationList(
            authority=spki_hash(authority),
            subject=authority.subject.rfc4514_string(),
            issuer=crl.issuer.public_bytes(),
            number=_number(crl),
            this_update=crl.last_update_utc,
            next_update=crl.next_update_utc,
            entries={entry.serial_number: entry.revocation_date_utc for entry in crl},
            pem=crl.public_bytes(Encoding.PEM) + b"".join(to_pem(each) for each in authorities[authority]),
        )
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion):
        raise RevocationUnreadable("not a readable revocation list") from None


def _number(crl: x509.CertificateRevocationList) -> int:
    try:
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        return -1


def _issuer_of(crl: x509.CertificateRevocationList, authorities: Iterable[Certificate]) -> Certificate:
    by_sm2 = crl.signature_algorithm_oid == SM2_WITH_SM3  # which the library knows no digest of
    algorithm = None if by_sm2 else crl.signature_hash_algorithm
    if algorithm is not None and not isinstance(algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise RevocationUnreadable("a revocation list with a weak signature")
    for authority in authorities:
        if authority.subject != crl.issuer:
            continue
        try:
            key = public_key_of(authority)
            if is_signed_by(crl, key) if isinstance(key, SM2PublicKey) else crl.is_signature_valid(key):
                return authority
        except (InvalidSignature, TypeError, UnsupportedAlgorithm):
            continue
    raise RevocationUnreadable("a revocation list that no trusted authority signed")
