"""Witnessing: peers cosign the heads of our journal and local log, and we theirs. A head only ever grows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from exchange.crypto.ed25519 import spoiled_cosignature, verify_cosignature, verify_note
from exchange.flows.context import Node, Peer
from exchange.flows.instants import micros, timestamp
from exchange.flows.link.clocks import Clocks
from exchange.flows.link.deliver import Hello
from exchange.flows.link.evidence import keep_evidence
from exchange.flows.link.links import Links
from exchange.flows.link.mirror import NotYourLogError
from exchange.flows.link.peer_port import PeerPort
from exchange.flows.status import NodeStatus
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead, Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import log_store, witnessed
from exchange.storage.logs.log_store import StoredCheckpoint
from exchange.storage.logs.witnessed import WitnessedHead
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import VerifierKey, parse
from exchange.tlog.origin import LogName, OriginUse
from exchange.tlog.tree import consistency_proof, verify_consistency
from exchange.v1.relay_service_pb2 import CosignJournalRequest, CosignJournalResponse

WITNESS_SECONDS = 10.0
"""How often a grown journal or local log is shown to each peer: bounds what a restore can lose unnoticed."""

_USES = ("journal", "local")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    origin: str
    peer: str
    old_size: int
    checkpoint: Checkpoint
    note: bytes


class WitnessFlow:
    """Answers ``CosignJournal``: "I saw this head; it extends the last one"."""

    def __init__(
        self,
        node: Node,
        links: Links,
        on_contradiction: Callable[[str, str, str], None],
        *,
        may_cosign: Callable[[], bool],
    ) -> None:
        self._node = node
        self._links = links
        self._on_contradiction = on_contradiction
        self._may_cosign = may_cosign
        self._forked: set[tuple[str, bytes]] = set()

    def cosign(self, peer: Peer, request: CosignJournalRequest, now: datetime) -> CosignJournalResponse:
        """Witness one head.

        Raises:
            NotYourLogError: Not a journal or local log of the caller, or not signed by its key.
        """
        origin = request.checkpoint.split(b"\n", 1)[0].decode("utf-8", "replace")
        try:
            name = LogName.parse(origin)
        except LogFormatError as error:
            raise NotYourLogError from error
        keys = peer.log_keys(origin)
        if name.node != peer.name or name.domain != self._node.federation or name.use is OriginUse.OUTBOUND:
            raise NotYourLogError
        checkpoint = verify_note(request.checkpoint, keys)
        if checkpoint is None or not self._links.is_current(peer.name, request.session) or not self._may_cosign():
            raise NotYourLogError
        with self._node.database.read() as connection:
            last = witnessed.get(connection, origin)
        size, root = (last.size, last.root) if last else (0, b"")
        at = timestamp(micros(now))
        answer = CosignJournalResponse(size=size, last_note=last.note if last else b"", at=at)
        if checkpoint.size < size or request.old_size != size:
            return answer
        if size and not verify_consistency(size, checkpoint.size, list(request.proof), root, checkpoint.root):
            self._contradicted(peer.name, checkpoint, [request.checkpoint, answer.last_note], now)
            return answer
        note = self._node.keys.witness.cosign(request.checkpoint, int(now.timestamp()))
        seen = _Seen(origin=origin, peer=peer.name, old_size=size, checkpoint=checkpoint, note=note)
        if self._node.writer.call(_store_seen, seen, WorkClass.REGISTRY):
            return CosignJournalResponse(note=note, size=checkpoint.size, last_note=note, at=at)
        return answer

    def _contradicted(self, peer: str, shown: Checkpoint, notes: Sequence[bytes], now: datetime) -> None:
        """Two heads that no one journal satisfies, or a proof that does not show it; told once for each head."""
        if (shown.origin, shown.root) not in self._forked:
            self._forked.add((shown.origin, shown.root))
            keep_evidence(self._node, "FORK", shown.origin, notes, now)
            self._on_contradiction(peer, shown.origin, "FORK")


def _store_seen(tx: Transaction, payloads: Sequence[_Seen]) -> list[bool]:
    return [
        witnessed.put(
            tx,
            WitnessedHead(seen.origin, seen.peer, seen.checkpoint.size, seen.checkpoint.root, seen.note),
            seen.old_size,
        )
        for seen in payloads
    ]


class WitnessLoop:
    """Has our journal and local log witnessed by one peer."""

    def __init__(
        self,
        node: Node,
        peer: str,
        port: PeerPort,
        hello: Hello,
        status: NodeStatus,
        *,
        clocks: Clocks,
        seconds: float = WITNESS_SECONDS,
    ) -> None:
        self._seconds = seconds
        self._node = node
        self._peer = peer
        self._port = port
        self._hello = hello
        self._status = status
        self._clocks = clocks
        self._seen_of: dict[str, int] = {}
        self._shown_by: dict[str, VerifierKey] = {}

    async def run(self) -> None:
        """Show grown heads until cancelled; a peer that is away is asked again at the next turn."""
        while True:
            with contextlib.suppress(Exception):  # whatever it was, the next turn asks again
                await self.once()
            await asyncio.sleep(self._seconds)

    async def once(self) -> None:
        """Show every head that grew."""
        link = await self._hello(self._peer)
        if not self._status.may_sign(self._peer) or link.given is None:
            return
        for use in _USES:
            asked = await asyncio.to_thread(self._prepare, use, link.given)
            if asked is None:
                continue
            log, request = asked
            called = self._node.clock()
            response = await self._port.cosign_journal(request)
            self._clocks.compare(self._peer, response.at, called, self._node.clock())
            await asyncio.to_thread(self._take, log, response)

    def _prepare(self, use: str, session: bytes) -> tuple[LogHead, CosignJournalRequest] | None:
        with self._node.database.read() as connection:
            log = log_store.current(connection, use)
            peer = self._node.peers.get(self._peer)
            if log is None or peer is None or not self._status.may_witness(log.origin):
                return None
            last = log_store.last_checkpoint(connection, log.id, peer.witness.name)
            key = self._node.keys.log_signer(log.origin).key
            lacks = last is not None and self._shown_by.get(log.origin) != key and not parse(last.note).by(key)
            if log.size <= (last.size if last else 0) and not lacks:
                return None
            self._shown_by[log.origin] = key
            # A witness that was restored goes on from what it still knows.
            old = min(self._seen_of.pop(log.origin, log.size), last.size if last else 0)
            return log, self._request(connection, log, old, session)

    def _request(self, connection: Connection, log: LogHead, old: int, session: bytes) -> CosignJournalRequest:
        proof = consistency_proof(old, log.size, log_store.node_reader(connection, log.id)) if old else []
        checkpoint = Checkpoint(log.origin, log.size, log_store.root(connection, log, log.size))
        note = self._node.keys.log_signer(log.origin).sign_checkpoint(checkpoint)
        return CosignJournalRequest(checkpoint=note, old_size=old, proof=proof, session=session)

    def _take(self, log: LogHead, response: CosignJournalResponse) -> None:
        peer = self._node.peers.get(self._peer)
        note = response.note or response.last_note
        if not response.note and 0 <= response.size < log.size:
            self._seen_of[log.origin] = response.size
        if peer is None or not note:
            return
        checkpoint = verify_note(note, self._node.keys.log_signer(log.origin).line.ever)
        time = verify_cosignature(note, peer.witness)
        if checkpoint is None or time is None or spoiled_cosignature(note, peer.second_witness.active):
            return
        with self._node.database.read() as connection:
            now = log_store.head_by_id(connection, log.id)
            agrees = (
                now is not None
                and checkpoint.size <= now.size
                and log_store.root(connection, now, checkpoint.size) == checkpoint.root
            )
        if agrees:
            stored = StoredCheckpoint(checkpoint.size, peer.witness.name, note, time * 1_000_000)
            self._node.writer.call(_store_witnessed, (log.id, stored), WorkClass.BACKGROUND)


def _store_witnessed(tx: Transaction, payloads: Sequence[tuple[int, StoredCheckpoint]]) -> list[None]:
    for log_id, note in payloads:
        log_store.store_checkpoints(tx, log_id, [note])
    return [None] * len(payloads)
