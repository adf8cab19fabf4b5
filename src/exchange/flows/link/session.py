"""The driver of hello: asks and answers, keeps the notes that were lacking, and acts on what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from exchange.domain.problems import ExchangeError
from exchange.flows.context import Node, Peer
from exchange.flows.instants import micros
from exchange.flows.link import hello
from exchange.flows.link.clocks import Clocks
from exchange.flows.link.links import Link, Links
from exchange.flows.link.peer_port import PeerAwayError, PeerPort, PeerRefusedError
from exchange.flows.status import NodeStatus
from exchange.storage.engine.writer import WorkClass
from exchange.v1.relay_service_pb2 import HelloRequest, HelloResponse

Recover = Callable[[Peer, PeerPort, hello.Findings], Awaitable[None]]
"""Fetches back what a peer holds of our logs."""


class NotYouError(ExchangeError):
    """The hello is for another node, or of another federation, or names another caller than its certificate."""

    reason = "HELLO_NOT_FOR_US"


class HelloFlow:
    """Hello in both directions.

    Args:
        node: The node.
        links: What this process knows of its links.
        status: State of the node.
        ports: Port of each peer.
        recover: Heals the node after a restore.
        on_forks: Called with (peer, findings) when our own log forked.
        on_both_restored: Called with the peer's name when neither side can vouch.
        on_sound: Called when a node that was restored finds with all peers that nothing is missing.
        clocks: Compares the peers' clocks with ours.
    """

    def __init__(
        self,
        node: Node,
        links: Links,
        status: NodeStatus,
        ports: Mapping[str, PeerPort],
        *,
        recover: Recover,
        on_forks: Callable[[str, hello.Findings], None],
        on_both_restored: Callable[[str], None],
        on_sound: Callable[[], None],
        clocks: Clocks,
    ) -> None:
        self._node = node
        self._links = links
        self._status = status
        self._ports = ports
        self._recover = recover
        self._on_forks = on_forks
        self._on_both_restored = on_both_restored
        self._on_sound = on_sound
        self._clocks = clocks
        self._locks: dict[str, asyncio.Lock] = {}
        # Told once: the operators may have confirmed before the last hello of that time is over.
        self._both_restored: set[str] = set()

    async def ensure(self, name: str) -> Link:
        """A link with a session; says hello when there is none.

        Raises:
            PeerAwayError: The peer can not be reached, or this node is fetching.
            PeerRefusedError: The peer refused the hello.
        """
        link = self._links.of(name)
        if link.given is not None and self._status.may_sign(name):
            return link
        async with self._locks.setdefault(name, asyncio.Lock()):
            if link.given is not None and self._status.may_sign(name):
                return link
            peer = self._peer(name)
            findings, response = await self._greet(peer)
            if findings.lost:
                await self._recover(peer, self._ports[name], findings)
                findings, response = await self._greet(peer)
                if findings.lost:
                    raise PeerRefusedError("NOT_HEALED", name)
            if self._status.greeted(name):
                await asyncio.to_thread(self._on_sound)
            link.offered.clear()
            link.given = response.session
            return link

    async def _greet(self, peer: Peer) -> tuple[hello.Findings, HelloResponse]:
        now = self._node.clock()

        def ask() -> HelloRequest:
            with self._node.database.read() as connection:
                return hello.request(self._node, connection, peer, now, restored=self._status.restored)

        response = await self._ports[peer.name].hello(await asyncio.to_thread(ask))
        came = self._node.clock()
        self._links.of(peer.name).version = response.version
        findings = await asyncio.to_thread(self._examined, peer, response)
        self._noticed(peer.name, response.at, now, came)
        await asyncio.to_thread(self._look_at_both, peer.name, findings, response.restored)
        return findings, response

    def _examined(self, peer: Peer, shown: HelloResponse | HelloRequest) -> hello.Findings:
        lacking = shown.lacking if isinstance(shown, HelloResponse) else ()
        with self._node.database.read() as connection:
            findings = hello.examine(self._node, connection, peer, shown.positions, lacking, self._links)
        if findings.notes:
            self._node.writer.call(hello.keep_notes, findings.notes, WorkClass.REGISTRY, rows=len(findings.notes))
        if findings.seen:
            self._node.writer.call(hello.keep_seen, findings.seen, WorkClass.REGISTRY)
        if findings.forks:
            self._on_forks(peer.name, findings)
        return findings

    def _noticed(self, name: str, at: Timestamp, asked: datetime, came: datetime) -> None:
        self._links.of(name).last_hello = micros(came)
        self._clocks.compare(name, at, asked, came)

    def _look_at_both(self, name: str, findings: hello.Findings, peer_restored: bool) -> None:  # noqa: FBT001 - a fact
        """When both sides were restored, no one can vouch for what was cosigned between: the lanes stop.

        What each still holds of the other is fetched all the same; what goes on goes on in new epochs.
        """
        if peer_restored and (self._status.restored or findings.lost) and name not in self._both_restored:
            self._both_restored.add(name)
            self._on_both_restored(name)

    def answer(self, peer: Peer, request: HelloRequest) -> HelloResponse:
        """Answer a peer's hello. What it shows of our own logs is looked at, and healed by our own next hello.

        Raises:
            NotYouError: It is not for this node, or not by the caller.
        """
        if (request.federation, request.node, request.to) != (self._node.federation, peer.name, self._node.name):
            raise NotYouError
        now = self._node.clock()
        findings = self._examined(peer, request)
        link = self._links.of(peer.name)
        if findings.lost:
            # Our own session is void: the next delivery says hello, finds the same, and heals.
            link.given = None
            self._status.fetching(peer.name)
        self._noticed(peer.name, request.at, now, now)
        self._look_at_both(peer.name, findings, request.restored)
        with self._node.database.read() as connection:
            return hello.answer(
                self._node,
                connection,
                peer,
                request,
                self._links.issue(peer.name),
                now,
                restored=self._status.restored,
            )

    def _peer(self, name: str) -> Peer:
        peer = self._node.peers.get(name)
        if peer is None or name not in self._ports:
            raise PeerAwayError(f"{name} is not known")
        return peer
