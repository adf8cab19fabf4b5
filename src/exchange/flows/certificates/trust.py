"""Trust, live: a changed set of the trust folder is taken whole or not at all, and journaled before it is used.

The numbered walk of a reload:
  1 read every set of the folder; one that is not there keeps the last good one
  2 check each as a whole; a bad one is refused, loudly, and the last good one stays in use
  3 between two steps of apply: journal the edition, then take it, so that every step names the trust that it read
  4 tell the doors and the connections to peers
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from exchange.crypto.trusted.own_trust import OwnTrust
from exchange.crypto.trusted.trust import TrustRefused, TrustSet
from exchange.crypto.x509.certificates import fingerprint, load_chain
from exchange.domain.problems import Problem
from exchange.flows import bootstrap
from exchange.flows.context import Node, Peer
from exchange.flows.instants import micros
from exchange.flows.intake.refusals import append
from exchange.flows.status import read_flag, set_flags
from exchange.storage.engine.writer import WorkClass
from exchange.v1.journal_pb2 import CertificateEvent, JournalEntry

OWN = "own"
"""Name of the node's own part of the trust folder."""

TRUST = "TRUST"
"""Name of the edition in the journal."""


SINCE = "trust:since"
"""Name of the node's own note since when it trusts each root and key: JSON, microseconds by fingerprint."""


class AlarmBell(Protocol):
    """Where alarms are raised and cleared; never blocks."""

    def raise_(self, code: str, about: str, detail: str) -> None:
        """Open an alarm, or see it again."""
        ...

    def clear(self, code: str, about: str) -> None:
        """The condition is gone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFolder:
    """The trust folder as it was read.

    Attributes:
        own: Files of our own part, by name.
        peers: Files of each peer's set; a peer of the node file without a readable set is missing.
        strangers: Peers that have a set and are not in the node file.
    """

    own: Mapping[str, bytes]
    peers: Mapping[str, Mapping[str, bytes]]
    strangers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustEdition:
    """Whom the node believes: our own part, and a set for each peer.

    Attributes:
        require: Algorithms of which each envelope of a peer must carry a signature, by the node file: it decides as
            much as whom they must be by.
    """

    own: OwnTrust
    peers: Mapping[str, TrustSet]
    require: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Everything in one piece, for the journal."""
        parts = {name: trust.to_bytes() for name, trust in self.peers.items()}
        required = {f"{name}/require": " ".join(names).encode() for name, names in self.require.items()}
        return bootstrap.pack({OWN: self.own.to_bytes(), **parts, **required})


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOutcome:
    """What became of one set in a reload.

    Attributes:
        name: The peer, or ``own``.
        result: ``TAKEN``, ``UNCHANGED``, ``REFUSED`` or ``NEXT_START``.
        digest: Of the set that is in use; empty for a peer that waits for the next start.
        problems: Why it was refused.
    """

    name: str
    result: str
    digest: str = ""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """A reload's result.

    Attributes:
        edition: Digest of the edition in use.
    """

    edition: str
    sets: tuple[SetOutcome, ...]

    @property
    def changed(self) -> bool:
        """Whether anything was taken."""
        return any(each.result == "TAKEN" for each in self.sets)


Taken = Callable[[TrustEdition, TrustEdition], None]
"""Called with the edition before and the one that is used from now on."""


class TrustFlow:
    """The trust of a running node.

    Args:
        node: The node.
        first: What it started with.
        read: Reads the trust folder.
        peer_of: What a set makes this node believe at an instant.
        between_steps: Gives what is held while the edition changes; no step of apply runs meanwhile.
        alarms: Where alarms go.
    """

    def __init__(
        self,
        node: Node,
        first: TrustEdition,
        read: Callable[[], TrustFolder],
        peer_of: Callable[[TrustSet, datetime], Peer],
        between_steps: Callable[[], AbstractContextManager[object]],
        alarms: AlarmBell,
    ) -> None:
        self._node = node
        self._read = read
        self._peer_of = peer_of
        self._between_steps = between_steps
        self._alarms = alarms
        self._lock = threading.Lock()
        self._edition = first
        # What is wrong with a refused set, by name: each new thing is journaled once.
        self._refused: dict[str, str] = {}
        self._listeners: list[Taken] = []

    @property
    def edition(self) -> TrustEdition:
        """What is in use."""
        return self._edition

    @property
    def digest(self) -> str:
        """Digest of the edition in use, as the journal names it."""
        return self._node.editions.get(TRUST, "")

    def listen(self, taken: Taken) -> None:
        """Call ``taken`` after each change, in the thread that made it; it must not block."""
        self._listeners.append(taken)

    def activate(self, actor: str, now: datetime) -> None:
        """Enter what the node started with into the journal, before anything is decided by it."""
        self._node.editions[TRUST] = bootstrap.activate(self._node, TRUST, self._edition.to_bytes(), actor, now)
        self._remember(now)

    def reload(self, actor: str, now: datetime) -> Reloaded:
        """Take what changed in the trust folder. On disk when this returns, and used by every decision from then on.

        Raises:
            OSError: Our own part can not be read; nothing was changed.
        """
        with self._lock:
            # 1
            folder = self._read()
            before = self._edition
            # 2
            own, new_own = self._own(folder, before)
            told, sets = [own], {}
            for name, standing in sorted(before.peers.items()):
                outcome, found = self._peer(folder, name, standing)
                told.append(outcome)
                if found is not None:
                    sets[name] = found
            told += [SetOutcome(name=name, result="NEXT_START") for name in folder.strangers]
            self._tell(told, now)
            if new_own is not None or sets:
                self._take(replace(before, own=new_own or before.own, peers={**before.peers, **sets}), actor, now)
            return Reloaded(edition=self.digest, sets=tuple(told))

    def _own(self, folder: TrustFolder, before: TrustEdition) -> tuple[SetOutcome, OwnTrust | None]:
        try:
            found = OwnTrust.load(folder.own)
        except TrustRefused as refused:
            return _kept(OWN, before.own.digest, refused.problems), None
        if found.digest == before.own.digest:
            return SetOutcome(name=OWN, result="UNCHANGED", digest=found.digest), None
        return SetOutcome(name=OWN, result="TAKEN", digest=found.digest), found

    def _peer(self, folder: TrustFolder, name: str, before: TrustSet) -> tuple[SetOutcome, TrustSet | None]:
        if name not in folder.peers:
            return _kept(name, before.digest, [Problem("TRUST_MISSING", name)]), None
        try:
            found = TrustSet.load(
                folder.peers[name], node=name, domain=self._node.federation, addressee=self._node.name
            )
            if found.digest == before.digest:
                return SetOutcome(name=name, result="UNCHANGED", digest=found.digest), None
            self._peer_of(found, self._node.clock())
        except TrustRefused as refused:
            return _kept(name, before.digest, refused.problems), None
        return SetOutcome(name=name, result="TAKEN", digest=found.digest), found

    def _tell(self, outcomes: Sequence[SetOutcome], now: datetime) -> None:
        """Alarms, and one line in the journal for each new thing that was refused."""
        for outcome in outcomes:
            if outcome.result != "REFUSED":
                self._alarms.clear("TRUST_REFUSED", outcome.name)
                self._refused.pop(outcome.name, None)
                continue
            detail = "; ".join(f"{each.place} {each.detail}".strip() for each in outcome.problems)
            self._alarms.raise_("TRUST_REFUSED", outcome.name, detail)
            if self._refused.get(outcome.name) != detail:
                self._refused[outcome.name] = detail
                owner = self._node.name if outcome.name == OWN else outcome.name
                event = CertificateEvent(owner=owner, use="trust", event="REFUSED", fingerprint=outcome.digest)
                self._node.writer.call(append, (certificate_event(event, now),), WorkClass.URGENT)

    def _take(self, edition: TrustEdition, actor: str, now: datetime) -> None:
        before = self._edition
        peers = {name: self._peer_of(trust, now) for name, trust in edition.peers.items()}
        # 3
        with self._between_steps():
            digest = bootstrap.activate(self._node, TRUST, edition.to_bytes(), actor, now)
            self._node.peers.replace(peers)
            self._node.editions[TRUST] = digest
            self._edition = edition
        self._remember(now)
        # 4
        for taken in tuple(self._listeners):
            taken(before, edition)

    def _remember(self, now: datetime) -> None:
        """Note since when each root and key is trusted."""
        with self._node.database.read() as connection:
            noted: dict[str, int] = json.loads(read_flag(connection, SINCE) or "{}")
        at = micros(now)
        wanted = {each: noted.get(each, at) for each in sorted(_fingerprints(self._edition))}
        if wanted != noted:
            self._node.writer.call(set_flags, (SINCE, json.dumps(wanted)), WorkClass.BACKGROUND)


def _fingerprints(edition: TrustEdition) -> set[str]:
    found = {fingerprint(each) for each in (*edition.own.tls, *edition.own.signing)}
    for trusted in edition.peers.values():
        for pem in (trusted.card.tls_roots, trusted.card.signing_roots):
            found |= {fingerprint(each) for each in load_chain(pem)}
        found |= {f"{each.key.name}+{each.key.key_id.hex()}" for each in trusted.card.keys}
    return found


def certificate_event(event: CertificateEvent, now: datetime) -> JournalEntry:
    """The journal's line about a certificate."""
    entry = JournalEntry(certificate_event=event)
    entry.at.FromDatetime(now)
    return entry


def _kept(name: str, digest: str, problems: Sequence[Problem]) -> SetOutcome:
    return SetOutcome(name=name, result="REFUSED", digest=digest, problems=tuple(problems))
