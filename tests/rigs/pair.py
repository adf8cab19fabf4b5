"""Two real nodes on disk: folders, keys, certificates, cards exchanged, agencies granted, as administrators would.

Everything is made with the package itself; the processes are ``exchange run``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.key_lock import KeyLock
from exchange.crypto.keys import derive_log_key, encode_private, encode_seed, generate_ed25519, generate_seed
from exchange.crypto.trusted.node_card import KeyRole, NodeCard, TrustedKey
from exchange.crypto.trusted.trust import to_trust_files
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Identity, Role
from exchange.crypto.x509.pki_profile import Profile as CertificateProfile
from exchange.domain.kinds import KINDS, spec
from exchange.domain.lanes import LANE_NAMES
from exchange.rpc.client import Client
from exchange.rpc.profile import Profile, load_profile
from exchange.settings.trust_folder import own_path, write_peer
from exchange.tlog.origin import LogName, mirror_name, witness_name
from exchange.v1.kind_pb2 import Kind
from exchange.v1.security_service_pb2 import Agency, Grant, PutAgencyRequest, Verb
from tests.domain.records import make_uscc
from tests.rigs.processes import NodeProcess, free_port, healthy

DOMAIN = "exchange.example"
AREAS = {"cq": "50", "sc": "51"}
AUTHORITIES = {"cq": "11500000MB1614741U", "sc": make_uscc(900, prefix="11510000")}
OFFICERS = (Role.OPERATOR, Role.SECURITY, Role.AUDITOR)
SUBMITTED = tuple(kind for kind in KINDS if spec(kind).submittable)


@dataclass(slots=True)
class NodeFolder:
    """One node's folder with everything in it.

    Attributes:
        profiles: Profile file by caller: ``agency``, ``operator``, ``security``, ``auditor``.
        tls_ca: Authority of its TLS certificates.
        card: What its peer was told about it.
        authorities: Its region's authorities by use: ``tls``, ``signing``.
    """

    name: str
    folder: Path
    agencies_port: int = field(default_factory=free_port)
    peers_port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    profiles: dict[str, Path] = field(default_factory=dict)
    tls_ca: pki.Authority = field(init=False)
    card: NodeCard = field(init=False)
    authorities: dict[str, pki.Authority] = field(default_factory=dict)

    @property
    def node_file(self) -> Path:
        """The node file."""
        return self.folder / "node.toml"

    @property
    def database(self) -> Path:
        """Its SQLite file."""
        return self.folder / "data" / "exchange.db"

    def client(self, caller: str = "agency") -> Client:
        """A connection as one of its callers."""
        return Client(load_profile(self.profiles[caller]))

    def profile(self, caller: str = "agency") -> Profile:
        """A caller's profile."""
        return load_profile(self.profiles[caller])


class Pair:
    """The two nodes and their processes."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: str = "",
        url: dict[str, str] | None = None,
        outlive: bool = False,
        passphrase: bytes = b"",
        dialler: str = "",
        module: str = "exchange.app",
        courier: str = "",
    ) -> None:
        """Prepare both.

        Args:
            folder: Where everything lies.
            settings: More of both node files.
            url: Databases in place of SQLite files.
            outlive: The processes go on when this one ends.
            passphrase: Encrypts the key files.
            dialler: The only node that may dial; both do when empty.
            module: What a process runs, by `python -m`.
            courier: Nobody dials: files are carried between the folders ``spools``. This is their ``[courier]``.
        """
        self._dialler = dialler
        self._courier = courier
        self.spools = {name: folder / name / "spool" for name in AREAS}
        now = datetime.now(UTC)
        folder.mkdir(parents=True, exist_ok=True)
        self.nodes = {name: NodeFolder(name, folder / name) for name in AREAS}
        profile = certificate_profile()
        cards: dict[str, NodeCard] = {}
        for name, node in self.nodes.items():
            cards[name] = node.card = _make(node, profile, now, next(other for other in self.nodes if other != name))
        if passphrase:
            settings += '\n[keys]\npassphrase = "file:keys/passphrase"\n'
            for node in self.nodes.values():
                _encrypt(node.folder / "keys", passphrase)
        for name, node in self.nodes.items():
            for other, card in cards.items():
                if other != name:
                    write_peer(node.folder / "trust", other, to_trust_files(card))
            self._write_node_file(name, settings, (url or {}).get(name, ""))
        self.processes = {
            name: NodeProcess(
                node.node_file,
                output=folder / f"{name}.log",
                ready=lambda node=node: healthy(node.profile("operator")),  # type: ignore[misc]
                command=[sys.executable, "-m", module],
                environment={"PYTHONPATH": os.pathsep.join(sys.path)},
                outlive=outlive,
            )
            for name, node in self.nodes.items()
        }

    def _write_node_file(self, name: str, settings: str, url: str) -> None:
        node = self.nodes[name]
        peers = "".join(
            f'\n[[peer]]\nname = "{other}"\n{self._reach(name, other)}' for other in self.nodes if other != name
        )
        database = f'\n[database]\nurl = "{url}"\n' if url else ""
        node.node_file.write_text(
            f"""[node]
name = "{name}"
domain = "{DOMAIN}"
authority = {{ uscc = "{AUTHORITIES[name]}", name = "演示{name}生态环境局" }}
data = "{node.folder}/data"
areas = ["{AREAS[name]}"]
duty_desk = "演示值班室"

[listen]
agencies = "127.0.0.1:{node.agencies_port}"
peers = "127.0.0.1:{node.peers_port}"
metrics = "127.0.0.1:{node.metrics_port}"

[recognition]
require_approvals = false
{self._courier}{database}{settings}{peers}"""
        )

    def _reach(self, name: str, other: str) -> str:
        """How a node reaches another one, as its node file says it."""
        dial = f'dial = "127.0.0.1:{self.nodes[other].peers_port}"\n'
        if self._courier:
            return f'transport = "folder"\nfolder = "{self.spools[name]}"\n'
        if not self._dialler:
            return dial
        return 'transport = "pull"\n' + (dial if name == self._dialler else "")

    def start(self, *names: str) -> None:
        """Start processes; all of them when none is named."""
        for name in names or self.nodes:
            self.processes[name].start()

    def stop(self, *names: str) -> None:
        """Stop processes."""
        for name in names or self.nodes:
            self.processes[name].stop()

    def kill(self, *names: str) -> None:
        """SIGKILL processes."""
        for name in names or self.nodes:
            self.processes[name].kill()

    def grant(self, name: str, agency: str = "agency", kinds: Sequence[Kind.ValueType] = SUBMITTED) -> None:
        """Let an agency submit, read and check everything everywhere."""
        with self.nodes[name].client("security") as client:
            client.call(
                client.security.PutAgency,
                PutAgencyRequest(
                    agency=Agency(
                        name=agency,
                        display_name="演示单位",
                        grants=[
                            Grant(verb=Verb.VERB_SUBMIT, kinds=kinds, areas=["*"]),
                            Grant(verb=Verb.VERB_READ, kinds={*kinds, Kind.KIND_ANSWER}, areas=["*"]),
                            Grant(verb=Verb.VERB_CHECK, areas=["*"]),
                        ],
                    ),
                    reason="test",
                ),
            )


@contextmanager
def running_pair(folder: Path, **options: str | bytes) -> Iterator[Pair]:
    """Two running nodes with one granted agency each; killed at the end."""
    pair = Pair(folder, **options)  # type: ignore[arg-type]
    try:
        pair.start()
        for name in pair.nodes:
            pair.grant(name)
        yield pair
    finally:
        pair.kill()


def _encrypt(keys: Path, passphrase: bytes) -> None:
    """Key files under a passphrase, which lies beside them."""
    lock = KeyLock(lambda: passphrase)
    for path in keys.iterdir():
        path.write_bytes(lock.close(path.read_bytes()))
    _secret(keys / "passphrase", passphrase + b"\n")


def certificate_profile() -> CertificateProfile:
    """Lifetimes of certificates."""
    return CertificateProfile.parse((Path(__file__).parents[2] / "certs" / "profile.toml").read_bytes())


def new_root(name: str) -> pki.Authority:
    """Another authority."""
    return pki.create_root(certificate_profile(), name, now=datetime.now(UTC))


def issue_server(
    node: NodeFolder,
    authority: pki.Authority,
    hosts: Sequence[str] = ("127.0.0.1", "localhost"),
    at: datetime | None = None,
) -> pki.Issued:
    """A new TLS certificate for a node, with a key of its own; issued now, or as if it had been issued then."""
    identity = Identity(node=node.name, domain=DOMAIN, role=Role.NODE, name=node.name)
    return pki.issue_server(
        certificate_profile(), authority, identity=identity, hosts=hosts, now=at or datetime.now(UTC)
    )


def _make(node: NodeFolder, profile: CertificateProfile, now: datetime, peer: str) -> NodeCard:
    """One node's keys, certificates and card."""
    keys, trust = node.folder / "keys", own_path(node.folder / "trust")
    for each in (node.folder, keys, node.folder / "data"):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    trust.mkdir(parents=True)
    tls_root = node.tls_ca = pki.create_root(profile, f"{node.name} TLS root", now=now)
    signing_root = pki.create_root(profile, f"{node.name} signing root", now=now)
    node.authorities = {"tls": tls_root, "signing": signing_root}
    identity = Identity(node=node.name, domain=DOMAIN, role=Role.NODE, name=node.name)
    server = issue_server(node, tls_root)
    signing = pki.issue_signing(profile, signing_root, identity=identity, organisation=node.name, now=now)
    seed, mirror, witness = generate_seed(), generate_ed25519(), generate_ed25519()
    _secret(keys / "tls.pem", server.bundle)
    _secret(keys / "sign-p256.pem", signing.bundle)
    _secret(keys / "log.seed", encode_seed(seed))
    _secret(keys / "mirror.pem", encode_private(mirror))
    _secret(keys / "witness.pem", encode_private(witness))
    (trust / "tls-roots.pem").write_bytes(tls_root.root_pem)
    (trust / "signing-roots.pem").write_bytes(signing_root.root_pem)
    for role, caller in [(Role.AGENCY, "agency"), *((each, each.value) for each in OFFICERS)]:
        _caller(node, profile, tls_root, role, caller, now)
    origins = [str(LogName.outbound(node.name, DOMAIN, peer, lane)) for lane in LANE_NAMES.values()]
    origins += [str(LogName.journal(node.name, DOMAIN)), str(LogName.local(node.name, DOMAIN))]
    since = now.replace(microsecond=0)
    trusted = [
        TrustedKey(role=KeyRole.LOG, key=NoteSigner(each, derive_log_key(seed, each)).key, valid_from=since)
        for each in origins
    ]
    mirrors = Cosigner(mirror_name(node.name, DOMAIN), mirror), Cosigner(witness_name(node.name, DOMAIN), witness)
    trusted.append(TrustedKey(role=KeyRole.MIRROR, key=mirrors[0].key, valid_from=since))
    trusted.append(TrustedKey(role=KeyRole.WITNESS, key=mirrors[1].key, valid_from=since))
    return NodeCard(
        node=node.name,
        domain=DOMAIN,
        addressee=peer,
        authority_uscc=AUTHORITIES[node.name],
        authority_name=f"演示{node.name}生态环境局",
        addresses=(f"127.0.0.1:{node.peers_port}",),
        areas=(AREAS[node.name],),
        duty_desk="演示值班室",
        keys=tuple(trusted),
        tls_roots=tls_root.root_pem,
        signing_roots=signing_root.root_pem,
    )


def _caller(
    node: NodeFolder, profile: CertificateProfile, root: pki.Authority, role: Role, caller: str, now: datetime
) -> None:
    folder = node.folder / "callers"
    folder.mkdir(mode=0o700, exist_ok=True)
    identity = Identity(node=node.name, domain=DOMAIN, role=role, name=caller)
    issued = pki.issue_client(profile, root, identity=identity, now=now)
    _secret(folder / f"{caller}.key", issued.key)
    (folder / f"{caller}.pem").write_bytes(issued.chain)
    (folder / "ca.pem").write_bytes(root.root_pem)
    path = folder / f"{caller}.toml"
    path.write_text(
        f'address = "127.0.0.1:{node.agencies_port}"\nca = "ca.pem"\ncert = "{caller}.pem"\nkey = "{caller}.key"\n'
    )
    node.profiles[caller] = path


def give_caller(node: NodeFolder, authority: pki.Authority, role: Role, caller: str) -> None:
    """A caller gets a new certificate, in the place of its old one."""
    identity = Identity(node=node.name, domain=DOMAIN, role=role, name=caller)
    issued = pki.issue_client(certificate_profile(), authority, identity=identity, now=datetime.now(UTC))
    _secret(node.folder / "callers" / f"{caller}.key", issued.key)
    (node.folder / "callers" / f"{caller}.pem").write_bytes(issued.chain)


def _secret(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
