"""A peer over gRPC: the port's network form. Whatever gRPC raises leaves as one of the port's two errors."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import grpc
import grpc.aio

from exchange.flows.certificates.seen import SERVED
from exchange.flows.link.peer_port import PeerAwayError, PeerRefusedError
from exchange.rpc.client import failure_of
from exchange.v1.relay_service_pb2 import (
    CosignJournalRequest,
    CosignJournalResponse,
    DeliverRequest,
    DeliverResponse,
    FetchAttachmentRequest,
    FetchAttachmentResponse,
    FetchEntriesRequest,
    FetchEntriesResponse,
    FetchRequestsRequest,
    FetchRequestsResponse,
    GetTrustMaterialRequest,
    GetTrustMaterialResponse,
    HelloRequest,
    HelloResponse,
    ReturnAnswerRequest,
    ReturnAnswerResponse,
    ReturnCosignatureRequest,
    ReturnCosignatureResponse,
)
from exchange.v1.relay_service_pb2_grpc import RelayServiceStub

if TYPE_CHECKING:
    from exchange.v1.relay_service_pb2_grpc import RelayServiceAsyncStub

MAX_MESSAGE_BYTES = 8 << 20
"""Bytes of one relay message: the protocol's 4 MiB of entries and bodies, and what frames them."""

KEEPALIVE_MS = 10_000
KEEPALIVE_TIMEOUT_MS = 5_000
"""A half-open connection is noticed within these two."""

_AWAY = frozenset(
    (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
    )
)

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Credentials:
    """By what a peer is dialled, in PEM.

    Attributes:
        roots: TLS roots on the peer's card.
        key: Our private key.
        chain: Our certificate with its intermediates.
    """

    roots: bytes
    key: bytes
    chain: bytes


class GrpcPeer:
    """One peer's RelayService. Its connection is made anew under way: make before break.

    Args:
        address: host:port.
        credentials: By what it is dialled.
        server_name: Name that the peer's certificate carries, when it is not the host.
        timeout: Seconds for one call.
        on_call: Called for each call, with the credentials that it went by and ``SERVED``, or the status of one that
            failed though the connection was ready when it began.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials,
        *,
        server_name: str = "",
        timeout: float = 30.0,
        on_call: Callable[[Credentials, str], None] = lambda _by, _outcome: None,
    ) -> None:
        self._address = address
        self._server_name = server_name
        self._timeout = timeout
        self._on_call = on_call
        self._closing: set[asyncio.Task[None]] = set()
        self._replaced = asyncio.Event()
        self._live = self._open(credentials)

    @property
    def credentials(self) -> Credentials:
        """By what it is dialled now."""
        return self._live.credentials

    async def hello(self, request: HelloRequest) -> HelloResponse:
        """Show where we stand."""
        return await self._call(self._live.stub.Hello, request)

    async def deliver(self, request: DeliverRequest) -> DeliverResponse:
        """Bring entries."""
        return await self._call(self._live.stub.Deliver, request)

    async def fetch_entries(self, request: FetchEntriesRequest) -> FetchEntriesResponse:
        """Fetch our own entries back."""
        return await self._call(self._live.stub.FetchEntries, request)

    async def fetch_attachment(self, request: FetchAttachmentRequest) -> FetchAttachmentResponse:
        """Fetch a piece of an attachment."""
        return await self._call(self._live.stub.FetchAttachment, request)

    async def cosign_journal(self, request: CosignJournalRequest) -> CosignJournalResponse:
        """Have our journal or local log witnessed."""
        return await self._call(self._live.stub.CosignJournal, request)

    async def trust_material(self, request: GetTrustMaterialRequest) -> GetTrustMaterialResponse:
        """Exchange revocation lists."""
        return await self._call(self._live.stub.GetTrustMaterial, request)

    async def return_cosignature(self, request: ReturnCosignatureRequest) -> ReturnCosignatureResponse:
        """Return what became of a delivery that was fetched."""
        return await self._call(self._live.stub.ReturnCosignature, request)

    async def fetch_requests(self, request: FetchRequestsRequest) -> FetchRequestsResponse:
        """Fetch what the peer would ask."""
        return await self._call(self._live.stub.FetchRequests, request)

    async def return_answer(self, request: ReturnAnswerRequest) -> ReturnAnswerResponse:
        """Return the answer to a request that was fetched."""
        return await self._call(self._live.stub.ReturnAnswer, request)

    async def renew(self, credentials: Credentials, *, within: float) -> str:
        """Dial by other credentials, and go over to them once the peer has taken them. No call fails for it.

        1. A new connection stands beside the old one, and becomes ready: each side accepts the other's certificate.
        2. A call over it is answered: the peer's door knows us by the new certificate, and not only its TLS.
        3. New calls go over it; those in flight on the old one are finished before that one is closed.

        Args:
            credentials: By what to dial.
            within: Seconds for 1 and 2.

        Returns:
            Why not, when it did not become ready: the old connection goes on. Empty when it did.
        """
        made = self._open(credentials)
        try:
            async with asyncio.timeout(within):
                # 1
                await made.ready()
                # 2: no session is ever empty, so nothing is looked at beyond who calls
                await made.stub.Deliver(DeliverRequest(), timeout=within)
        except TimeoutError:
            await made.channel.close(grace=None)
            return "the new connection did not become ready"
        except grpc.aio.AioRpcError as error:
            await made.channel.close(grace=None)
            return f"{error.code().name} {error.details() or ''}".strip()[:200]
        except BaseException:
            await made.channel.close(grace=None)
            raise
        # 3
        self._go_over(made)
        return ""

    def force(self, credentials: Credentials) -> None:
        """Dial by other credentials from now on, ready or not: the old ones are not to be used any more."""
        self._go_over(self._open(credentials))

    async def watch_connection(self, on_ready: Callable[[], None]) -> None:
        """Call ``on_ready`` whenever the connection becomes ready, until cancelled."""
        while True:
            live, replaced = self._live, self._replaced
            state = live.channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                on_ready()
            gone = asyncio.create_task(replaced.wait())
            try:
                while live is self._live:
                    change = asyncio.create_task(live.channel.wait_for_state_change(state))
                    try:
                        await asyncio.wait((change, gone), return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        change.cancel()
                    if live is not self._live:
                        break
                    state = live.channel.get_state(try_to_connect=True)
                    if state is grpc.ChannelConnectivity.READY:
                        on_ready()
            finally:
                gone.cancel()

    async def close(self) -> None:
        """Close the connection; calls in flight get a moment."""
        for task in tuple(self._closing):
            task.cancel()
        await self._live.channel.close(grace=1.0)

    def _open(self, credentials: Credentials) -> _Connection:
        options: list[tuple[str, str | int]] = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self._server_name:
            options.append(("grpc.ssl_target_name_override", self._server_name))
        made = grpc.ssl_channel_credentials(
            root_certificates=credentials.roots, private_key=credentials.key, certificate_chain=credentials.chain
        )
        channel = grpc.aio.secure_channel(self._address, made, options=options)
        return _Connection(credentials, channel, RelayServiceStub(channel))

    def _go_over(self, made: _Connection) -> None:
        old, self._live = self._live, made
        replaced, self._replaced = self._replaced, asyncio.Event()
        replaced.set()
        # Calls that began on the old one have as long as any call has.
        task = asyncio.create_task(old.channel.close(grace=self._timeout))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _call(self, method: Callable[..., Awaitable[_Response]], request: _Request) -> _Response:
        live = self._live
        ready = live.channel.get_state() is grpc.ChannelConnectivity.READY
        try:
            answer = await method(request, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            reason, retry_after = _details(error)
            if code in _AWAY:
                if ready:
                    self._on_call(live.credentials, code.name)
                raise PeerAwayError(f"{code.name} {error.details() or ''}"[:200], retry_after) from None
            raise PeerRefusedError(reason or code.name, (error.details() or "")[:200]) from None
        except grpc.aio.UsageError as error:
            raise PeerAwayError(str(error)) from None
        self._on_call(live.credentials, SERVED)
        return answer


@dataclass(frozen=True, slots=True)
class _Connection:
    credentials: Credentials
    channel: grpc.aio.Channel
    stub: RelayServiceAsyncStub

    async def ready(self) -> None:
        while (state := self.channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self.channel.wait_for_state_change(state)


def _details(error: grpc.aio.AioRpcError) -> tuple[str, float | None]:
    failure = failure_of(error)
    return failure.reason, failure.retry_after
