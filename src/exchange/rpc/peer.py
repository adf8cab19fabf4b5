"""A peer over gRPC: the port's network form. Whatever gRPC raises leaves as one of the port's two errors."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import grpc.aio

from exchange.flows.peer_port import PeerAwayError, PeerRefusedError
from exchange.rpc.client import failure_of
from exchange.v1.relay_service_pb2 import (
    CosignJournalRequest,
    CosignJournalResponse,
    DeliverRequest,
    DeliverResponse,
    FetchEntriesRequest,
    FetchEntriesResponse,
    HelloRequest,
    HelloResponse,
)
from exchange.v1.relay_service_pb2_grpc import RelayServiceStub

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


class GrpcPeer:
    """One peer's RelayService.

    Args:
        address: host:port.
        roots: PEM of the TLS roots on the peer's card.
        key: Our TLS private key, PEM.
        chain: Our TLS certificate with its intermediates, PEM.
        server_name: Name that the peer's certificate carries, when it is not the host.
        timeout: Seconds for one call.
    """

    def __init__(
        self,
        address: str,
        *,
        roots: bytes,
        key: bytes,
        chain: bytes,
        server_name: str = "",
        timeout: float = 30.0,
    ) -> None:
        self._timeout = timeout
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
        if server_name:
            options.append(("grpc.ssl_target_name_override", server_name))
        credentials = grpc.ssl_channel_credentials(root_certificates=roots, private_key=key, certificate_chain=chain)
        self._channel = grpc.aio.secure_channel(address, credentials, options=options)
        self._stub = RelayServiceStub(self._channel)

    async def hello(self, request: HelloRequest) -> HelloResponse:
        """Show where we stand."""
        return await self._call(self._stub.Hello, request)

    async def deliver(self, request: DeliverRequest) -> DeliverResponse:
        """Bring entries."""
        return await self._call(self._stub.Deliver, request)

    async def fetch_entries(self, request: FetchEntriesRequest) -> FetchEntriesResponse:
        """Fetch our own entries back."""
        return await self._call(self._stub.FetchEntries, request)

    async def cosign_journal(self, request: CosignJournalRequest) -> CosignJournalResponse:
        """Have our journal or local log witnessed."""
        return await self._call(self._stub.CosignJournal, request)

    async def watch_connection(self, on_ready: Callable[[], None]) -> None:
        """Call ``on_ready`` whenever the connection becomes ready, until cancelled."""
        state = self._channel.get_state(try_to_connect=True)
        while True:
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                on_ready()

    async def close(self) -> None:
        """Close the channel; calls in flight get a moment."""
        await self._channel.close(grace=1.0)

    async def _call(self, method: Callable[..., Awaitable[_Response]], request: _Request) -> _Response:
        try:
            return await method(request, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            reason, retry_after = _details(error)
            if code in _AWAY:
                raise PeerAwayError(f"{code.name} {error.details() or ''}"[:200], retry_after) from None
            raise PeerRefusedError(reason or code.name, (error.details() or "")[:200]) from None
        except grpc.aio.UsageError as error:
            raise PeerAwayError(str(error)) from None


def _details(error: grpc.aio.AioRpcError) -> tuple[str, float | None]:
    failure = failure_of(error)
    return failure.reason, failure.retry_after
