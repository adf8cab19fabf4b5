"""Checking a subject while a matter is handled (逢办必查): the answer leaves when its trace is on disk.

The numbered walk:
  1 question   every rule it breaks is listed; no matter number or purpose, no check
  2 grant      CHECK for the area of the matter
  3 answer     standing and open notices of both regions, from one view of the registers
  4 trace      salted digests of question and answer into the journal, group-committed
What a crash leaves behind: either a trace and perhaps no answer, or neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from google.protobuf.message import Message

from exchange.crypto.keys import generate_salt
from exchange.domain.codes import normalise, uscc_reasons
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import AccessDenied
from exchange.flows.context import LOCAL_TIME
from exchange.flows.intake.ids import new_id
from exchange.flows.queries.credit import MAX_SUBJECT_ROWS, knowledge, regional_standings
from exchange.flows.queries.freshness import stale_peers
from exchange.flows.queries.reading import Asked, Reading
from exchange.flows.queries.records import check_enum
from exchange.flows.queries.views import record_views
from exchange.storage import journal
from exchange.storage.queries import checks, records
from exchange.storage.queries.records import RecordRow
from exchange.storage.writer import WorkClass
from exchange.v1.check_service_pb2 import CheckSubjectRequest, CheckSubjectResponse
from exchange.v1.freshness_pb2 import Freshness
from exchange.v1.journal_pb2 import CheckTraced, JournalEntry
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.record_service_pb2 import RecordView
from exchange.v1.security_service_pb2 import Verb

MAX_MATTER_NO = 100
"""Characters of a matter number."""

MAX_PURPOSE = 200
"""Characters of a purpose: one sentence."""

MAX_ROUNDS = 4
"""How often a check is answered again because the journal went on in another epoch."""

_OFFICER_REF = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
_KINDS = (Kind.KIND_CREDIT_RESULT, Kind.KIND_PENALTY_NOTICE)


class CheckContended(ExchangeError):
    """The journal kept changing its epoch."""

    reason = "CONTENDED"


@dataclass(frozen=True, slots=True)
class Question:
    """One check that an agency asks for."""

    asked: Asked
    request: CheckSubjectRequest


class CheckFlow:
    """Answers checks.

    Args:
        reading: What queries stand on.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        # Asked for at every check and changed once in years; the transaction of the trace notices when it is wrong.
        self._journal = self._current_journal()

    def _current_journal(self) -> str:
        with self._reading.node.database.read() as connection:
            return journal.head(connection).origin

    def check(self, questions: Sequence[Question]) -> list[CheckSubjectResponse | ExchangeError]:
        """Check subjects: one answer, or one refusal, for each question in order.

        Questions that come together share one view of the registers and one transaction. A refusal is ``Refused``
        with every broken rule, or ``AccessDenied`` without a grant to check in the area of the matter.
        """
        results: dict[int, CheckSubjectResponse | ExchangeError] = {}
        sound: list[tuple[int, Question]] = []
        for place, question in enumerate(questions):
            refusal = self._refusal(question)
            if refusal is None:
                sound.append((place, question))
            else:
                results[place] = refusal
        if sound:
            answers = self._traced([question for _, question in sound])
            results |= {place: answer for (place, _), answer in zip(sound, answers, strict=True)}
        return [results[place] for place in range(len(questions))]

    def _refusal(self, question: Question) -> ExchangeError | None:
        # 1
        problems = self._problems(question.request)
        if problems:
            return Refused(problems)
        # 2
        agency, area = question.asked.caller.name, question.request.area_code
        denied = self._reading.book.require(agency, Verb.VERB_CHECK, 0, area)
        return AccessDenied(denied) if denied is not None else None

    def _traced(self, questions: Sequence[Question]) -> Sequence[CheckSubjectResponse]:
        for _round in range(MAX_ROUNDS):
            # 3
            answers = self._answers(questions)
            # 4
            salts = [generate_salt() for _ in answers]
            events = tuple(
                _trace(question, answer, salt) for question, answer, salt in zip(questions, answers, salts, strict=True)
            )
            first = self._reading.node.writer.call(
                checks.trace, checks.Traces(self._journal, events), WorkClass.INTERACTIVE, rows=len(events)
            )
            if first is None:
                self._journal = self._current_journal()
                continue
            for offset, (answer, salt) in enumerate(zip(answers, salts, strict=True)):
                answer.answer_salt = salt
                answer.journal_index = first + offset
            return answers
        raise CheckContended

    def _problems(self, request: CheckSubjectRequest) -> list[Problem]:
        problems = []
        uscc = normalise(request.uscc)
        if not uscc:
            problems.append(Problem("FIELD_MISSING", "uscc"))
        else:
            accepted = self._reading.node.tables.accepted_codes
            problems += [Problem(reason, "uscc", uscc[:18]) for reason in uscc_reasons(uscc, accepted)]
        if request.matter_kind == MatterKind.MATTER_KIND_UNSPECIFIED:
            problems.append(Problem("MATTER_MISSING", "matter_kind"))
        else:
            try:
                check_enum(MatterKind, request.matter_kind, "matter_kind")
            except Refused as refused:
                problems += refused.problems
        problems += _text(request.matter_no, "matter_no", MAX_MATTER_NO, "MATTER_MISSING")
        purpose = _text(request.purpose, "purpose", MAX_PURPOSE, "PURPOSE_MISSING")
        if not purpose:
            outside = self._reading.node.tables.sharing.use_problem(_KINDS, request.purpose, "purpose")
            purpose = [outside] if outside is not None else []
        problems += purpose
        if not request.officer_ref:
            problems.append(Problem("OFFICER_MISSING", "officer_ref"))
        elif not _OFFICER_REF.fullmatch(request.officer_ref):
            problems.append(Problem("OFFICER_REF_FORMAT", "officer_ref"))
        if request.area_code and not self._reading.node.tables.areas.plausible(request.area_code):
            problems.append(Problem("AREA_UNKNOWN", "area_code", request.area_code[:8]))
        return problems

    def _answers(self, questions: Sequence[Question]) -> list[CheckSubjectResponse]:
        reading = self._reading
        fresh = reading.freshness.read(questions[0].asked.now, (Lane.LANE_REGISTRY,))
        usccs = [normalise(question.request.uscc) for question in questions]
        answers = []
        with reading.node.database.read() as connection:
            found, bodies = records.of_subjects(connection, usccs, _KINDS, MAX_SUBJECT_ROWS)
            for question, uscc in zip(questions, usccs, strict=True):
                rows = found[uscc]
                views = record_views(connection, reading, rows, question.asked.words, bodies)
                answers.append(self._answer(question.asked, list(zip(rows, views, strict=True)), fresh))
        return answers

    def _answer(
        self, asked: Asked, pairs: Sequence[tuple[RecordRow, RecordView]], fresh: Sequence[Freshness]
    ) -> CheckSubjectResponse:
        today = asked.now.astimezone(LOCAL_TIME).date().isoformat()
        credit = [pair for pair in pairs if pair[0].kind == Kind.KIND_CREDIT_RESULT]
        notices = [pair for pair in pairs if pair[0].kind == Kind.KIND_PENALTY_NOTICE]
        answer = CheckSubjectResponse(
            check_id=str(new_id(asked.now)),
            credit=regional_standings(
                self._reading.node, [row for row, _ in credit], [view for _, view in credit], fresh
            ),
            notices=_open(notices, today),
            freshness=fresh,
            journal=self._journal,
            question_salt=generate_salt(),
        )
        stale = any(stale_peers(fresh, Lane.LANE_REGISTRY).values())
        answer.notice_knowledge = knowledge(found=bool(answer.notices), stale=stale)
        answer.answered_at.FromDatetime(asked.now)
        return answer


def _trace(question: Question, answer: CheckSubjectResponse, salt: bytes) -> JournalEntry:
    asked = question.request.SerializeToString(deterministic=True)
    event = JournalEntry(
        check_traced=CheckTraced(
            check_id=answer.check_id,
            agency=question.asked.caller.name,
            matter_kind=MatterKind.Name(question.request.matter_kind).removeprefix("MATTER_KIND_"),
            question_digest=sha256(answer.question_salt + asked).digest(),
            answer_digest=answer_digest(answer, salt),
        )
    )
    event.at.FromDatetime(question.asked.now)
    return event


def answer_digest(answer: CheckSubjectResponse, salt: bytes) -> bytes:
    """The digest of an answer that its trace holds: of the salt, then the message without salt and journal index."""
    bare: Message = CheckSubjectResponse()
    bare.CopyFrom(answer)
    bare.ClearField("answer_salt")
    bare.ClearField("journal_index")
    return sha256(salt + bare.SerializeToString(deterministic=True)).digest()


def _open(notices: Sequence[tuple[RecordRow, RecordView]], today: str) -> list[RecordView]:
    """Notices that stand, or that a tombstone stands for, newest first.

    What ran out by its own date is not open any more.
    """
    ordered = sorted(notices, key=lambda pair: (pair[0].sort_on, pair[0].seq), reverse=True)
    return [view for _, view in ordered if (view.record.penalty_notice.effective_until or today) >= today]


def _text(value: str, place: str, limit: int, missing: str) -> list[Problem]:
    if not value.strip():
        return [Problem(missing, place)]
    if len(value) > limit:
        return [Problem("TEXT_TOO_LONG", place, str(len(value)))]
    if not value.isprintable():
        return [Problem("TEXT_CONTROL_CHARACTER", place)]
    return []
