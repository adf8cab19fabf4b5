"""From a TLS client certificate to a caller. The TLS layer has verified the chain; here it is asked what it says."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from exchange.crypto.certificates import Certificate, fingerprint, identity_of, load_chain, spki_hash
from exchange.crypto.chains import Purpose, find_paths
from exchange.domain.problems import Problem
from exchange.flows.access import AccessDenied, AgencyBook, Caller

KEPT = 1_024
"""Verdicts kept: one for each certificate that calls; with the certificates about 5 MB."""


@dataclass(slots=True)
class _Verdict:
    """What a certificate says, and whom it stands for in one edition of the book of agencies."""

    uri: str | None
    key_hash: str
    not_before: datetime
    not_after: datetime
    caller: Caller | None = None
    edition: int = 0


class CallerGate:
    """Names the caller behind a certificate.

    Args:
        book: Agencies and bound keys.
        identity_roots: PEM of the authorities that are trusted for identities. A certificate of any other authority
            that TLS accepts stands for an agency only by an explicit binding of its key.
        clock: The node's clock.
        revoked: Says whether a certificate is revoked, leaf first; nothing is by default.
    """

    def __init__(
        self,
        book: AgencyBook,
        identity_roots: bytes,
        clock: Callable[[], datetime],
        revoked: Callable[[tuple[Certificate, ...]], bool] = lambda _path: False,
    ) -> None:
        self._book = book
        self._roots = load_chain(identity_roots) if identity_roots.strip() else ()
        self._clock = clock
        self._revoked = revoked
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[bytes, bytes], _Verdict] = OrderedDict()

    def trust(self, identity_roots: bytes) -> None:
        """Judge every caller by these roots from the next call on, also on connections that stand."""
        roots = load_chain(identity_roots) if identity_roots.strip() else ()
        with self._lock:
            self._roots = roots
            self._kept = OrderedDict()

    def caller_of(self, auth_context: Mapping[str, Iterable[bytes]]) -> Caller:
        """The caller of a connection.

        Raises:
            AccessDenied: NO_CERTIFICATE, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED or IDENTITY_UNKNOWN.
        """
        leaf = next(iter(auth_context.get("x509_pem_cert", ())), b"")
        if not leaf:
            raise AccessDenied(Problem("NO_CERTIFICATE"))
        chain = next(iter(auth_context.get("x509_pem_cert_chain", ())), b"")
        verdict = self._verdict(leaf, chain)
        # A connection outlives its certificate.
        if not verdict.not_before <= self._clock() <= verdict.not_after:
            raise AccessDenied(Problem("CERTIFICATE_EXPIRED"))
        edition = self._book.edition
        if verdict.caller is None or verdict.edition != edition:
            verdict.caller, verdict.edition = self._book.identify(verdict.uri, verdict.key_hash), edition
        return verdict.caller

    def _verdict(self, leaf: bytes, chain: bytes) -> _Verdict:
        key = (leaf, chain)
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
                return known
            roots = self._roots
        verdict = self._judge(leaf, chain, roots)
        with self._lock:
            if roots is not self._roots:
                return verdict  # judged by roots that were replaced meanwhile: not kept
            self._kept[key] = verdict
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return verdict

    def _judge(self, leaf_pem: bytes, chain_pem: bytes, roots: tuple[Certificate, ...]) -> _Verdict:
        leaf = load_chain(leaf_pem)[0]
        others = [each for each in load_chain(chain_pem) if fingerprint(each) != fingerprint(leaf)] if chain_pem else []
        paths = find_paths(leaf, [*others, *roots], roots, Purpose.CLIENT).paths if roots else ()
        if any(self._revoked(path.certificates) for path in paths) or self._revoked((leaf, *others)):
            raise AccessDenied(Problem("CERTIFICATE_REVOKED"))
        return _Verdict(
            uri=identity_of(leaf) if paths else None,
            key_hash=spki_hash(leaf),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
        )
