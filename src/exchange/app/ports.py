"""The way to each peer. Connections are kept on the credentials of now: made anew beside the old one, then taken."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import asyncio
from collections.abc import Mapping

import structlog

from exchange.app.core import AlarmBell
from exchange.crypto.tls_identity import TlsIdentity
from exchange.crypto.x509.certificates import Certificate, fingerprint, load_chain
from exchange.crypto.x509.chains import Purpose, find_paths
from exchange.flows.certificates.seen import DIALLED, SeenFlow, Tally
from exchange.flows.certificates.trust import TrustEdition
from exchange.flows.context import Node
from exchange.flows.link.peer_port import PeerPort
from exchange.flows.reach.folder import Courier, FolderPeer
from exchange.flows.reach.pulled import PulledPeer
from exchange.flows.reach.pulling import PullPort
from exchange.rpc.peer import Credentials, GrpcPeer
from exchange.settings import NodeSettings

log = structlog.get_logger("exchange.ports")

AGAIN_SECONDS = 10.0
"""Seconds between two tries of a new connection that the peer does not take: its officer may have to act."""

OLD_CONNECTION = "CONNECTION_NOT_RENEWED"
"""Alarm: a peer is still dialled by the old certificate, or under its old roots."""


class PeerPorts:
    """A port for each peer of the node file.

    Args:
        settings: Where peers are dialled.
        client: By what they are dialled.
        trust: The roots of each.
        alarms: Where alarms go.
        seen: Counts our calls by the certificate that they went by.
        node: The node.
    """

    def __init__(
        self,
        settings: NodeSettings,
        client: TlsIdentity,
        trust: TrustEdition,
        alarms: AlarmBell,
        seen: SeenFlow,
        node: Node,
    ) -> None:
        self._settings = settings
        self._client = client
        self._trust = trust
        self._alarms = alarms
        self._seen = seen
        self._tallies: dict[tuple[str, bytes, str], Tally] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._renewing: dict[str, asyncio.Task[None]] = {}
        self._woken: dict[str, asyncio.Event] = {}
        self._ports = {
            link.name: GrpcPeer(
                str(link.dial),
                self._wanted(link.name),
                timeout=settings.delivery.call_timeout_s,
                on_call=lambda by, outcome, peer=link.name: self._count(peer, by, outcome),  # type: ignore[misc]
            )
            for link in settings.peers
            if link.dial is not None
        }
        self._pulled = {
            link.name: PulledPeer(node.clock, answered=settings.delivery.call_timeout_s)
            for link in settings.peers
            if link.reaches_by == "pulled"
        }
        courier = settings.courier
        self._folders = {
            link.name: FolderPeer(
                node,
                link.name,
                link.folder,
                Courier(
                    look=courier.look_s,
                    again=courier.again_s,
                    overdue=courier.overdue_h * 3600.0,
                    settle=courier.settle_s,
                ),
                raise_=alarms.raise_,
                clear=alarms.clear,
            )
            for link in settings.peers
            if link.transport == "folder" and link.folder is not None
        }

    @property
    def by_peer(self) -> Mapping[str, PeerPort]:
        """The port of each peer."""
        return {**self._ports, **self._pulled, **self._folders}

    @property
    def dialled(self) -> Mapping[str, GrpcPeer]:
        """Those that are dialled."""
        return self._ports

    @property
    def pulling(self) -> Mapping[str, PullPort]:
        """Those that are dialled and can not dial us."""
        return {link.name: self._ports[link.name] for link in self._settings.peers if link.reaches_by == "pull"}

    def start(self) -> None:
        """Renewals run on this loop from now on, and those that were asked for before."""
        self._loop = asyncio.get_running_loop()
        self._renew_all(frozenset())

    def dial_by(self, client: TlsIdentity) -> None:
        """Dial every peer by another certificate from now on. From any thread."""
        self._client = client
        self._changed()

    def trust(self, before: TrustEdition, now: TrustEdition) -> None:
        """Dial under other roots. Where some were taken away the old connection is not kept: it may stand under one.

        From any thread.
        """
        self._trust = now
        self._tallies = {}
        dropped = {name for name in self._ports if _roots(before, name) - _roots(now, name)}
        self._changed(dropped)

    def outdated(self) -> tuple[str, ...]:
        """Peers that are still dialled by older credentials, sorted."""
        return tuple(sorted(name for name, port in self._ports.items() if port.credentials != self._wanted(name)))

    async def close(self) -> None:
        """Close everything; calls in flight get a moment."""
        for task in self._renewing.values():
            task.cancel()
        for port in self._ports.values():
            await port.close()

    def _count(self, peer: str, by: Credentials, outcome: str) -> None:
        key = (peer, by.chain, outcome)
        tally = self._tallies.get(key)
        if tally is None:
            leaf, *others = load_chain(by.chain)
            roots = self._trust.own.tls
            paths = find_paths(leaf, [*others, *roots], roots, Purpose.CLIENT).paths
            called = f"spiffe://{peer}.{self._settings.node.domain}/node/{peer}"
            tally = self._tallies[key] = self._seen.tally(
                DIALLED, called, fingerprint(leaf), outcome, [path.certificates[-1] for path in paths]
            )
        tally.calls += 1

    def _wanted(self, peer: str) -> Credentials:
        roots = self._trust.peers[peer].card.tls_roots
        return Credentials(roots=roots, key=self._client.key, chain=self._client.chain)

    def _changed(self, dropped: set[str] | frozenset[str] = frozenset()) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._renew_all, frozenset(dropped))

    def _renew_all(self, dropped: frozenset[str]) -> None:
        for peer, port in self._ports.items():
            if port.credentials == self._wanted(peer):
                continue
            running = self._renewing.get(peer)
            if running is not None and peer not in dropped:
                self._woken[peer].set()
                continue
            if running is not None:
                running.cancel()
            self._woken[peer] = asyncio.Event()
            task = asyncio.create_task(self._renew(peer, keep=peer not in dropped), name=f"renew {peer}")
            self._renewing[peer] = task
            task.add_done_callback(lambda done, peer=peer: self._done(peer, done))  # type: ignore[misc]

    def _done(self, peer: str, task: asyncio.Task[None]) -> None:
        if self._renewing.get(peer) is task:
            del self._renewing[peer]
        if not task.cancelled() and task.exception() is not None:
            log.error("peer.renew-failed", peer=peer, error=repr(task.exception())[:300])
            self._alarms.raise_(OLD_CONNECTION, peer, type(task.exception()).__name__)

    async def _renew(self, peer: str, *, keep: bool) -> None:
        port = self._ports[peer]
        while (wanted := self._wanted(peer)) != port.credentials:
            self._woken[peer].clear()
            problem = await port.renew(wanted, within=self._settings.connections.ready_s)
            if not problem:
                log.info("peer.connection-renewed", peer=peer)
                continue
            log.warning("peer.connection-kept" if keep else "peer.connection-dropped", peer=peer, problem=problem)
            self._alarms.raise_(OLD_CONNECTION, peer, problem)
            if not keep:
                # What stands may stand under a root that is trusted no more: nothing is sent there.
                port.force(wanted)
                return
            try:
                async with asyncio.timeout(AGAIN_SECONDS):
                    await self._woken[peer].wait()
            except TimeoutError:
                continue
        self._alarms.clear(OLD_CONNECTION, peer)


def _roots(edition: TrustEdition, peer: str) -> frozenset[str]:
    trust = edition.peers.get(peer)
    certificates: tuple[Certificate, ...] = load_chain(trust.card.tls_roots) if trust is not None else ()
    return frozenset(map(fingerprint, certificates))
