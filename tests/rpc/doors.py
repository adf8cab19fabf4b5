"""An agency port on a running node of the world: real server, real certificates, real calls."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from exchange.app.startup import peer_of
from exchange.crypto.tls_identity import TlsIdentity
from exchange.crypto.trusted.own_trust import OwnTrust
from exchange.crypto.trusted.trust import SIGNING_ROOTS, TLS_ROOTS
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role, spki_hash
from exchange.domain.kinds import KINDS, spec
from exchange.flows.access import AgencyBook
from exchange.flows.actions.erase import EraseFlow
from exchange.flows.actions.pending import ActionFlow, Confirmed
from exchange.flows.agencies import AgencyFlow
from exchange.flows.alarms import Alarms
from exchange.flows.audit.keeping.retention import RetentionFlow
from exchange.flows.audit.reading.reads import ReadFolder
from exchange.flows.certificates.listed import TrustList, TrustWriter
from exchange.flows.certificates.reload import LiveFiles
from exchange.flows.certificates.seen import SeenFlow
from exchange.flows.certificates.tls import TlsFiles, TlsFlow
from exchange.flows.certificates.trust import TrustEdition, TrustFlow, TrustFolder
from exchange.flows.intake.documents import DocumentFlow
from exchange.flows.intake.quarantine import QuarantineFlow
from exchange.flows.queries.ground.freshness import FreshnessReader
from exchange.flows.queries.ground.paging import Tokens
from exchange.flows.queries.node.status import NodeStatusView, ProcessFacts
from exchange.flows.rotation.forced import ForcedRetire
from exchange.flows.rules.diff import RedecideFlow, RuleDiff
from exchange.flows.rules.editions import RuleFlow
from exchange.rpc.agency import AgencyParts, agency_services
from exchange.rpc.client import failure_of
from exchange.rpc.failure import CallFailed
from exchange.rpc.identity import CallerGate
from exchange.rpc.limits import CallLimits
from exchange.rpc.servers import AgencyServer, ServerCertificates, Shown, agency_server, server_credentials
from exchange.v1 import (
    audit_service_pb2_grpc,
    check_service_pb2_grpc,
    credit_service_pb2_grpc,
    laboratory_service_pb2_grpc,
    monitoring_service_pb2_grpc,
    operation_service_pb2_grpc,
    penalty_service_pb2_grpc,
    record_service_pb2_grpc,
    request_service_pb2_grpc,
    rule_service_pb2_grpc,
    security_service_pb2_grpc,
    submission_service_pb2_grpc,
)
from exchange.v1.action_pb2 import ActionRequest
from exchange.v1.kind_pb2 import Kind
from exchange.v1.operation_service_pb2 import NodeState
from exchange.v1.security_service_pb2 import Agency, Grant, Verb
from tests.crypto.region import plain
from tests.world import FEDERATION, Runtime, World, profile, tls_root

FACT_KINDS = (Kind.KIND_CREDIT_RESULT, Kind.KIND_PENALTY_NOTICE, Kind.KIND_MONITORING_BATCH)
SUBMITTED = tuple(kind for kind in KINDS if spec(kind).submittable and kind != Kind.KIND_ANSWER)


@cache
def identity_root() -> pki.Authority:
    """The authority that this node trusts for identities."""
    return tls_root()


@cache
def government_root() -> pki.Authority:
    """Another authority whose certificates TLS lets in, and which says nothing about identities."""
    return pki.create_root(profile(), "a government certificate office", now=datetime.now(UTC))


@cache
def server_issued(node: str) -> pki.Issued:
    """The node's server certificate."""
    return pki.issue_server(
        profile(),
        identity_root(),
        identity=Identity(node=node, domain=FEDERATION, role=Role.NODE, name=node),
        hosts=["127.0.0.1", "localhost"],
        now=datetime.now(UTC),
    )


@cache
def client_issued(node: str, role: Role, name: str, root: str = "identity") -> pki.Issued:
    """A client certificate."""
    authority = identity_root() if root == "identity" else government_root()
    identity = Identity(node=node, domain=FEDERATION, role=role, name=name)
    return pki.issue_client(profile(), authority, identity=identity, now=datetime.now(UTC))


@cache
def unnamed_issued(name: str) -> pki.Issued:
    """A client certificate as government authorities issue them: an RSA key, and no URI in it."""
    now = datetime.now(UTC)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    root = government_root()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder(root.certificate.subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(plain(root.key), hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return pki.Issued(
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        chain=certificate.public_bytes(pem),
    )


def key_hash(issued: pki.Issued) -> str:
    """What a binding names."""
    return spki_hash(issued.certificate)


def grant(verb: Verb.ValueType, kinds: Iterable[Kind.ValueType] = (), areas: Iterable[str] = ("*",)) -> Grant:
    """One grant."""
    return Grant(verb=verb, kinds=kinds, areas=areas)


def full_agency(name: str, areas: Iterable[str] = ("*",)) -> Agency:
    """An agency that may do everything in some areas."""
    every = tuple(areas)
    return Agency(
        name=name,
        display_name="演示单位",
        grants=[
            grant(Verb.VERB_SUBMIT, SUBMITTED, every),
            grant(Verb.VERB_READ, tuple(kind for kind in Kind.values() if kind), every),
            grant(Verb.VERB_CHECK, (), every),
        ],
    )


class FixedStatus:
    """The core's state, unless a test says otherwise."""

    def __init__(self, status: NodeStatusView) -> None:
        self._status = status
        self.forced: NodeState.ValueType | None = None

    @property
    def state(self) -> NodeState.ValueType:
        """The state."""
        return self._status.state if self.forced is None else self.forced


class Stubs:
    """One caller's connection: services as attributes, plain methods that raise ``CallFailed``."""

    def __init__(self, port: int, issued: pki.Issued | None, lang: str) -> None:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=identity_root().root_pem,
            private_key=issued.key if issued else None,
            certificate_chain=issued.chain if issued else None,
        )
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        self.channel = grpc.secure_channel(f"127.0.0.1:{port}", credentials, options=options)
        self._metadata = (("lang", lang),)
        self.submission = submission_service_pb2_grpc.SubmissionServiceStub(self.channel)
        self.record = record_service_pb2_grpc.RecordServiceStub(self.channel)
        self.rules = rule_service_pb2_grpc.RuleServiceStub(self.channel)
        self.credit = credit_service_pb2_grpc.CreditServiceStub(self.channel)
        self.monitoring = monitoring_service_pb2_grpc.MonitoringServiceStub(self.channel)
        self.laboratory = laboratory_service_pb2_grpc.LaboratoryServiceStub(self.channel)
        self.penalty = penalty_service_pb2_grpc.PenaltyServiceStub(self.channel)
        self.requests = request_service_pb2_grpc.RequestServiceStub(self.channel)
        self.check = check_service_pb2_grpc.CheckServiceStub(self.channel)
        self.audit = audit_service_pb2_grpc.AuditServiceStub(self.channel)
        self.operation = operation_service_pb2_grpc.OperationServiceStub(self.channel)
        self.security = security_service_pb2_grpc.SecurityServiceStub(self.channel)

    def call(self, method: Any, request: Any, timeout: float = 20.0) -> Any:
        """One call."""
        try:
            return method(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise failure_of(error) from None

    def stream(self, method: Any, request: Any, timeout: float = 20.0) -> Any:
        """A stream to iterate and cancel; its errors are raw."""
        return method(request, timeout=timeout, metadata=self._metadata)

    def raw(self, rpc: str, body: bytes) -> bytes:
        """A call with any bytes."""
        method = self.channel.unary_unary(
            f"/exchange.v1.{rpc}", request_serializer=lambda each: each, response_deserializer=lambda each: each
        )
        return self.call(method, body)  # type: ignore[no-any-return]


@dataclass
class AgencyDoor:
    """The agency port of one node of the world."""

    world: World
    runtime: Runtime
    limits: CallLimits = field(default_factory=CallLimits)
    heartbeat: float = 15.0
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    missing: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        node, core = self.runtime.node, self.runtime.core
        self.node = node
        self.book = AgencyBook(node)
        self.agencies = AgencyFlow(node, self.book)
        self.status = FixedStatus(core.status)
        self.reads = ReadFolder(node)
        self.alarms = Alarms(node)
        self.alarms.start()
        documents = DocumentFlow(node, core.submit)
        self.quarantine = QuarantineFlow(node, core.submit, documents)
        self.erase = EraseFlow(node, core.submit)
        self.retention = RetentionFlow(node, self.erase)
        rules = RuleFlow(node, core.apply.wake)
        redecide = RedecideFlow(node, RuleDiff(node, Tokens(node.keys.submission_key)), core.apply.wake)
        self.actions = ActionFlow(
            node,
            {
                "retire_lane": core.lanes.carry_out,
                "discard_quarantine": self.quarantine.carry_out_discard,
                "erase_record": self.erase.perform,
                "erase_due": self.retention.perform,
                "activate_rules": rules.carry_out,
                "redecide": redecide.carry_out,
                "remove_authority": self._remove_authority,
                "retire_authority": ForcedRetire(core.rotations, core.rotations.retire_by_two).carry_out,
            },
            self.alarms,
        )
        self.own = {TLS_ROOTS: identity_root().root_pem, SIGNING_ROOTS: government_root().root_pem}
        trust = TrustFlow(
            node,
            TrustEdition(own=OwnTrust.load(self.own), peers={}),
            lambda: TrustFolder(own=self.own, peers={}),
            peer_of,
            lambda: core.apply.busy,
            self.alarms,
        )
        shown_first = TlsIdentity.parse(server_issued(node.name).bundle)
        files = TlsFiles(server=shown_first, client=shown_first)
        tls = TlsFlow(node, files, lambda: files, trust, self.alarms)
        write = TrustWriter(own=self.own.__setitem__, peer=lambda _peer, _files: None)
        self.live = LiveFiles(trust, tls, TrustList(node, trust, tls, SeenFlow(node), write))
        self._calls = ThreadPoolExecutor(16)
        self._watchers = ThreadPoolExecutor(4)
        self._stubs: list[Stubs] = []
        self.freshness = FreshnessReader(node)
        door, servicers = agency_services(
            AgencyParts(
                node=node,
                book=self.book,
                gate=CallerGate(
                    self.book, identity_root().root_pem, node.clock, lists=core.revocations, owner=node.name
                ),
                status=self.status,
                submit=core.submit,
                documents=documents,
                quarantine=self.quarantine,
                actions=self.actions,
                erase=self.erase,
                retention=self.retention,
                rules=rules,
                redecide=redecide,
                alarms=self.alarms,
                lanes=core.lanes,
                rotations=core.rotations,
                live=self.live,
                reads=self.reads,
                trust=core.trust,
                freshness=self.freshness,
                facts=ProcessFacts(
                    version="0",
                    started_at=node.clock(),
                    disk_free=lambda: 1 << 40,
                    certificate_days_left=lambda: 300,
                ),
                calls=self._calls,
                watchers=self._watchers,
                limits=self.limits,
                lang="zh-CN",
                side="chongqing" if node.name == "cq" else "",  # sc: by its name
                on_refusal=self._refused,
                heartbeat=self.heartbeat,
            )
        )
        issued = server_issued(node.name)
        roots = identity_root().root_pem + government_root().root_pem
        shown = Shown(ServerCertificates(issued.key, issued.chain, roots))

        async def start() -> AgencyServer:
            server = agency_server("127.0.0.1:0", server_credentials(shown), door, servicers, self.limits)
            await server.start()
            return server

        self.server = self.world.run(start())

    def _refused(self, identity: str, reason: str, missing: Sequence[str]) -> None:
        self.refusals.update([(identity, reason)])
        self.missing |= {(identity, grant) for grant in missing}

    def _remove_authority(self, request: ActionRequest, confirmed: Confirmed) -> str:
        return self.live.listed.carry_out(request, confirmed)

    def stubs(self, issued: pki.Issued | None, lang: str = "en") -> Stubs:
        """A connection with a certificate, or without."""
        made = Stubs(self.server.port, issued, lang)
        self._stubs.append(made)
        return made

    def put(self, agency: Agency) -> None:
        """Make an agency known, as a security officer would."""
        self.agencies.put(agency, "test", "test", datetime.now(UTC))

    def agency(self, name: str = "bureau", areas: Iterable[str] = ("*",), lang: str = "en") -> Stubs:
        """An agency with every right in some areas, and its connection."""
        self.put(full_agency(name, areas))
        return self.stubs(client_issued(self.node.name, Role.AGENCY, name), lang)

    def officer(self, role: Role, lang: str = "en", name: str = "officer") -> Stubs:
        """An officer's connection."""
        return self.stubs(client_issued(self.node.name, role, name), lang)

    def close(self) -> None:
        """Stop serving."""
        for stubs in self._stubs:
            stubs.channel.close()
        self.world.run(self.server.stop(0))
        self.alarms.close()
        self._calls.shutdown()
        self._watchers.shutdown()


__all__ = ["AgencyDoor", "CallFailed", "Stubs"]
