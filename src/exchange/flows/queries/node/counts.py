"""The counting rule: of everything submitted to a peer, how much was delivered, and what it made of it.

A million entries are not counted anew for every status: kind and outcome of each entry of our outbound logs stand
in one byte in memory, and every question reads only what came since the last one. The bytes say nothing that the
tables do not; they are thrown away when the journal begins another epoch.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from exchange.domain.record_index import is_recognised_kind
from exchange.flows.context import Node
from exchange.storage.logs import journal, log_store
from exchange.storage.queries import Connection, outcomes, standing
from exchange.storage.queries.outcomes import DecisionRow
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.operation_service_pb2 import CountingRow

ROWS_AT_ONCE = 5_000
"""Rows of one read: well below a second on any machine."""

_OUTCOMES = 8
_FIELDS = {
    Outcome.OUTCOME_UNSPECIFIED: "unanswered",
    Outcome.OUTCOME_FULL: "recognised",
    Outcome.OUTCOME_CONDITIONAL: "conditional",
    Outcome.OUTCOME_DEFERRED: "deferred",
    Outcome.OUTCOME_NOT_RECOGNISED: "not_recognised",
}
_MAX_REVISION = 255


@dataclass(slots=True)
class _Log:
    """One outbound log: kind × 8 + outcome for each entry, 0 where no agency submitted it; and decided revisions."""

    states: bytearray = field(default_factory=bytearray)
    revisions: bytearray = field(default_factory=bytearray)

    def grow(self, size: int) -> None:
        if size > len(self.states):
            self.states.extend(bytes(size - len(self.states)))
            self.revisions.extend(bytes(size - len(self.revisions)))

    def decide(self, row: DecisionRow) -> None:
        self.grow(row.end)
        revision = min(row.revision, _MAX_REVISION)
        for index in range(row.first, row.end):
            held = self.revisions[index]
            if (row.item and revision < held) or (not row.item and held):
                continue
            if row.item:
                self.revisions[index] = revision
            kind = self.states[index] // _OUTCOMES
            if row.item or is_recognised_kind(kind):  # type: ignore[arg-type]
                self.states[index] = kind * _OUTCOMES + row.outcome


class Counts:
    """Keeps the counts of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._epochs: tuple[int, ...] = ()
        self._seq = 0
        self._decided = 0
        self._logs: dict[int, _Log] = {}

    def rows(self) -> list[CountingRow]:
        """One row for each peer, and one for each peer and kind that was submitted, in that order."""
        with self._lock:
            while self._catch_up():
                pass
            with self._node.database.read() as connection:
                logs = [log for log in log_store.heads(connection) if log.use == "outbound"]
                delivered = standing.cosigned_sizes(connection, [log.id for log in logs])
            rows: list[CountingRow] = []
            for peer in sorted({*self._node.peers.names(), *(log.peer for log in logs)}):
                own = [(self._logs.get(log.id, _Log()), delivered[log.id]) for log in logs if log.peer == peer]
                of_kinds = [row for kind in Kind.values() if kind for row in _count(peer, kind, own)]
                rows += [_total(peer, of_kinds), *of_kinds]
            return rows

    def _catch_up(self) -> bool:
        """Read what is new; returns whether there may be more."""
        with self._node.database.read() as connection:
            # A new epoch of the journal means other numbers; one of a log, that entries moved.
            epochs = (journal.head(connection).epoch, *self._outbound(connection))
            if epochs != self._epochs:
                self._epochs, self._seq, self._decided, self._logs = epochs, 0, 0, {}
            more = self._take_submissions(connection)
            # Decisions are about entries: those of submissions not read yet would find nothing to count.
            return more or self._take_decisions(connection)

    @staticmethod
    def _outbound(connection: Connection) -> list[int]:
        return [log.id for log in log_store.heads(connection) if log.use == "outbound"]

    def _take_submissions(self, connection: Connection) -> bool:
        rows = outcomes.submission_kinds(connection, self._seq, ROWS_AT_ONCE)
        for seq, kind, addresses in rows:
            for part in addresses.split(","):
                if part:
                    log, _, index = part.partition(":")
                    self._put(int(log), int(index), kind)
            self._seq = seq
        return len(rows) == ROWS_AT_ONCE

    def _put(self, log_id: int, index: int, kind: int) -> None:
        log = self._logs.setdefault(log_id, _Log())
        log.grow(index + 1)
        log.states[index] = kind * _OUTCOMES

    def _take_decisions(self, connection: Connection) -> bool:
        rows = outcomes.decided_after(connection, self._decided, ROWS_AT_ONCE)
        for row in rows:
            self._logs.setdefault(row.log_id, _Log()).decide(row)
            self._decided = row.seq
        return len(rows) == ROWS_AT_ONCE


def _count(peer: str, kind: int, logs: Iterable[tuple[_Log, int]]) -> list[CountingRow]:
    row = CountingRow(peer=peer, kind=kind)  # type: ignore[arg-type]
    for log, delivered in logs:
        for outcome, name in _FIELDS.items():
            state = bytes((kind * _OUTCOMES + outcome,))
            inside = log.states.count(state, 0, delivered)
            beyond = log.states.count(state, delivered)
            row.delivered += inside
            row.pending += beyond
            row.submitted += inside + beyond
            setattr(row, name, getattr(row, name) + inside)
    return [row] if row.submitted else []


def _total(peer: str, rows: Iterable[CountingRow]) -> CountingRow:
    total = CountingRow(peer=peer)
    for row in rows:
        for name in ("submitted", "delivered", "pending", *_FIELDS.values()):
            setattr(total, name, getattr(total, name) + getattr(row, name))
    return total
