"""TLS leaves, live: a new key file is checked, journaled, then shown; a bad one is refused and the old one stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from exchange.crypto.tls_identity import TlsIdentity, check_successor
from exchange.crypto.x509.chains import Purpose
from exchange.domain.problems import ExchangeError, Problem
from exchange.flows.certificates.trust import AlarmBell, TrustFlow, certificate_event
from exchange.flows.context import Node
from exchange.flows.intake.refusals import append
from exchange.storage.engine.writer import WorkClass
from exchange.v1.journal_pb2 import CertificateEvent

SERVER, CLIENT = "tls-server", "tls-client"
"""Uses of a TLS key: what both doors show, and what peers are dialled by."""

_PURPOSE = {SERVER: Purpose.SERVER, CLIENT: Purpose.CLIENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Both TLS keys as their files hold them.

    Attributes:
        client: The same object as ``server`` when the node has one key for both.
    """

    server: TlsIdentity
    client: TlsIdentity


class TlsFlow:
    """The TLS keys of a running node.

    Args:
        node: The node.
        first: What it started with.
        read: Reads the key files.
        trust: Our own roots.
        alarms: Where alarms go.
    """

    def __init__(
        self, node: Node, first: TlsFiles, read: Callable[[], TlsFiles], trust: TrustFlow, alarms: AlarmBell
    ) -> None:
        self._node = node
        self._read = read
        self._trust = trust
        self._alarms = alarms
        self._lock = threading.Lock()
        self._now = first
        self._refused: dict[str, str] = {}
        self._shown: list[Callable[[TlsIdentity], None]] = []
        self._dialled: list[Callable[[TlsIdentity], None]] = []

    @property
    def now(self) -> TlsFiles:
        """What is in use."""
        return self._now

    def listen(self, *, shown: Callable[[TlsIdentity], None], dialled: Callable[[TlsIdentity], None]) -> None:
        """Call ``shown`` with each new server key and ``dialled`` with each new client key; neither may block."""
        self._shown.append(shown)
        self._dialled.append(dialled)

    def reload(self, actor: str, now: datetime) -> dict[str, tuple[Problem, ...]]:
        """Take what changed in the key files: checked, then journaled, then used.

        Returns:
            For each use whose file was refused, why; the old key stays in use there.
        """
        with self._lock:
            try:
                found = self._read()
            except (OSError, ExchangeError) as error:
                problem = Problem("KEY_UNREADABLE", SERVER, str(error)[:200])
                self._refuse(SERVER, (problem,), actor, now)
                return {SERVER: (problem,)}
            before, refused = self._now, {}
            wanted = {SERVER: (before.server, found.server), CLIENT: (before.client, found.client)}
            good = {}
            for use, (old, new) in wanted.items():
                problems = self.check(use, new, now) if new != old else ()
                if problems:
                    refused[use] = problems
                    self._refuse(use, problems, actor, now)
                else:
                    self._refused.pop(use, None)
                    self._alarms.clear("TLS_REFUSED", use)
                good[use] = old if problems else new
            self._take(TlsFiles(server=good[SERVER], client=good[CLIENT]), actor, now)
            return refused

    def check(self, use: str, new: TlsIdentity, now: datetime) -> tuple[Problem, ...]:
        """Why a key can not take the place of the one in use; empty when it can."""
        old = self._now.server if use == SERVER else self._now.client
        return check_successor(new, old, self._trust.edition.own.tls, _PURPOSE[use], now)

    def _take(self, now: TlsFiles, actor: str, at: datetime) -> None:
        before = self._now
        events = []
        if now.server != before.server:
            events.append(_replaced(self._node.name, SERVER, before.server, now.server, actor))
        if now.client != before.client:
            events.append(_replaced(self._node.name, CLIENT, before.client, now.client, actor))
        if not events:
            return
        lines = tuple(certificate_event(event, at) for event in events)
        self._node.writer.call(append, lines, WorkClass.URGENT)
        self._now = now
        if now.server != before.server:
            for tell in tuple(self._shown):
                tell(now.server)
        if now.client != before.client:
            for tell in tuple(self._dialled):
                tell(now.client)

    def _refuse(self, use: str, problems: tuple[Problem, ...], actor: str, now: datetime) -> None:
        detail = "; ".join(f"{each.reason} {each.detail}".strip() for each in problems)
        self._alarms.raise_("TLS_REFUSED", use, detail)
        if self._refused.get(use) == detail:
            return
        self._refused[use] = detail
        kept = self._now.server if use == SERVER else self._now.client
        event = CertificateEvent(
            owner=self._node.name,
            use=use,
            event="REFUSED",
            fingerprint=kept.fingerprint,
            detail=", ".join(each.reason for each in problems),
            actor=actor,
        )
        self._node.writer.call(append, (certificate_event(event, now),), WorkClass.URGENT)


def _replaced(owner: str, use: str, old: TlsIdentity, new: TlsIdentity, actor: str) -> CertificateEvent:
    return CertificateEvent(
        owner=owner, use=use, event="REPLACED", fingerprint=new.fingerprint, replaced=old.fingerprint, actor=actor
    )
