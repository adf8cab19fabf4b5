"""Two nodes in one process, joined by a link that can drop, delay, duplicate and tamper.

Everything is the real thing: databases on disk, keys, certificates, loops. Only the wire is replaced: a call goes
straight to the other node's relay door, as bytes, so that nothing is shared by reference.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.message import Message

from exchange.app.adapters import find_adapters
from exchange.app.core import Core
from exchange.crypto.dsse import ES256, SM2, Signer
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.envelope_verifier import SigningTrust
from exchange.crypto.keys import (
    MlDsaKey,
    derive_log_key,
    derive_submission_key,
    encode_ml_dsa,
    encode_private,
    encode_seed,
    generate_ed25519,
    generate_seed,
)
from exchange.crypto.signers.key_file import read_signer
from exchange.crypto.trusted.node_card import KeyRole, NodeCard, TrustedKey
from exchange.crypto.trusted.own_trust import OwnTrust
from exchange.crypto.trusted.trust import SIGNING_ROOTS, TLS_ROOTS, TrustSet, to_trust_files
from exchange.crypto.x509 import pki
from exchange.crypto.x509.certificates import Certificate, Identity, Role, fingerprint, load_chain
from exchange.crypto.x509.pki_profile import KeyKind, Profile
from exchange.domain.adapter import Adapter
from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.lanes import LANE_NAMES
from exchange.domain.recognising.recognition import RuleSet
from exchange.domain.recognising.rule_book import RuleShelf
from exchange.flows.certificates.peer_roots import PeerRoots
from exchange.flows.certificates.seen import SeenFlow
from exchange.flows.certificates.trust import TrustEdition, TrustFlow, TrustFolder
from exchange.flows.context import Node, NodeKeys, Peer, PeerBook
from exchange.flows.events import EventHub, tell_grown
from exchange.flows.link.mirror import NotYourLogError
from exchange.flows.link.pace import LanePace
from exchange.flows.link.peer_port import PeerAwayError, PeerPort, PeerRefusedError
from exchange.flows.reach.folder import Courier, FolderPeer
from exchange.flows.reach.pulled import NotPulledError, PulledPeer
from exchange.flows.rotation.driver import KeyDriver
from exchange.flows.rotation.ed25519_keys import CosignerDriver, LogDriver
from exchange.flows.rotation.second_keys import SecondCosignerDriver
from exchange.flows.rotation.signing_files import SigningFiles
from exchange.flows.rotation.signing_key import SigningDriver
from exchange.settings.trust_folder import read_peer, write_peer
from exchange.storage import schema
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import migrate
from exchange.storage.engine.writer import Writer
from exchange.storage.files.key_folder import KeyFiles
from exchange.storage.logs import log_store
from exchange.tables import read_all
from exchange.tlog.note import KeyLine
from exchange.tlog.origin import LogName, mirror_name, witness_name
from exchange.v1.common_pb2 import Authority
from exchange.v1.key_announcement_pb2 import KeyUse
from exchange.v1.record_pb2 import Record
from exchange.v1.relay_service_pb2 import (
    CosignJournalResponse,
    DeliverResponse,
    FetchAttachmentResponse,
    FetchEntriesResponse,
    FetchRequestsResponse,
    GetTrustMaterialResponse,
    HelloResponse,
    ReturnAnswerResponse,
    ReturnCosignatureResponse,
)
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmittedRecord
from tests.domain.records import make_uscc

FEDERATION = "exchange.example"
AUTHORITIES = {"cq": "11500000MB1614741U", "sc": make_uscc(900, prefix="11510000")}
AREAS = {"cq": ("50",), "sc": ("51",)}
RULES = "recognition.toml"
NODES = ("cq", "sc")

_T = TypeVar("_T")


@cache
def tables() -> Tables:
    """The domain tables, loaded once."""
    return load(read_all())


@cache
def adapters() -> dict[str, Adapter]:
    """The adapters of both sides, with the tables shipped with the program."""
    return find_adapters(tables(), {})


@cache
def rules() -> RuleSet:
    """The recognition rules."""
    files = read_all()
    name = next(each for each in files if each.endswith(RULES))
    return RuleSet.load(files[name])


@cache
def profile() -> Profile:
    """Lifetimes for test certificates."""
    return Profile.parse((Path(__file__).parent.parent / "certs" / "profile.toml").read_bytes())


@dataclass
class Keyring:
    """All private keys of one node: they outlive its database."""

    name: str
    seed: bytes = field(default_factory=generate_seed)
    mirror: Any = field(default_factory=generate_ed25519)
    witness: Any = field(default_factory=generate_ed25519)
    second: MlDsaKey | None = None
    second_witness: MlDsaKey | None = None
    _bundles: dict[KeyKind, bytes] = field(default_factory=dict)

    @cached_property
    def _es256(self) -> tuple[pki.Authority, Signer]:
        return self._signing(KeyKind.EC_P256)

    @cached_property
    def root(self) -> pki.Authority:
        """Root of the signing certificate that every node has."""
        return self._es256[0]

    @cached_property
    def signer(self) -> Signer:
        """The signer that every node has; a test may give it another one."""
        return self._es256[1]

    @cached_property
    def sm2(self) -> tuple[pki.Authority, Signer]:
        """Root and signer of SM2, made only where a test signs by it."""
        return self._signing(KeyKind.SM2)

    def _signing(self, kind: KeyKind) -> tuple[pki.Authority, Signer]:
        now = datetime.now(UTC)
        root = pki.create_root(profile(), f"{self.name} signing root {kind}", now=now, key=kind)
        issued = pki.issue_signing(
            profile(),
            root,
            identity=Identity(node=self.name, domain=FEDERATION, role=Role.NODE, name=self.name),
            organisation=f"{self.name} authority",
            now=now,
        )
        self._bundles[kind] = issued.bundle
        return root, read_signer(issued.bundle)

    def signing_files(self, algorithms: Collection[str]) -> list[bytes]:
        """Key files of the named algorithms."""
        self.signing(algorithms)
        return [self._bundles[KeyKind.SM2 if each == SM2 else KeyKind.EC_P256] for each in algorithms]

    def signing(self, algorithms: Collection[str]) -> tuple[tuple[pki.Authority, Signer], ...]:
        """Roots and signers of the named algorithms."""
        return tuple(self.sm2 if each == SM2 else (self.root, self.signer) for each in algorithms)

    @property
    def keys(self) -> NodeKeys:
        """As the node holds them."""
        return self.keys_for((ES256,))

    def keys_for(self, sign: Sequence[str]) -> NodeKeys:
        """As the node holds them that signs by these algorithms."""
        signers: dict[str, NoteSigner] = {}

        def log_signer(origin: str) -> NoteSigner:
            if origin not in signers:
                signers[origin] = NoteSigner(origin, derive_log_key(self.seed, origin))
            return signers[origin]

        return NodeKeys(
            signers=tuple(signer for _, signer in self.signing(sign)),
            log_signer=log_signer,
            mirror=Cosigner(mirror_name(self.name, FEDERATION), self.mirror, seconds=_known(self.second)),
            witness=Cosigner(witness_name(self.name, FEDERATION), self.witness, seconds=_known(self.second_witness)),
            submission_key=derive_submission_key(self.seed),
        )

    def peer_for(self, other: str, require: Sequence[str] = (ES256,)) -> Peer:
        """What the other node believes about this one: its card, and what its envelopes must carry."""
        keys = self.keys
        origins = [str(LogName.outbound(self.name, FEDERATION, other, lane)) for lane in LANE_NAMES.values()]
        origins += [str(LogName.journal(self.name, FEDERATION)), str(LogName.local(self.name, FEDERATION))]
        return Peer(
            name=self.name,
            areas=AREAS[self.name],
            mirror=keys.mirror.line,
            witness=keys.witness.line,
            logs={origin: keys.log_signer(origin).line for origin in origins},
            second_mirror=KeyLine(keys.mirror.name, keys.mirror.second_keys),
            second_witness=KeyLine(keys.witness.name, keys.witness.second_keys),
            tls_roots=(tls_root().certificate,),
            signing=SigningTrust.build(
                node=self.name,
                domain=FEDERATION,
                roots=b"".join(root.root_pem for root, _ in self.signing({ES256, *require})),
                require=require,
            ),
        )

    def card_for(self, other: str) -> NodeCard:
        """The card that the other node was given."""
        peer, since = self.peer_for(other), datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        named = [(KeyRole.MIRROR, peer.mirror), (KeyRole.WITNESS, peer.witness)]
        named += [(KeyRole.LOG, line) for line in peer.logs.values()]
        return NodeCard(
            node=self.name,
            domain=FEDERATION,
            addressee=other,
            authority_uscc=AUTHORITIES[self.name],
            authority_name=f"演示{self.name}生态环境局",
            addresses=("127.0.0.1:1",),
            areas=AREAS[self.name],
            duty_desk="演示值班室",
            keys=tuple(TrustedKey(role=role, key=key, valid_from=since) for role, line in named for key in line.active),
            tls_roots=tls_root().root_pem,
            signing_roots=self.root.root_pem,
        )


def _known(key: MlDsaKey | None) -> list[MlDsaKey]:
    return [key] if key is not None else []


@cache
def tls_root() -> pki.Authority:
    """The authority of every TLS certificate of these tests."""
    return pki.create_root(profile(), "test clients", now=datetime.now(UTC))


def roots_of(owner: str, use: str) -> Sequence[Certificate]:
    """The roots under which revocation lists count."""
    return (tls_root().certificate,) if use == "tls" else (keyring(owner).root.certificate,)


def drivers(node: Node, ring: Keyring, folder: Path, sign: Sequence[str]) -> list[KeyDriver]:
    """The keys of a ring as files, and what rotates them."""
    roots = b"".join(root.root_pem for root, _ in ring.signing(sign))
    first = {
        **{f"sign-{name}.pem": content for name, content in zip(sign, ring.signing_files(sign), strict=True)},
        "log.seed": encode_seed(ring.seed),
        "mirror.pem": encode_private(ring.mirror),
        "witness.pem": encode_private(ring.witness),
    }
    if ring.second is not None:
        first["mirror-mldsa.pem"] = encode_ml_dsa(ring.second)
    if ring.second_witness is not None:
        first["witness-mldsa.pem"] = encode_ml_dsa(ring.second_witness)
    folder.mkdir(exist_ok=True)
    files = {name: KeyFiles(folder / name) for name in first}
    for name, content in first.items():
        files[name].make(1, content)
    return [
        *(
            SigningDriver(node, SigningFiles(files[f"sign-{name}.pem"]), place, lambda: roots)
            for place, name in enumerate(sign)
        ),
        LogDriver(node, files["log.seed"]),
        CosignerDriver(node, files["mirror.pem"], KeyUse.KEY_USE_MIRROR, node.keys.mirror.name),
        CosignerDriver(node, files["witness.pem"], KeyUse.KEY_USE_WITNESS, node.keys.witness.name),
        *(
            SecondCosignerDriver(node, files[name], use, cosigner)
            for name, use, cosigner in (
                ("mirror-mldsa.pem", KeyUse.KEY_USE_MIRROR, node.keys.mirror.name),
                ("witness-mldsa.pem", KeyUse.KEY_USE_WITNESS, node.keys.witness.name),
            )
            if name in files
        ),
    ]


@lru_cache(maxsize=8)
def keyring(name: str) -> Keyring:
    """A node's keys, made once for the test session: only logs and databases differ between tests."""
    return Keyring(name)


class Bell:
    """Alarms as a set that tests look at."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], str] = {}
        self.ever: set[str] = set()

    def raise_(self, code: str, about: str, detail: str) -> None:
        """Open."""
        self.open[code, about] = detail
        self.ever.add(code)

    def clear(self, code: str, about: str) -> None:
        """Clear."""
        self.open.pop((code, about), None)

    def codes(self) -> set[str]:
        """Codes of the open ones."""
        return {code for code, _ in self.open}


Fault = Callable[[str, Message], Awaitable[Message | None]]
"""Sees (verb, request) before a call: returns the request to pass on, or raises."""

Tamper = Callable[[str, Message, Message], Message]
"""Sees (verb, request, response) behind a call and returns what the caller gets."""


Work = Callable[[Core, Peer, Message], Awaitable[Message]]
"""What the other side does with a call."""


class Wire:
    """One direction of the link: calls of ``caller`` at ``target``. Broken by plain assignment."""

    def __init__(self, caller: str) -> None:
        self.caller = caller
        self.target: Runtime | None = None
        self.before: Fault | None = None
        self.after: Tamper | None = None
        self.calls: list[tuple[str, float]] = []

    async def _call(self, verb: str, request: Message, answer: type[_T]) -> _T:
        async def work(core: Core, peer: Peer, copy: Message) -> Message:
            answer: Message = await asyncio.to_thread(getattr(core, f"answer_{verb}"), peer, copy)
            return answer

        return await self._through(verb, request, answer, work)

    async def _fetch(self, verb: str, request: Message, answer: type[_T]) -> _T:
        async def work(core: Core, peer: Peer, copy: Message) -> Message:
            answer: Message = await getattr(core.pull_door, verb)(peer, copy)
            return answer

        return await self._through(verb, request, answer, work)

    async def _through(self, verb: str, request: Message, answer: type[_T], work: Work) -> _T:
        self.calls.append((verb, time.monotonic()))
        passed: Message | None = request
        if self.before is not None:
            passed = await self.before(verb, request)
        target = self.target
        if target is None or passed is None:
            raise PeerAwayError("nobody answers")
        core = target.core
        peer = core.node.peers.get(self.caller)
        if peer is None:
            raise PeerRefusedError("PEER_UNKNOWN", self.caller)
        copy = type(passed).FromString(passed.SerializeToString())
        try:
            response = await work(core, peer, copy)
        except (NotYourLogError, NotPulledError) as error:
            raise PeerRefusedError(error.reason, "") from None
        except Exception as error:  # noqa: BLE001 - what a server would answer with UNAVAILABLE or INTERNAL
            raise PeerAwayError(repr(error)) from None
        result = answer.FromString(response.SerializeToString())  # type: ignore[attr-defined]
        if self.after is not None:
            return self.after(verb, request, result)  # type: ignore[return-value]
        return result  # type: ignore[no-any-return]

    async def hello(self, request: Any) -> HelloResponse:
        """Hello."""
        return await self._call("hello", request, HelloResponse)

    async def deliver(self, request: Any) -> DeliverResponse:
        """Deliver."""
        return await self._call("deliver", request, DeliverResponse)

    async def fetch_entries(self, request: Any) -> FetchEntriesResponse:
        """FetchEntries."""
        return await self._fetch("fetch_entries", request, FetchEntriesResponse)

    async def fetch_attachment(self, request: Any) -> FetchAttachmentResponse:
        """FetchAttachment."""
        return await self._call("attachment", request, FetchAttachmentResponse)

    async def cosign_journal(self, request: Any) -> CosignJournalResponse:
        """CosignJournal."""
        return await self._call("cosign", request, CosignJournalResponse)

    async def trust_material(self, request: Any) -> GetTrustMaterialResponse:
        """GetTrustMaterial."""
        return await self._call("trust_material", request, GetTrustMaterialResponse)

    async def return_cosignature(self, request: Any) -> ReturnCosignatureResponse:
        """ReturnCosignature."""
        return await self._fetch("return_cosignature", request, ReturnCosignatureResponse)

    async def fetch_requests(self, request: Any) -> FetchRequestsResponse:
        """FetchRequests."""
        return await self._fetch("fetch_requests", request, FetchRequestsResponse)

    async def return_answer(self, request: Any) -> ReturnAnswerResponse:
        """ReturnAnswer."""
        return await self._fetch("return_answer", request, ReturnAnswerResponse)


class PeerTrust:
    """The trust folder of one node, with a set for each peer; what the peers announce is brought into it.

    Args:
        folder: Where it lies; made when it is not there.
        name: The node.
        require: What the peers' envelopes must carry.
    """

    def __init__(self, folder: Path, name: str, others: Sequence[str], require: Sequence[str]) -> None:
        self._folder, self._name, self._others, self._require = folder, name, others, require
        for other in others:
            if not (folder / other).exists():
                write_peer(folder, other, to_trust_files(keyring(other).card_for(name)))
        self._own = {TLS_ROOTS: tls_root().root_pem, SIGNING_ROOTS: keyring(name).root.root_pem}
        self.first = TrustEdition(
            own=OwnTrust.load(self._own),
            peers={other: TrustSet.load(read_peer(folder, other)) for other in others},
        )

    def roots(self, other: str) -> list[str]:
        """Fingerprints of a peer's authorities in the folder. A set that is just being replaced is looked at again."""
        while True:
            with contextlib.suppress(OSError):
                found = read_peer(self._folder, other)
                if TLS_ROOTS in found:
                    return [fingerprint(each) for each in load_chain(found[TLS_ROOTS])]
            time.sleep(0.001)

    def peer_of(self, trust: TrustSet, _now: datetime | None = None) -> Peer:
        """What a set makes the node believe."""
        peer = keyring(trust.card.node).peer_for(self._name, self._require)
        return replace(peer, tls_roots=load_chain(trust.card.tls_roots))

    def make(self, node: Node, bell: Bell, busy: Callable[[], threading.Lock]) -> None:
        """Put the flows on it."""
        self.seen = SeenFlow(node)
        self.flow = TrustFlow(node, self.first, self._read, self.peer_of, busy, bell)
        self.announced = PeerRoots(
            node, self.flow, lambda peer, files: write_peer(self._folder, peer, files), self.seen, bell
        )

    def _read(self) -> TrustFolder:
        return TrustFolder(own=self._own, peers={other: read_peer(self._folder, other) for other in self._others})


Ports = Callable[[Node, Bell], dict[str, PeerPort]]
"""Makes the ports of a node."""

COURIER = Courier(look=0.02, again=0.5, overdue=3600.0, settle=0.5)
"""A courier who goes many times in a second."""

FOLDER_PACE = LanePace(first_batch=4, confirm=600.0, gather=0.01, window=4)
"""Small batches, so that several are under way."""


class Runtime:
    """One running node."""

    def __init__(
        self,
        name: str,
        url: str,
        others: list[str],
        ports: Ports,
        skew: Callable[[], timedelta],
        folder: Path,
        *,
        sign: Sequence[str] = (ES256,),
        require: Sequence[str] = (ES256,),
        pulling: dict[str, Wire] | None = None,
    ) -> None:
        migrate(url)
        self.name = name
        self.url = url
        self.bell = Bell()
        self.database = Database(url)
        events = EventHub()
        self.trust = PeerTrust(folder / "trust", name, others, require)

        self.writer = Writer(self.database, on_commit=lambda grown, _commands: tell_grown(events, grown))
        self.node = Node(
            name=name,
            federation=FEDERATION,
            authority=Authority(uscc=AUTHORITIES[name], name=f"演示{name}生态环境局"),
            areas=AREAS[name],
            catalogue_no="DEMO/2026-000",
            tables=tables(),
            rules=RuleShelf([rules()]),
            require_approvals=False,
            keys=keyring(name).keys_for(sign),
            peers=PeerBook({other: self.trust.peer_of(trust) for other, trust in self.trust.first.peers.items()}),
            database=self.database,
            writer=self.writer,
            events=events,
            adapters=adapters(),
            clock=lambda: datetime.now(UTC) + skew(),
            editions={},
        )
        self.ports = ports(self.node, self.bell)
        made = drivers(self.node, keyring(name), folder, sign)
        self.trust.make(self.node, self.bell, lambda: self.core.apply.busy)
        self.core = Core(
            self.node,
            self.ports,
            self.bell,
            pulling=pulling,
            roots=roots_of,
            drivers=made,
            witness_seconds=1.0,
            peer_roots=self.trust.announced,
            folder_pace=FOLDER_PACE,
        )
        self.trust.flow.listen(lambda _before, _now: self.core.trust_changed())
        self.trust.announced.start()

    async def stop(self) -> None:
        """Stop as a process would on SIGTERM."""
        self.core.pull_door.close()
        await self.core.stop()
        await asyncio.to_thread(self.trust.announced.close)
        await asyncio.to_thread(self.writer.close)
        self.database.dispose()


class World:
    """Two nodes and the link between them, on an event loop of their own thread."""

    def __init__(self, urls: dict[str, str], *, dialler: str = "", spools: Path | None = None) -> None:
        self.urls = urls
        self.dialler = dialler
        self.spools = spools
        self.courier = COURIER
        self.folder = Path(tempfile.mkdtemp(prefix="world-"))
        self.nodes: dict[str, Runtime] = {}
        self.wires = {name: Wire(name) for name in urls}
        self.skew = dict.fromkeys(urls, timedelta())
        self.sign: dict[str, Sequence[str]] = dict.fromkeys(urls, (ES256,))
        self.require: dict[str, Sequence[str]] = dict.fromkeys(urls, (ES256,))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Awaitable[_T]) -> _T:
        """Run a coroutine on the world's loop."""

        async def wrapped() -> _T:
            return await work

        future: Future[_T] = asyncio.run_coroutine_threadsafe(wrapped(), self._loop)
        return future.result(timeout=120)

    def start(self, *names: str) -> None:
        """Start nodes; all of them when none is named."""
        for name in names or self.urls:
            others = [other for other in self.urls if other != name]
            runtime = Runtime(
                name,
                self.urls[name],
                others,
                lambda node, bell, others=others: {other: self.port(node, other, bell) for other in others},  # type: ignore[misc]
                lambda name=name: self.skew[name],  # type: ignore[misc]
                self.folder / name,
                sign=self.sign[name],
                require=self.require[name],
                pulling=dict.fromkeys(others, self.wires[name]) if name == self.dialler else {},
            )
            self.nodes[name] = runtime
            for other in others:
                self.wires[other].target = runtime
            self.run(runtime.core.start())

    def port(self, node: Node, other: str, bell: Bell) -> PeerPort:
        """How a node reaches the other one: by its wire, by files, or where only the other dials, by being fetched."""
        if self.spools is not None:
            folder = self.spools / node.name
            return FolderPeer(node, other, folder, self.courier, raise_=bell.raise_, clear=bell.clear)
        if self.dialler in ("", node.name):
            return self.wires[node.name]
        return PulledPeer(node.clock, fetched=0.5, answered=5.0)

    def stop(self, *names: str) -> None:
        """Stop nodes."""
        for name in names or tuple(self.nodes):
            runtime = self.nodes.pop(name, None)
            if runtime is None:
                continue
            for other in self.urls:
                if other != name:
                    self.wires[other].target = None
            self.run(runtime.stop())

    def close(self) -> None:
        """Stop everything."""
        self.stop()
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()
        shutil.rmtree(self.folder)

    def submit(self, name: str, record: Record, key: str, agency: str = "agency", **options: Any) -> SubmittedRecord:
        """Submit one typed record."""
        item = RecordSubmission(idempotency_key=key, record=record, **options)
        core = self.nodes[name].core
        return core.submit.submit(agency, [item], core.node.clock())[0]

    def wait(self, condition: Callable[[], object], seconds: float = 20.0, what: str = "") -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {what or condition}")
            time.sleep(0.02)

    def log_size(self, name: str, origin: str) -> int:
        """Entries of a log."""
        with self.nodes[name].database.read() as connection:
            log = log_store.head(connection, origin)
        return log.size if log else 0

    def delivered(self, name: str, origin: str) -> int:
        """Entries of an outbound log that the peer cosigned."""
        with self.nodes[name].database.read() as connection:
            log = log_store.head(connection, origin)
            newest = log_store.last_checkpoint(connection, log.id) if log else None
        return newest.size if newest else 0

    def rows(self, name: str, table: str = "reg_records") -> list[Any]:
        """Rows of a table, in order of their first column."""
        with self.nodes[name].database.read() as connection:
            found = schema.metadata.tables[table]
            return list(connection.execute(found.select().order_by(*found.primary_key.columns)))

    def settled(self) -> bool:
        """Whether everything is delivered, applied and answered, on both sides."""
        for runtime in self.nodes.values():
            if not runtime.core.status.may_apply():
                return False
            with runtime.database.read() as connection:
                positions = {row.log_id: row.next for row in connection.execute(schema.cursors.select())}
                for log in log_store.heads(connection):
                    if log.use == "journal":
                        continue
                    if positions.get(log.id, 0) < log.size:
                        return False
                    if log.use == "outbound":
                        newest = log_store.last_checkpoint(connection, log.id)
                        delivered = newest.size if newest else 0
                        if delivered < (0 if log.retired else log.size):
                            return False
                        if log.peer in self.nodes and self.log_size(log.peer, log.origin) < delivered:
                            return False
        return True


def lane_origin(name: str, peer: str, lane: str = "registry", epoch: int = 1) -> str:
    """Origin of an outbound log."""
    return str(LogName.outbound(name, FEDERATION, peer, lane, epoch))


def worlds(tmp_path: Path) -> Iterator[World]:
    """A world on SQLite."""
    world = World({name: f"sqlite:///{tmp_path}/{name}.db" for name in ("cq", "sc")})
    try:
        yield world
    finally:
        world.close()
