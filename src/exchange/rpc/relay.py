"""The relay door: nodes call here, and only nodes; each call is answered by the core in a thread."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import grpc
import grpc.aio
import structlog
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from exchange.crypto.trusted.trust import TrustSet
from exchange.crypto.x509.certificates import Identity, Role, fingerprint, identity_of, load_chain
from exchange.crypto.x509.chains import ChainProblem, PathSearch, Purpose, find_paths
from exchange.domain.problems import ExchangeError, Refused
from exchange.flows.certificates.seen import PEERS, SERVED, SeenFlow, Tally
from exchange.flows.context import Peer, PeerBook
from exchange.flows.link.mirror import NotYourLogError
from exchange.flows.link.session import NotYouError
from exchange.flows.reach.pulled import NotPulledError, PullDoor
from exchange.flows.trust.revocations import TLS, Standing
from exchange.rpc.identity import Lists, fingerprint_of
from exchange.rpc.limits import CallLimits
from exchange.rpc.message import CONNECTION_OPTIONS, parsed, read_message
from exchange.rpc.peer import MAX_MESSAGE_BYTES
from exchange.rpc.roles import allowed
from exchange.rpc.servers import Recycling, Shown, server_credentials
from exchange.v1 import relay_service_pb2
from exchange.v1.relay_service_pb2 import (
    CosignJournalRequest,
    CosignJournalResponse,
    DeliverRequest,
    DeliverResponse,
    FetchAttachmentRequest,
    FetchAttachmentResponse,
    GetTrustMaterialRequest,
    GetTrustMaterialResponse,
    HelloRequest,
    HelloResponse,
)

log = structlog.get_logger("exchange.relay")

KEPT_PATHS = 256
"""Certificates whose paths are kept: a few for each peer; the search costs more than a call."""

RELAY_THREADS = 8
"""Relay calls worked on at once: each peer has three lanes, a witness and a hello under way at most."""

CALLS_PER_PEER = 16
"""Calls of one peer in flight: what it has under way by itself, and as much again behind a connection that was lost."""

LIMITS = CallLimits(message_bytes=MAX_MESSAGE_BYTES, message_fields=20_000)
"""Of one relay message: 4,096 entries, a body for each, and the notes of every log."""

LONGEST_CALL_S = 300
"""Seconds that a peer's node file may give a call at most. Nothing streams here, so a connection that takes no new call
any more ends with its last one, and none is cut: a fetch may wait for long, and a delivery for a disk that is busy."""

MAX_CALLS = 256
"""Calls in flight over all peers, those that are just being refused among them."""


class RelayCore(Protocol):
    """What the door hands calls to."""

    @property
    def pull_door(self) -> PullDoor:
        """What answers peers that fetch, on the event loop: they may wait there for long."""
        ...

    def answer_hello(self, peer: Peer, request: HelloRequest) -> HelloResponse:
        """A peer says hello."""
        ...

    def answer_deliver(self, peer: Peer, request: DeliverRequest) -> DeliverResponse:
        """A peer delivers."""
        ...

    def answer_attachment(self, peer: Peer, request: FetchAttachmentRequest) -> FetchAttachmentResponse:
        """A peer fetches a piece of an attachment."""
        ...

    def answer_cosign(self, peer: Peer, request: CosignJournalRequest) -> CosignJournalResponse:
        """A peer shows the head of its journal or local log."""
        ...

    def answer_trust_material(self, peer: Peer, request: GetTrustMaterialRequest) -> GetTrustMaterialResponse:
        """A peer exchanges revocation lists."""
        ...


@dataclass(slots=True)
class _Known:
    """A certificate that called: whose it is, its paths, and whether one edition of the lists revokes it."""

    name: str
    search: PathSearch | None
    standing: Standing = field(default_factory=Standing)
    lists: int = -1
    valid: tuple[datetime, datetime] | None = None


class PeerGate:
    """Which peer a TLS client certificate is of: by its identity, and only under the roots of that peer's own card.

    Args:
        peers: The peers.
        trust: Their trust sets.
        federation: Domain of the federation.
        lists: Revocation lists of the peers' authorities; nothing is revoked without.
        seen: Counts calls by certificate.
    """

    def __init__(
        self,
        peers: PeerBook,
        trust: Mapping[str, TrustSet],
        federation: str,
        lists: Lists | None = None,
        seen: SeenFlow | None = None,
    ) -> None:
        self._seen = seen
        self._tallies: dict[bytes, Tally] = {}
        self._peers = peers
        self._lists = lists
        self._federation = federation
        self._trust = dict(trust)
        self._paths: dict[bytes, _Known] = {}

    def trust(self, sets: Mapping[str, TrustSet]) -> None:
        """Judge every caller by these sets from the next call on, also on connections that stand."""
        # The sets first: a search that ends between the two lines is thrown away with the others.
        self._trust = dict(sets)
        self._paths = {}
        self._tallies = {}

    def peer_of(self, leaf_pem: bytes, chain_pem: bytes, now: datetime) -> Peer | None:
        """The peer, or None when the certificate is of nobody who may call here.

        1. The certificate names a node of this federation that is our peer.
        2. It leads to a TLS root on that peer's own card: another peer's authority can not vouch for it.
        3. It is not on that peer's revocation lists, and those are not too old to say so.
        """
        key, paths = leaf_pem + chain_pem, self._paths
        if key not in paths:
            if len(paths) >= KEPT_PATHS:
                paths.clear()
            paths[key] = self._search(leaf_pem, chain_pem)
        known = paths[key]
        reason = self._refusal(known, now)
        self._count(key, leaf_pem, known, reason or SERVED)
        return self._peers.get(known.name) if not reason else None

    def _refusal(self, known: _Known, now: datetime) -> str:
        """Why a certificate does not count now; empty when it does."""
        # A connection outlives its certificate: time is asked for every call, and lists whenever one was taken.
        verdict = known.search.at(now) if known.search is not None else None
        if known.search is None or verdict is None or not known.search.paths:
            return "PEER_UNKNOWN"
        if not verdict.ok:
            early = verdict.problem is ChainProblem.NOT_YET_VALID
            return "CERTIFICATE_NOT_YET_VALID" if early else "CERTIFICATE_EXPIRED"
        if self._lists is not None:
            edition = self._lists.edition
            if known.lists != edition:
                holding = [path.certificates for path in known.search.paths]
                known.standing, known.lists = self._lists.standing(known.name, TLS, holding), edition
            reason = known.standing.reason_at(now)
            if reason:
                log.warning("relay.refused", peer=known.name, reason=reason)
                return reason
        return ""

    def nobody(self) -> None:
        """Count a call without a certificate."""
        if self._seen is not None:
            self._seen.tally(PEERS, "", "", "NO_CERTIFICATE").calls += 1

    def _count(self, key: bytes, leaf_pem: bytes, known: _Known, outcome: str) -> None:
        if self._seen is None:
            return
        tally = self._tallies.get(key)
        if tally is None or tally.outcome != outcome:
            if len(self._tallies) >= KEPT_PATHS:
                self._tallies.clear()
            caller = f"spiffe://{known.name}.{self._federation}/node/{known.name}" if known.name else ""
            roots = [path.certificates[-1] for path in known.search.paths] if known.search is not None else []
            tally = self._tallies[key] = self._seen.tally(
                PEERS, caller, fingerprint_of(leaf_pem), outcome, roots, known.valid
            )
        tally.calls += 1

    def _search(self, leaf_pem: bytes, chain_pem: bytes) -> _Known:
        """The peer's name and every path of its certificate; no path for a certificate of nobody."""
        nobody = _Known("", None)
        try:
            chain = load_chain(chain_pem or leaf_pem)
            leaf = load_chain(leaf_pem)[0]
            name = identity_of(leaf)
            identity = Identity.parse(name) if name else None
        except (ExchangeError, ValueError):
            return nobody
        if identity is None or identity.domain != self._federation or identity.role is not Role.NODE:
            return nobody
        trust = self._trust.get(identity.node)
        if trust is None or identity.name != identity.node:
            return nobody
        roots = load_chain(trust.card.tls_roots)
        others = [each for each in chain if fingerprint(each) != fingerprint(leaf)]
        return _Known(
            identity.node,
            find_paths(leaf, [*others, *roots], roots, Purpose.CLIENT),
            valid=(leaf.not_valid_before_utc, leaf.not_valid_after_utc),
        )


class RelayServicer:
    """RelayService over gRPC. As at the agencies' door, who calls is asked before the message is read.

    Args:
        core: The node.
        gate: Who calls.
        clock: The clock.
    """

    descriptor = relay_service_pb2.DESCRIPTOR.services_by_name["RelayService"]

    def __init__(self, core: RelayCore, gate: PeerGate, clock: Callable[[], datetime]) -> None:
        self._gate = gate
        self._clock = clock
        self._threads = ThreadPoolExecutor(RELAY_THREADS, thread_name_prefix="relay")
        self._in_flight: Counter[str] = Counter()
        self._work: dict[str, Callable[[Peer, Any], Message]] = {
            "Hello": core.answer_hello,
            "Deliver": core.answer_deliver,
            "FetchAttachment": core.answer_attachment,
            "CosignJournal": core.answer_cosign,
            "GetTrustMaterial": core.answer_trust_material,
        }
        door = core.pull_door
        self._waiting: dict[str, Callable[[Peer, Any], Awaitable[Message]]] = {
            "FetchEntries": door.fetch_entries,
            "ReturnCosignature": door.return_cosignature,
            "FetchRequests": door.fetch_requests,
            "ReturnAnswer": door.return_answer,
        }

    def handler(self) -> grpc.GenericRpcHandler:
        """The handlers of the service."""
        handlers = {method.name: self._method(method) for method in self.descriptor.methods}
        return grpc.method_handlers_generic_handler(self.descriptor.full_name, handlers)

    def _method(self, method: MethodDescriptor) -> grpc.RpcMethodHandler[Any, Any]:
        work, request_class = self._answering(method.name), GetMessageClass(method.input_type)

        async def handle(_requests: object, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            peer = self._caller(context)
            if peer is None or not allowed(self.descriptor.name, method.name, Role.NODE):
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "PEER_UNKNOWN")
            if self._in_flight[peer.name] >= CALLS_PER_PEER:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
            self._in_flight[peer.name] += 1
            try:
                return await self._answer(work, peer, request_class, context)
            finally:
                self._in_flight[peer.name] -= 1

        return grpc.stream_unary_rpc_method_handler(handle)

    def _answering(self, rpc: str) -> Callable[[Peer, Any], Awaitable[Message]]:
        """By what a call is answered: in a thread, unless it may have to wait."""
        if rpc in self._waiting:
            return self._waiting[rpc]
        work = self._work[rpc]
        return lambda peer, request: asyncio.get_running_loop().run_in_executor(self._threads, work, peer, request)

    async def _answer(
        self,
        work: Callable[[Peer, Any], Awaitable[Message]],
        peer: Peer,
        request_class: type[Message],
        context: grpc.aio.ServicerContext[bytes, bytes],
    ) -> bytes:
        try:
            request = parsed(await read_message(context, LIMITS), request_class, LIMITS.message_fields)
            return (await work(peer, request)).SerializeToString()
        except (NotYourLogError, NotYouError, NotPulledError) as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, error.reason)
        except Refused as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:500])
        except ExchangeError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, error.reason)
        except Exception as error:  # whatever it is, the peer tries again and we look into the log
            log.exception("relay.failed", error=type(error).__name__)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "INTERNAL")

    def _caller(self, context: grpc.aio.ServicerContext[bytes, bytes]) -> Peer | None:
        auth = context.auth_context()
        leaf = next(iter(auth.get("x509_pem_cert", ())), b"")
        chain = next(iter(auth.get("x509_pem_cert_chain", ())), b"")
        if not leaf:
            self._gate.nobody()
            return None
        return self._gate.peer_of(leaf, chain, self._clock())


class RelayServer:
    """The server that peers dial.

    Args:
        address: ``host:port``.
        shown: What it shows, and the roots of all peers.
        servicer: Answers.
        recycling: How long connections live; calls in flight have as long as any call has.
    """

    def __init__(self, address: str, shown: Shown, servicer: RelayServicer, recycling: Recycling | None = None) -> None:
        recycling = recycling or Recycling()
        recycling = replace(recycling, grace_s=max(recycling.grace_s, LONGEST_CALL_S))
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
                ("grpc.http2.max_ping_strikes", 0),
                ("grpc.keepalive_permit_without_calls", 1),
                *CONNECTION_OPTIONS,
                *recycling.options,
            ],
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        self._server.add_generic_rpc_handlers([servicer.handler()])
        self.port = self._server.add_secure_port(address, server_credentials(shown))

    async def start(self) -> None:
        """Begin to serve."""
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Take no new call; those in flight get ``grace`` seconds."""
        await self._server.stop(grace)
