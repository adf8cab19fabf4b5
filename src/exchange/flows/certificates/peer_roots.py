"""Authorities that a peer announced, brought into its set of the trust folder, and out of it again.

    confirmed   our officer compared the fingerprint: the new root stands beside the old one
    ended       the peer announced the end of a root that a relied-on one takes over from: it goes, once the peer's
                system is seen under another one
    aborted     a confirmed root that the peer gave up goes

Each is done once for each root: what an officer changes by hand afterwards stays as it is. The set is written whole and
taken live. What a crash left undone is done at the next start.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from exchange.crypto.trusted.authority_proof import root_of
from exchange.crypto.trusted.trust import MANIFEST, TLS_ROOTS, TrustRefused, TrustSet, write_manifest
from exchange.crypto.x509.certificates import Certificate, fingerprint, to_pem
from exchange.flows.certificates.seen import PEERS, SeenFlow
from exchange.flows.certificates.trust import AlarmBell, TrustFlow
from exchange.flows.context import Node
from exchange.flows.status import read_flag, set_flags
from exchange.storage.engine.writer import WorkClass
from exchange.storage.registers import registers
from exchange.v1.key_announcement_pb2 import AnnouncedKey, KeyState, KeyUse

DONE: Final = "trust:announced-roots"
"""Name of the node's own note of what it did: JSON, ``ADDED`` or ``DROPPED`` by peer and fingerprint."""

ADDED, DROPPED = "ADDED", "DROPPED"

AGAIN_SECONDS: Final = 5.0
"""How soon it is looked again at what could not be done yet."""

_OPEN = (KeyState.KEY_STATE_NEXT, KeyState.KEY_STATE_ACTIVE)
_ENDED = (KeyState.KEY_STATE_RETIRED, KeyState.KEY_STATE_ABORTED, KeyState.KEY_STATE_REVOKED)

log = structlog.get_logger("exchange.peer-roots")


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a peer's set has to become.

    Attributes:
        marks: What is noted once it has.
        later: Something waits until the peer is seen under another root.
    """

    roots: tuple[Certificate, ...]
    marks: Mapping[str, str]
    later: bool


class PeerRoots:
    """Brings the peers' sets to what they announced and our officers confirmed.

    The thread runs between ``start`` and ``close``.

    Args:
        node: The node.
        trust: What is in use.
        write: Puts the whole set of a peer in place.
        seen: Who was seen.
        alarms: Where alarms go.
    """

    def __init__(
        self,
        node: Node,
        trust: TrustFlow,
        write: Callable[[str, Mapping[str, bytes]], None],
        seen: SeenFlow,
        alarms: AlarmBell,
    ) -> None:
        self._node = node
        self._trust = trust
        self._write = write
        self._seen = seen
        self._alarms = alarms
        self._lock = threading.Lock()
        self._due: set[str] = set()
        self._woken = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="peer roots", daemon=True)

    def start(self) -> None:
        """Look at every peer, and then at those that are named."""
        for peer in self._node.peers.names():
            self.wake(peer)
        self._thread.start()

    def close(self) -> None:
        """Stop; what is under way is finished."""
        with self._woken:
            self._closing = True
            self._woken.notify()
        if self._thread.is_alive():
            self._thread.join()

    def wake(self, peer: str) -> None:
        """What is known of a peer's keys changed. From any thread; never blocks."""
        with self._woken:
            self._due.add(peer)
            self._woken.notify()

    def _run(self) -> None:
        while True:
            with self._woken:
                self._woken.wait_for(lambda: self._due or self._closing)
                if self._closing:
                    return
                due, self._due = self._due, set()
            again = {peer for peer in sorted(due) if not self.follow(peer)}
            if again:
                with self._woken:
                    self._woken.wait_for(lambda: self._closing, AGAIN_SECONDS)
                    self._due |= again

    def follow(self, peer: str) -> bool:
        """Bring one peer's set to what was announced; live when this returns.

        Not to be called within a step of apply.

        Returns:
            False when something is left for later: the files could not be written, or the peer is needed under a root
            that it ended.
        """
        now = self._node.clock()
        actor = f"announcement of {peer}"
        with self._lock:
            try:
                # Whatever lies in the folder by now counts: it is not written over.
                self._trust.reload(actor, now)
                return self._follow(peer, actor, now)
            except (OSError, TrustRefused) as error:
                log.warning("peer-roots.unwritten", peer=peer, error=str(error)[:200])
                self._alarms.raise_("TRUST_REFUSED", peer, str(error)[:200])
                return False

    def _follow(self, peer: str, actor: str, now: datetime) -> bool:
        standing = self._trust.edition.peers.get(peer)
        card = self._node.peers.card(peer)
        if standing is None or card is None:
            return True
        with self._node.database.read() as connection:
            rows = registers.keys_announced_by(connection, peer)
            decisions = registers.key_decisions_on(connection, peer)
            noted: dict[str, dict[str, str]] = json.loads(read_flag(connection, DONE) or "{}")
        keys = [AnnouncedKey.FromString(row["announced"]) for row in rows.values()]
        roots = [key for key in keys if key.use == KeyUse.KEY_USE_TLS_CA]
        plan = self._planned(roots, card.tls_roots, decisions, noted.get(peer, {}), now)
        if plan.roots != card.tls_roots:
            self._put(peer, standing, plan.roots, actor, now)
        if plan.marks:
            noted[peer] = {**noted.get(peer, {}), **plan.marks}
            self._node.writer.call(set_flags, (DONE, json.dumps(noted, sort_keys=True)), WorkClass.URGENT)
        return not plan.later

    def _planned(
        self,
        announced: Sequence[AnnouncedKey],
        standing: Sequence[Certificate],
        decisions: Mapping[str, bool],
        done: Mapping[str, str],
        now: datetime,
    ) -> _Plan:
        held = {fingerprint(each): each for each in standing}
        marks: dict[str, str] = {}
        for key in announced:
            root = root_of(key)
            if root is not None and key.state in _OPEN and decisions.get(key.key_id) and key.key_id not in done:
                held.setdefault(key.key_id, root)
                marks[key.key_id] = ADDED
        later = False
        for key in announced:
            if key.state not in _ENDED or done.get(key.key_id) == DROPPED:
                continue
            if key.key_id in held and (decisions.get(key.key_id) or _is_succeeded(key, announced, held)):
                if len(held) == 1:
                    continue  # the only one: its end is for the officer, with a new card
                if self._seen.alone_on(PEERS, key.key_id, now):
                    later = True
                    continue
                del held[key.key_id]
            marks[key.key_id] = DROPPED
        return _Plan(roots=tuple(held.values()), marks=marks, later=later)

    def _put(self, peer: str, standing: TrustSet, roots: Iterable[Certificate], actor: str, now: datetime) -> None:
        files = {**standing.files, TLS_ROOTS: b"".join(map(to_pem, roots))}
        files[MANIFEST] = write_manifest(files)
        TrustSet.load(files, node=peer, domain=self._node.federation, addressee=self._node.name)
        self._write(peer, files)
        self._trust.reload(actor, now)
        log.info("peer-roots.written", peer=peer)


def _is_succeeded(key: AnnouncedKey, announced: Iterable[AnnouncedKey], held: Mapping[str, Certificate]) -> bool:
    """Whether a root that is relied on, and in use, took over from an ended one."""
    return any(
        each.replaces == key.key_id and each.state == KeyState.KEY_STATE_ACTIVE and each.key_id in held
        for each in announced
    )
