"""Quarantine: looking at rows that could not be mapped, mapping them again, discarding them with a reason.

There is no override. What was missing is added to a table, with its source, and the row is mapped again from the
stored document; or somebody says why it will never be a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from exchange.domain.adapter import MappedRow
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.actions.pending import Confirmed
from exchange.flows.context import Node
from exchange.flows.instants import timestamp
from exchange.flows.intake.document_answer import quarantine_event
from exchange.flows.intake.documents import CHUNK_ROWS, DocumentFlow
from exchange.flows.intake.ids import format_id, parse_id
from exchange.flows.intake.native import problem_messages, row_submission
from exchange.flows.intake.submit import Authorise, SubmitFlow
from exchange.storage.intake import documents, quarantine
from exchange.storage.intake.documents import DocumentRow
from exchange.storage.intake.quarantine import Closing, QuarantineRow
from exchange.v1.action_pb2 import ActionRequest
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.operation_service_pb2 import QuarantinedRow
from exchange.v1.submission_service_pb2 import SubmitDocumentRequest, SubmitResult, SubmittedRecord

MAX_IDS = 500
"""Rows that one call may name or is told of: a page."""

MAX_REASON = 500
"""Characters of the reason for discarding."""

DEFAULT_PAGE = 100
_DOCUMENTS_AT_ONCE = 100
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first, and the token of the next page; empty on the last one."""

    rows: tuple[QuarantinedRow, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class Retried:
    """How many rows were submitted, and those that stay, at most ``MAX_IDS`` of them."""

    resolved: int
    remaining: tuple[QuarantinedRow, ...]


class QuarantineFlow:
    """Quarantine of a node.

    Args:
        node: The node.
        submit: The door for records.
        documents: Reads stored documents again.
    """

    def __init__(self, node: Node, submit: SubmitFlow, documents: DocumentFlow) -> None:
        self._node = node
        self._submit = submit
        self._documents = documents

    def list(
        self,
        *,
        document_id: str = "",
        reason: str = "",
        page_size: int = 0,
        page_token: str = "",
        include_closed: bool = False,
        agency: str | None = None,
    ) -> Page:
        """Quarantined rows, newest first.

        Args:
            document_id: Only this document; empty means all.
            reason: Only rows with this reason; empty means all.
            page_size: At most 500; 0 means 100.
            page_token: From the page before.
            include_closed: Also rows that were resolved or discarded.
            agency: Only what this agency sent; None means all.

        Raises:
            Refused: ``PAGE_SIZE``, ``PAGE_TOKEN`` or ``RECORD_ID_FORMAT``.
        """
        if not 0 <= page_size <= MAX_IDS:
            raise Refused([Problem("PAGE_SIZE", "page_size", str(page_size))])
        before = parse_id(page_token) if page_token else None
        if page_token and before is None:
            raise Refused([Problem("PAGE_TOKEN", "page_token")])
        limit = page_size or DEFAULT_PAGE
        with self._node.database.read() as connection:
            rows = quarantine.page(
                connection,
                before=before,
                limit=limit + 1,
                document_id=_ids([document_id], "document_id")[0] if document_id else None,
                reason=reason,
                include_closed=include_closed,
                agency=agency,
            )
        more = len(rows) > limit
        rows = rows[:limit]
        return Page(tuple(map(to_message, rows)), format_id(rows[-1].quarantine_id) if more else "")

    def retry(
        self, ids: Sequence[str], actor: str, now: datetime, *, authorise_for: Callable[[str], Authorise] | None = None
    ) -> Retried:
        """Map rows again with the tables of now; those that map are submitted under the keys of their rows.

        Each document is a piece of work of its own: a crash in between leaves rows open that were submitted, and
        the next retry finds that out by their keys.

        Args:
            ids: Rows; empty means all that are open.
            actor: Identity of the operator.
            now: Aware instant.
            authorise_for: Gives an agency's ``authorise``: its grants of now decide.

        Raises:
            Refused: An id is unknown or its row is not open; nothing was changed.
        """
        chosen = self._open_rows(ids) if ids else None
        resolved = 0
        remaining: list[QuarantineRow] = []
        for document_id in self._documents_of(chosen):
            with self._node.database.read() as connection:
                rows = quarantine.open_of(connection, document_id)
                document = documents.get(connection, document_id)
            wanted = [row for row in rows if chosen is None or row.quarantine_id in chosen]
            closed, stay = self._retry_document(document, wanted, actor, now, authorise_for)
            resolved += closed
            remaining += stay
        return Retried(resolved, tuple(map(to_message, remaining[:MAX_IDS])))

    def check_discard(self, ids: Sequence[str]) -> None:
        """Say whether rows can be discarded, before anybody is asked to confirm.

        Raises:
            Refused: No ids, an id that is unknown, or a row that is not open.
        """
        if not ids:
            raise Refused([Problem("FIELD_MISSING", "quarantine_ids")])
        self._open_rows(ids)

    def carry_out_discard(self, request: ActionRequest, who: Confirmed) -> str:
        """Discard the rows that two officers agreed on; those that left quarantine meanwhile stay as they are.

        Returns:
            How many of them are discarded now.
        """
        ids = list(request.discard_quarantine.quarantine_ids)
        raw = _ids(ids, "quarantine_ids")
        with self._node.database.read() as connection:
            found = quarantine.by_ids(connection, raw)
        still_open = [format_id(each) for each in raw if each in found and found[each].state == quarantine.OPEN]
        before = sum(row.state == quarantine.DISCARDED for row in found.values())
        done = self.discard(still_open, who.reason, who.actors, who.now) if still_open else 0
        return f"{before + done}/{len(ids)}"

    def discard(self, ids: Sequence[str], reason: str, actor: str, now: datetime) -> int:
        """Discard rows for good; returns how many. Two officers agreed on it: who calls this has seen to that.

        Raises:
            Refused: No reason, an id that is unknown, or a row that is not open; nothing was changed.
        """
        note = reason.strip()
        if not note:
            raise Refused([Problem("REASON_MISSING", "reason")])
        if len(note) > MAX_REASON:
            raise Refused([Problem("TEXT_TOO_LONG", "reason", str(len(note)))])
        if not ids:
            raise Refused([Problem("FIELD_MISSING", "quarantine_ids")])
        rows = self._open_rows(ids).values()
        closing = Closing(
            state=quarantine.DISCARDED,
            rows=tuple((row.quarantine_id, _event("DISCARDED", row, actor, now, note)) for row in rows),
        )
        done: int = self._node.writer.call(quarantine.close, closing, rows=2 * len(rows))
        return done

    # -- retrying --------------------------------------------------------------------------------------------

    def _open_rows(self, ids: Sequence[str]) -> dict[bytes, QuarantineRow]:
        if len(ids) > MAX_IDS:
            raise Refused([Problem("TOO_MANY_ITEMS", "quarantine_ids", f"{len(ids)} > {MAX_IDS}")])
        raw = _ids(ids, "quarantine_ids")
        with self._node.database.read() as connection:
            found = quarantine.by_ids(connection, raw)
        problems = []
        for at, each in enumerate(raw):
            if each not in found:
                problems.append(Problem("NOT_FOUND", f"quarantine_ids[{at}]", format_id(each)))
            elif found[each].state != quarantine.OPEN:
                problems.append(Problem("QUARANTINE_CLOSED", f"quarantine_ids[{at}]", found[each].state))
        if problems:
            raise Refused(problems)
        return found

    def _documents_of(self, chosen: dict[bytes, QuarantineRow] | None) -> Iterable[bytes]:
        if chosen is not None:
            yield from sorted({row.document_id for row in chosen.values()})
            return
        after = b""
        while True:
            with self._node.database.read() as connection:
                found = quarantine.documents_with_open(connection, after, _DOCUMENTS_AT_ONCE)
            if not found:
                return
            yield from found
            after = found[-1]

    def _retry_document(
        self,
        document: DocumentRow | None,
        rows: Sequence[QuarantineRow],
        actor: str,
        now: datetime,
        authorise_for: Callable[[str], Authorise] | None,
    ) -> tuple[int, Sequence[QuarantineRow]]:
        if document is None or not rows:
            return 0, rows
        try:
            reading = self._documents.read_again(document)
        except ExchangeError as error:
            _log.warning("quarantine-unreadable", document=format_id(document.document_id), reason=error.reason)
            return 0, rows
        request = SubmitDocumentRequest.FromString(document.request)
        mapped = {row.row: row for row in reading.rows}
        closed = 0
        stay: list[QuarantineRow] = []
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS]
            found = [(row, mapped[row.row].record) for row in chunk if row.row in mapped]
            ready = [(row, record) for row, record in found if record is not None]
            items = [row_submission(request, document.document_id, row.row, record) for row, record in ready]
            authorise = authorise_for(document.agency) if authorise_for else _allow
            answers = self._submit.submit_rows(document.agency, items, now, authorise=authorise) if items else []
            outcome = dict(zip((row.quarantine_id for row, _ in ready), answers, strict=True))
            closing, renewed = _closing(chunk, outcome, mapped, actor, now)
            closed += self._node.writer.call(quarantine.close, closing, rows=2 * len(chunk))
            stay += renewed
        return closed, stay


def to_message(row: QuarantineRow) -> QuarantinedRow:
    """A quarantined row as it travels."""
    return QuarantinedRow(
        quarantine_id=format_id(row.quarantine_id),
        document_id=format_id(row.document_id),
        file_name=row.file_name,
        agency=row.agency,
        row=row.row,
        place=row.place,
        problems=problem_messages(quarantine.unpack_problems(row.problems)),
        since=timestamp(row.since),
        state=row.state,
        content=row.content,
    )


def _allow(_record: object, _envelope: object) -> Problem | None:
    return None


def _ids(texts: Sequence[str], place: str) -> list[bytes]:
    raw = [parse_id(text) for text in texts]
    wrong = [
        Problem("RECORD_ID_FORMAT", place, text[:40]) for text, each in zip(texts, raw, strict=True) if each is None
    ]
    if wrong:
        raise Refused(wrong)
    return [each for each in raw if each is not None]


def _closing(
    rows: Sequence[QuarantineRow],
    outcome: dict[bytes, SubmittedRecord],
    mapped: dict[int, MappedRow],
    actor: str,
    now: datetime,
) -> tuple[Closing, list[QuarantineRow]]:
    """What leaves quarantine, and the rows that stay with their problems of now."""
    leaving = []
    stay = []
    for row in rows:
        submitted = outcome.get(row.quarantine_id)
        if submitted is not None and submitted.result != SubmitResult.SUBMIT_RESULT_REFUSED:
            leaving.append((row.quarantine_id, _event("RETRIED", row, actor, now)))
            continue
        if submitted is not None:
            problems = tuple(Problem(each.reason, each.place, each.message) for each in submitted.problems)
        elif row.row in mapped:
            problems = mapped[row.row].problems
        else:
            # The reader of today does not see the row: what was said of it stays.
            problems = quarantine.unpack_problems(row.problems)
        stay.append(replace(row, problems=quarantine.pack_problems(problems)))
    renewed = tuple((row.quarantine_id, row.problems) for row in stay)
    return Closing(state=quarantine.RESOLVED, rows=tuple(leaving), renewed=renewed), stay


def _event(change: str, row: QuarantineRow, actor: str, now: datetime, note: str = "") -> JournalEntry:
    return quarantine_event(
        change,
        quarantined=row.quarantine_id,
        document_id=row.document_id,
        row=row.row,
        reasons=(problem.reason for problem in quarantine.unpack_problems(row.problems)),
        actor=actor,
        now=now,
        note=note,
    )
