"""What every flow needs of its node: identity, keys, tables, storage. Put together by ``app`` and never changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from exchange.crypto.dsse import Signer
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.envelope_verifier import SigningChain, SigningTrust
from exchange.crypto.sealing import SHA_256
from exchange.crypto.x509.certificates import Certificate
from exchange.crypto.x509.revocation import Revocations
from exchange.domain.adapter import Adapter
from exchange.domain.catalogues.tables import Tables
from exchange.domain.recognising.rule_book import RuleShelf
from exchange.flows.events import EventHub
from exchange.storage.engine.database import Database
from exchange.storage.engine.writer import Writer
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, KeyLine, VerifierKey
from exchange.v1.common_pb2 import Authority
from exchange.v1.key_announcement_pb2 import KeyUse

LOCAL_TIME = timezone(timedelta(hours=8))
"""UTC+8: the legal time of native documents and of dates in decisions."""


_NO_KEYS = KeyLine("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What this node believes about another one: all of it from the peer's card.

    Attributes:
        areas: Area prefixes that it is competent for.
        mirror: Keys that cosign our outbound logs.
        witness: Keys that cosign our journal and local log.
        second_mirror: ML-DSA-44 keys of its mirror: a signature in their name must verify, and may be absent.
        second_witness: The same of its witness.
        logs: Keys of each of its logs, by origin.
        signing: Verifies its region's envelopes.
        tls_roots: Authorities of its TLS certificates.
        edition: Counts changes of trust within this process: verdicts are kept by it.
    """

    name: str
    areas: tuple[str, ...]
    mirror: KeyLine
    witness: KeyLine
    logs: Mapping[str, KeyLine]
    signing: SigningTrust
    duty_desk: str = ""
    second_mirror: KeyLine = _NO_KEYS
    second_witness: KeyLine = _NO_KEYS
    tls_roots: tuple[Certificate, ...] = ()
    edition: int = 0

    def log_keys(self, origin: str) -> tuple[VerifierKey, ...]:
        """Keys by which one of its logs speaks now."""
        line = self.logs.get(origin)
        return line.active if line else ()

    def log_keys_ever(self, origin: str) -> tuple[VerifierKey, ...]:
        """Keys by which one of its logs ever spoke."""
        line = self.logs.get(origin)
        return line.ever if line else ()


@dataclass(slots=True, kw_only=True)
class NodeKeys:
    """The node's own keys as they are used now. A rotation puts others in their place, each by one assignment.

    Attributes:
        signers: Sign every statement, each the same bytes; the first one names the region's key.
        log_signer: Gives the signer of one log by its origin.
        next_log_keys: Gives the keys of a log, by its origin, that were announced and do not sign yet.
        submission_key: Makes tags that only this node can recompute.
    """

    signers: tuple[Signer, ...]
    log_signer: Callable[[str], NoteSigner]
    mirror: Cosigner
    witness: Cosigner
    submission_key: bytes
    next_log_keys: Callable[[str], Sequence[VerifierKey]] = lambda _origin: ()


class PeerBook:
    """The peers as the trust folder names them, with what they announced; a new set is taken whole."""

    def __init__(self, peers: Mapping[str, Peer]) -> None:
        self._lock = threading.Lock()
        # In order: a chain announced again replaces its earlier announcement.
        self._chains: dict[str, dict[SigningChain, None]] = {}
        self._lines: dict[str, dict[tuple[KeyUse.ValueType, str, bool], KeyLine]] = {}
        self._revocations: dict[str, Revocations] = {}
        self._peers = dict(peers)
        self._cards = dict(peers)

    def get(self, name: str) -> Peer | None:
        """The peer of that name."""
        return self._peers.get(name)

    def card(self, name: str) -> Peer | None:
        """The peer as its card alone has it, without what was learned since."""
        return self._cards.get(name)

    def names(self) -> tuple[str, ...]:
        """Names of all peers, sorted."""
        return tuple(sorted(self._peers))

    def replace(self, peers: Mapping[str, Peer]) -> None:
        """Take a new set. What peers announced is kept; whether it is believed follows from the new set's roots."""
        with self._lock:
            taken: dict[str, Peer] = {}
            for name, card in peers.items():
                before = self._peers.get(name)
                peer = replace(
                    card,
                    signing=self._knowing(name, card.signing),
                    edition=before.edition + 1 if before is not None else card.edition,
                )
                for (use, _, second), line in self._lines.get(name, {}).items():
                    held = line_of(peer, use, line.name, second=second)
                    peer = _with_line(peer, use, _joined(held, line), second=second)
                taken[name] = peer
            self._peers = taken
            self._cards = dict(peers)

    def _knowing(self, name: str, signing: SigningTrust) -> SigningTrust:
        """The trust of a card with what the peer announced, and what its authorities revoked."""
        knowing = signing.with_chains(self._chains.get(name, ()))
        revoked = self._revocations.get(name)
        return knowing.with_revocations(revoked) if revoked is not None else knowing

    def learn_chains(self, name: str, chains: Iterable[SigningChain]) -> None:
        """A peer's announcement: whether a chain is trusted follows from the signing roots of its card."""
        with self._lock:
            peer, known = self._peers.get(name), self._chains.get(name, {})
            fresh = [chain for chain in chains if chain not in known]
            if peer is not None and fresh:
                self._chains[name] = known | dict.fromkeys(fresh)
                signing = peer.signing.with_chains(fresh)
                self._peers = self._peers | {name: replace(peer, signing=signing, edition=peer.edition + 1)}

    def learn_revocations(self, name: str, revocations: Revocations) -> None:
        """What the peer's signing authorities have revoked, as far as known; chains learned later count."""
        with self._lock:
            self._revocations[name] = revocations
            peer = self._peers.get(name)
            if peer is not None:
                signing = peer.signing.with_revocations(revocations)
                self._peers = self._peers | {name: replace(peer, signing=signing, edition=peer.edition + 1)}

    def learn_log_key(self, name: str, key: VerifierKey) -> None:
        """The key of a new epoch of one of the peer's logs."""
        self.learn_line(name, KeyUse.KEY_USE_LOG, KeyLine.of(key))

    def learn_line(self, name: str, use: KeyUse.ValueType, line: KeyLine) -> None:
        """Keys of one name and kind as they follow from card, announcements and officers' decisions."""
        second = is_second(line)
        with self._lock:
            peer = self._peers.get(name)
            if peer is None:
                return
            self._lines.setdefault(name, {})[use, line.name, second] = line
            if line != line_of(peer, use, line.name, second=second):
                changed = replace(_with_line(peer, use, line, second=second), edition=peer.edition + 1)
                self._peers = self._peers | {name: changed}


def is_second(line: KeyLine) -> bool:
    """Whether a line is of ML-DSA-44 keys, beside the Ed25519 keys of the same name."""
    return any(key.alg == COSIGNATURE_ML_DSA_44 for key in line.ever)


def line_of(peer: Peer, use: KeyUse.ValueType, name: str, *, second: bool = False) -> KeyLine:
    """The keys of one use and name that a peer speaks by; of a name that is not the peer's, none."""
    if use == KeyUse.KEY_USE_LOG:
        return peer.logs.get(name, KeyLine(name))
    mirror, witness = (peer.second_mirror, peer.second_witness) if second else (peer.mirror, peer.witness)
    line = mirror if use == KeyUse.KEY_USE_MIRROR else witness
    return line if line.name == name else KeyLine(name)


def _with_line(peer: Peer, use: KeyUse.ValueType, line: KeyLine, *, second: bool) -> Peer:
    if use == KeyUse.KEY_USE_MIRROR:
        return replace(peer, second_mirror=line) if second else replace(peer, mirror=line)
    if use == KeyUse.KEY_USE_WITNESS:
        return replace(peer, second_witness=line) if second else replace(peer, witness=line)
    return replace(peer, logs={**peer.logs, line.name: line})


def _joined(card: KeyLine, learned: KeyLine) -> KeyLine:
    """A new card's line with what was learned before it: a key that was relied on does not vanish with a new card."""
    line = card
    for key in reversed(learned.active):
        line = line.with_active(key)
    for key, end in learned.ended:
        ended = line.with_ended(key, end)
        line = ended if ended.active else line
    return line


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One running node.

    Attributes:
        commitments: Algorithms by which statements commit to their bodies, SHA-256 first.
    """

    name: str
    federation: str
    authority: Authority
    areas: tuple[str, ...]
    catalogue_no: str
    tables: Tables
    rules: RuleShelf
    require_approvals: bool
    keys: NodeKeys
    peers: PeerBook
    database: Database
    writer: Writer
    events: EventHub
    adapters: Mapping[str, Adapter]
    clock: Callable[[], datetime]
    commitments: tuple[str, ...] = (SHA_256,)
    editions: dict[str, str] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def area_code(self) -> str:
        """Area of records that the node states itself: the first of its areas, as a code of six digits."""
        return self.areas[0].ljust(6, "0") if self.areas else ""

    def origin_to(self, peer: str, lane: str, epoch: int) -> str:
        """Origin of an outbound log."""
        return f"{self.name}.{self.federation}/to/{peer}/{lane}/{epoch}"
