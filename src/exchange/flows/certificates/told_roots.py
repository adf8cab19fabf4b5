"""Under which authorities the peers take our TLS certificates, as each of them said last; and whom that leaves out.

A peer says so whenever trust changed there, and once a minute. It is a hint, not evidence: what a report proves by is
the peer's signed answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from exchange.crypto.tls_identity import TlsIdentity
from exchange.crypto.x509.certificates import fingerprint
from exchange.crypto.x509.chains import Purpose, find_paths
from exchange.flows.certificates.seen import AGENCIES, DIALLED, SERVED, SeenFlow
from exchange.flows.certificates.trust import TrustFlow
from exchange.flows.context import Node
from exchange.flows.instants import instant
from exchange.v1.rotation_pb2 import Waiting


class ToldRoots:
    """What the peers said. Lost with the process, and asked again at its start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, frozenset[str]] = {}

    def tell(self, peer: str, roots: Iterable[str]) -> None:
        """A peer named the roots; an older node names none, and says nothing by that."""
        found = frozenset(roots)
        if found:
            with self._lock:
                self._told[peer] = found

    def of(self, peer: str) -> frozenset[str] | None:
        """Fingerprints of our roots that a peer trusts; None when it has not said."""
        return self._told.get(peer)


class Strangers:
    """Who would not know a leaf.

    Args:
        node: The node.
        trust: Our own roots.
        seen: Who was seen.
        told: What the peers said.
    """

    def __init__(self, node: Node, trust: TrustFlow, seen: SeenFlow, told: ToldRoots) -> None:
        self._node = node
        self._trust = trust
        self._seen = seen
        self._told = told

    def peers(self, leaf: TlsIdentity, purpose: Purpose) -> list[Waiting]:
        """Peers that do not trust any root of a leaf, or of whom nothing is known."""
        roots = self._roots_of(leaf, purpose)
        counts = self._seen.counts(self._node.clock())
        found = []
        for peer in self._node.peers.names():
            told = self._told.of(peer)
            name = f"node/{peer}"
            # Whoever has not said it has shown it by taking a call of ours under that root.
            shown = (
                each.door == DIALLED and each.outcome == SERVED and each.caller.endswith(name) and roots & {*each.roots}
                for each in counts
            )
            if not (roots & told if told is not None else any(shown)):
                known = self._node.peers.get(peer)
                desk = known.duty_desk if known else ""
                found.append(Waiting(reason="ROOT_UNKNOWN_TO_PEER", who=peer, duty_desk=desk, detail=_digits(roots)))
        return found

    def callers(self, leaf: TlsIdentity, before: TlsIdentity, purpose: Purpose) -> list[Waiting]:
        """Callers of the last 30 days who may not know a leaf's root: none of theirs led to it, and it is a new one."""
        roots = self._roots_of(leaf, purpose)
        if roots & self._roots_of(before, purpose):
            return []
        last: dict[str, int] = {}
        known = set()
        for each in self._seen.counts(self._node.clock()):
            if each.door == AGENCIES and each.outcome == SERVED and each.caller:
                last[each.caller] = max(each.last_at, last.get(each.caller, 0))
                known |= {each.caller} if roots & {*each.roots} else set()
        return [
            Waiting(
                reason="ROOT_PERHAPS_UNKNOWN",
                who="/".join(caller.split("/")[-2:]),
                detail=instant(at).isoformat()[:19],
            )
            for caller, at in sorted(last.items())
            if caller not in known
        ]

    def _roots_of(self, leaf: TlsIdentity, purpose: Purpose) -> frozenset[str]:
        certificate, *others = leaf.certificates
        roots = self._trust.edition.own.tls
        paths = find_paths(certificate, [*others, *roots], roots, purpose).paths
        return frozenset(fingerprint(path.certificates[-1]) for path in paths)


def _digits(roots: Iterable[str]) -> str:
    return ", ".join(each[:16] for each in sorted(roots))
