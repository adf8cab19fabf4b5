"""Making this node's card for a peer from its files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from exchange.cli.output import Undecidable
from exchange.crypto import keys
from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.node_card import KeyRole, NodeCard, TrustedKey
from exchange.settings import NodeSettings
from exchange.settings.trust_folder import read_own
from exchange.storage.database import Database
from exchange.storage.log_store import heads
from exchange.storage.migrate import require_newest, sqlite_path
from exchange.tlog.note import VerifierKey
from exchange.tlog.origin import LANES, LogName, OriginUse, mirror_name, witness_name

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
        Undecidable: ``FILE_MISSING``: a key, or the roots of our own certificates.
    """
    node = settings.node
    try:
        seed = keys.load_seed(settings.keys.log.path.read_bytes())
        mirror = keys.load_ed25519(settings.keys.mirror.path.read_bytes())
        witness = keys.load_ed25519(settings.keys.witness.path.read_bytes())
        sources = (settings.keys.mirror_second, settings.keys.witness_second)
        seconds = [keys.load_ml_dsa(each.path.read_bytes()) if each is not None else None for each in sources]
        own = read_own(settings.trust.folder)
    except OSError as error:
        raise Undecidable("FILE_MISSING", str(error.filename), error.strerror or "") from None
    made: list[TrustedKey] = []

    def trust(role: KeyRole, key: str) -> None:
        made.append(TrustedKey(role=role, key=VerifierKey.parse(key), valid_from=FIRST_KEYS_FROM))

    for origin in _origins(settings, peer):
        trust(KeyRole.LOG, NoteSigner(origin, keys.derive_log_key(seed, origin)).vkey)
    for role, name, key, second in (
        (KeyRole.MIRROR, mirror_name(node.name, node.domain), mirror, seconds[0]),
        (KeyRole.WITNESS, witness_name(node.name, node.domain), witness, seconds[1]),
    ):
        for each in Cosigner(name, key, second).keys:
            trust(role, str(each))
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
