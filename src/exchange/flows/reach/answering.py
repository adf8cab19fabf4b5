"""Answering calls that come as files: each once, in order, and whatever is asked again gets the answer that it had."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from exchange.flows.context import Peer
from exchange.flows.instants import micros
from exchange.flows.reach.calls import COSIGN, DELIVER, HELLO, Work, answer, failed
from exchange.flows.reach.parcel import written_at
from exchange.v1.relay_service_pb2 import DeliverRequest, DeliverResponse, DeliverResult, Parcel, PeerAnswer

HELLO_STALE = "HELLO_STALE"
"""A hello was written before the process that it asks began, or before a newer one: the same is asked again."""

OF_A_SESSION = (HELLO, DELIVER, COSIGN)
"""Calls that are worth nothing to another process of the peer."""

MAX_REMEMBERED = 4_096
"""Calls of the peer's that are known to have been answered."""


_SAYS_SIZE = (
    DeliverResult.DELIVER_RESULT_COSIGNED,
    DeliverResult.DELIVER_RESULT_STORED,
    DeliverResult.DELIVER_RESULT_OUT_OF_STEP,
)

DeliverCarried = Callable[[Peer, DeliverRequest, datetime], DeliverResponse]
"""Takes a delivery that was written at an instant."""


class Answering:
    """Answers one peer's calls, in one run.

    Args:
        run: This run's random bytes.
        patience: Seconds for which a delivery waits for those before it.
        deliver: Takes deliveries.
    """

    def __init__(self, run: bytes, patience: float, deliver: DeliverCarried) -> None:
        self._run = run
        self._patience = patience
        self._deliver = deliver
        self._remembered: OrderedDict[str, PeerAnswer] = OrderedDict()
        self._early: dict[str, tuple[str, int, float]] = {}
        self._sizes: dict[str, int] = {}
        self._newest_hello = 0

    def waits(self, name: str) -> bool:
        """Whether a delivery still waits for those before it."""
        early = self._early.get(name)
        return early is not None and self._sizes.get(early[0], 0) < early[1] and time.monotonic() < early[2]

    def forget(self, names: set[str]) -> None:
        """Deliveries that are not there any more do not wait any more."""
        self._early = {name: early for name, early in self._early.items() if name in names}

    def new_run(self) -> None:
        """The peer was started anew: its first hello is newer than those before, whatever its clock says."""
        self._newest_hello = 0

    def answered(self, work: Work, peer: Peer, name: str, parcel: Parcel) -> PeerAnswer | None:
        """The answer to a call: the one that it had, when it came before. None while it waits for those before it."""
        ticket = parcel.request.ticket.hex()
        known = self._remembered.get(ticket)
        if known is not None:
            return known
        verb = parcel.request.WhichOneof("request")
        if verb == HELLO and (parcel.heard != self._run or micros(written_at(parcel)) <= self._newest_hello):
            # Not remembered: it costs nothing, and the same call is never asked again.
            return failed(parcel.request, HELLO_STALE)
        if verb == DELIVER:
            at = written_at(parcel)
            work = {**work, DELIVER: lambda of, request: self._deliver(of, request, at)}
        made = answer(work, peer, parcel.request)
        if verb == HELLO:
            self._newest_hello = micros(written_at(parcel))
        if verb == DELIVER and made.HasField("deliver"):
            if made.deliver.result in _SAYS_SIZE:
                self._sizes[parcel.request.deliver.origin] = made.deliver.size
            if self._is_early(name, parcel.request.deliver, made.deliver):
                return None
        if verb in OF_A_SESSION and not made.HasField("failure"):
            self._remembered[ticket] = made
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return made

    def _is_early(self, name: str, request: DeliverRequest, response: DeliverResponse) -> bool:
        """A delivery beyond what we hold: those before it are on their way, or lost and put out again."""
        if response.result != DeliverResult.DELIVER_RESULT_OUT_OF_STEP:
            return False
        now = time.monotonic()
        until = self._early[name][2] if name in self._early else now + self._patience
        self._early[name] = (request.origin, request.start, until)
        return now < until
