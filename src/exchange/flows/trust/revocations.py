"""Revocation lists of every authority that this node trusts: taken when newer, journaled before use, asked by calls.

A list proves itself by its authority's signature, so it may come from a folder or from a peer; only its age matters.
Taking one: verify, journal (the bytes, and a line for each certificate that is revoked by it), then swap what callers
and envelopes are judged by. A crash between the two leaves a list that the next start takes up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

import structlog

from exchange.crypto.x509.certificates import Certificate
from exchange.crypto.x509.revocation import RevocationList, Revocations, RevocationUnreadable, read_lists
from exchange.flows.context import Node
from exchange.flows.instants import instant, micros
from exchange.storage.engine.writer import WorkClass
from exchange.storage.node import revocations
from exchange.storage.node.revocations import ListRow, TakenLists
from exchange.v1.journal_pb2 import Activated, CertificateEvent, Edition, JournalEntry

log = structlog.get_logger("exchange.revocations")

REVOCATIONS_CHANGED = "revocations-changed"
"""Topic: a list was taken; what was concluded before has to be concluded again."""

EDITION = "CRL"
"""Name of the edition that the lists of signing authorities are for decisions."""

TLS, SIGNING = "tls", "signing"
USES = (TLS, SIGNING)

MAX_EVENTS = 256
"""Certificates that one list revokes anew and that are journaled one by one; the list itself has them all."""


class StalePolicy(StrEnum):
    """What a list that is past its next update means for calls."""

    FAIL_CLOSED = "fail-closed"
    GRACE = "grace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How old lists may be.

    Attributes:
        grace: How long behind its next update a list still counts, under ``GRACE``.
    """

    policy: StalePolicy = StalePolicy.GRACE
    grace: timedelta = timedelta(days=7)

    @property
    def tolerance(self) -> timedelta:
        """How long behind its next update a list is still relied on."""
        return self.grace if self.policy is StalePolicy.GRACE else timedelta()


class Bell(Protocol):
    """Where alarms are raised and cleared."""

    def raise_(self, code: str, about: str, detail: str) -> None:
        """Open an alarm, or see it again."""
        ...

    def clear(self, code: str, about: str) -> None:
        """The condition is gone."""
        ...


Roots = Callable[[str, str], Sequence[Certificate]]
"""Gives the roots that a node's authorities lead to, by node name and use; none for a node that is not trusted."""


def no_roots(_owner: str, _use: str) -> Sequence[Certificate]:
    """Trusts nobody: every list is refused."""
    return ()


class RevocationBook:
    """The newest lists, by whose authorities and for what use.

    Args:
        node: The node.
        roots: Whose signatures on lists count.
        bell: Where stale and refused lists are told.
        freshness: How old lists may be.
        between_steps: Gives what is held while the lists change; no step of apply runs meanwhile.
    """

    def __init__(
        self,
        node: Node,
        bell: Bell,
        roots: Roots = no_roots,
        freshness: Freshness | None = None,
        *,
        between_steps: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._node = node
        self._between_steps = between_steps
        self._roots = roots
        self._bell = bell
        self._freshness = freshness or Freshness()
        self._lock = threading.Lock()
        self._held: Mapping[tuple[str, str], Revocations] = {}
        self._edition = 0
        self._load()

    @property
    def edition(self) -> int:
        """Counts lists that were taken: what was concluded under an older one has to be concluded again."""
        return self._edition

    def of(self, owner: str, use: str) -> Revocations:
        """What one node's authorities have revoked."""
        return self._held.get((owner, use), Revocations())

    def _load(self) -> None:
        """Take up what was taken before; a list of an authority that is no longer trusted is left out."""
        with self._node.database.read() as connection:
            rows = revocations.everything(connection)
        held: dict[tuple[str, str], Revocations] = {}
        for row in rows:
            try:
                lists = read_lists(row.pem, self._roots(row.owner, row.use))
            except RevocationUnreadable:
                continue
            known = Revocations.of(lists, held.get((row.owner, row.use)))
            earlier = {(each.issuer, serial): instant(at) for each in lists for serial, at in row.earlier.items()}
            held[row.owner, row.use] = Revocations(
                entries={**earlier, **known.entries}, due=known.due, lists=known.lists
            )
        self._swap(held)

    def offer(self, owner: str, use: str, pem: bytes, source: str, now: datetime) -> list[RevocationList]:
        """Take the lists of a file or message that are newer than what is held.

        Args:
            owner: Whose authorities made them.
            use: ``tls`` or ``signing``.
            pem: The lists.
            source: Where they came from, for the journal: a file, a peer.
            now: Time of the operation.

        Returns:
            Those that were taken; empty when none was newer.

        Raises:
            RevocationUnreadable: A block that is no list, or a list that no trusted authority signed; nothing is taken.
        """
        lists = read_lists(pem, self._roots(owner, use))
        with self._lock:
            before = self.of(owner, use)
            known = {each.authority: each for each in before.lists}
            newest: dict[str, RevocationList] = {}
            for each in sorted(lists, key=lambda found: found.age):
                standing = known.get(each.authority)
                if standing is None or each.age > standing.age:
                    newest[each.authority] = each
            fresh = list(newest.values())
            if not fresh:
                return []
            after = Revocations.of(fresh, before)
            rows = [_row(owner, use, each, after) for each in fresh]
            events = [event for each in fresh for event in _events(owner, use, each, before, source, now)]
            taken = TakenLists(rows=rows, events=events)
            with self._between_steps():
                self._node.writer.call(revocations.take, taken, WorkClass.URGENT, rows=len(events) + len(rows))
                self._swap({**self._held, (owner, use): after})
        for each in fresh:
            log.info(
                "crl.taken", owner=owner, use=use, authority=each.subject, number=each.number, revoked=len(each.entries)
            )
        self.look(now)
        self._node.events.notify(REVOCATIONS_CHANGED)
        return fresh

    def _swap(self, held: Mapping[tuple[str, str], Revocations]) -> None:
        self._held = held
        self._edition += 1
        for (owner, use), known in held.items():
            if use == SIGNING and owner != self._node.name:
                self._node.peers.learn_revocations(owner, known)
        digests = sorted(
            f"{owner} {each.authority} {each.digest}"
            for (owner, use), known in held.items()
            if use == SIGNING
            for each in known.lists
        )
        if digests:
            self._node.editions[EDITION] = sha256("\n".join(digests).encode()).hexdigest()

    def trust_changed(self) -> None:
        """Peers or roots were replaced: judge the lists that are held under the new roots, and tell the new peers."""
        with self._lock, self._between_steps():
            self._load()
        self._node.events.notify(REVOCATIONS_CHANGED)

    # -- what calls ask --------------------------------------------------------------------------------------

    def standing(self, owner: str, use: str, paths: Sequence[Sequence[Certificate]]) -> Standing:
        """What is known of a certificate, by every path that it has; leaf first.

        A certificate is turned away when its leaf is revoked, or something in each of its paths.
        """
        known = self.of(owner, use)
        sound = [path for path in paths if known.revoked_at(path) is None]
        if not sound:
            return Standing(revoked=bool(paths))
        dues = [due for path in sound if (due := known.due_for(path)) is not None]
        # One path with a fresh list, or with none at all, is enough.
        until = max(dues) + self._freshness.tolerance if len(dues) == len(sound) else None
        return Standing(stale_after=until)

    # -- freshness -------------------------------------------------------------------------------------------

    def look(self, now: datetime) -> None:
        """Raise or clear the alarm of each list that is past its next update."""
        for (owner, use), known in self._held.items():
            late = [each for each in known.lists if each.next_update is not None and each.next_update < now]
            about = f"{owner}/{use}"
            if late:
                first = min(each.next_update for each in late if each.next_update is not None)
                self._bell.raise_("CRL_STALE", about, f"{late[0].subject}: {first.isoformat()}")
            else:
                self._bell.clear("CRL_STALE", about)

    def refused(self, about: str, why: str) -> None:
        """A list was refused; the last good one stays in use."""
        self._bell.raise_("CRL_REFUSED", about, why)

    def accepted(self, about: str) -> None:
        """Lists from there are good again."""
        self._bell.clear("CRL_REFUSED", about)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the lists say of a certificate.

    Attributes:
        stale_after: From when on the lists are too old to say so; ``None`` when no list speaks of it.
    """

    revoked: bool = False
    stale_after: datetime | None = None

    def reason_at(self, now: datetime) -> str:
        """Why the certificate is turned away, as a reason code; empty when it is not."""
        if self.revoked:
            return "CERTIFICATE_REVOKED"
        return "REVOCATION_STALE" if self.stale_after is not None and now > self.stale_after else ""


def _row(owner: str, use: str, found: RevocationList, after: Revocations) -> ListRow:
    earlier = {
        serial: micros(at)
        for (issuer, serial), at in after.entries.items()
        if issuer == found.issuer and found.entries.get(serial) != at
    }
    return ListRow(owner=owner, use=use, authority=found.authority, pem=found.pem, earlier=earlier)


def _events(
    owner: str, use: str, found: RevocationList, before: Revocations, source: str, now: datetime
) -> Iterable[JournalEntry]:
    """The list's bytes as an edition, and a line for each certificate that it revokes anew."""
    activated = Activated(edition=Edition(what=EDITION, digest=found.digest), content=found.pem, actor=source)
    events = [JournalEntry(activated=activated)]
    fresh = [(serial, at) for serial, at in found.entries.items() if (found.issuer, serial) not in before.entries]
    for serial, at in sorted(fresh, key=lambda each: each[1])[:MAX_EVENTS]:
        event = CertificateEvent(owner=owner, use=use, event="REVOKED", issuer=found.subject, serial=f"{serial:X}")
        event.revoked_at.FromDatetime(at)
        events.append(JournalEntry(certificate_event=event))
    for event_ in events:
        event_.at.FromDatetime(now)
    return events
