"""Showing a body to an auditor, also one that a repair or revocation withholds: by a reason, journaled first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from exchange.domain.problems import Problem, Refused
from exchange.flows.access import NotFound
from exchange.flows.actions.pending import said_reason
from exchange.flows.context import Node
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.ground.reading import record_id_of
from exchange.flows.queries.ground.views import ref_of, tombstone_of
from exchange.storage.engine.transaction import Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import journal, log_store
from exchange.storage.queries import records
from exchange.v1.audit_service_pb2 import ReadBodyRequest, ReadBodyResponse
from exchange.v1.journal_pb2 import BodyShown, JournalEntry


class BodyReader:
    """Answers ReadBody.

    The walk of a call:
      1 the record is known, and its body is on this disk
      2 who asks, for what and why, is in the journal, on disk
      3 it is shown: a crash before leaves a line of something that was not shown, never the other way round

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    def read(self, identity: str, request: ReadBodyRequest, now: datetime) -> ReadBodyResponse:
        """One body with its salt.

        Raises:
            Refused: No reason, an ill-formed reference; ``ERASED`` or ``BODY_MISSING``.
            NotFound: No such record.
        """
        reason = said_reason(request.reason)
        raw = record_id_of(request.record, "record")
        origin = request.record.origin or self._node.name
        with self._node.database.read() as connection:  # 1
            row = records.of_record(connection, origin, raw, request.record.revision)
            if row is None:
                raise NotFound(format_id(raw))
            stored = log_store.entries_at(connection, row.log_id, [row.idx])[row.idx]
        if stored.body is None or stored.salt is None:
            problem = "ERASED" if row.tombstone == "ERASED" else "BODY_MISSING"
            raise Refused([Problem(problem, "record", format_id(raw))])
        event = JournalEntry(
            body_shown=BodyShown(record=ref_of(row), tombstone=row.tombstone, actor=identity, reason=reason)
        )
        event.at.FromDatetime(now)
        book, index = self._node.writer.call(_note, event, WorkClass.INTERACTIVE)  # 2
        answer = ReadBodyResponse(  # 3
            ref=ref_of(row), body=stored.body, salt=stored.salt, journal=book, journal_index=index
        )
        if row.tombstone:
            answer.tombstone.CopyFrom(tombstone_of(row))
        return answer


def _note(tx: Transaction, payloads: Sequence[JournalEntry]) -> list[tuple[str, int]]:
    first = journal.append(tx, payloads)
    book = journal.head_in(tx).origin
    return [(book, first + place) for place in range(len(payloads))]
