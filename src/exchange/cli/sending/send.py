"""Making the calls. After a lost answer the same call is made again: that is the whole rule of retrying."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exchange.cli.calls.shown.words import problem_of
from exchange.cli.sending.attaching import AttachedFile, upload
from exchange.cli.sending.plan import (
    BATCH_BYTES,
    BATCH_ITEMS,
    Item,
    Wishes,
    batches,
    document_calls,
    is_records,
    record_items,
)
from exchange.cli.sending.sealing import Row, Seal, mapped_parts, mapped_rows, typed_rows
from exchange.cli.sending.tally import FileResult, RowResult, result_name
from exchange.cli.texts import detail_of
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.rpc.failure import CallFailed
from exchange.v1.submission_service_pb2 import (
    BatchSubmitRecordsRequest,
    RecordSubmission,
    SubmitDocumentRequest,
    SubmitDocumentResponse,
    SubmitResult,
    SubmittedRecord,
)

if TYPE_CHECKING:
    from exchange.rpc.client import Client

FIRST_PAUSE_S: Final = 0.5
"""Seconds before the first repetition; doubled each time."""

LONGEST_PAUSE_S: Final = 10.0
"""Seconds between repetitions at most."""

MAX_ROUNDS: Final = 6
"""How often a row is signed anew because its fact is stated already, or others keep stating it: as often as a node
tries, and then its answer stands."""

_OF_THE_FILE: Final = {"INVALID_ARGUMENT", "ALREADY_EXISTS", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
"""Statuses by which a node refuses what was sent; the other ones are about the node, the caller or the moment."""

_STATED: Final = {"NATURAL_KEY_TAKEN", "STATE_NOT_ENTRY"}
"""What a node says of a new record whose fact is stated already: the state may be one that no record begins with."""


class Sender:
    """Submits files through one connection.

    Args:
        client: The connection.
        wishes: What holds for every file.
        patience: Seconds for which a node that is away or busy is asked again.
        progress: Called with the bytes of a file that have been answered.
        seal: What signs here; None: the node seals.
    """

    def __init__(
        self,
        client: Client,
        wishes: Wishes,
        *,
        patience: float,
        progress: Callable[[int], None] = lambda _size: None,
        seal: Seal | None = None,
    ) -> None:
        self._client = client
        self._wishes = wishes
        self._seal = seal
        self._patience = patience
        self._progress = progress

    def attach(self, files: Sequence[AttachedFile]) -> None:
        """Hand attachments in, before the record that lists them.

        Raises:
            CallFailed: Refused, or no answer within the patience.
        """
        for size in upload(self._client, self._call, files):
            self._progress(size)

    def send(self, path: Path) -> FileResult:
        """Submit one file. Never raises for what is wrong with the file or the node: the result says it."""
        result = FileResult(file=str(path))
        try:
            if self._seal is not None:
                self._signed(path, result, self._seal)
            elif is_records(path):
                self._records(path, result)
            else:
                self._document(path, result)
        except CallFailed as failure:
            result.away = failure.away
            result.later = failure.away or failure.retry_after is not None or failure.status not in _OF_THE_FILE
            if not failure.away:
                told = failure.problems or (Problem(failure.reason, path.name, failure.message),)
                result.refused = tuple(Problem(p.reason, p.place, detail_of(p.reason, p.detail)) for p in told)
        except Refused as refused:
            result.refused = refused.problems
        except ExchangeError as error:
            result.refused = (Problem(error.reason, path.name, str(error)),)
        except OSError as error:
            result.refused = (Problem("FILE_MISSING", str(path), error.strerror or ""),)
        return result

    def _document(self, path: Path, result: FileResult) -> None:
        for request in document_calls(path, path.read_bytes(), self._wishes):
            answer: SubmitDocumentResponse = self._call(self._client.submissions.SubmitDocument, request)
            result.adapter, result.dialect = answer.adapter, answer.dialect
            result.documents += [answer.document_id] if answer.document_id else []
            result.remarks += [problem_of(remark) for remark in answer.remarks]
            result.rows += _rows(answer, request)
            self._progress(len(request.content))

    def _records(self, path: Path, result: FileResult) -> None:
        number = 0
        for batch in batches(record_items(path, self._wishes)):
            request = BatchSubmitRecordsRequest(
                submissions=[item.submission for item in batch if item.submission is not None],
                validate_only=self._wishes.validate_only,
            )
            answers: list[SubmittedRecord] = []
            if request.submissions:
                answers = list(self._call(self._client.submissions.BatchSubmitRecords, request).submitted)
            result.rows += _merge(batch, answers, number)
            number += len(batch)
            self._progress(request.ByteSize())

    def _signed(self, path: Path, result: FileResult, seal: Seal) -> None:
        """Each record signed here; a document is mapped here first."""
        if is_records(path):
            self._submit_signed(typed_rows(path, self._wishes), result, seal)
            self._progress(path.stat().st_size)
            return
        content = path.read_bytes()
        for reading in mapped_parts(path, content, self._wishes, seal, datetime.now(UTC)):
            result.adapter, result.dialect = reading.adapter, reading.dialect
            result.remarks += reading.remarks
            self._submit_signed(mapped_rows(reading, content, self._wishes), result, seal)
        self._progress(len(content))

    def _submit_signed(self, rows: Iterable[Row | RowResult], result: FileResult, seal: Seal) -> None:
        """Sign and submit; answers come back in the order of the rows."""
        for batch in _signed_batches(rows, seal):
            answered = {each.row: each for each, _ in batch if isinstance(each, RowResult)}
            pending = [(each, made) for each, made in batch if isinstance(each, Row) and made is not None]
            for round_ in range(MAX_ROUNDS):
                if not pending:
                    break
                request = BatchSubmitRecordsRequest(
                    submissions=[made for _, made in pending], validate_only=self._wishes.validate_only
                )
                answers = self._call(self._client.submissions.BatchSubmitRecords, request).submitted
                told = list(zip((row for row, _ in pending), answers, strict=True))
                now, pending = datetime.now(UTC), []
                for row, answer in told:
                    again = _again(row, answer) if round_ < MAX_ROUNDS - 1 else None
                    if again is None:
                        answered[row.number] = _signed_result(row, answer)
                    else:
                        pending.append((again, seal.submission(again, now)))
            result.rows += [answered[number] for number in sorted(answered)]

    def _call(self, method: Any, request: Any) -> Any:
        deadline = time.monotonic() + self._patience
        pause = FIRST_PAUSE_S
        while True:
            try:
                return self._client.call(method, request)
            except CallFailed as failure:
                again = failure.away or failure.retry_after is not None
                wait = max(failure.retry_after or 0.0, pause)
                if not again or time.monotonic() + wait > deadline:
                    raise
                time.sleep(wait)
                pause = min(pause * 2, LONGEST_PAUSE_S)


def _signed_batches(
    rows: Iterable[Row | RowResult], seal: Seal
) -> Iterator[list[tuple[Row | RowResult, RecordSubmission | None]]]:
    """Rows in batches that one call may carry, signed; what is answered already takes no room."""
    batch: list[tuple[Row | RowResult, RecordSubmission | None]] = []
    size = 0
    now = datetime.now(UTC)
    for row in rows:
        made = seal.submission(row, now) if isinstance(row, Row) else None
        length = made.ByteSize() + 8 if made is not None else 0
        if batch and (len(batch) >= BATCH_ITEMS or size + length > BATCH_BYTES):
            yield batch
            batch, size, now = [], 0, datetime.now(UTC)
        batch.append((row, made))
        size += length
    if batch:
        yield batch


def _again(row: Row, answer: SubmittedRecord) -> Row | None:
    """The row to be signed once more: as the next revision of the record that states its fact; None: it is answered."""
    reasons = {problem.reason for problem in answer.problems}
    if not row.by_key or answer.result != SubmitResult.SUBMIT_RESULT_REFUSED:
        return None
    if answer.record_id and reasons <= _STATED:
        return row.of(answer.record_id, answer.revision + 1)
    named = row.record.header.record_id
    if named and not row.record_id and reasons == {"REVISION_NOT_NEXT"}:
        # The document goes on with a record of ours, and knows no revisions: the node says which one is next.
        following = problem_of(answer.problems[0]).detail
        return row.of(named, int(following)) if following.isdecimal() else None
    # Somebody else's revision came in between: the node says which one is the newest when asked anew.
    return row.of("", 0) if row.record_id and reasons == {"REVISION_NOT_NEXT"} else None


def _signed_result(row: Row, answer: SubmittedRecord) -> RowResult:
    name = result_name(answer.result)
    return RowResult(
        row=row.number,
        place=row.place,
        result=name,
        record_id="" if name == "REFUSED" else answer.record_id,
        problems=tuple(problem_of(problem) for problem in answer.problems),
        left_out=row.left_out,
        key=row.key,
        joined=row.joined,
    )


def _rows(answer: SubmitDocumentResponse, request: SubmitDocumentRequest) -> Iterable[RowResult]:
    return [
        RowResult(
            row=row.row,
            place=row.place,
            result=result_name(row.submitted.result),
            record_id=row.submitted.record_id,
            problems=tuple(problem_of(problem) for problem in row.submitted.problems),
            left_out=tuple(problem_of(problem) for problem in row.left_out),
            key=row.idempotency_key or request.idempotency_key,
            quarantine_id=row.quarantine_id,
            joined=tuple(row.joined_places),
        )
        for row in answer.rows
    ]


def _merge(batch: list[Item], answers: list[SubmittedRecord], before: int) -> Iterable[RowResult]:
    """Answers back to their items; the items that were wrong already have their own."""
    left = iter(answers)
    for row, item in enumerate(batch, start=before + 1):
        if item.submission is None:
            problems = (item.problem,) if item.problem is not None else ()
            yield RowResult(row=row, place=item.place, result="REFUSED", problems=problems)
            continue
        answer = next(left)
        yield RowResult(
            row=row,
            place=item.place,
            result=result_name(answer.result),
            record_id=answer.record_id,
            problems=tuple(problem_of(problem) for problem in answer.problems),
            key=item.submission.idempotency_key,
        )
