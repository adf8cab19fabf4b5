"""From a node file to a node: reads every file once, checks it, and hands checked values on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from exchange.app.adapters import find_adapters, read_overlays
from exchange.app.signing import read_signers, signing_files
from exchange.crypto.dsse import ES256
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.key_lock import KeyLock
from exchange.crypto.keys import (
    MlDsaKey,
    derive_log_key,
    derive_submission_key,
    load_ed25519,
    load_ml_dsa,
    load_seed,
)
from exchange.crypto.sealing import SHA_256, SM3
from exchange.crypto.tls_identity import TlsIdentity
from exchange.crypto.trusted.node_card import KeyRole, NodeCard, TrustedKey
from exchange.crypto.trusted.own_trust import OwnTrust
from exchange.crypto.trusted.trust import TrustRefused, TrustSet
from exchange.crypto.x509.certificates import load_chain
from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.problems import ExchangeError, Problem
from exchange.domain.recognising.recognition import RuleSet
from exchange.domain.recognising.rule_book import RuleShelf
from exchange.flows import bootstrap
from exchange.flows.certificates.tls import TlsFiles
from exchange.flows.certificates.trust import TrustEdition, TrustFolder
from exchange.flows.context import Node, NodeKeys, Peer, PeerBook
from exchange.flows.events import EventHub, tell_grown
from exchange.flows.link.deliver_limits import MAX_ENTRIES
from exchange.flows.link.pace import LanePace
from exchange.flows.rotation.driver import KeyDriver
from exchange.flows.rotation.ed25519_keys import CosignerDriver, LogDriver
from exchange.flows.rotation.second_keys import SecondCosignerDriver
from exchange.flows.rotation.signing_key import SigningDriver
from exchange.flows.rules.editions import bring_in, load_rules
from exchange.settings import NodeSettings
from exchange.settings.model import KeySource
from exchange.settings.trust_folder import peer_names, read_own_files, read_peer
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import LogHead
from exchange.storage.engine.writer import Writer
from exchange.storage.files.key_folder import KeyFiles
from exchange.tables import read_all
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, KeyLine
from exchange.tlog.origin import mirror_name, witness_name
from exchange.v1.common_pb2 import Authority
from exchange.v1.key_announcement_pb2 import KeyUse

RULES = "rules/recognition.toml"
NODE_CATALOGUE = "NODE-INTERNAL"
"""Catalogue number of records that nodes state themselves: decisions, answers, key announcements."""


class TrustMissingError(ExchangeError):
    """A peer of the node file has no trust set: its card was not added."""

    reason = "TRUST_MISSING"


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Everything that was read: keys, trust, tables.

    Attributes:
        tables_edition: The files behind tables and adapters, in one piece, for the journal.
    """

    keys: NodeKeys
    tls: TlsFiles
    trust: TrustEdition
    tables: Tables
    rules: RuleSet
    tables_edition: bytes


def read_trust(settings: NodeSettings) -> TrustFolder:
    """The trust folder as it is now, for the peers of the node file.

    Raises:
        OSError: Our own part can not be read.
    """
    folder, known = settings.trust.folder, {link.name for link in settings.peers}
    peers = {}
    for name in known:
        # One that is being replaced is not there for a moment.
        with contextlib.suppress(OSError):
            peers[name] = read_peer(folder, name)
    strangers = tuple(name for name in peer_names(folder) if name not in known)
    return TrustFolder(own=read_own_files(folder), peers=peers, strangers=strangers)


def first_trust(settings: NodeSettings) -> TrustEdition:
    """The trust that the node starts with: every set is there, and whole.

    Raises:
        TrustMissingError: A peer has none.
        TrustRefused: A set has mistakes.
        OSError: Our own part can not be read.
    """
    folder, node = read_trust(settings), settings.node
    found = {}
    for link in settings.peers:
        if link.name not in folder.peers:
            raise TrustMissingError(f"{link.name}: run 'exchange peers add' with its card")
        found[link.name] = TrustSet.load(
            folder.peers[link.name], node=link.name, domain=node.domain, addressee=node.name
        )
    require = {link.name: link.require for link in settings.peers}
    return TrustEdition(own=OwnTrust.load(folder.own), peers=found, require=require)


def read_tls(settings: NodeSettings, lock: KeyLock) -> TlsFiles:
    """Both TLS keys: one file, unless the node file names another for dialling.

    Raises:
        OSError: A file can not be read.
        KeyUnreadable: It is no key file.
    """
    server = TlsIdentity.parse(_opened(settings.keys.tls, lock))
    other = settings.keys.tls_client
    return TlsFiles(server=server, client=TlsIdentity.parse(_opened(other, lock)) if other else server)


def _opened(source: KeySource, lock: KeyLock) -> bytes:
    return lock.open(source.path.read_bytes(), str(source.path))


def read_log_seed(settings: NodeSettings, lock: KeyLock) -> bytes:
    """The first log seed: it makes the keys of logs, and the tags of submissions.

    Raises:
        OSError: It can not be read.
        KeyUnreadable: It is no seed, or the passphrase is not its own.
    """
    return load_seed(_opened(settings.keys.log, lock))


def read_files(settings: NodeSettings, lock: KeyLock) -> Files:
    """Read and check every file that the node file names.

    Args:
        settings: Where they lie.
        lock: What opens the key files; it is asked for its passphrase now.
    """
    lock.ready()
    seed = read_log_seed(settings, lock)
    mirror = load_ed25519(_opened(settings.keys.mirror, lock))
    witness = load_ed25519(_opened(settings.keys.witness, lock))
    name, domain = settings.node.name, settings.node.domain
    signers: dict[str, NoteSigner] = {}

    def log_signer(origin: str) -> NoteSigner:
        if origin not in signers:
            signers[origin] = NoteSigner(origin, derive_log_key(seed, origin))
        return signers[origin]

    files = read_all()
    overlays = read_overlays(settings.adapters.tables)
    return Files(
        keys=NodeKeys(
            signers=read_signers(settings, lock),
            log_signer=log_signer,
            mirror=Cosigner(mirror_name(name, domain), mirror, seconds=_second(settings.keys.mirror_second, lock)),
            witness=Cosigner(witness_name(name, domain), witness, seconds=_second(settings.keys.witness_second, lock)),
            submission_key=derive_submission_key(seed),
        ),
        tls=read_tls(settings, lock),
        trust=first_trust(settings),
        tables=load(files, overlays),
        rules=RuleSet.load(files[RULES]),
        tables_edition=bootstrap.pack({**files, **{f"overlay/{each}": data for each, data in overlays.items()}}),
    )


def _second(source: KeySource | None, lock: KeyLock) -> tuple[MlDsaKey, ...]:
    return (load_ml_dsa(_opened(source, lock)),) if source is not None else ()


def peer_maker(settings: NodeSettings) -> Callable[[TrustSet, datetime], Peer]:
    """What makes a peer out of its trust set: the node file says which signatures its envelopes must carry."""
    require = {link.name: link.require for link in settings.peers}
    return lambda trust, now: peer_of(trust, now, require[trust.card.node])


def peer_of(trust: TrustSet, now: datetime, require: Sequence[str] = (ES256,)) -> Peer:
    """What a card makes this node believe.

    Args:
        trust: The peer's set.
        now: When; keys out of use are left out.
        require: Algorithms of which each of its envelopes must carry a signature.

    Raises:
        TrustRefused: No mirror or witness key is in use now.
    """
    card = trust.card
    for role in (KeyRole.MIRROR, KeyRole.WITNESS):
        if not card.cosigners(role, now):
            raise TrustRefused([Problem("TRUST_REFUSED", "peer.toml: key", f"no {role.value} key is in use now")])
    origins = {each.key.name for each in card.keys if each.role is KeyRole.LOG}
    return Peer(
        name=card.node,
        areas=card.areas,
        mirror=_line(card, KeyRole.MIRROR, mirror_name(card.node, card.domain), now),
        witness=_line(card, KeyRole.WITNESS, witness_name(card.node, card.domain), now),
        logs={origin: _line(card, KeyRole.LOG, origin, now) for origin in origins},
        second_mirror=_line(card, KeyRole.MIRROR, mirror_name(card.node, card.domain), now, second=True),
        second_witness=_line(card, KeyRole.WITNESS, witness_name(card.node, card.domain), now, second=True),
        signing=trust.signing_trust(require=require),
        duty_desk=card.duty_desk,
        tls_roots=load_chain(card.tls_roots),
    )


def _counts(key: TrustedKey, now: datetime, *, second: bool) -> bool:
    """Whether a key belongs to a line: the second ones, by ML-DSA-44, are a line of their own."""
    return key.valid_from <= now and (key.key.alg == COSIGNATURE_ML_DSA_44) == second


def _line(card: NodeCard, role: KeyRole, name: str, now: datetime, *, second: bool = False) -> KeyLine:
    """The keys of one name: those in use, the newest first, and those that were."""
    named = (each for each in card.keys if each.role is role and each.key.name == name)
    keys = sorted(
        (each for each in named if _counts(each, now, second=second)),
        key=lambda each: each.valid_from,
        reverse=True,
    )
    active = tuple(each.key for each in keys if each.in_use_at(now))
    ended = ((each.key, each.valid_until) for each in keys if each.key not in active)
    return KeyLine(name, active, tuple((key, int(end.timestamp())) for key, end in ended if end is not None))


def lane_pace(settings: NodeSettings) -> LanePace:
    """How lanes go about it towards peers that answer at once."""
    delivery = settings.delivery
    return LanePace(
        first_batch=delivery.batch_entries,
        batch_bytes=delivery.batch_bytes,
        retry_min=delivery.retry_min_ms / 1000,
        retry_max=delivery.retry_max_ms / 1000,
        confirm=delivery.confirm_interval_s,
        gather=delivery.gather_ms / 1000,
    )


def folder_pace(settings: NodeSettings) -> LanePace:
    """How they do where an answer takes a courier's journey: large batches, several under way."""
    return replace(
        lane_pace(settings),
        first_batch=MAX_ENTRIES,
        confirm=settings.courier.confirm_interval_s,
        gather=settings.courier.gather_s,
        window=settings.courier.window,
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
        rules=RuleShelf(),
        require_approvals=settings.recognition.require_approvals,
        keys=files.keys,
        commitments=(SHA_256, SM3) if settings.sealing.sm3 else (SHA_256,),
        peers=PeerBook({name: peer_maker(settings)(trust, now) for name, trust in files.trust.peers.items()}),
        database=database,
        writer=writer,
        events=events,
        adapters=find_adapters(files.tables, overlays),
        clock=lambda: datetime.now(UTC),
        editions={},
    )


def key_drivers(
    node: Node, settings: NodeSettings, lock: KeyLock, signing_roots: Callable[[], bytes]
) -> list[KeyDriver]:
    """A driver for each key that this node can rotate. Making one puts the generation in use into ``node.keys``."""
    keys = settings.keys
    return [
        *(
            SigningDriver(node, signing_files(settings, source, lock), place, signing_roots)
            for place, source in enumerate(keys.signing)
        ),
        LogDriver(node, KeyFiles(keys.log.path, lock)),
        CosignerDriver(node, KeyFiles(keys.mirror.path, lock), KeyUse.KEY_USE_MIRROR, node.keys.mirror.name),
        CosignerDriver(node, KeyFiles(keys.witness.path, lock), KeyUse.KEY_USE_WITNESS, node.keys.witness.name),
        *(
            SecondCosignerDriver(node, KeyFiles(source.path, lock), use, name)
            for source, use, name in (
                (keys.mirror_second, KeyUse.KEY_USE_MIRROR, node.keys.mirror.name),
                (keys.witness_second, KeyUse.KEY_USE_WITNESS, node.keys.witness.name),
            )
            if source is not None
        ),
    ]


def activate_editions(node: Node, files: Files) -> None:
    """Enter rules and tables into the journal: an edition that is not there is not used. Trust has its own flow.

    The rules of the program are only where a node begins: later ones are brought in by two officers, and a newer
    program changes no rule.
    """
    now = node.clock()
    actor = f"node {node.name}"
    node.editions["CATALOGUES"] = bootstrap.activate(node, "CATALOGUES", files.tables_edition, actor, now)
    load_rules(node)
    if not node.rules.book.editions:
        bring_in(node, files.rules, actor, now)


def data_folder(settings: NodeSettings) -> Path:
    """The node's data folder, made for nobody else to read."""
    settings.node.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.node.data
