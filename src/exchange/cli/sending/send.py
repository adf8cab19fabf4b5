"""Making the calls. After a lost answer the same call is made again: that is the whole rule of retrying."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exchange.cli.calls.words import problem_of
from exchange.cli.sending.plan import Item, Wishes, batches, document_calls, is_records, record_items
from exchange.cli.sending.tally import FileResult, RowResult, result_name
from exchange.cli.texts import detail_of
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.rpc.failure import CallFailed
from exchange.v1.submission_service_pb2 import (
    BatchSubmitRecordsRequest,
    SubmitDocumentRequest,
    SubmitDocumentResponse,
    SubmittedRecord,
)

if TYPE_CHECKING:
    from exchange.rpc.client import Client

FIRST_PAUSE_S: Final = 0.5
"""Seconds before the first repetition; doubled each time."""

LONGEST_PAUSE_S: Final = 10.0
"""Seconds between repetitions at most."""


class Sender:
    """Submits files through one connection.

    Args:
        client: The connection.
        wishes: What holds for every file.
        patience: Seconds for which a node that is away or busy is asked again.
        progress: Called with the bytes of a file that have been answered.
    """

    def __init__(
        self, client: Client, wishes: Wishes, *, patience: float, progress: Callable[[int], None] = lambda _size: None
    ) -> None:
        self._client = client
        self._wishes = wishes
        self._patience = patience
        self._progress = progress

    def send(self, path: Path) -> FileResult:
        """Submit one file. Never raises for what is wrong with the file or the node: the result says it."""
        result = FileResult(file=str(path))
        try:
            if is_records(path):
                self._records(path, result)
            else:
                self._document(path, result)
        except CallFailed as failure:
            result.away = failure.away
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
