"""From a TLS client certificate to a caller. The TLS layer has verified the chain; here it is asked what it says."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from exchange.crypto.x509.certificates import (
    Certificate,
    CertificateUnreadable,
    fingerprint,
    identity_of,
    load_chain,
    spki_hash,
)
from exchange.crypto.x509.chains import Purpose, find_paths
from exchange.domain.problems import Problem
from exchange.flows.access import AccessDenied, AgencyBook, Caller
from exchange.flows.certificates.seen import AGENCIES, SeenFlow, Tally
from exchange.flows.trust.revocations import TLS, Standing

KEPT = 1_024
"""Verdicts kept: one for each certificate that calls; with the certificates about 5 MB."""


class Lists(Protocol):
    """The revocation lists of this node's own authorities."""

    @property
    def edition(self) -> int:
        """Counts lists that were taken."""
        ...

    def standing(self, owner: str, use: str, paths: Sequence[Sequence[Certificate]]) -> Standing:
        """What the lists say of a certificate, by every path that it has."""
        ...


@dataclass(slots=True)
class _Verdict:
    """What a certificate says, whom it is by one edition of the agencies, and its standing by one of the lists."""

    uri: str | None
    key_hash: str
    not_before: datetime
    not_after: datetime
    paths: tuple[tuple[Certificate, ...], ...]
    roots: tuple[Certificate, ...] = ()
    leaf: str = ""
    caller: Caller | None = None
    edition: int = 0
    standing: Standing = field(default_factory=Standing)
    lists: int = -1
    tally: Tally | None = None


class CallerGate:
    """Names the caller behind a certificate.

    Args:
        book: Agencies and bound keys.
        identity_roots: PEM of the authorities that are trusted for identities. A certificate of any other authority
            that TLS accepts stands for an agency only by an explicit binding of its key.
        clock: The node's clock.
        lists: Revocation lists of the node's own authorities; nothing is revoked without.
        owner: The node's name.
        seen: Counts calls by certificate.
    """

    def __init__(
        self,
        book: AgencyBook,
        identity_roots: bytes,
        clock: Callable[[], datetime],
        lists: Lists | None = None,
        owner: str = "",
        seen: SeenFlow | None = None,
    ) -> None:
        self._book = book
        self._roots = load_chain(identity_roots) if identity_roots.strip() else ()
        self._clock = clock
        self._lists = lists
        self._owner = owner
        self._seen = seen
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
            AccessDenied: NO_CERTIFICATE, CERTIFICATE_NOT_YET_VALID, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED,
                REVOCATION_STALE or IDENTITY_UNKNOWN.
        """
        leaf = next(iter(auth_context.get("x509_pem_cert", ())), b"")
        if not leaf:
            raise AccessDenied(Problem("NO_CERTIFICATE"))
        chain = next(iter(auth_context.get("x509_pem_cert_chain", ())), b"")
        verdict = self._verdict(leaf, chain)
        # A connection outlives its certificate.
        now = self._clock()
        if now < verdict.not_before:
            raise AccessDenied(Problem("CERTIFICATE_NOT_YET_VALID"))
        if now > verdict.not_after:
            raise AccessDenied(Problem("CERTIFICATE_EXPIRED"))
        if self._lists is not None:
            lists = self._lists.edition
            if verdict.lists != lists:
                verdict.standing = self._lists.standing(self._owner, TLS, verdict.paths)
                verdict.lists = lists
            reason = verdict.standing.reason_at(now)
            if reason:
                raise AccessDenied(Problem(reason))
        edition = self._book.edition
        if verdict.caller is None or verdict.edition != edition:
            verdict.caller, verdict.edition = self._book.identify(verdict.uri, verdict.key_hash), edition
            verdict.tally = None
        if self._seen is not None:
            if verdict.tally is None:
                name = self._book.identity_of(verdict.caller)
                valid = (verdict.not_before, verdict.not_after)
                verdict.tally = self._seen.tally(AGENCIES, name, verdict.leaf, roots=verdict.roots, valid=valid)
            verdict.tally.calls += 1
        return verdict.caller

    def refused(self, auth_context: Mapping[str, Iterable[bytes]], reason: str) -> None:
        """Count a call that was refused for its certificate."""
        if self._seen is not None:
            leaf = next(iter(auth_context.get("x509_pem_cert", ())), b"")
            self._seen.tally(AGENCIES, "", fingerprint_of(leaf), reason).calls += 1

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
        # A certificate that leads to no root of ours is bound by its key: then only its own issuer's list speaks of it.
        return _Verdict(
            uri=identity_of(leaf) if paths else None,
            key_hash=spki_hash(leaf),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            paths=tuple(path.certificates for path in paths) or ((leaf, *others),),
            roots=tuple(path.certificates[-1] for path in paths),
            leaf=fingerprint(leaf),
        )


@lru_cache(maxsize=256)
def fingerprint_of(pem: bytes) -> str:
    """Hex SHA-256 of a certificate in PEM; empty where there is none that parses."""
    try:
        return fingerprint(load_chain(pem)[0]) if pem else ""
    except CertificateUnreadable:
        return ""
