"""RelayService's calls as messages that travel by themselves: made into requests, answered, and made into results."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from google.protobuf.message import Message

from exchange.domain.problems import ExchangeError, Refused
from exchange.flows.context import Peer
from exchange.flows.instants import timestamp
from exchange.flows.link.mirror import NotYourLogError
from exchange.flows.link.peer_port import PeerAwayError, PeerRefusedError
from exchange.flows.link.session import NotYouError
from exchange.v1.operation_service_pb2 import PeerStatus
from exchange.v1.relay_service_pb2 import (
    CosignJournalRequest,
    CosignJournalResponse,
    DeliverRequest,
    DeliverResponse,
    FetchAttachmentRequest,
    FetchAttachmentResponse,
    FetchEntriesRequest,
    FetchEntriesResponse,
    GetTrustMaterialRequest,
    GetTrustMaterialResponse,
    HelloRequest,
    HelloResponse,
    PeerAnswer,
    PeerFailure,
    PeerRequest,
)

log = structlog.get_logger("exchange.reach")

TICKET_BYTES = 16
"""Random bytes that name a request: an answer to one that nobody made is not looked at."""

MAX_DETAIL = 200
"""Characters of a failure's detail."""

HELLO, DELIVER, FETCH, COSIGN, LISTS = "hello", "deliver", "fetch_entries", "cosign_journal", "get_trust_material"
ATTACHMENT = "fetch_attachment"
"""The calls, by their field in ``PeerRequest`` and ``PeerAnswer``."""

Work = Mapping[str, Callable[[Peer, Any], Message]]
"""By which each call of a peer is answered; run in a thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How calls reach a peer, and how that goes; what status shows.

    Attributes:
        transport: ``push``, ``pull``, ``pulled`` or ``folder``.
        last_given: When something of ours was last taken over there, in microseconds; 0 for never.
        last_taken: When something of the peer's last came; 0 for never.
        waiting: Calls of ours that wait to be fetched or carried.
        set_aside: Files that were set aside since the process started.
        oldest_waiting: When the oldest call that waits for a courier was written, in microseconds; 0 when none does.
        parcels_out: Files put out for a courier since the process started.
        parcels_in: Good files of the peer's that came since then.
    """

    transport: str
    last_given: int = 0
    last_taken: int = 0
    waiting: int = 0
    set_aside: int = 0
    oldest_waiting: int = 0
    parcels_out: int = 0
    parcels_in: int = 0

    def show(self, status: PeerStatus) -> None:
        """Put it into a peer's status."""
        status.transport, status.waiting, status.set_aside = self.transport, self.waiting, self.set_aside
        status.parcels_out, status.parcels_in = self.parcels_out, self.parcels_in
        if self.last_given:
            status.last_given.CopyFrom(timestamp(self.last_given))
        if self.last_taken:
            status.last_taken.CopyFrom(timestamp(self.last_taken))
        if self.oldest_waiting:
            status.oldest_waiting.CopyFrom(timestamp(self.oldest_waiting))


def request_of(verb: str, message: Message) -> PeerRequest:
    """A call as a message with a fresh ticket."""
    return PeerRequest(ticket=secrets.token_bytes(TICKET_BYTES), **{verb: message})  # type: ignore[arg-type]


def result_of(verb: str, answer: PeerAnswer) -> Any:
    """The result of a call.

    Raises:
        PeerAwayError: It was not answered, and may be later; or this is no answer to such a call.
        PeerRefusedError: It was refused.
    """
    kind = answer.WhichOneof("answer")
    if kind == "failure":
        failure = answer.failure
        if failure.later:
            raise PeerAwayError(f"{failure.reason} {failure.detail}".strip()[:MAX_DETAIL])
        raise PeerRefusedError(failure.reason[:MAX_DETAIL], failure.detail[:MAX_DETAIL])
    if kind != verb:
        raise PeerAwayError("an answer to another call")
    return getattr(answer, verb)


def answer(work: Work, peer: Peer, request: PeerRequest) -> PeerAnswer:
    """Answer a peer's call as its RelayService door would: whatever is raised becomes a failure with its reason."""
    verb = request.WhichOneof("request")
    made = PeerAnswer(ticket=request.ticket)
    try:
        if verb is None:
            made.failure.CopyFrom(_failure("KIND_UNKNOWN", "a call of a later edition", later=False))
        else:
            getattr(made, verb).CopyFrom(work[verb](peer, getattr(request, verb)))
    except (NotYourLogError, NotYouError, Refused) as error:
        made.failure.CopyFrom(_failure(error.reason, str(error), later=False))
    except ExchangeError as error:
        made.failure.CopyFrom(_failure(error.reason, "", later=True))
    except Exception as error:  # as at the door: the peer tries again and we look into the log
        log.exception("reach.failed", peer=peer.name, error=type(error).__name__)
        made.failure.CopyFrom(_failure("INTERNAL", "", later=True))
    return made


def failed(request: PeerRequest, reason: str) -> PeerAnswer:
    """The answer to a call that may do later."""
    return PeerAnswer(ticket=request.ticket, failure=_failure(reason, "", later=True))


def _failure(reason: str, detail: str, *, later: bool) -> PeerFailure:
    return PeerFailure(reason=reason, detail=detail[:MAX_DETAIL], later=later)


class AskingPeer(ABC):
    """A port whose calls all go one way: ``ask`` posts a request and waits for its answer."""

    @abstractmethod
    def reach(self) -> Reach:
        """How it goes now; from any thread."""

    @abstractmethod
    async def ask(self, verb: str, message: Message) -> Any:
        """Post a request, and wait for its result.

        Raises:
            PeerAwayError: It has no answer.
            PeerRefusedError: It was refused.
        """

    async def hello(self, request: HelloRequest) -> HelloResponse:
        """Show where we stand."""
        return await self.ask(HELLO, request)  # type: ignore[no-any-return]

    async def deliver(self, request: DeliverRequest) -> DeliverResponse:
        """Bring entries."""
        return await self.ask(DELIVER, request)  # type: ignore[no-any-return]

    async def fetch_entries(self, request: FetchEntriesRequest) -> FetchEntriesResponse:
        """Fetch our own entries back."""
        return await self.ask(FETCH, request)  # type: ignore[no-any-return]

    async def fetch_attachment(self, request: FetchAttachmentRequest) -> FetchAttachmentResponse:
        """Fetch a piece of an attachment."""
        return await self.ask(ATTACHMENT, request)  # type: ignore[no-any-return]

    async def cosign_journal(self, request: CosignJournalRequest) -> CosignJournalResponse:
        """Have our journal or local log witnessed."""
        return await self.ask(COSIGN, request)  # type: ignore[no-any-return]

    async def trust_material(self, request: GetTrustMaterialRequest) -> GetTrustMaterialResponse:
        """Exchange revocation lists."""
        return await self.ask(LISTS, request)  # type: ignore[no-any-return]


Clock = Callable[[], datetime]
