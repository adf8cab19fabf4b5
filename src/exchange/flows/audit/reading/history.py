"""Everything that the logs hold about one subject, by record: where it stands, what was decided, and no text of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from exchange.flows.apply.entry import read_entry
from exchange.flows.audit.reading.reads import SUBJECT_HISTORY, ReadFolder
from exchange.flows.context import Node
from exchange.flows.instants import timestamp
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.ground.paging import Tokens, page_size
from exchange.flows.queries.ground.views import ref_of, tombstone_of
from exchange.flows.queries.registers.credit import checked_uscc
from exchange.flows.rules.decisions import Told, decisions_about
from exchange.storage.logs import log_store
from exchange.storage.queries import Connection, history, records
from exchange.storage.queries.records import RecordRow
from exchange.tlog.origin import LogName
from exchange.v1.audit_service_pb2 import (
    GetSubjectHistoryRequest,
    GetSubjectHistoryResponse,
    HistoryDecision,
    HistoryEntry,
    SubjectHistoryRow,
)
from exchange.v1.common_pb2 import RecordRef

PAGE_BYTES = 3 << 20
"""Bytes of one answer: a record of many revisions has many decisions."""


class SubjectHistory:
    """Answers GetSubjectHistory. What was erased is not found: its subject went with it.

    Args:
        node: The node.
        tokens: Makes page tokens.
        reads: Notes that it was read.
    """

    def __init__(self, node: Node, tokens: Tokens, reads: ReadFolder) -> None:
        self._node = node
        self._tokens = tokens
        self._reads = reads

    def page(self, identity: str, request: GetSubjectHistoryRequest) -> GetSubjectHistoryResponse:
        """A page, newest change first; shorter than asked when there is much to say of each.

        Args:
            identity: Who asks, as the journal names him.
            request: Subject and page.

        Raises:
            Refused: The code is wrong, ``PAGE_SIZE`` or ``PAGE_TOKEN``.
        """
        uscc = checked_uscc(request.uscc, self._node)
        limit = page_size(request.page_size)
        question = f"subject-history|{identity}|{uscc}"
        before = self._tokens.read(question, request.page_token)
        answer = GetSubjectHistoryResponse()
        size = 0
        with self._node.database.read() as connection:
            found = records.concerning(connection, uscc, before=before, limit=limit + 1)
            duties, shown = _counts(connection, found)
            for row in found[:limit]:
                told = self._row(connection, row)
                told.checks_with_duties = duties.get((row.origin, row.record_id), 0)
                told.readers = shown.get((row.origin, row.record_id), 0)
                size += told.ByteSize()
                if size > PAGE_BYTES and answer.records:
                    break
                answer.records.append(told)
                before = row.seq
        if len(answer.records) < len(found):
            answer.next_page_token = self._tokens.make(question, before)
        self._reads.note(identity, SUBJECT_HISTORY)
        return answer

    def _row(self, connection: Connection, row: RecordRow) -> SubjectHistoryRow:
        told = SubjectHistoryRow(
            ref=ref_of(row),
            kind=row.kind,  # type: ignore[arg-type]
            authority=row.authority,
            date=row.sort_on,
            newest=row.newest,
            entries=[self._entry(connection, log_id, index) for log_id, index in history.places(connection, row)],
        )
        if row.about:
            told.about.CopyFrom(RecordRef(origin=row.about_origin, record_id=format_id(row.about)))
        if row.tombstone:
            told.tombstone.CopyFrom(tombstone_of(row))
        return told

    def _entry(self, connection: Connection, log_id: int, index: int) -> HistoryEntry:
        log = log_store.head_by_id(connection, log_id)
        assert log is not None
        raw = log_store.entries_at(connection, log_id, [index])[index]
        entry = read_entry(raw, 0)
        told = HistoryEntry(
            log=log.origin,
            index=index,
            logged_at=timestamp(entry.logged_at),
            body_held=raw.body is not None,
            decisions=[_decision(each) for each in decisions_about(connection, log, entry)],
        )
        note = log_store.first_checkpoint_covering(connection, log_id, index + 1)
        if note is not None:
            told.cosigned_at.CopyFrom(timestamp(note.cosigned_at))
        return told


def _decision(told: Told) -> HistoryDecision:
    return HistoryDecision(
        log=told.log,
        index=told.index,
        node=LogName.parse(told.log).node,
        revision=told.revision,
        cause=told.cause,  # type: ignore[arg-type]
        outcome=told.ruling.outcome,  # type: ignore[arg-type]
        reasons=told.ruling.reasons,
        rule_edition=told.ruling.edition or told.message.rule_edition,
    )


_Counts = dict[tuple[str, bytes], int]


def _counts(connection: Connection, rows: Sequence[RecordRow]) -> tuple[_Counts, _Counts]:
    """By record, checks that brought duties, and agencies that were shown it."""
    by_origin: dict[str, set[bytes]] = defaultdict(set)
    for row in rows:
        by_origin[row.origin].add(row.record_id)
    duties: _Counts = {}
    shown: _Counts = {}
    for origin, ids in by_origin.items():
        duties |= {(origin, each): n for each, n in history.duties(connection, origin, sorted(ids)).items()}
        shown |= {(origin, each): n for each, n in history.shown_to(connection, origin, sorted(ids)).items()}
    return duties, shown
