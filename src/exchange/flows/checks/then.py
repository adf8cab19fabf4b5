"""What counted at this node at an earlier instant: rows as they had been logged, mirrored and decided by then.

A tombstone is never taken back: what may not be shown today is not shown of any earlier day.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from exchange.domain.record_index import is_recognised_kind
from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.apply.entry import read_entry
from exchange.flows.context import LOCAL_TIME, Node
from exchange.flows.instants import instant, micros_of
from exchange.flows.rules.decisions import Told, decisions_about
from exchange.storage.logs import log_store
from exchange.storage.queries import Connection, records
from exchange.storage.queries.records import RecordRow

_SECOND = 1_000_000


class Then:
    """Rows as they stood at an instant.

    Args:
        connection: One view of the registers.
        node: The node.
        at: The instant, in microseconds.
    """

    def __init__(self, connection: Connection, node: Node, at: int) -> None:
        self._connection = connection
        self._node = node
        self._at = at
        self._day = instant(at).astimezone(LOCAL_TIME).date().isoformat()

    def row(self, row: RecordRow) -> RecordRow | None:
        """A row with the decision of then, or None where the node had not decided about it, or did not have it."""
        if row.origin == self._node.name:
            return row if row.logged_at <= self._at else None
        if row.mirrored_at is None or _mirrored(row.mirrored_at, row.logged_at) > self._at:
            return None
        told = self._told(row)
        made = [each for each in told if micros_of(each.message.decided_at) <= self._at]
        if not made:
            # Kinds that are not decided about take effect as they arrive.
            return None if told or is_recognised_kind(row.kind) else row  # type: ignore[arg-type]
        newest = max(made, key=lambda each: each.revision)
        if newest.revision == row.decision_revision:
            return row
        ruling = newest.ruling
        return replace(
            row,
            outcome=int(ruling.outcome),
            decision=ruling.as_json(ruling.edition),
            decision_revision=newest.revision,
        )

    def standing(self, rows: Iterable[RecordRow]) -> tuple[list[RecordRow], list[RecordRow]]:
        """Rows of then, those that counted and those whose place had been taken, each in the order given."""
        known = [then for then in map(self.row, rows) if then is not None]
        shown = _shown(known)
        gone = self._superseded(known)
        live, replaced = [], []
        for row in known:
            key = (row.origin, row.record_id)
            if shown[key] == row.revision and key not in gone:
                live.append(replace(row, replaced=False))
            else:
                replaced.append(replace(row, replaced=True))
        return live, replaced

    def _superseded(self, known: Sequence[RecordRow]) -> set[tuple[str, bytes]]:
        """Records whose place another record had taken."""
        ids = list(dict.fromkeys(row.record_id for row in known))
        gone = set()
        for superseded, other in records.superseding(self._connection, ids):
            then = self.row(other)
            ended = other.tombstone and other.tombstone_on <= self._day
            if then is not None and has_effect(then) and not ended:
                gone.add((other.origin, superseded))
        return gone

    def _told(self, row: RecordRow) -> list[Told]:
        log = log_store.head_by_id(self._connection, row.log_id)
        raw = log_store.entries_at(self._connection, row.log_id, [row.idx]).get(row.idx)
        if log is None or raw is None:
            return []
        return decisions_about(self._connection, log, read_entry(raw, 0))


def _mirrored(cosigned: int, logged: int) -> int:
    """When a row was mirrored. Cosignatures tell whole seconds: within theirs, it was not before it was logged."""
    return min(max(cosigned, logged), cosigned + _SECOND - 1)


def has_effect(row: RecordRow) -> bool:
    """Whether a row counts as what its origin states, recognised or not."""
    return bool(read_decision(row.decision).rules)


def _shown(known: Iterable[RecordRow]) -> dict[tuple[str, bytes], int]:
    """The revision that stood for each record: the highest that had effect, else the highest."""
    shown: dict[tuple[str, bytes], tuple[bool, int]] = {}
    for row in known:
        key = (row.origin, row.record_id)
        shown[key] = max(shown.get(key, (False, 0)), (has_effect(row), row.revision))
    return {key: revision for key, (_, revision) in shown.items()}
