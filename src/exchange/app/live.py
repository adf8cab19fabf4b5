"""Files that are taken while the node runs: noticed by a cheap look, or when a security officer asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import structlog

from exchange.app import startup
from exchange.app.core import AlarmBell, Core
from exchange.crypto.key_lock import KeyLock
from exchange.crypto.x509.certificates import Certificate, load_chain
from exchange.crypto.x509.revocation import RevocationList
from exchange.domain.problems import ExchangeError
from exchange.flows.certificates.listed import TrustList, TrustWriter
from exchange.flows.certificates.reload import LiveFiles
from exchange.flows.certificates.seen import SeenFlow
from exchange.flows.certificates.tls import TlsFlow
from exchange.flows.certificates.trust import TrustFlow
from exchange.flows.context import Node
from exchange.flows.trust.revocations import TLS
from exchange.settings import NodeSettings
from exchange.settings.trust_folder import place_of, stamp, write_own, write_peer

log = structlog.get_logger("exchange.live")


def make_live(
    settings: NodeSettings,
    files: startup.Files,
    lock: KeyLock,
    node: Node,
    alarms: AlarmBell,
    seen: SeenFlow,
    between_steps: Callable[[], AbstractContextManager[object]],
    lists: Callable[[str, str], Sequence[RevocationList]],
) -> LiveFiles:
    """The flows of trust and TLS keys.

    Args:
        settings: Where the files lie.
        files: What the node starts with.
        lock: What opens the key files.
        node: The node.
        alarms: Where alarms go.
        seen: Who was seen.
        between_steps: Gives what is held while no step of apply runs.
        lists: Gives the newest revocation lists of an owner's authorities.
    """
    trust = TrustFlow(
        node, files.trust, lambda: startup.read_trust(settings), startup.peer_maker(settings), between_steps, alarms
    )
    tls = TlsFlow(node, files.tls, lambda: startup.read_tls(settings, lock), trust, alarms)
    folder = settings.trust.folder
    write = TrustWriter(
        own=lambda name, data: write_own(folder, name, data), peer=lambda peer, made: write_peer(folder, peer, made)
    )
    return LiveFiles(trust, tls, TrustList(node, trust, tls, seen, write, lists))


def roots_of(name: str, trust: TrustFlow) -> Callable[[str, str], Sequence[Certificate]]:
    """Gives the roots of a node's authorities by node name and use: whose revocation lists count now."""

    def roots(owner: str, use: str) -> Sequence[Certificate]:
        edition = trust.edition
        if owner == name:
            return edition.own.tls if use == TLS else edition.own.signing
        found = edition.peers.get(owner)
        if found is None:
            return ()
        return load_chain(found.card.tls_roots if use == TLS else found.card.signing_roots)

    return roots


class LiveLoop:
    """Looks at the trust folder and the key files, and takes what changed."""

    def __init__(self, settings: NodeSettings, core: Core, live: LiveFiles) -> None:
        self._settings = settings
        self._core = core
        self._live = live
        self._taken = self._look()
        self._seen = self._taken

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self._settings.trust.look_s)
            try:
                await asyncio.to_thread(self.look)
            except ExchangeError as error:
                log.warning("live.failed", reason=error.reason)

    def look(self) -> None:
        """Look once. Files that change from one look to the next are still being written: they wait."""
        before, now = self._seen, self._look()
        self._seen = now
        if now == self._taken or now != before:
            return
        self._taken = now
        actor = f"node {self._core.node.name}"
        _, outcomes = self._live.reload(actor, self._core.node.clock())
        for outcome in outcomes:
            if outcome.result in ("TAKEN", "REFUSED"):
                log.info("live.looked", set=outcome.name, result=outcome.result, digest=outcome.digest[:16])

    def _look(self) -> tuple[object, ...]:
        keys = self._settings.keys
        sources = [keys.tls, *([keys.tls_client] if keys.tls_client is not None else [])]
        return (
            *stamp(self._settings.trust.folder, [link.name for link in self._settings.peers]),
            *(place_of(source.path) for source in sources),
        )
