"""Checking a subject while a matter is handled (逢办必查): the answer leaves when its trace is on disk.

The numbered walk:
  1 question   every rule it breaks is listed; no matter number or purpose, no check
  2 grant      CHECK for the area of the matter; CHECK_PERSON too where a person stands behind the code
  3 answer     standing, lists and open notices of both regions, and the measures that apply, from one view of the
               registers
  4 trace      salted digests of question and answer into the journal, and what feedback falls due, group-committed
What a crash leaves behind: either a trace and perhaps no answer, or neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from exchange.crypto.keys import generate_salt
from exchange.domain.codes import normalise
from exchange.domain.problems import ExchangeError, Refused
from exchange.flows.checks.measures import Fact, applicable, is_open
from exchange.flows.checks.persons import mask
from exchange.flows.checks.question import CHECKED_KINDS, about_person, check_denied, matter_problems, subject_problems
from exchange.flows.checks.trace import CheckTraces, single_trace
from exchange.flows.context import LOCAL_TIME
from exchange.flows.intake.ids import new_id
from exchange.flows.queries.ground.freshness import stale_peers
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.flows.queries.ground.views import record_views
from exchange.flows.queries.registers.credit import (
    MAX_SUBJECT_ROWS,
    decisive_of,
    knowledge,
    regional_standings,
    standing_results,
)
from exchange.storage.queries import records
from exchange.storage.queries.records import RecordRow
from exchange.v1.check_service_pb2 import CheckSubjectRequest, CheckSubjectResponse
from exchange.v1.freshness_pb2 import Freshness
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.record_service_pb2 import RecordView

_Pair = tuple[RecordRow, RecordView]


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
        self._traces = CheckTraces(reading.node)

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
            asked = [question for _, question in sound]
            answers = self._traces.write(
                lambda journal: self._answers(asked, journal),
                lambda place, answer, salt: single_trace(asked[place].asked, asked[place].request, answer, salt),
            )
            results |= {place: answer for (place, _), answer in zip(sound, answers, strict=True)}
        return [results[place] for place in range(len(questions))]

    def _refusal(self, question: Question) -> ExchangeError | None:
        # 1
        request, tables = question.request, self._reading.node.tables
        problems = [*subject_problems(request.uscc, tables, "uscc"), *matter_problems(request, tables)]
        if problems:
            return Refused(problems)
        # 2
        person = about_person(normalise(request.uscc))
        return check_denied(self._reading.book, question.asked.caller.name, request.area_code, person=person)

    def _answers(self, questions: Sequence[Question], journal: str) -> list[CheckSubjectResponse]:
        # 3
        reading = self._reading
        fresh = reading.freshness.read(questions[0].asked.now, (Lane.LANE_REGISTRY,))
        usccs = [normalise(question.request.uscc) for question in questions]
        answers = []
        with reading.node.database.read() as connection:
            found, bodies = records.of_subjects(connection, usccs, CHECKED_KINDS, MAX_SUBJECT_ROWS)
            for question, uscc in zip(questions, usccs, strict=True):
                rows = found[uscc]
                views = record_views(connection, reading, rows, question.asked.words, bodies)
                answers.append(self._answer(question, list(zip(rows, views, strict=True)), fresh, journal))
        reading.readers.shown_all(
            (question.asked.caller.name, (*answer.notices, *answer.lists))
            for question, answer in zip(questions, answers, strict=True)
        )
        return answers

    def _answer(
        self, question: Question, pairs: Sequence[_Pair], fresh: Sequence[Freshness], journal: str
    ) -> CheckSubjectResponse:
        node, now = self._reading.node, question.asked.now
        today = now.astimezone(LOCAL_TIME).date()
        credit = [pair for pair in pairs if pair[0].kind == Kind.KIND_CREDIT_RESULT]
        notices = [pair for pair in pairs if pair[0].kind == Kind.KIND_PENALTY_NOTICE]
        lists = [pair for pair in pairs if pair[0].kind == Kind.KIND_LIST_ENTRY]
        regions = regional_standings(node, [row for row, _ in credit], [view for _, view in credit], fresh)
        decisive = decisive_of(regions)
        answer = CheckSubjectResponse(
            check_id=str(new_id(now)),
            credit=regions,
            notices=_shown(notices, today),
            lists=_shown(lists, today),
            freshness=fresh,
            journal=journal,
            question_salt=generate_salt(),
            measures=applicable(
                node,
                [Fact(row, view.record) for row, view in (*notices, *lists)],
                standing_results(node, [row for row, _ in credit]),
                decisive,
                question.request.matter_kind,
                today,
                due=True,
            ),
            decisive_level=decisive,  # type: ignore[arg-type]
        )
        if about_person(normalise(question.request.uscc)):
            for view in (*answer.notices, *answer.lists, *(each for region in regions for each in region.results)):
                mask(view)
        stale = any(stale_peers(fresh, Lane.LANE_REGISTRY).values())
        answer.notice_knowledge = knowledge(found=bool(answer.notices), stale=stale)
        answer.answered_at.FromDatetime(now)
        return answer


def _shown(pairs: Sequence[_Pair], today: date) -> list[RecordView]:
    """What stands, or what a tombstone stands for, newest first. What ran out by its own date is not open any more."""
    ordered = sorted(pairs, key=lambda pair: (pair[0].sort_on, pair[0].seq), reverse=True)
    day = today.isoformat()
    return [view for row, view in ordered if row.tombstone or is_open(Fact(row, view.record), day)]
