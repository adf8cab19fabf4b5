"""Every rpc of either port with every sort of caller, over real connections, from the one table that the doors go by.

What is served is taken from the schema, who may call it from ``rpc/roles.py``: an rpc that has no line there is allowed
to nobody, and fails here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.descriptor import MethodDescriptor
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from exchange import v1
from exchange.crypto.keys import KeyFile
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.rpc.client import failure_of
from exchange.rpc.roles import ROLES, WITHOUT_DOOR
from exchange.v1.security_service_pb2 import Agency, Grant, PutAgencyRequest, SuspendAgencyRequest, Verb
from tests.rigs.pair import DOMAIN, NodeFolder, Pair, certificate_profile, new_root, running_pair

AGENCIES, PEERS = "agencies", "peers"
NO_CONNECTION = "NODE_AWAY"
"""What a client sees of a handshake that was refused."""

PAST_THE_DOOR = "past the door"
STREAM_S = 0.4


def _methods() -> list[MethodDescriptor]:
    modules = [importlib.import_module(f"exchange.v1.{each.name}") for each in pkgutil.iter_modules(v1.__path__)]
    services = [
        service
        for module in modules
        if module.__name__.endswith("_service_pb2")
        for service in module.DESCRIPTOR.services_by_name.values()
    ]
    return [method for service in services for method in service.methods]


METHODS = _methods()


@dataclass(frozen=True, slots=True)
class Sort:
    """A sort of caller.

    Attributes:
        role: What its certificate says; None where no connection comes about.
        refused: The reason that every rpc of the agencies' port gives it, whatever its role; empty: the role decides.
    """

    role: Role | None
    refused: str = ""


SORTS = {
    "no certificate": Sort(None, NO_CONNECTION),
    "of an unknown authority": Sort(None, NO_CONNECTION),
    "with an expired certificate": Sort(None, NO_CONNECTION),
    "agency": Sort(Role.AGENCY),
    "agency without grants": Sort(Role.AGENCY),
    "agency that nobody registered": Sort(Role.AGENCY, "IDENTITY_UNKNOWN"),
    "suspended agency": Sort(Role.AGENCY, "AGENCY_SUSPENDED"),
    "agency of yesterday": Sort(Role.AGENCY, "AGENCY_NO_LONGER_VALID"),
    "operator": Sort(Role.OPERATOR),
    "security officer": Sort(Role.SECURITY),
    "auditor": Sort(Role.AUDITOR),
    "node": Sort(Role.NODE),
}


def expected(port: str, sort: Sort, method: MethodDescriptor) -> str:
    """What a call has to meet, by the table alone."""
    service = method.containing_service.name
    on_port = AGENCIES if service != "RelayService" else PEERS
    if sort.refused == NO_CONNECTION:
        return NO_CONNECTION
    if port != on_port:
        return "UNIMPLEMENTED"
    may = sort.role in ROLES.get(service, {}).get(method.name, frozenset())
    if port == PEERS:
        return PAST_THE_DOOR if may else "PEER_UNKNOWN"
    return sort.refused or (PAST_THE_DOOR if may else "ROLE_NOT_ALLOWED")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two running nodes; cq is called: by its own at the agencies' port, by those of sc's authority at the peers'."""
    with running_pair(tmp_path_factory.mktemp("walked")) as made:
        yesterday = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
        grants = [Grant(verb=Verb.VERB_CHECK, areas=["*"])]
        with made.nodes["cq"].client("security") as client:
            for agency in (
                Agency(name="bare", display_name="演示单位"),
                Agency(name="suspended", display_name="演示单位", grants=grants),
                Agency(name="ended", display_name="演示单位", grants=grants, valid_until=yesterday),
            ):
                client.call(client.security.PutAgency, PutAgencyRequest(agency=agency, reason="test"))
            suspend = SuspendAgencyRequest(name="suspended", suspended=True, reason="test")
            client.call(client.security.SuspendAgency, suspend)
        yield made


def _certificate(node: NodeFolder, sort: str) -> tuple[bytes, bytes] | None:
    """Key and chain of a sort of caller, of a node's own authority where it has one."""
    names = {
        "agency": (Role.AGENCY, "agency"),
        "agency without grants": (Role.AGENCY, "bare"),
        "agency that nobody registered": (Role.AGENCY, "nobody"),
        "suspended agency": (Role.AGENCY, "suspended"),
        "agency of yesterday": (Role.AGENCY, "ended"),
        "operator": (Role.OPERATOR, "operator"),
        "security officer": (Role.SECURITY, "security"),
        "auditor": (Role.AUDITOR, "auditor"),
        "of an unknown authority": (Role.AGENCY, "agency"),
        "with an expired certificate": (Role.AGENCY, "agency"),
    }
    if sort == "no certificate":
        return None
    if sort == "node":
        file = KeyFile.parse((node.folder / "keys" / "tls.pem").read_bytes())
        return file.key, file.chain
    role, name = names[sort]
    identity = Identity(node=node.name, domain=DOMAIN, role=role, name=name)
    now = datetime.now(UTC)
    authority = node.tls_ca
    if sort == "of an unknown authority":
        authority = new_root("a stranger")
    if sort == "with an expired certificate":
        return _expired(node, identity)
    issued = pki.issue_client(certificate_profile(), authority, identity=identity, now=now)
    return issued.key, issued.chain


def _expired(node: NodeFolder, identity: Identity) -> tuple[bytes, bytes]:
    """Of the very authority, and it ran out an hour ago."""
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder(node.tls_ca.certificate.subject, x509.Name([]), key.public_key(), 7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now - timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(identity))]), critical=True)
        .sign(node.tls_ca.key, hashes.SHA256())  # type: ignore[arg-type]
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return secret, certificate.public_bytes(pem)


def _met(channel: grpc.Channel, method: MethodDescriptor) -> str:
    """The reason that an empty call meets; PAST_THE_DOOR when the door let it in, whatever became of it then."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if method.server_streaming:
            stream = channel.unary_stream(path, request_serializer=bytes, response_deserializer=bytes)
            call = stream(b"", timeout=STREAM_S)
            for _message in call:
                break
            call.cancel()
        else:
            channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)(b"", timeout=10)
    except grpc.RpcError as error:
        failure = failure_of(error)
        if method.containing_service.name == "RelayService" and failure.status == "PERMISSION_DENIED":
            return failure.message if failure.message == "PEER_UNKNOWN" else PAST_THE_DOOR
        refusals = {sort.refused for sort in SORTS.values()} | {"ROLE_NOT_ALLOWED", "UNIMPLEMENTED"}
        return failure.reason if failure.reason in refusals - {""} else PAST_THE_DOOR
    return PAST_THE_DOOR


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("port", [AGENCIES, PEERS])
def test_every_rpc_with_every_caller(pair: Pair, port: str, sort: str) -> None:
    """Let in exactly where the table says so, and refused everywhere else with the reason that fits the caller."""
    cq = pair.nodes["cq"]
    # At the peers' port only clients of the peer's authority come through TLS at all.
    issuer = cq if port == AGENCIES else pair.nodes["sc"]
    number = cq.agencies_port if port == AGENCIES else cq.peers_port
    key, chain = _certificate(issuer, sort) or (None, None)
    credentials = grpc.ssl_channel_credentials(cq.tls_ca.root_pem, key, chain)
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    with grpc.secure_channel(f"127.0.0.1:{number}", credentials, options) as channel:
        wrong = [
            (method.full_name, met, wanted)
            for method in METHODS
            if (met := _met(channel, method)) != (wanted := expected(port, SORTS[sort], method))
        ]
    assert wrong == []


def test_the_table_has_a_line_for_every_rpc_and_no_other() -> None:
    """A new rpc without a line is allowed to nobody, and named here; so is a line without an rpc."""
    served = {(method.containing_service.name, method.name) for method in METHODS}
    assert {(service, rpc) for service, rpcs in ROLES.items() for rpc in rpcs} == served
    assert [line for rpcs in ROLES.values() for line in rpcs.items() if not line[1]] == []


def test_the_agencies_port_serves_what_the_schema_has_and_what_needs_no_door(pair: Pair) -> None:
    """Asked by reflection: no service beyond the table's, health and reflection."""
    cq = pair.nodes["cq"]
    profile = cq.profile("auditor")
    read = Path.read_bytes
    credentials = grpc.ssl_channel_credentials(read(profile.ca), read(profile.key), read(profile.cert))
    with grpc.secure_channel(f"127.0.0.1:{cq.agencies_port}", credentials) as channel:
        listed = set(ProtoReflectionDescriptorDatabase(channel).get_services())
    ours = {method.containing_service.full_name for method in METHODS} - {"exchange.v1.RelayService"}
    assert listed == ours | WITHOUT_DOOR
