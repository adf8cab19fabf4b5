"""Making this node's card for a peer from its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from exchange.app.passphrase import key_lock
from exchange.cli.output import Undecidable
from exchange.crypto import keys
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.key_lock import KeyLock
from exchange.crypto.trusted.node_card import KeyRole, NodeCard, TrustedKey
from exchange.flows.instants import instant
from exchange.settings import NodeSettings
from exchange.settings.trust_folder import read_own
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import require_newest, sqlite_path
from exchange.storage.files.key_folder import KeyFiles, KeyLife
from exchange.storage.logs.log_store import heads
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, VerifierKey
from exchange.tlog.origin import LANES, LogName, OriginUse, mirror_name, witness_name

_Key = TypeVar("_Key")

FIRST_KEYS_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""From when a node's first keys count: nothing came before them. So the same node always makes the same card."""


def make_card(settings: NodeSettings, peer: str, addresses: Sequence[str]) -> NodeCard:
    """This node's card for one peer.

    Args:
        settings: The node's settings.
        peer: Name of the peer that the card is for.
        addresses: ``host:port`` under which peers reach this node.

    Raises:
        CardRefused: The parts do not make a card; every mistake is listed.
        KeyUnreadable: A key file can not be read, or its passphrase does not open it.
        Undecidable: ``FILE_MISSING``: a key, or the roots of our own certificates.
    """
    node = settings.node
    made: list[TrustedKey] = []

    def trust(role: KeyRole, key: str, life: KeyLife) -> None:
        # Instants of a card are whole seconds; rounded outwards, they leave out nothing that was signed.
        begin = instant(life.valid_from).replace(microsecond=0) if life.valid_from else FIRST_KEYS_FROM
        end = instant(-(-life.valid_until // 1_000_000) * 1_000_000) if life.valid_until else None
        made.append(TrustedKey(role=role, key=VerifierKey.parse(key), valid_from=begin, valid_until=end))

    lock = key_lock(settings)
    try:
        own = read_own(settings.trust.folder)
        for life, seed in _generations(settings.keys.log.path, lock, keys.load_seed):
            for origin in _origins(settings, peer):
                log_key = keys.derive_log_key(seed, origin, life.generation)
                trust(KeyRole.LOG, NoteSigner(origin, log_key).vkey, life)
        of_node = node.name, node.domain
        for role, source, second, name in (
            (KeyRole.MIRROR, settings.keys.mirror, settings.keys.mirror_second, mirror_name(*of_node)),
            (KeyRole.WITNESS, settings.keys.witness, settings.keys.witness_second, witness_name(*of_node)),
        ):
            for life, key in _generations(source.path, lock, keys.load_ed25519):
                trust(role, Cosigner(name, key).vkey, life)
            if second is not None:
                for life, more in _generations(second.path, lock, keys.load_ml_dsa):
                    public = more.public_key().public_bytes_raw()
                    trust(role, str(VerifierKey.of(name, COSIGNATURE_ML_DSA_44, public)), life)
    except OSError as error:
        raise Undecidable("FILE_MISSING", str(error.filename), error.strerror or "") from None
    return NodeCard(
        node=node.name,
        domain=node.domain,
        addressee=peer,
        authority_uscc=node.authority.uscc,
        authority_name=node.authority.name,
        addresses=tuple(addresses),
        areas=node.areas,
        duty_desk=node.duty_desk,
        keys=tuple(made),
        tls_roots=own.tls_roots,
        signing_roots=own.signing_roots,
    )


def _generations(path: Path, lock: KeyLock, load: Callable[[bytes], _Key]) -> Iterator[tuple[KeyLife, _Key]]:
    """The generations of a key that peers rely on, or relied on once: during a rotation a card names both keys."""
    files = KeyFiles(path, lock)
    for life in files.lives():
        if life.state != "ABORTED":
            content = files.read(life.generation)
            if content is None and life.state != "RETIRED":
                raise FileNotFoundError(2, "No such file or directory", str(files.path(life.generation)))
            if content is not None:
                yield life, load(content)


def _origins(settings: NodeSettings, peer: str) -> list[str]:
    """The logs that the peer will see: first epochs, and later ones that the database knows."""
    name, domain = settings.node.name, settings.node.domain
    first = [LogName.outbound(name, domain, peer, lane) for lane in LANES]
    first += [LogName.journal(name, domain), LogName.local(name, domain)]
    later = [log for log in _known_logs(settings) if log.epoch > 1 and log.node == name]
    later = [log for log in later if log.use is not OriginUse.OUTBOUND or log.peer == peer]
    return [str(log) for log in (*first, *later)]


def _known_logs(settings: NodeSettings) -> list[LogName]:

    file = sqlite_path(settings.database.url)
    if file is not None and not file.exists():
        return []  # never run yet: every log is in its first epoch

    database = Database(settings.database.url)
    try:
        require_newest(database)
        with database.read() as connection:
            return [LogName.parse(head.origin) for head in heads(connection)]
    finally:
        database.dispose()
