"""Traces of checks (触发留痕): salted digests in the journal, on disk before any answer leaves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TypeVar

from google.protobuf.message import Message

from exchange.crypto.keys import generate_salt
from exchange.domain.problems import ExchangeError
from exchange.flows.context import Node
from exchange.flows.queries.ground.reading import Asked
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import journal
from exchange.storage.queries import checks
from exchange.v1.check_service_pb2 import (
    BatchCheckSubjectsRequest,
    BatchCheckSubjectsResponse,
    CheckSubjectRequest,
    CheckSubjectResponse,
)
from exchange.v1.journal_pb2 import CheckTraced, FeedbackDue, JournalEntry
from exchange.v1.matter_pb2 import MatterKind

MAX_ROUNDS = 4
"""How often a check is answered again because the journal went on in another epoch."""

_Answer = TypeVar("_Answer", CheckSubjectResponse, BatchCheckSubjectsResponse)


class CheckContended(ExchangeError):
    """The journal kept changing its epoch."""

    reason = "CONTENDED"


class CheckTraces:
    """Writes traces.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        # Asked for at every check and changed once in years; the transaction of the trace notices when it is wrong.
        self._journal = self._current()

    def _current(self) -> str:
        with self._node.database.read() as connection:
            return journal.head(connection).origin

    def write(
        self,
        answers_for: Callable[[str], Sequence[_Answer]],
        trace: Callable[[int, _Answer, bytes], JournalEntry],
    ) -> Sequence[_Answer]:
        """Make answers and write their traces, one transaction for all of them.

        Args:
            answers_for: Makes the answers, which name the journal of a given origin.
            trace: Makes the trace of one of them, by its place and the salt of its digest.

        Raises:
            CheckContended: The journal went on in another epoch again and again.
        """
        for _round in range(MAX_ROUNDS):
            answers = answers_for(self._journal)
            salts = [generate_salt() for _ in answers]
            events = tuple(
                trace(place, answer, salt) for place, (answer, salt) in enumerate(zip(answers, salts, strict=True))
            )
            first = self._node.writer.call(
                checks.trace, checks.Traces(self._journal, events), WorkClass.INTERACTIVE, rows=len(events)
            )
            if first is None:
                self._journal = self._current()
                continue
            for offset, (answer, salt) in enumerate(zip(answers, salts, strict=True)):
                answer.answer_salt = salt
                answer.journal_index = first + offset
            return answers
        raise CheckContended


def single_trace(asked: Asked, request: CheckSubjectRequest, answer: CheckSubjectResponse, salt: bytes) -> JournalEntry:
    """The trace of one check, with the feedback that falls due by it."""
    event = _trace(asked, request, answer, salt)
    traced = event.check_traced
    for each in answer.measures:
        if each.feedback_due_on:
            traced.due.append(
                FeedbackDue(
                    source=each.source,
                    source_kind=each.source_kind,
                    catalogue=each.measure.catalogue,
                    edition=each.measure.edition,
                    code=each.measure.code,
                    due_on=each.feedback_due_on,
                )
            )
    if traced.due:
        traced.matter_no = request.matter_no
    return event


def batch_trace(
    asked: Asked, request: BatchCheckSubjectsRequest, answer: BatchCheckSubjectsResponse, salt: bytes
) -> JournalEntry:
    """The one trace of a check of many subjects."""
    event = _trace(asked, request, answer, salt)
    event.check_traced.subjects = len(answer.subjects)
    return event


def _trace(
    asked: Asked,
    request: CheckSubjectRequest | BatchCheckSubjectsRequest,
    answer: CheckSubjectResponse | BatchCheckSubjectsResponse,
    salt: bytes,
) -> JournalEntry:
    question = request.SerializeToString(deterministic=True)
    event = JournalEntry(
        check_traced=CheckTraced(
            check_id=answer.check_id,
            agency=asked.caller.name,
            matter_kind=MatterKind.Name(request.matter_kind).removeprefix("MATTER_KIND_"),
            question_digest=sha256(answer.question_salt + question).digest(),
            answer_digest=answer_digest(answer, salt),
        )
    )
    event.at.FromDatetime(asked.now)
    return event


def answer_digest(answer: CheckSubjectResponse | BatchCheckSubjectsResponse, salt: bytes) -> bytes:
    """The digest of an answer that its trace holds: of the salt, then the message without salt and journal index."""
    bare: Message = type(answer)()
    bare.CopyFrom(answer)
    bare.ClearField("answer_salt")
    bare.ClearField("journal_index")
    return sha256(salt + bare.SerializeToString(deterministic=True)).digest()
