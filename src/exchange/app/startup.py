"""From a node file to a node: reads every file once, checks it, and hands checked values on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from exchange.app.adapters import find_adapters, read_overlays
from exchange.crypto.dsse import Signer
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.keys import KeyFile, derive_log_key, derive_submission_key, load_ed25519, load_seed
from exchange.crypto.node_card import KeyRole
from exchange.crypto.trust import TrustSet
from exchange.domain.problems import ExchangeError
from exchange.domain.recognition import RuleSet
from exchange.domain.tables import Tables, load
from exchange.flows import bootstrap
from exchange.flows.context import Node, NodeKeys, Peer, PeerBook
from exchange.flows.events import EventHub, tell_grown
from exchange.settings import NodeSettings
from exchange.settings.trust_folder import OwnTrust, read_own, read_peer
from exchange.storage.database import Database
from exchange.storage.transaction import LogHead
from exchange.storage.writer import Writer
from exchange.tables import read_all
from exchange.tlog.note import VerifierKey
from exchange.tlog.origin import mirror_name, witness_name
from exchange.v1.common_pb2 import Authority

RULES = "rules/recognition.toml"
NODE_CATALOGUE = "NODE-INTERNAL"
"""Catalogue number of records that nodes state themselves: decisions, answers, key announcements."""


class TrustMissingError(ExchangeError):
    """A peer of the node file has no trust set: its card was not added."""

    reason = "TRUST_MISSING"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsIdentity:
    """What the node shows on its connections: PEM."""

    key: bytes
    chain: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Everything that was read: keys, trust, tables.

    Attributes:
        tables_edition: The files behind tables and adapters, in one piece, for the journal.
    """

    keys: NodeKeys
    tls: TlsIdentity
    trust: Mapping[str, TrustSet]
    own: OwnTrust
    tables: Tables
    rules: RuleSet
    rules_file: bytes
    tables_edition: bytes


def read_trust(settings: NodeSettings) -> dict[str, TrustSet]:
    """The trust set of each peer of the node file.

    Raises:
        TrustMissingError: A peer has none.
        TrustRefused: A set has mistakes.
    """
    found = {}
    for link in settings.peers:
        try:
            files = read_peer(settings.trust.folder, link.name)
        except OSError:
            raise TrustMissingError(f"{link.name}: run 'exchange peers add' with its card") from None
        found[link.name] = TrustSet.load(
            files, node=link.name, domain=settings.node.domain, addressee=settings.node.name
        )
    return found


def read_files(settings: NodeSettings) -> Files:
    """Read and check every file that the node file names."""
    signer = Signer.from_pem(settings.keys.signing[0].path.read_bytes())
    seed = load_seed(settings.keys.log.path.read_bytes())
    mirror = load_ed25519(settings.keys.mirror.path.read_bytes())
    witness = load_ed25519(settings.keys.witness.path.read_bytes())
    name, domain = settings.node.name, settings.node.domain
    signers: dict[str, NoteSigner] = {}

    def log_signer(origin: str) -> NoteSigner:
        if origin not in signers:
            signers[origin] = NoteSigner(origin, derive_log_key(seed, origin))
        return signers[origin]

    tls = KeyFile.parse(settings.keys.tls.path.read_bytes())
    files = read_all()
    overlays = read_overlays(settings.adapters.tables)
    return Files(
        keys=NodeKeys(
            signer=signer,
            log_signer=log_signer,
            mirror=Cosigner(mirror_name(name, domain), mirror),
            witness=Cosigner(witness_name(name, domain), witness),
            submission_key=derive_submission_key(seed),
        ),
        tls=TlsIdentity(key=tls.key, chain=tls.chain),
        trust=read_trust(settings),
        own=read_own(settings.trust.folder),
        tables=load(files, overlays),
        rules=RuleSet.load(files[RULES]),
        rules_file=files[RULES],
        tables_edition=bootstrap.pack({**files, **{f"overlay/{each}": data for each, data in overlays.items()}}),
    )


def peer_of(trust: TrustSet, now: datetime) -> Peer:
    """What a card makes this node believe."""
    card = trust.card
    logs: dict[str, VerifierKey] = {
        each.key.name: each.key for each in card.keys if each.role is KeyRole.LOG and each.in_use_at(now)
    }
    return Peer(
        name=card.node,
        areas=card.areas,
        mirror_key=card.keys_of(KeyRole.MIRROR, now)[0],
        witness_key=card.keys_of(KeyRole.WITNESS, now)[0],
        log_keys=logs,
        signing=trust.signing_trust(),
        duty_desk=card.duty_desk,
    )


def make_node(
    settings: NodeSettings,
    files: Files,
    database: Database,
    *,
    on_commit: Callable[[int], None],
    on_fatal: Callable[[BaseException], None],
) -> Node:
    """The node, with its writer running and its editions in the journal."""
    events = EventHub()

    def committed(grown: Sequence[LogHead], commands: int) -> None:
        on_commit(commands)
        tell_grown(events, grown)

    writer = Writer(database, on_commit=committed, on_fatal=on_fatal)
    now = datetime.now(UTC)
    authority = settings.node.authority
    overlays = read_overlays(settings.adapters.tables)
    return Node(
        name=settings.node.name,
        federation=settings.node.domain,
        authority=Authority(uscc=authority.uscc, name=authority.name),
        areas=settings.node.areas,
        catalogue_no=NODE_CATALOGUE,
        tables=files.tables,
        rules=files.rules,
        require_approvals=settings.recognition.require_approvals,
        keys=files.keys,
        peers=PeerBook({name: peer_of(trust, now) for name, trust in files.trust.items()}),
        database=database,
        writer=writer,
        events=events,
        adapters=find_adapters(files.tables, overlays),
        clock=lambda: datetime.now(UTC),
        editions={},
    )


def activate_editions(node: Node, files: Files) -> None:
    """Enter every file that decisions read into the journal: an edition that is not there is not used."""
    now = node.clock()
    actor = f"node {node.name}"
    editions = {
        "RULES": bootstrap.activate(node, "RULES", files.rules_file, actor, now),
        "CATALOGUES": bootstrap.activate(node, "CATALOGUES", files.tables_edition, actor, now),
        "TRUST": bootstrap.activate(
            node, "TRUST", bootstrap.pack({name: trust.to_bytes() for name, trust in files.trust.items()}), actor, now
        ),
    }
    node.editions.update(editions)


def data_folder(settings: NodeSettings) -> Path:
    """The node's data folder, made for nobody else to read."""
    settings.node.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.node.data
