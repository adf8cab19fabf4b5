"""What a caller is told of one record: refused with every reason, or what stands on disk."""

from __future__ import annotations

from collections.abc import Iterable

from exchange.domain.problems import Problem
from exchange.flows.intake.ids import format_id
from exchange.storage.engine.database import Database
from exchange.storage.intake.submissions import SubmissionRow
from exchange.storage.logs import log_store
from exchange.v1.common_pb2 import Problem as ProblemMessage
from exchange.v1.statement_pb2 import LogEntry
from exchange.v1.submission_service_pb2 import SubmitResult, SubmittedRecord


def stored_answer(database: Database, row: SubmissionRow, result: int) -> SubmittedRecord:
    """What was answered when the record was taken, from the log that took it."""
    answer = SubmittedRecord(
        result=result,  # type: ignore[arg-type]
        record_id=format_id(row.record_id),
        revision=row.revision,
    )
    if row.addresses:
        first = row.addresses[0]
        with database.read() as connection:
            stored = log_store.entries_at(connection, first.log_id, [first.index])[first.index]
        answer.envelope = LogEntry.FromString(stored.entry).envelope
        answer.salt = stored.salt or b""
    return answer


def refused(problems: Iterable[Problem], taken_by: SubmissionRow | None = None) -> SubmittedRecord:
    """Every rule that is broken, and the record that has the natural key already, if one has it."""
    return SubmittedRecord(
        result=SubmitResult.SUBMIT_RESULT_REFUSED,
        record_id=format_id(taken_by.record_id) if taken_by else "",
        revision=taken_by.revision if taken_by else 0,
        problems=[
            ProblemMessage(reason=problem.reason, place=problem.place, message=problem.detail) for problem in problems
        ],
    )
