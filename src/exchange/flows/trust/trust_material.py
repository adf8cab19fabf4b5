"""Revocation lists over the relay: each node asks its peers for their newest ones, and offers its own when they change.

Both sides also say under which authorities they take the other's TLS certificates. A list needs no session and no
order: it is taken only when its authority's signature verifies and it is newer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

import structlog

from exchange.crypto.x509.certificates import fingerprint
from exchange.crypto.x509.revocation import RevocationUnreadable
from exchange.domain.problems import Problem, Refused
from exchange.flows.context import Node, Peer
from exchange.flows.link.peer_port import PeerAwayError, PeerPort, PeerRefusedError
from exchange.flows.trust.revocations import REVOCATIONS_CHANGED, USES, RevocationBook
from exchange.v1.relay_service_pb2 import GetTrustMaterialRequest, GetTrustMaterialResponse, RevocationListFile

log = structlog.get_logger("exchange.revocations")

ASK_SECONDS = 60.0
"""How often a peer is asked when nothing changed here: how late its revocation is seen if its own offer got lost."""

AGAIN_SECONDS = 5.0
"""How soon a peer that could not be asked is asked again."""

MAX_LISTS = 16
"""Lists of one message: two uses, and a few authorities of each."""

MAX_HELD = 64
"""Digests of one message."""

TRUST_CHANGED = "trust-changed"
"""Topic: another set of the trust folder is in use; the peers are told under which roots they are taken."""

MAX_BYTES = 3 << 20
"""Bytes of the lists of one message: they fit the relay's 4 MiB."""


class TrustMaterialFlow:
    """Answers ``GetTrustMaterial``, and asks.

    Args:
        node: The node.
        book: Its revocation lists.
        may_take: False while the journal must not grow: lists are offered again later.
        told: Called with a peer's name and the roots under which it takes our TLS certificates.
    """

    def __init__(
        self,
        node: Node,
        book: RevocationBook,
        may_take: Callable[[], bool],
        told: Callable[[str, Sequence[str]], None] = lambda _peer, _roots: None,
    ) -> None:
        self._told = told
        self._node = node
        self._book = book
        self._may_take = may_take

    def answer(self, peer: Peer, request: GetTrustMaterialRequest) -> GetTrustMaterialResponse:
        """Take what a peer offers of its own authorities, and tell what it lacks of ours.

        Raises:
            Refused: More than a message may hold.
        """
        for place, named in (("held", request.held), ("trusted", request.trusted)):
            if len(named) > MAX_HELD:
                raise Refused([Problem("TOO_MANY_ENTRIES", place, str(len(named)))])
        self._take(peer.name, request.offered)
        self._told(peer.name, request.trusted)
        return GetTrustMaterialResponse(
            lists=self._own(set(request.held)), held=self._held(peer.name), trusted=self._trusted(peer.name)
        )

    def _trusted(self, owner: str) -> list[str]:
        """The authorities under which a peer's TLS certificates are taken here."""
        card = self._node.peers.card(owner)
        return [fingerprint(root) for root in card.tls_roots][:MAX_HELD] if card is not None else []

    def _own(self, held: set[str]) -> list[RevocationListFile]:
        """Lists of our own authorities that the other side does not hold, as many as fit."""
        found: list[RevocationListFile] = []
        size = 0
        for use in USES:
            for each in self._book.of(self._node.name, use).lists:
                size += len(each.pem)
                if each.digest not in held and size <= MAX_BYTES and len(found) < MAX_LISTS:
                    found.append(RevocationListFile(use=use, pem=each.pem))
        return found

    def _held(self, owner: str) -> list[str]:
        return [each.digest for use in USES for each in self._book.of(owner, use).lists][:MAX_HELD]

    def _take(self, owner: str, lists: Iterable[RevocationListFile]) -> None:
        given = list(lists)
        if len(given) > MAX_LISTS or sum(len(each.pem) for each in given) > MAX_BYTES:
            raise Refused([Problem("TOO_MANY_ENTRIES", "offered", str(len(given)))])
        for each in given if self._may_take() else ():
            if each.use not in USES:
                continue
            about = f"{owner}/{each.use}"
            try:
                self._book.offer(owner, each.use, each.pem, f"peer {owner}", self._node.clock())
            except RevocationUnreadable as error:
                self._book.refused(about, str(error))
            else:
                self._book.accepted(about)

    async def run(self, peer: str, port: PeerPort) -> None:
        """Ask one peer until cancelled: now and then, and whenever a list was taken here."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop may be gone while the node stops
                loop.call_soon_threadsafe(woken.set)

        ends = [self._node.events.listen(topic, wake) for topic in (REVOCATIONS_CHANGED, TRUST_CHANGED)]
        held: set[str] = set()
        try:
            while True:
                woken.clear()
                pause = AGAIN_SECONDS
                with contextlib.suppress(PeerAwayError, PeerRefusedError):
                    held = await self.ask(peer, port, held)
                    pause = ASK_SECONDS
                # Not wait_for: woken and cancelled at once, it would forget that it was cancelled.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await woken.wait()
        finally:
            for end in ends:
                end()

    async def ask(self, peer: str, port: PeerPort, held: set[str]) -> set[str]:
        """Exchange lists once.

        Args:
            peer: Whom.
            port: The way there.
            held: Digests of our lists that the peer holds, as far as it has said.

        Returns:
            The same, as it says now.
        """
        request = GetTrustMaterialRequest(held=self._held(peer), offered=self._own(held), trusted=self._trusted(peer))
        response = await port.trust_material(request)
        self._told(peer, response.trusted[:MAX_HELD])
        try:
            await asyncio.to_thread(self._take, peer, response.lists)
        except Refused as error:
            log.warning("crl.refused", about=peer, error=str(error))
        return set(response.held)
