"""Who was shown a notice: journaled before the answer leaves, so that a repair finds everybody who may have acted."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from exchange.domain.record_index import raw_id
from exchange.flows.context import Node
from exchange.flows.instants import micros
from exchange.storage.engine.writer import WorkClass
from exchange.storage.registers import readers
from exchange.storage.registers.readers import Shown
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import KIND_LIST_ENTRY, KIND_PENALTY_NOTICE
from exchange.v1.record_service_pb2 import RecordView

KEPT = 200_000
"""Pairs of agency and notice that are remembered as kept already: some 40 MiB."""

ROWS_AT_ONCE = 1_000
"""Pairs that one command of the writer keeps: what the longest answer shows."""

_KINDS = (KIND_PENALTY_NOTICE, KIND_LIST_ENTRY)


class Readers:
    """Keeps who was shown what.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._kept: set[tuple[str, str, str]] = set()

    def shown(self, agency: str, views: Iterable[RecordView]) -> None:
        """Views that are about to leave; those that a tombstone stands in tell nothing that could be acted on."""
        self.shown_all([(agency, views)])

    def shown_all(self, answers: Iterable[tuple[str, Iterable[RecordView]]]) -> None:
        """Views of several answers that are about to leave, each with its agency, in few transactions."""
        self._note(
            (agency, view.ref)
            for agency, views in answers
            for view in views
            if view.kind in _KINDS and view.HasField("record")
        )

    def note(self, agency: str, refs: Iterable[RecordRef]) -> None:
        """Notices that are about to be shown to an agency. Returns when that is on disk."""
        self._note((agency, ref) for ref in refs)

    def _note(self, pairs: Iterable[tuple[str, RecordRef]]) -> None:
        wanted = {(agency, ref.origin, ref.record_id) for agency, ref in pairs}
        with self._lock:
            wanted -= self._kept
        if not wanted:
            return
        at = micros(self._node.clock())
        rows = [Shown(agency, origin, raw_id(record_id), at) for agency, origin, record_id in sorted(wanted)]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            self._node.writer.call(readers.note, part, WorkClass.INTERACTIVE, rows=len(part))
        with self._lock:
            if len(self._kept) + len(wanted) > KEPT:
                self._kept.clear()
            self._kept |= wanted
