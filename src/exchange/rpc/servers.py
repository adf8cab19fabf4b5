"""The server that agencies, officers and auditors call: mTLS for everyone, every call through the door."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from exchange.rpc.door import Door, Servicer
from exchange.rpc.limits import CallLimits
from exchange.rpc.message import CONNECTION_OPTIONS, ROOM_BEYOND_LIMIT

OTHER_CALLS = 64
"""Calls in flight beyond calls and watchers: health, reflection, and those that are just being refused."""

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


class Shown:
    """What a server shows and trusts now. Replaced at run time, read at each handshake by gRPC's own threads.

    The next connection sees the new certificates; those that stand go on with the old ones until they are recycled.
    """

    def __init__(self, certificates: ServerCertificates) -> None:
        self._lock = threading.Lock()
        self._now = certificates

    @property
    def now(self) -> ServerCertificates:
        """What the next handshake shows."""
        return self._now

    def show(self, key: bytes, chain: bytes) -> None:
        """Show another leaf from now on; it was checked before."""
        with self._lock:
            self._now = replace(self._now, key=key, chain=chain)

    def trust(self, client_roots: bytes) -> None:
        """Let in the clients of other authorities from now on."""
        with self._lock:
            self._now = replace(self._now, client_roots=client_roots)


def server_credentials(shown: Shown) -> grpc.ServerCredentials:
    """Credentials for mTLS that follow what is shown."""

    def configuration(certificates: ServerCertificates) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(certificates.key, certificates.chain)], root_certificates=certificates.client_roots
        )

    taken = shown.now

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        # In a thread of gRPC's, at every handshake: two that come together may both see what is new, which is no harm.
        nonlocal taken
        now = shown.now
        if now is taken:
            return None  # as it is
        made = configuration(now)
        taken = now
        return made

    # The published types forget that None says: as it was.
    return grpc.dynamic_ssl_server_credentials(
        configuration(taken), cast("Any", fetch), require_client_authentication=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """When a connection is ended so that its client comes back and meets the certificates of now.

    Attributes:
        max_age_s: Seconds after which a connection takes no new call; gRPC spreads it by a tenth.
        grace_s: Seconds that calls in flight get then. Streams that follow are cut, and go on by their cursor.
    """

    max_age_s: float = 3_600
    grace_s: float = 60

    @property
    def options(self) -> list[tuple[str, int]]:
        """As gRPC's channel arguments."""
        return [
            ("grpc.max_connection_age_ms", round(self.max_age_s * 1_000)),
            ("grpc.max_connection_age_grace_ms", round(self.grace_s * 1_000)),
        ]


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
    recycling: Recycling | None = None,
) -> AgencyServer:
    """Put a server together and bind its port.

    Args:
        address: ``host:port``; port 0 lets the system choose.
        credentials: From ``server_credentials``.
        door: Stands before every servicer.
        servicers: The services.
        limits: Bytes of a message.
        recycling: How long connections live.

    Raises:
        RuntimeError: The port is taken.
    """
    limits = limits or CallLimits()
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limits.message_bytes + ROOM_BEYOND_LIMIT),
            ("grpc.max_metadata_size", MAX_METADATA_BYTES),
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", MIN_PING_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            *CONNECTION_OPTIONS,
            *(recycling or Recycling()).options,
        ],
        maximum_concurrent_rpcs=limits.calls + limits.watchers + OTHER_CALLS,
    )
    names = [servicer.descriptor.full_name for servicer in servicers]
    server.add_generic_rpc_handlers([door.handler(servicer) for servicer in servicers])
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    port = server.add_secure_port(address, credentials)
    return AgencyServer(server, port, health_servicer, names)
