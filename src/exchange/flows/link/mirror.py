"""Mirroring: taking entries of a peer's outbound log, and cosigning what is durably on our disk.

The numbered walk (architecture §3, the table of Deliver):
  1 session    the call belongs to the newest hello of this process
  2 shape      sizes agree, the log is the caller's, its epoch is one that both operators know
  3 signature  the checkpoint is signed by that log's key
  4 tree       our tree and the entries give the signed root
  5 envelopes  verdicts of bytes, kept for apply; bodies match their commitments or count as missing
  6 cosign     its time is chosen here, before the commit, and stored with it
  7 store      entries, bodies and cosigned note in one transaction
The cosigned note leaves after 7 is on disk, never before. A crash between 7 and the answer is repaired by the
sender's next call, which finds p ≤ n and gets the stored note.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from google.protobuf.message import DecodeError

from exchange.crypto.ed25519 import verify_cosignature, verify_note
from exchange.crypto.sealing import matches
from exchange.domain.lanes import LANE_NUMBERS
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.context import Node, Peer
from exchange.flows.instants import instant, is_instant, micros, micros_of, timestamp
from exchange.flows.link.deliver_limits import MAX_ENTRIES, check_limits
from exchange.flows.link.evidence import keep_evidence
from exchange.flows.link.links import Links
from exchange.flows.link.mirrored import MirroredRun, keep_renewed, store_bodies, store_mirrored
from exchange.flows.trust.peer_keys import learn_first
from exchange.flows.trust.verdicts import verify_ahead
from exchange.storage.engine.transaction import LogHead, NewEntry
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredCheckpoint
from exchange.storage.node import links
from exchange.storage.registers import registers
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import SignedNote, VerifierKey, merge, parse
from exchange.tlog.origin import LogName, OriginUse
from exchange.tlog.tree import Frontier, leaf_hash
from exchange.v1.key_announcement_pb2 import KeyUse
from exchange.v1.kind_pb2 import KIND_KEY_ANNOUNCEMENT, Lane
from exchange.v1.record_pb2 import Record
from exchange.v1.relay_service_pb2 import DeliverRequest, DeliverResponse, DeliverResult
from exchange.v1.statement_pb2 import Body, Envelope, LogEntry, Statement

MISMATCH_ALARM = 3
"""Mismatches of one log in a row before an alarm: one may be a fault of the line."""

_WORK: dict[int, WorkClass] = {
    Lane.LANE_URGENT: WorkClass.URGENT,
    Lane.LANE_REGISTRY: WorkClass.REGISTRY,
    Lane.LANE_TELEMETRY: WorkClass.TELEMETRY,
}


class NotYourLogError(ExchangeError):
    """The log is not the caller's, or of an epoch that was not agreed on."""

    reason = "NOT_YOUR_LOG"


class MirrorFlow:
    """Answers ``Deliver``.

    Args:
        node: The node.
        links: Sessions and what hello showed.
        may_cosign: False while this node fetches its own entries back.
        on_contradiction: Called with (peer, origin, reason) when a lane has to stop; the evidence is kept before.
        on_bodies: Called when bodies arrived that were missing.
    """

    def __init__(
        self,
        node: Node,
        links: Links,
        *,
        may_cosign: Callable[[], bool],
        on_contradiction: Callable[[str, str, str], None],
        on_bodies: Callable[[], None],
    ) -> None:
        self._node = node
        self._links = links
        self._may_cosign = may_cosign
        self._on_contradiction = on_contradiction
        self._on_bodies = on_bodies
        self._mismatches: dict[str, int] = {}
        self._confirmed: dict[tuple[str, int], tuple[int, int]] = {}

    def confirmed(self, peer: str, lane: int) -> tuple[int, int] | None:
        """Size of a peer's log that it last showed by a signed checkpoint, and when, in microseconds."""
        return self._confirmed.get((peer, lane))

    def deliver(
        self, peer: Peer, request: DeliverRequest, now: datetime, *, shown_at: datetime | None = None
    ) -> DeliverResponse:
        """Take one call.

        Args:
            peer: The caller.
            request: The call.
            now: When it is taken.
            shown_at: When it was made, where it travelled for long: the log was complete then.

        Raises:
            Refused: The call's sizes do not agree or are over the protocol's limits.
            NotYourLogError: The log is not the caller's.
        """
        answer = self._taken(peer, request, now, shown_at or now)
        answer.at.CopyFrom(timestamp(micros(now)))
        return answer

    def _taken(self, peer: Peer, request: DeliverRequest, now: datetime, shown_at: datetime) -> DeliverResponse:
        # 1
        if not self._links.is_current(peer.name, request.session) or not self._may_cosign():
            return DeliverResponse(result=DeliverResult.DELIVER_RESULT_HELLO_REQUIRED)
        # 2
        name = self._log_name(peer, request)
        lane = LANE_NUMBERS[name.lane or ""]
        with self._node.database.read() as connection:
            log = log_store.head(connection, request.origin)
            agreed = links.get(connection, peer.name, lane)
        # What we cosigned before we were restored was agreed on then.
        if name.epoch > agreed.mirror_epoch and not self._shown(peer, request.origin):
            raise NotYourLogError
        check_limits(request)
        if agreed.mirror_stop:
            return self._contradicted(log, agreed.mirror_stop)
        # 3
        keys = peer.log_keys(request.origin) or self._announced_key(peer, request, log)
        checkpoint = verify_note(request.checkpoint, keys)
        if checkpoint is None and verify_note(request.checkpoint, peer.log_keys_ever(request.origin)) is not None:
            # Signed before the key ended, and on its way since: signed anew, it will do.
            return DeliverResponse(result=DeliverResult.DELIVER_RESULT_HELLO_REQUIRED)
        if checkpoint is None:
            self._contradiction(peer, request.origin, "BAD_CHECKPOINT", [request.checkpoint], now)
            return self._contradicted(log, "BAD_CHECKPOINT")
        if request.start + len(request.entries) != checkpoint.size:
            raise Refused([Problem("SIZE_MISMATCH", "checkpoint", str(checkpoint.size))])
        size = log.size if log else 0
        if request.start > size:
            return self._out_of_step(log)
        if log is not None and log.retired and checkpoint.size > max(size, self._shown(peer, request.origin)):
            raise NotYourLogError
        if checkpoint.size <= size:
            answer = self._known(peer, request, log, checkpoint, now)
        else:
            answer = self._extend(peer, request, log, checkpoint, now)
        if answer.result == DeliverResult.DELIVER_RESULT_COSIGNED and answer.size == checkpoint.size:
            self._confirmed[peer.name, lane] = (checkpoint.size, micros(shown_at))
        return answer

    # -- checks ----------------------------------------------------------------------------------------------

    def _log_name(self, peer: Peer, request: DeliverRequest) -> LogName:
        try:
            name = LogName.parse(request.origin)
        except LogFormatError as error:
            raise NotYourLogError from error
        if (
            name.node != peer.name
            or name.domain != self._node.federation
            or name.use is not OriginUse.OUTBOUND
            or name.peer != self._node.name
            or name.lane not in LANE_NUMBERS
        ):
            raise NotYourLogError
        return name

    def _shown(self, peer: Peer, origin: str) -> int:
        """Size for which the peer showed our own cosignature, when we hold less; else 0."""
        return self._links.of(peer.name).shown.get(origin, 0)

    def _contradicted(self, log: LogHead | None, reason: str) -> DeliverResponse:
        """The lane is stopped: the peer learns why, with what we hold cosigned."""
        bad = reason == "BAD_CHECKPOINT"
        result = DeliverResult.DELIVER_RESULT_BAD_CHECKPOINT if bad else DeliverResult.DELIVER_RESULT_FORK
        return DeliverResponse(result=result, size=log.size if log else 0, note=self._newest(log))

    def _newest(self, log: LogHead | None) -> bytes:
        if log is None:
            return b""
        with self._node.database.read() as connection:
            newest = log_store.last_checkpoint(connection, log.id)
        return newest.note if newest else b""

    def _announced_key(self, peer: Peer, request: DeliverRequest, log: LogHead | None) -> tuple[VerifierKey, ...]:
        """The key of a new epoch: entry 0 announces it, signed under the signing root of the peer's card.

        It comes with the call, or was mirrored before a restart.
        """
        if request.start == 0 and request.entries:
            first, body = request.entries[0], request.bodies[0]
        elif log is not None and log.size:
            with self._node.database.read() as connection:
                (held,) = log_store.entries(connection, log.id, 0, 1)
            first, body = held.entry, Body(record=held.body or b"", salt=held.salt or b"")
        else:
            return ()
        parts = _open(first)
        if parts is None or parts[1].kind != KIND_KEY_ANNOUNCEMENT:
            return ()
        entry, statement = parts
        if not matches(statement, body.record, body.salt):
            return ()
        self._learn_first(peer, [(statement, body)])
        trusted = self._node.peers.get(peer.name) or peer
        verdict = trusted.signing.verify(entry.envelope, instant(micros_of(entry.logged_at)))
        if verdict.verified is None or statement.origin != peer.name:
            return ()
        try:
            keys = Record.FromString(body.record).key_announcement.keys
            wanted = (key.vkey for key in keys if key.use == KeyUse.KEY_USE_LOG)
            vkey = next((VerifierKey.parse(text) for text in wanted if text.startswith(request.origin + "+")), None)
        except (DecodeError, LogFormatError):
            return ()
        if vkey is not None:
            self._node.peers.learn_log_key(peer.name, vkey)
        return (vkey,) if vkey is not None else ()

    # -- the cases of the table ------------------------------------------------------------------------------

    def _out_of_step(self, log: LogHead | None) -> DeliverResponse:
        return DeliverResponse(
            result=DeliverResult.DELIVER_RESULT_OUT_OF_STEP, size=log.size if log else 0, note=self._newest(log)
        )

    def _known(
        self, peer: Peer, request: DeliverRequest, log: LogHead | None, checkpoint: Checkpoint, now: datetime
    ) -> DeliverResponse:
        """For p ≤ n: nothing new but, perhaps, bodies. A smaller size is never cosigned after a larger one."""
        if log is None:
            return DeliverResponse(result=DeliverResult.DELIVER_RESULT_OUT_OF_STEP, size=0)
        with self._node.database.read() as connection:
            root = log_store.root(connection, log, checkpoint.size)
            exact = log_store.checkpoint_of(connection, log.id, checkpoint.size)
            newest = log_store.last_checkpoint(connection, log.id)
        if root != checkpoint.root:
            held = newest.note if newest else b""
            self._contradiction(peer, request.origin, "FORK", [request.checkpoint, held], now)
            return self._contradicted(log, "FORK")
        self._take_late_bodies(log, request)
        missing = self._missing(log.id, request.start, checkpoint.size)
        note = self._renewed(peer, log, exact, request.checkpoint, now) or exact or newest
        if note is None or log.size < self._shown(peer, request.origin):
            return DeliverResponse(result=DeliverResult.DELIVER_RESULT_STORED, size=log.size, missing_bodies=missing)
        return DeliverResponse(
            result=DeliverResult.DELIVER_RESULT_COSIGNED, size=log.size, note=note.note, missing_bodies=missing
        )

    def _renewed(
        self, peer: Peer, log: LogHead, held: StoredCheckpoint | None, shown: bytes, now: datetime
    ) -> StoredCheckpoint | None:
        """A checkpoint that we cosigned before, now with the line of a newer key of the log or of ours.

        It is the same head of the same log: one fresh checkpoint by the new keys covers everything before it.
        """
        if held is None:
            return None
        own = self._node.keys.mirror
        before, signed = parse(held.note), parse(shown)
        lines = tuple(line for key in peer.log_keys(log.origin) for line in signed.by(key))
        if all(before.by(key) for key in own.line.active) and all(before.has(line) for line in lines):
            return None
        cosigned = own.cosign(SignedNote(signed.text, lines).to_bytes(), int(now.timestamp()))
        note = merge(held.note, cosigned)
        if note == held.note:
            return None
        renewed = replace(held, note=note)
        self._node.writer.call(keep_renewed, (log.id, renewed), WorkClass.REGISTRY)
        return renewed

    def _missing(self, log_id: int, start: int, end: int, absent: Sequence[int] = ()) -> list[int]:
        """Entries whose bodies did not come: those that wait for one, and of this call's those not applied yet.

        All that wait, since the answer that named them first may have been lost.

        Args:
            log_id: The mirror.
            start: First entry of the call.
            end: End of those that were here before it.
            absent: Of those that it brought, the ones without a body.
        """
        with self._node.database.read() as connection:
            waiting = registers.missing_bodies(connection, log_id, MAX_ENTRIES)
            if start >= end and not absent:
                return waiting
            applied = registers.next_indices(connection).get(log_id, 0)
            again = log_store.absent_bodies(connection, log_id, max(start, applied), end)
        return [*waiting, *again, *(index for index in absent if index >= applied)]

    def _extend(
        self, peer: Peer, request: DeliverRequest, log: LogHead | None, checkpoint: Checkpoint, now: datetime
    ) -> DeliverResponse:
        """For start ≤ n < p: 4 the tree, 5 envelopes and bodies, 6 cosign, 7 store."""
        # 4
        size = log.size if log else 0
        skip = size - request.start
        frontier = log.frontier if log else Frontier()
        fresh = request.entries[skip:]
        leaves = [leaf_hash(entry) for entry in fresh]
        extended, _ = frontier.extend(leaves)
        overlap_agrees = skip == 0 or self._overlap_agrees(log, request.entries[:skip], request.start)
        if log is not None and not overlap_agrees and self._is_another_tree(log, request, checkpoint):
            self._contradiction(peer, request.origin, "FORK", [request.checkpoint, self._newest(log)], now)
            return self._contradicted(log, "FORK")
        if not overlap_agrees or extended.root() != checkpoint.root:
            return self._mismatch(peer, request, size, now)
        self._mismatches.pop(request.origin, None)
        # 5
        parts = [_open(entry) for entry in fresh]
        bodies = request.bodies[skip:]
        told = [
            (part[1], body)
            for part, body in zip(parts, bodies, strict=True)
            if part is not None and part[1].kind == KIND_KEY_ANNOUNCEMENT
        ]
        self._learn_first(peer, told)
        trusted = self._node.peers.get(peer.name) or peer
        verify_ahead(trusted, [(part[0].envelope, micros_of(part[0].logged_at)) for part in parts if part])
        entries = []
        for entry, leaf, part, body in zip(fresh, leaves, parts, bodies, strict=True):
            record, salt = body.record, body.salt
            if part is not None and record and matches(part[1], record, salt):
                entries.append(NewEntry(entry, leaf, salt, record))
            else:
                entries.append(NewEntry(entry, leaf))
        # 6
        shown = self._shown(peer, request.origin)
        notes = self._given_back(request, frontier, size, leaves) if shown > size else []
        if checkpoint.size > shown:
            time = int(now.timestamp())
            cosigned = self._node.keys.mirror.cosign(request.checkpoint, time)
            own = self._node.keys.mirror.name
            notes = [*notes, StoredCheckpoint(checkpoint.size, own, cosigned, time * 1_000_000)]
        # 7
        name = LogName.parse(request.origin)
        lane = LANE_NUMBERS[name.lane or ""]
        run = MirroredRun(
            origin=request.origin,
            peer=peer.name,
            lane=lane,
            epoch=name.epoch,
            size=size,
            entries=entries,
            notes=notes,
        )
        stored: int | None = self._node.writer.call(store_mirrored, run, _WORK[lane], rows=len(entries) + 2)
        if stored is None:
            return self._out_of_step(log)
        if log is not None:
            self._take_late_bodies(log, request)
        absent = [index for index, entry in enumerate(entries, size) if entry.body is None]
        missing = self._missing(stored, request.start, size, absent)
        last = next((note for note in reversed(notes) if note.size == checkpoint.size), None)
        if last is None or checkpoint.size < shown:
            return DeliverResponse(
                result=DeliverResult.DELIVER_RESULT_STORED, size=checkpoint.size, missing_bodies=missing
            )
        return DeliverResponse(
            result=DeliverResult.DELIVER_RESULT_COSIGNED,
            size=checkpoint.size,
            note=last.note,
            missing_bodies=missing,
        )

    def _overlap_agrees(self, log: LogHead | None, overlap: Sequence[bytes], start: int) -> bool:
        if log is None:
            return False
        with self._node.database.read() as connection:
            held = log_store.entries(connection, log.id, start, start + len(overlap), bodies=False)
        return [each.entry for each in held] == list(overlap)

    def _is_another_tree(self, log: LogHead, request: DeliverRequest, checkpoint: Checkpoint) -> bool:
        """Whether the entries that came give the signed root in place of ours: then two trees are signed."""
        with self._node.database.read() as connection:
            frontier = log_store.frontier(connection, log, request.start)
        other, _ = frontier.extend([leaf_hash(entry) for entry in request.entries])
        return other.root() == checkpoint.root

    def _given_back(
        self, request: DeliverRequest, frontier: Frontier, size: int, leaves: Sequence[bytes]
    ) -> list[StoredCheckpoint]:
        """Our own cosigned notes, shown by the sender: taken back as they are where they agree with our tree."""
        own = self._node.keys.mirror
        peer = self._node.peers.get(LogName.parse(request.origin).node)
        keys = peer.log_keys_ever(request.origin) if peer else ()
        found: dict[int, StoredCheckpoint] = {}
        at = size
        candidates = []
        for note in request.lacking_notes:
            checkpoint = verify_note(note, keys)
            time = verify_cosignature(note, own.line)
            if checkpoint and time is not None and size < checkpoint.size <= size + len(leaves):
                candidates.append((checkpoint, time, note))
        for checkpoint, time, note in sorted(candidates, key=lambda each: each[0].size):
            frontier, _ = frontier.extend(leaves[at - size : checkpoint.size - size])
            at = checkpoint.size
            if frontier.root() == checkpoint.root:
                found[at] = StoredCheckpoint(at, own.name, note, time * 1_000_000)
        return list(found.values())

    def _mismatch(self, peer: Peer, request: DeliverRequest, size: int, now: datetime) -> DeliverResponse:
        """A fault of the line, perhaps; when it comes again and again, somebody has to look."""
        origin = request.origin
        self._mismatches[origin] = self._mismatches.get(origin, 0) + 1
        if self._mismatches[origin] == MISMATCH_ALARM:
            self._contradiction(peer, origin, "MISMATCH", [request.checkpoint], now)
        return DeliverResponse(result=DeliverResult.DELIVER_RESULT_MISMATCH, size=size, show_checkpoint=size)

    def _contradiction(self, peer: Peer, origin: str, reason: str, evidence: Sequence[bytes], now: datetime) -> None:
        """Two statements that can not both be true: kept with what shows it, the lane stops, other lanes go on."""
        keep_evidence(self._node, reason, origin, evidence, now)
        self._on_contradiction(peer.name, origin, reason)

    # -- keys and bodies -------------------------------------------------------------------------------------

    def _learn_first(self, peer: Peer, told: Sequence[tuple[Statement, Body]]) -> None:
        """The first signing chain of a peer, as it says itself; that it counts follows from the roots of the card."""
        for statement, body in told:
            if not matches(statement, body.record, body.salt):
                continue
            try:
                announcement = Record.FromString(body.record).key_announcement
            except DecodeError:
                continue
            learn_first(self._node.peers, peer.name, announcement.keys)

    def _take_late_bodies(self, log: LogHead, request: DeliverRequest) -> None:
        """Bodies that were missing: each must match the commitment of its own entry."""
        if not request.late_bodies:
            return
        with self._node.database.read() as connection:
            held = log_store.entries_at(connection, log.id, [late.index for late in request.late_bodies])
        fitting = []
        for late in request.late_bodies:
            entry = held.get(late.index)
            parts = _open(entry.entry) if entry and entry.body is None else None
            if parts and matches(parts[1], late.body.record, late.body.salt):
                fitting.append((log.id, late.index, late.body.salt, late.body.record))
        if fitting and any(self._node.writer.call(store_bodies, fitting, WorkClass.REGISTRY, rows=len(fitting))):
            self._on_bodies()


def _open(entry_bytes: bytes) -> tuple[LogEntry, Statement] | None:
    try:
        entry = LogEntry.FromString(entry_bytes)
        statement = Statement.FromString(Envelope.FromString(entry.envelope).payload)
    except DecodeError:
        return None
    return (entry, statement) if is_instant(entry.logged_at) else None
