"""Hello before sign: both sides show what they hold with the other's signature, and draw the same conclusions.

For every log of ours that the peer shows with its cosignature there are four cases:
  prefix      its checkpoint is a prefix of our committed log: signing goes on
  behind      it cosigned more than it holds (it was restored): it is sent again what it lacks, nothing is cosigned
  restored    it cosigned more than we have, validly signed by our own key: we were restored, and fetch it back
  fork        two checkpoints that we signed contradict each other: the lane stops, the evidence is kept
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from exchange import __version__
from exchange.crypto.ed25519 import verify_cosignature, verify_note
from exchange.flows.context import Node, Peer
from exchange.flows.link.links import Links
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead, Transaction
from exchange.storage.logs import log_store, witnessed
from exchange.storage.logs.log_store import StoredCheckpoint
from exchange.storage.logs.witnessed import WitnessedHead
from exchange.tlog.checkpoint import Checkpoint, parse_note
from exchange.tlog.origin import LogName, mirror_name, witness_name
from exchange.v1.relay_service_pb2 import HelloRequest, HelloResponse, LogPosition, Positions

MAX_LACKING = 1_000
"""Cosigned notes given back in one hello: about 400 bytes each; the rest comes with the entries."""

OWN_USES = ("journal", "local")


@dataclass(frozen=True, slots=True)
class OwnLog:
    """A log of ours that the peer's evidence is about.

    Attributes:
        verdict: ``prefix``, ``restored`` or ``fork``.
        shown: The peer's checkpoint, signed by our own key.
        note: Its note.
    """

    log: LogHead
    verdict: str
    shown: Checkpoint
    note: bytes


@dataclass(slots=True)
class Findings:
    """What a peer's positions say.

    Attributes:
        own: For each of our logs that the peer showed.
        notes: Cosigned notes of ours to keep: (log id, note).
        unknown: Origins of our own logs that we do not have at all.
        seen: Heads of the peer that we witnessed before we were restored.
    """

    own: list[OwnLog] = field(default_factory=list)
    notes: list[tuple[int, StoredCheckpoint]] = field(default_factory=list)
    unknown: list[tuple[str, Checkpoint, bytes]] = field(default_factory=list)
    seen: list[tuple[int, WitnessedHead]] = field(default_factory=list)

    @property
    def restored(self) -> list[OwnLog]:
        """Logs that show that we were restored."""
        return [found for found in self.own if found.verdict == "restored"]

    @property
    def lost(self) -> bool:
        """Whether entries of our own are missing here."""
        return bool(self.restored or self.unknown)

    @property
    def forks(self) -> list[OwnLog]:
        """Logs that really forked."""
        return [found for found in self.own if found.verdict == "fork"]


def positions(node: Node, connection: Connection, peer: Peer) -> Positions:
    """Where we stand with a peer."""
    mine, theirs = mirror_name(peer.name, node.federation), mirror_name(node.name, node.federation)
    shown = Positions()
    for log in log_store.heads(connection):
        if log.use == "outbound" and log.peer == peer.name:
            shown.outbound.append(_position(log, log_store.last_checkpoint(connection, log.id, mine)))
        elif log.use == "mirror" and log.peer == peer.name:
            shown.mirrored.append(_position(log, log_store.last_checkpoint(connection, log.id, theirs)))
        elif log.use in OWN_USES:
            witness = witness_name(peer.name, node.federation)
            shown.own_witnessed.append(_position(log, log_store.last_checkpoint(connection, log.id, witness)))
    for row in witnessed.of_peer(connection, peer.name):
        shown.witnessed.append(LogPosition(origin=row.origin, note=row.note))
    return shown


def _position(log: LogHead, newest: StoredCheckpoint | None) -> LogPosition:
    return LogPosition(origin=log.origin, note=newest.note if newest else b"")


def request(node: Node, connection: Connection, peer: Peer, now: datetime, *, restored: bool) -> HelloRequest:
    """What we show in a hello of ours."""
    message = HelloRequest(
        federation=node.federation,
        node=node.name,
        to=peer.name,
        positions=positions(node, connection, peer),
        restored=restored,
        version=__version__,
    )
    message.at.FromDatetime(now)
    return message


def answer(
    node: Node,
    connection: Connection,
    peer: Peer,
    asked: HelloRequest,
    session: bytes,
    now: datetime,
    *,
    restored: bool,
) -> HelloResponse:
    """What we show to a peer's hello, with the cosigned notes that it lacks."""
    response = HelloResponse(
        session=session,
        positions=positions(node, connection, peer),
        restored=restored,
        version=__version__,
    )
    response.at.FromDatetime(now)
    held = {each.origin: each.note for each in (*asked.positions.outbound, *asked.positions.mirrored)}
    for log in log_store.heads(connection):
        if log.peer != peer.name or log.use not in ("mirror", "outbound"):
            continue
        size = size_of(held.get(log.origin, b""))
        lacking = log_store.checkpoints(connection, log.id, size, MAX_LACKING)
        newest = log_store.last_checkpoint(connection, log.id)
        if newest and lacking and newest.size > lacking[-1].size:
            lacking.append(newest)
        response.lacking.extend(LogPosition(origin=log.origin, note=note.note) for note in lacking)
    return response


def size_of(note: bytes) -> int:
    """Size in a checkpoint, unverified; 0 for an empty or unreadable one."""
    try:
        return int(note.split(b"\n", 2)[1])
    except (IndexError, ValueError):
        return 0


def examine(
    node: Node,
    connection: Connection,
    peer: Peer,
    shown: Positions,
    lacking: Iterable[LogPosition],
    links: Links,
) -> Findings:
    """Draw conclusions from what a peer shows; only notes with valid signatures count."""
    findings = Findings()
    link = links.of(peer.name)
    by_origin = {log.origin: log for log in log_store.heads(connection)}
    given: dict[str, list[bytes]] = {}
    for each in lacking:
        given.setdefault(each.origin, []).append(each.note)
    for position in shown.mirrored:
        _own_outbound(node, connection, peer, position, by_origin, given.get(position.origin, []), findings, links)
    for position in shown.witnessed:
        _own_witnessed(node, connection, peer, position, by_origin, findings)
    for position in shown.own_witnessed:
        _seen_before(node, connection, peer, position, findings)
    listed = {position.origin for position in shown.mirrored}
    for log in by_origin.values():
        if log.use == "outbound" and log.peer == peer.name and log.origin not in listed:
            _held_none(connection, log, links)
    for position in shown.outbound:
        mirror = by_origin.get(position.origin)
        size = _own_cosignature(node, peer, position)
        if size and (mirror is None or size > mirror.size):
            link.shown[position.origin] = max(size, link.shown.get(position.origin, 0))
    return findings


def _own_cosignature(node: Node, peer: Peer, position: LogPosition) -> int:
    """Size for which a peer shows our own mirror's cosignature over its log; 0 when it shows none.

    Of an epoch that we have forgotten the log's key is not known: what we cosigned, we had verified.
    """
    if not position.note or verify_cosignature(position.note, node.keys.mirror.line) is None:
        return 0
    keys = peer.log_keys_ever(position.origin)
    checkpoint = verify_note(position.note, keys) if keys else parse_note(position.note)[1]
    if checkpoint is None or checkpoint.origin != position.origin:
        return 0
    return checkpoint.size


def _own_outbound(
    node: Node,
    connection: Connection,
    peer: Peer,
    position: LogPosition,
    by_origin: dict[str, LogHead],
    given: Sequence[bytes],
    findings: Findings,
    links: Links,
) -> None:
    """What the peer holds of one of our outbound logs."""
    log = by_origin.get(position.origin)
    if log is not None and not position.note:
        _held_none(connection, log, links)
        return
    own = node.keys.log_signer(position.origin).line
    checkpoint = verify_note(position.note, own.ever) if position.note else None
    if checkpoint is None or verify_cosignature(position.note, peer.mirror) is None:
        return  # not signed by us, or not cosigned by it: shows nothing
    if log is None:
        findings.unknown.append((position.origin, checkpoint, position.note))
        return
    found = _compare(connection, log, checkpoint, position.note)
    if found.verdict != "prefix":
        links.of(peer.name).agreed.discard(log.origin)
        # A retired log is not gone on with, whatever was cosigned of it.
        if not log.retired:
            findings.own.append(found)
        return
    findings.own.append(found)
    links.of(peer.name).agreed.add(log.origin)
    for note in (*given, position.note):
        kept = _verified(note, node, peer, log, connection)
        if kept:
            findings.notes.append((log.id, kept))
    newest = log_store.last_checkpoint(connection, log.id)
    if newest is not None and newest.size > checkpoint.size:
        links.of(peer.name).held[log.origin] = checkpoint.size
    else:
        links.of(peer.name).held.pop(log.origin, None)


def _held_none(connection: Connection, log: LogHead, links: Links) -> None:
    """The peer holds nothing of a log that it cosigned: it was restored, and is sent all of it again."""
    if log_store.last_checkpoint(connection, log.id) is not None:
        links.of(log.peer).held[log.origin] = 0


def _seen_before(node: Node, connection: Connection, peer: Peer, position: LogPosition, findings: Findings) -> None:
    """A head of the peer with our own witness's signature, newer than what we remember: we were restored."""
    checkpoint = verify_note(position.note, peer.log_keys_ever(position.origin)) if position.note else None
    if checkpoint is None or verify_cosignature(position.note, node.keys.witness.line) is None:
        return
    known = witnessed.get(connection, position.origin)
    size = known.size if known else 0
    if checkpoint.size > size:
        head = WitnessedHead(position.origin, peer.name, checkpoint.size, checkpoint.root, position.note)
        findings.seen.append((size, head))


def _verified(note: bytes, node: Node, peer: Peer, log: LogHead, connection: Connection) -> StoredCheckpoint | None:
    """A note that is ours, cosigned by the peer, and agrees with our log."""
    checkpoint = verify_note(note, node.keys.log_signer(log.origin).line.ever)
    time = verify_cosignature(note, peer.mirror)
    if checkpoint is None or time is None or checkpoint.size > log.size:
        return None
    if log_store.root(connection, log, checkpoint.size) != checkpoint.root:
        return None
    return StoredCheckpoint(checkpoint.size, peer.mirror.name, note, time * 1_000_000)


def _compare(connection: Connection, log: LogHead, shown: Checkpoint, note: bytes) -> OwnLog:
    """Our own log against a checkpoint that we once signed for it."""
    if shown.size <= log.size and log_store.root(connection, log, shown.size) == shown.root:
        return OwnLog(log, "prefix", shown, note)
    newest = log_store.last_checkpoint(connection, log.id)
    if newest is not None and newest.size >= shown.size:
        # What we hold cosigned is at least as long and is another tree: both are signed by us.
        return OwnLog(log, "fork", shown, note)
    return OwnLog(log, "restored", shown, note)


def _own_witnessed(
    node: Node,
    connection: Connection,
    peer: Peer,
    position: LogPosition,
    by_origin: dict[str, LogHead],
    findings: Findings,
) -> None:
    """What the peer witnessed of our journal or local log."""
    if not position.note:
        return
    checkpoint = verify_note(position.note, node.keys.log_signer(position.origin).line.ever)
    if checkpoint is None or verify_cosignature(position.note, peer.witness) is None:
        return
    log = by_origin.get(position.origin)
    if log is not None and not log.retired:
        findings.own.append(_compare(connection, log, checkpoint, position.note))
    elif log is None and not _went_on(by_origin, position.origin):
        findings.unknown.append((position.origin, checkpoint, position.note))


def _went_on(by_origin: dict[str, LogHead], origin: str) -> bool:
    """Whether a journal or local log that we have forgotten was gone on from already, in a later epoch."""
    name = LogName.parse(origin)
    return any(log.use == name.use.value and log.epoch > name.epoch for log in by_origin.values())


def keep_seen(tx: Transaction, payloads: Sequence[Sequence[tuple[int, WitnessedHead]]]) -> list[None]:
    """Remember heads that we witnessed once."""
    for payload in payloads:
        for known, head in payload:
            witnessed.put(tx, head, known)
    return [None] * len(payloads)


def keep_notes(tx: Transaction, payloads: Sequence[Sequence[tuple[int, StoredCheckpoint]]]) -> list[None]:
    """Store cosigned notes that we lacked."""
    per_log: dict[int, dict[int, StoredCheckpoint]] = {}
    for payload in payloads:
        for log_id, note in payload:
            per_log.setdefault(log_id, {})[note.size] = note
    for log_id, notes in per_log.items():
        log_store.store_checkpoints(tx, log_id, list(notes.values()))
    return [None] * len(payloads)
