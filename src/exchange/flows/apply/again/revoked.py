"""What a revocation that was learned later changes: entries that had effect, and whose time it makes unproven.

Each is decided again (cause KEY_REVOKED) by the same two times as on arrival; nothing that was decided is edited. The
search walks each mirror from the first entry that was mirrored at or after the revocation up to where apply stands.
What it has found is forgotten with the process: it begins anew and finds what is decided already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from exchange.flows.apply.changes.overlay import PLACES
from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.apply.entry import ReadEntry, payload_of, read_entry
from exchange.flows.apply.steps import MirroredTimes, Redecide
from exchange.flows.context import Node, Peer
from exchange.flows.instants import micros
from exchange.flows.trust.verdicts import signing_keys, verdict_of
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import log_store
from exchange.storage.registers import registers
from exchange.v1.kind_pb2 import Kind
from exchange.v1.recognition_pb2 import DecisionCause

PAGE = 512
"""Entries read at once."""

PAGES_AT_ONCE = 16
"""Pages of one look: the registers go on between two looks."""

FINAL = frozenset((Kind.KIND_ERASURE, Kind.KIND_KEY_ANNOUNCEMENT))
"""Kinds that are not decided again: what was erased can not come back, and a key is taken back by being revoked."""


class RevokedSweep:
    """Finds what has to be decided again.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        # By mirror: the revocations that its position belongs to, and the entry to go on from.
        self._at: dict[int, tuple[Mapping[str, datetime], int]] = {}

    def forget(self) -> None:
        """Begin anew: a step may not have been committed."""
        self._at.clear()

    def due(self, connection: Connection) -> tuple[LogHead, list[Redecide]] | None:
        """A mirror and those of its entries that one step decides again; None when there are none."""
        cursors = registers.next_indices(connection)
        for source in log_store.heads(connection):
            peer = self._node.peers.get(source.peer) if source.use == "mirror" else None
            revoked = peer.signing.revoked if peer is not None else {}
            if peer is None or not revoked:
                continue
            known, position = self._at.get(source.id, ({}, 0))
            if known != revoked:
                position = log_store.size_before(connection, source.id, micros(min(revoked.values())))
            end = cursors.get(source.id, 0)
            for _ in range(PAGES_AT_ONCE):
                if position >= end:
                    break
                page = log_store.entries(connection, source.id, position, min(end, position + PAGE))
                found = self._unproven(connection, source, peer, revoked, page)[:PLACES]
                position = found[-1].index + 1 if len(found) == PLACES else page[-1].index + 1
                self._at[source.id] = (revoked, position)
                if found:
                    return source, found
            self._at[source.id] = (revoked, position)
        return None

    def _unproven(
        self,
        connection: Connection,
        source: LogHead,
        peer: Peer,
        revoked: Mapping[str, datetime],
        page: Sequence[log_store.StoredEntry],
    ) -> list[Redecide]:
        entries = [read_entry(raw, 0) for raw in page]
        signed = [entry for entry in entries if entry.statement is not None and self._by_revoked(entry, revoked)]
        if not signed:
            return []
        times = MirroredTimes(connection, source, signed[0].index, signed[-1].index)
        late = [
            entry
            for entry in signed
            if (at := verdict_of(peer, entry.envelope, entry.logged_at).revoked_at) is not None
            and times.of(entry.index) >= at
        ]
        rows = registers.records_of(connection, [(source.peer, entry.record_id) for entry in late])
        waiting = registers.waits_at(connection, source.id, [entry.index for entry in late])
        due = []
        for entry in late:
            row = _row_at(rows.get((source.peer, entry.record_id), ()), source.id, entry.index)
            has_effect = row is not None and bool(read_decision(row["decision"]).rules) and row["tombstone"] != "ERASED"
            if has_effect and entry.index not in waiting and not self._confirmed(connection, source, peer, entry):
                revision = row["decision_revision"] if row is not None else 0
                due.append(Redecide(entry.index, DecisionCause.DECISION_CAUSE_KEY_REVOKED, revision))
        return due

    @staticmethod
    def _by_revoked(entry: ReadEntry, revoked: Mapping[str, datetime]) -> bool:
        """Whether a revoked key may have signed it: by its hint, or where the hint names no key."""
        assert entry.statement is not None
        if entry.statement.kind in FINAL:
            return False
        hinted = signing_keys(entry.envelope)
        return not hinted or any(keyid in revoked for keyid in hinted)

    def _confirmed(self, connection: Connection, source: LogHead, peer: Peer, entry: ReadEntry) -> bool:
        """Whether the same statement stands in the logs under a key whose time is proven."""
        for copy in registers.copies_of(connection, source.peer, [entry.record_id]).get(entry.record_id, ()):
            log = log_store.head_by_id(connection, copy.log_id)
            if log is None or log.use != "mirror" or (copy.log_id, copy.idx) == (source.id, entry.index):
                continue
            raw = log_store.entries_at(connection, copy.log_id, [copy.idx])[copy.idx]
            if payload_of(raw.entry) != payload_of(entry.raw.entry):
                continue
            other = read_entry(raw, 0)
            verdict = verdict_of(peer, other.envelope, other.logged_at)
            at = MirroredTimes(connection, log, copy.idx, copy.idx).of(copy.idx)
            if verdict.status == "VALID" and (verdict.revoked_at is None or at < verdict.revoked_at):
                return True
        return False


def _row_at(rows: Sequence[Mapping[str, Any]], log_id: int, index: int) -> Mapping[str, Any] | None:
    return next((row for row in rows if (row["log_id"], row["idx"]) == (log_id, index)), None)


def decision_revision(logs: Connection, state: Connection, source: LogHead, index: int) -> int:
    """Revision of the newest decision about an entry that is decided again; 0 when none is recorded of it."""
    waiting = registers.waits_at(state, source.id, [index]).get(index)
    if waiting is not None:
        return int(waiting.decision_revision)
    entry = read_entry(log_store.entries_at(logs, source.id, [index])[index], 0)
    rows = registers.records_of(state, [(source.peer, entry.record_id)]).get((source.peer, entry.record_id), ())
    row = _row_at(rows, source.id, index)
    return int(row["decision_revision"]) if row is not None else 0
