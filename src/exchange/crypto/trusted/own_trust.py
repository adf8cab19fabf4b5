"""This node's own part of the trust folder: the authorities of its agencies, officers, servers and signing keys.

tls-roots.pem        roots of our TLS certificates
signing-roots.pem    roots of our signing certificates

Revocation lists that lie beside them (tls-crl.pem, signing-crl.pem) prove themselves and are taken one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from exchange.crypto.trusted.trust import SIGNING_ROOTS, TLS_ROOTS, TrustRefused
from exchange.crypto.x509.certificates import Certificate, CertificateUnreadable, fingerprint, load_chain, to_pem
from exchange.domain.problems import Problem

TLS_ROOTS_FILE: Final = TLS_ROOTS

OWN_FILES: Final = (TLS_ROOTS, SIGNING_ROOTS)
"""Files that are read; whatever else lies there is the administrator's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnTrust:
    """Whom the node trusts at home; checked as a whole.

    Attributes:
        files: The bytes by file name, as they were loaded.
        tls: Roots of our TLS certificates.
        signing: Roots of our signing certificates.
        digest: Hex SHA-256 over names and bytes: names the whole.
    """

    files: Mapping[str, bytes]
    tls: tuple[Certificate, ...]
    signing: tuple[Certificate, ...]
    digest: str = ""

    @classmethod
    def load(cls, files: Mapping[str, bytes]) -> OwnTrust:
        """Check the files.

        Raises:
            TrustRefused: Every mistake, with its file.
        """
        problems: list[Problem] = []

        def roots(name: str) -> tuple[Certificate, ...]:
            if name not in files:
                problems.append(Problem("TRUST_REFUSED", name, "missing"))
                return ()
            try:
                return load_chain(files[name])
            except CertificateUnreadable as error:
                problems.append(Problem("TRUST_REFUSED", name, str(error)))
                return ()

        tls, signing = roots(TLS_ROOTS), roots(SIGNING_ROOTS)
        if problems:
            raise TrustRefused(problems)
        known = {name: files[name] for name in OWN_FILES if name in files}
        return cls(
            files=known,
            tls=tls,
            signing=signing,
            digest=sha256(_joined(known)).hexdigest(),
        )

    @property
    def tls_roots(self) -> bytes:
        """Roots of our TLS certificates, in PEM."""
        return self.files[TLS_ROOTS]

    @property
    def signing_roots(self) -> bytes:
        """Roots of our signing certificates, in PEM."""
        return self.files[SIGNING_ROOTS]

    def to_bytes(self) -> bytes:
        """All files in one piece, for the journal, as ``TrustSet.to_bytes`` writes those of a peer."""
        return _joined(self.files)


def _joined(files: Mapping[str, bytes]) -> bytes:
    return b"".join(b"%b %d\n%b" % (name.encode(), len(files[name]), files[name]) for name in sorted(files))


def without_root(files: Mapping[str, bytes], root: str) -> dict[str, bytes]:
    """Our own files without one TLS root.

    Args:
        files: By name.
        root: Hex SHA-256 of the root's certificate.

    Raises:
        TrustRefused: It is the only one.
    """
    kept = [each for each in load_chain(files[TLS_ROOTS]) if fingerprint(each) != root]
    if not kept:
        raise TrustRefused([Problem("TRUST_REFUSED", TLS_ROOTS, "the only root")])
    return {**files, TLS_ROOTS: b"".join(map(to_pem, kept))}
