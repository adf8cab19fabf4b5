"""Dialling for a peer that can not: its deliveries and other calls are fetched, answered here, and answers returned.

A lane never waits for another: each has a loop, and one more fetches everything else. A crash between answering and
returning is repaired by the next fetch, which brings the same call again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog
from tenacity import RetryCallState
from tenacity.wait import wait_random_exponential

from exchange.domain.problems import ExchangeError
from exchange.flows.context import Node
from exchange.flows.link.peer_port import PeerRefusedError
from exchange.flows.reach.calls import Work, answer
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

log = structlog.get_logger("exchange.reach")

WAIT_SECONDS = 20
"""How long one fetch is held open by the peer: an idle lane costs three calls a minute."""

MAX_PAUSE_SECONDS = 10.0
"""Longest pause behind a failed fetch; the connection's return ends it."""

REFUSED_SECONDS = 10.0
"""Pause behind a refusal: the peer's operator may have to change its node file."""

NOT_PULLED = "PEER_NOT_PULLED"
"""Alarm: the peer has nothing to fetch, for by its node file it dials us itself."""


class PullPort(Protocol):
    """What fetching needs of a peer that is dialled. Raises only the peer port's errors."""

    async def fetch_entries(self, request: FetchEntriesRequest) -> FetchEntriesResponse:
        """Fetch a delivery of the peer."""
        ...

    async def return_cosignature(self, request: ReturnCosignatureRequest) -> ReturnCosignatureResponse:
        """Return what became of it."""
        ...

    async def fetch_requests(self, request: FetchRequestsRequest) -> FetchRequestsResponse:
        """Fetch its other calls."""
        ...

    async def return_answer(self, request: ReturnAnswerRequest) -> ReturnAnswerResponse:
        """Return the answer to one."""
        ...


class Puller:
    """Fetches from one peer.

    Args:
        node: The node.
        peer: Name of the peer.
        port: The way there.
        work: By what its calls are answered.
        on_refused: Called with the peer's name and a reason when it has nothing to be fetched, and with an empty one
            once it has.
    """

    def __init__(
        self,
        node: Node,
        peer: str,
        port: PullPort,
        work: Work,
        *,
        on_refused: Callable[[str, str], None],
        wait_seconds: int = WAIT_SECONDS,
    ) -> None:
        self._node = node
        self._peer = peer
        self._port = port
        self._work = work
        self._on_refused = on_refused
        self._wait = wait_seconds
        self._refused = ""
        self._nudged: set[asyncio.Event] = set()
        self._pauses = wait_random_exponential(multiplier=0.1, max=MAX_PAUSE_SECONDS)

    async def run_lane(self, lane: str) -> None:
        """Fetch a lane's deliveries until cancelled."""
        origin = str(LogName.outbound(self._peer, self._node.federation, self._node.name, lane))

        async def once() -> None:
            asked = FetchEntriesRequest(origin=origin, wait_seconds=self._wait)
            response = await self._port.fetch_entries(asked)
            if response.HasField("delivery") and response.delivery.HasField("deliver"):
                made = await self._answered(response.delivery)
                log = response.delivery.deliver.origin
                await self._port.return_cosignature(ReturnCosignatureRequest(origin=log, answer=made))

        await self._forever(once)

    async def run_requests(self) -> None:
        """Fetch its other calls until cancelled."""

        async def once() -> None:
            response = await self._port.fetch_requests(FetchRequestsRequest(wait_seconds=self._wait))
            for request in response.requests:
                made = await self._answered(request)
                await self._port.return_answer(ReturnAnswerRequest(answer=made))

        await self._forever(once)

    def nudge(self) -> None:
        """The peer can be reached again."""
        for event in self._nudged:
            event.set()

    async def _answered(self, request: PeerRequest) -> PeerAnswer:
        peer = self._node.peers.get(self._peer)
        if peer is None:
            raise PeerRefusedError("PEER_UNKNOWN", self._peer)
        return await asyncio.to_thread(answer, self._work, peer, request)

    def _tell_refused(self, reason: str) -> None:
        if reason != self._refused:
            self._refused = reason
            self._on_refused(self._peer, reason)

    async def _forever(self, once: Callable[[], Awaitable[None]]) -> None:
        nudged = asyncio.Event()
        self._nudged.add(nudged)
        failures = 0
        try:
            while True:
                nudged.clear()
                pause = 0.0
                try:
                    await once()
                    failures = 0
                    self._tell_refused("")
                except PeerRefusedError as error:
                    self._tell_refused(NOT_PULLED if NOT_PULLED in str(error) else "")
                    pause = REFUSED_SECONDS
                except Exception as error:
                    if not isinstance(error, ExchangeError):
                        log.exception("pull.failed", peer=self._peer, error=type(error).__name__)
                    failures += 1
                    state = RetryCallState(retry_object=None, fn=None, args=(), kwargs={})  # type: ignore[arg-type]
                    state.attempt_number = min(failures, 30)
                    pause = max(self._pauses(state), 0.05)
                if pause:
                    # Not wait_for: woken and cancelled at once, it would forget that it was cancelled.
                    try:
                        async with asyncio.timeout(pause):
                            await nudged.wait()
                    except TimeoutError:
                        continue
        finally:
            self._nudged.discard(nudged)
