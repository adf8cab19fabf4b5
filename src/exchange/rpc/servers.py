"""The server that agencies, officers and auditors call: mTLS for everyone, every call through the door."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from exchange.rpc.door import Door, Servicer
from exchange.rpc.limits import CallLimits

MAX_RECEIVE_FACTOR = 4
"""Beyond this times our own limit gRPC itself cuts a message off; up to it, the door says MESSAGE_TOO_LARGE."""

KEEPALIVE_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
"""A caller that went away without a word is noticed within these two; its watchers end."""

MIN_PING_MS = 10_000
"""Callers may ping this often, also while a watcher is silent."""

MAX_METADATA_BYTES = 16 * 1024
"""Bytes of headers: a language, a deadline, a user agent; and of trailers: every broken rule of a record."""


@dataclass(frozen=True, slots=True, repr=False)
class ServerCertificates:
    """What a server shows and trusts, in PEM.

    Attributes:
        key: Private key of the leaf, EC.
        chain: Leaf first, then its intermediates.
        client_roots: Authorities whose client certificates are let in.
    """

    key: bytes
    chain: bytes
    client_roots: bytes


def server_credentials(read: Callable[[], ServerCertificates]) -> grpc.ServerCredentials:
    """Credentials for mTLS; certificates are read again at each handshake, so that files may be replaced while running.

    Args:
        read: Gives the certificates of now. When it fails later on, the last good ones stay in use.
    """
    shown = read()

    def configuration(certificates: ServerCertificates) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(certificates.key, certificates.chain)], root_certificates=certificates.client_roots
        )

    def fetch() -> Any:
        nonlocal shown
        now = read()
        if now == shown:
            return None  # as it is
        shown = now
        return configuration(now)

    return grpc.dynamic_ssl_server_credentials(configuration(shown), fetch, require_client_authentication=True)


class AgencyServer:
    """One listening server. Made by ``agency_server``."""

    def __init__(self, server: grpc.aio.Server, port: int, health_servicer: Any, services: Sequence[str]) -> None:
        self._server = server
        self._health = health_servicer
        self._services = services
        self.port = port

    async def start(self) -> None:
        """Begin to serve."""
        await self._server.start()
        for name in ("", *self._services):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace: float) -> None:
        """Take no new call; those in flight get ``grace`` seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


def agency_server(
    address: str,
    credentials: grpc.ServerCredentials,
    door: Door,
    servicers: Sequence[Servicer],
    limits: CallLimits | None = None,
) -> AgencyServer:
    """Put a server together and bind its port.

    Args:
        address: ``host:port``; port 0 lets the system choose.
        credentials: From ``server_credentials``.
        door: Stands before every servicer.
        servicers: The services.
        limits: Bytes of a message.

    Raises:
        RuntimeError: The port is taken.
    """
    limits = limits or CallLimits()
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limits.message_bytes * MAX_RECEIVE_FACTOR),
            ("grpc.max_metadata_size", MAX_METADATA_BYTES),
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", MIN_PING_MS),
            ("grpc.keepalive_permit_without_calls", 1),
        ],
    )
    names = [servicer.descriptor.full_name for servicer in servicers]
    server.add_generic_rpc_handlers([door.handler(servicer) for servicer in servicers])
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    port = server.add_secure_port(address, credentials)
    return AgencyServer(server, port, health_servicer, names)
