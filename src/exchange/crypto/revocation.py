"""Certificate revocation lists (RFC 5280 §5): whole ones, signed by the authority itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from exchange.crypto.certificates import (
    MAX_CERTIFICATES,
    Certificate,
    CertificateUnreadable,
    load_chain,
    public_key_of,
)
from exchange.crypto.chains import authority_paths
from exchange.domain.problems import ExchangeError

MAX_CRL_BYTES = 4 * 1024 * 1024
"""Bytes of a file of lists: about 100,000 revoked certificates."""

_BLOCK = re.compile(rb"-----BEGIN (X509 CRL|CERTIFICATE)-----\r?\n.*?-----END \1-----\r?\n?", re.DOTALL)
_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")


class RevocationUnreadable(ExchangeError):
    """A revocation list does not parse, is partial, or is not signed by a trusted authority."""

    reason = "REVOCATION_UNREADABLE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Revocations:
    """What the authorities of one set of roots have revoked.

    Attributes:
        next_update: When the first of the lists is due to be replaced; ``None`` without lists.
        entries: When a certificate was revoked, by issuer's name in DER and serial number.
    """

    next_update: datetime | None = None
    entries: Mapping[tuple[bytes, int], datetime] = field(default_factory=dict)

    @classmethod
    def load(cls, pem: bytes, roots: Sequence[Certificate]) -> Revocations:
        """Read lists in PEM.

        Certificates of intermediate authorities may stand in the same file; they must lead to a root.

        Raises:
            RevocationUnreadable: A block that is neither list nor certificate; a list that does not parse, has an
                extension that is not understood (partial lists), or whose signature no trusted authority's key
                verifies.
        """
        if len(pem) > MAX_CRL_BYTES:
            raise RevocationUnreadable(f"a file of revocation lists has at most {MAX_CRL_BYTES} bytes")
        blocks = [(m.group(1), m.group(0)) for m in _BLOCK.finditer(pem)]
        if len(blocks) != len(_BEGIN.findall(pem)) or len(blocks) > 2 * MAX_CERTIFICATES:
            raise RevocationUnreadable("a file of revocation lists holds lists and certificates, nothing else")
        try:
            extra = [c for label, block in blocks if label == b"CERTIFICATE" for c in load_chain(block)]
        except CertificateUnreadable as error:
            raise RevocationUnreadable(str(error)) from None
        authorities = [*roots, *(c for c in extra if authority_paths(c, extra, roots))]
        entries: dict[tuple[bytes, int], datetime] = {}
        due: list[datetime] = []
        for label, block in blocks:
            if label == b"X509 CRL":
                _read(block, authorities, entries, due)
        return cls(next_update=min(due, default=None), entries=entries)

    def revoked_at(self, certificates: Iterable[Certificate]) -> datetime | None:
        """When the first of some certificates (a leaf, or its whole path) was revoked; ``None`` when none is."""
        if not self.entries:
            return None
        found = (self.entries.get((c.issuer.public_bytes(), c.serial_number)) for c in certificates)
        return min((at for at in found if at is not None), default=None)


def _read(
    block: bytes, authorities: Sequence[Certificate], entries: dict[tuple[bytes, int], datetime], due: list[datetime]
) -> None:
    try:
        crl = x509.load_pem_x509_crl(block)
        _check_issuer(crl, authorities)
        if any(extension.critical for extension in crl.extensions):
            raise RevocationUnreadable("a revocation list with a critical extension, as partial ones have")
        revoked = {entry.serial_number: entry.revocation_date_utc for entry in crl}
        next_update = crl.next_update_utc
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension):
        raise RevocationUnreadable("not a readable revocation list") from None
    if next_update is not None:
        due.append(next_update)
    name = crl.issuer.public_bytes()
    for serial, at in revoked.items():
        entries[name, serial] = min(at, entries.get((name, serial), at))


def _check_issuer(crl: x509.CertificateRevocationList, authorities: Sequence[Certificate]) -> None:
    algorithm = crl.signature_hash_algorithm
    if algorithm is not None and not isinstance(algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise RevocationUnreadable("a revocation list with a weak signature")
    for authority in authorities:
        if authority.subject != crl.issuer:
            continue
        try:
            if crl.is_signature_valid(public_key_of(authority)):
                return
        except (InvalidSignature, TypeError):
            continue
    raise RevocationUnreadable("a revocation list that no trusted authority signed")
