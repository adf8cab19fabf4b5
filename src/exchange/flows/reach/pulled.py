"""The port to a peer that dials us and that we can not dial: calls wait here until it fetches and answers them.

The flows that call do not notice: they sign, send and check as towards a peer that is dialled. What is lost on the way
is fetched again; what has no answer within its time counts as a peer that is away, and is made anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from exchange.domain.problems import ExchangeError
from exchange.flows.context import Node, Peer
from exchange.flows.instants import micros
from exchange.flows.link.fetch import fetch_entries
from exchange.flows.link.peer_port import PeerAwayError, PeerPort
from exchange.flows.reach.calls import DELIVER, AskingPeer, Clock, Reach, request_of, result_of
from exchange.tlog.errors import LogFormatError
from exchange.tlog.origin import LogName
from exchange.v1.relay_service_pb2 import (
    FetchEntriesRequest,
    FetchEntriesResponse,
    FetchRequestsRequest,
    FetchRequestsResponse,
    PeerAnswer,
    PeerRequest,
    ReturnAnswerRequest,
    ReturnAnswerResponse,
    ReturnCosignatureRequest,
    ReturnCosignatureResponse,
)

FETCHED_SECONDS = 10.0
"""Within this a call must be fetched, or the peer counts as away: it comes back from a restart in less."""

ANSWERED_SECONDS = 30.0
"""Within this a fetched call must be answered: the deadline of a call that is dialled."""

MAX_WAIT_SECONDS = 60
"""Longest time for which one fetch is held open (protocol)."""

MAX_REQUESTS = 16
"""Requests of one fetch: a hello, a page of entries, two heads and a list are under way at most."""

PRESENT_SECONDS = 5.0
"""A peer that has not fetched for so long was away: its return wakes the lanes."""


@dataclass(slots=True, eq=False)
class _Slot:
    """One call.

    Attributes:
        lane: Lane of a delivery; empty for every other call.
    """

    request: PeerRequest
    lane: str
    fetched: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    answer: PeerAnswer | None = None


class PulledPeer(AskingPeer):
    """A peer that fetches. All of it runs on the event loop.

    Args:
        clock: The clock.
        fetched: Seconds within which a call must be fetched.
        answered: Seconds within which a fetched call must be answered.
    """

    def __init__(self, clock: Clock, *, fetched: float = FETCHED_SECONDS, answered: float = ANSWERED_SECONDS) -> None:
        self._clock = clock
        self._fetched = fetched
        self._answered = answered
        self._slots: dict[bytes, _Slot] = {}
        self._news = asyncio.Event()
        self._polls = 0
        self._last_poll = float("-inf")
        self._closed = False
        self._last_given = 0
        self._last_taken = 0
        self.on_return: Callable[[], None] = lambda: None

    # -- our side --------------------------------------------------------------------------------------------

    async def ask(self, verb: str, message: Message) -> Any:
        """Wait until the peer has fetched a call and answered it."""
        slot = _Slot(request_of(verb, message), _lane(message.origin) if verb == DELIVER else "")  # type: ignore[attr-defined]
        self._slots[slot.request.ticket] = slot
        self._wake()
        try:
            async with asyncio.timeout(self._fetched):
                await slot.fetched.wait()
            async with asyncio.timeout(self._answered):
                await slot.answered.wait()
        except TimeoutError:
            raise PeerAwayError("the peer did not " + ("answer" if slot.fetched.is_set() else "fetch it")) from None
        finally:
            del self._slots[slot.request.ticket]
        if slot.answer is None:
            raise PeerAwayError("this node stops")
        return result_of(verb, slot.answer)

    def reach(self) -> Reach:
        """How it goes."""
        return Reach(
            transport="pulled", last_given=self._last_given, last_taken=self._last_taken, waiting=len(self._slots)
        )

    # -- the peer's side -------------------------------------------------------------------------------------

    async def fetch_delivery(self, origin: str, wait_seconds: int) -> PeerRequest | None:
        """The delivery of a lane that has no answer yet; waits for one, and gives None when there is none.

        One that was fetched before is given again: its answer was lost, and what is done twice is done once.
        """
        lane = _lane(origin)
        found = await self._fetch(lambda slot: slot.lane == lane, wait_seconds)
        return found[0] if found else None

    async def fetch_requests(self, wait_seconds: int) -> list[PeerRequest]:
        """Every other call that has no answer yet."""
        return await self._fetch(lambda slot: not slot.lane, wait_seconds)

    def take(self, answer: PeerAnswer) -> bool:
        """Take an answer; False when nobody waits for it."""
        self._last_taken = micros(self._clock())
        slot = self._slots.get(answer.ticket)
        if slot is None or slot.answer is not None:
            return False
        slot.answer = answer
        slot.fetched.set()
        slot.answered.set()
        self._last_given = self._last_taken
        return True

    def close(self) -> None:
        """End every call and every fetch: the node stops."""
        self._closed = True
        for slot in self._slots.values():
            slot.fetched.set()
            slot.answered.set()
        self._wake()

    async def _fetch(self, wanted: Callable[[_Slot], bool], wait_seconds: int) -> list[PeerRequest]:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._polls and now - self._last_poll > PRESENT_SECONDS:
            self.on_return()
        self._last_taken = micros(self._clock())
        deadline = now + min(max(wait_seconds, 0), MAX_WAIT_SECONDS)
        self._polls += 1
        try:
            while True:
                news = self._news
                found = [each for each in self._slots.values() if each.answer is None and wanted(each)][:MAX_REQUESTS]
                if found or self._closed or loop.time() >= deadline:
                    return _given(found)
                try:
                    async with asyncio.timeout_at(deadline):
                        await news.wait()
                except TimeoutError:
                    return []
        finally:
            self._polls -= 1
            self._last_poll = loop.time()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _given(slots: Iterable[_Slot]) -> list[PeerRequest]:
    given = []
    for slot in slots:
        slot.fetched.set()
        given.append(slot.request)
    return given


def _lane(origin: str) -> str:
    try:
        return LogName.parse(origin).lane or ""
    except LogFormatError:
        return ""


class NotPulledError(ExchangeError):
    """The caller fetches, but by our node file we reach it in another way."""

    reason = "PEER_NOT_PULLED"


class PullDoor:
    """What peers that dial us call to fetch what we would send them.

    Args:
        node: The node.
        ports: The ports of all peers; those that are fetched by are looked for here.
    """

    def __init__(self, node: Node, ports: Mapping[str, PeerPort]) -> None:
        self._node = node
        self._pulled = {name: port for name, port in ports.items() if isinstance(port, PulledPeer)}

    async def fetch_entries(self, peer: Peer, request: FetchEntriesRequest) -> FetchEntriesResponse:
        """A delivery of our outbound log; or, of the caller's own log, its entries from our mirror.

        Raises:
            NotPulledError: We do not wait for this peer to fetch.
            NotYourLogError: The log is neither the caller's nor one towards it.
        """
        if not self._is_ours(peer, request.origin):
            return await asyncio.to_thread(fetch_entries, self._node, peer, request)
        return FetchEntriesResponse(delivery=await self._of(peer).fetch_delivery(request.origin, request.wait_seconds))

    async def return_cosignature(self, peer: Peer, request: ReturnCosignatureRequest) -> ReturnCosignatureResponse:
        """What became of a delivery; the flow that waits for it checks it."""
        return ReturnCosignatureResponse(expected=self._of(peer).take(request.answer))

    async def fetch_requests(self, peer: Peer, request: FetchRequestsRequest) -> FetchRequestsResponse:
        """Our other calls."""
        return FetchRequestsResponse(requests=await self._of(peer).fetch_requests(request.wait_seconds))

    async def return_answer(self, peer: Peer, request: ReturnAnswerRequest) -> ReturnAnswerResponse:
        """The answer to one."""
        return ReturnAnswerResponse(expected=self._of(peer).take(request.answer))

    def close(self) -> None:
        """The node stops: nobody waits any longer."""
        for port in self._pulled.values():
            port.close()

    def on_return(self, tell: Callable[[str], None]) -> None:
        """Whom to tell that a peer fetches again."""
        for name, port in self._pulled.items():
            port.on_return = lambda name=name: tell(name)  # type: ignore[misc]

    def _is_ours(self, peer: Peer, origin: str) -> bool:
        try:
            name = LogName.parse(origin)
        except LogFormatError:
            return False
        return (name.node, name.domain, name.peer) == (self._node.name, self._node.federation, peer.name)

    def _of(self, peer: Peer) -> PulledPeer:
        port = self._pulled.get(peer.name)
        if port is None:
            raise NotPulledError
        return port
