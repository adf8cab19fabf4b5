"""Answering an alert or a request of the other side: the same for each kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.calls.shown import words
from exchange.cli.output import Output, as_dict, moment
from exchange.cli.texts import t, word
from exchange.domain import kinds
from exchange.rpc.failure import CallFailed
from exchange.v1.answer_pb2 import Answer, AnswerVerb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.record_pb2 import Record, RecordHeader
from exchange.v1.request_service_pb2 import GetRequestRequest, Reply, Request
from exchange.v1.submission_service_pb2 import (
    GetSubmissionRequest,
    RecordSubmission,
    SubmitRecordRequest,
    SubmitResult,
    SubmittedRecord,
)

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from exchange.rpc.client import Client

RecordArgument = Annotated[str, typer.Argument(help=t("option.record"))]
OriginOption = Annotated[str, typer.Option("--origin", help=t("option.asking_origin"))]
AreaOption = Annotated[str, typer.Option("--area", help=t("option.area"))]
OursOption = Annotated[bool, typer.Option("--ours", help=t("option.ours"))]
AnsweredOption = Annotated[bool, typer.Option("--answered", help=t("option.answered"))]
DeskOption = Annotated[str, typer.Option("--desk", help=t("option.desk"))]
AnswerAreaOption = Annotated[str, typer.Option("--area", help=t("option.answer_area"))]
KeyOption = Annotated[str, typer.Option("--key", help=t("option.answer_key"))]

KIND_EDITION = 1


def find(node: Client, record: str, origin: str) -> Request:
    """An alert or request with its answers.

    Raises:
        CallFailed: There is none, or it may not be read.
    """
    request = GetRequestRequest(ref=RecordRef(origin=origin, record_id=record))
    found: Request = node.call(node.requests.GetRequest, request).request
    return found


def answer_to(
    node: Client,
    found: Request,
    verb: AnswerVerb.ValueType,
    desk: str,
    reasons: Sequence[str],
    area: str,
    key: str = "",
) -> SubmittedRecord:
    """Submit an Answer to an alert or request. The same again is the same call, and gets the first answer.

    Args:
        node: The connection.
        found: What is answered.
        verb: What is said.
        desk: Duty desk or staff number that says it.
        reasons: Reason codes of a refusal.
        area: Area of the authority that answers: what the caller's grant goes by.
        key: Idempotency key; empty: derived from what is answered, who says what, and why.

    Raises:
        CallFailed: Refused, or no answer.
    """
    ref = found.record.ref
    answer = Answer(
        record=ref, verb=verb, effect=kinds.spec(found.record.kind).effects[0], reasons=reasons, answered_by=desk
    )
    derived = _derived_key(answer, area)
    earlier = _answered_before(node, found, answer, key or derived)
    if earlier is not None:
        answer.answered_at.CopyFrom(earlier)
    else:
        answer.answered_at.FromDatetime(datetime.now(UTC))
    header = RecordHeader(kind_edition=KIND_EDITION, area_code=area, answers=ref)
    submission = RecordSubmission(idempotency_key=key or derived, record=Record(header=header, answer=answer))
    try:
        submitted: SubmittedRecord = node.call(
            node.submissions.SubmitRecord, SubmitRecordRequest(submission=submission)
        ).submitted
    except CallFailed as failure:
        if key or failure.reason != "IDEMPOTENCY_KEY_REUSED":
            raise
        # Our own key says that it is the same answer, of a moment ago: the node has not put it into its registers yet.
        first = node.call(node.submissions.GetSubmission, GetSubmissionRequest(idempotency_key=derived)).submission
        return SubmittedRecord(
            result=SubmitResult.SUBMIT_RESULT_ACCEPTED,
            record_id=first.record_id,
            revision=first.revision,
            repeated_call=True,
        )
    return submitted


def _derived_key(answer: Answer, area: str) -> str:
    """The same for the same answer to the same revision of a record."""
    ref = answer.record
    said = [ref.origin, ref.record_id, ref.revision, answer.verb, answer.effect, answer.answered_by, area]
    return "answer-" + sha256(json.dumps([*said, *answer.reasons]).encode()).hexdigest()[:40]


def _answered_before(node: Client, found: Request, answer: Answer, key: str) -> Timestamp | None:
    """When this desk said the same by this key: the same call says the same instant, too."""
    said = (answer.verb, answer.answered_by, list(answer.reasons))
    same = [each for each in found.replies if (each.verb, each.answered_by, list(each.reasons)) == said]
    if not same:
        return None
    try:
        sent = node.call(node.submissions.GetSubmission, GetSubmissionRequest(idempotency_key=key)).submission
    except CallFailed as failure:
        if failure.reason != "NOT_FOUND":
            raise
        return None
    return next((each.answered_at for each in same if each.ref.record_id == sent.record_id), None)


def print_sent(out: Output, sent: SubmittedRecord) -> None:
    """Print what became of an Answer."""
    if out.as_json:
        out.value(as_dict(sent))
    else:
        out.facts((("record_id", sent.record_id), ("result", words.result_word(sent.result))))


def print_one(out: Output, found: Request, facts: Sequence[tuple[str, object]]) -> None:
    """Print one alert or request with its answers."""
    if out.as_json:
        out.value(as_dict(found))
        return
    out.facts(facts)
    out.table(("answered_by", "verb", "reasons", "answered"), [_reply_cells(each) for each in found.replies])


def said(replies: Sequence[Reply]) -> str:
    """What was answered, one line each."""
    return "\n".join(f"{_verb(reply)} {reply.answered_by}" for reply in replies)


def _verb(reply: Reply) -> str:
    return word("answer_verb", AnswerVerb.Name(reply.verb).removeprefix("ANSWER_VERB_"))


def _reply_cells(reply: Reply) -> tuple[object, ...]:
    return reply.answered_by, _verb(reply), "; ".join(reply.reasons), moment(reply.answered_at)
