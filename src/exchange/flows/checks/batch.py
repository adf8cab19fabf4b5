"""Checking up to a thousand subjects for one task (双随机): one view of the registers, one trace, short answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from exchange.crypto.keys import generate_salt
from exchange.domain.codes import normalise
from exchange.domain.problems import Problem, Refused
from exchange.flows.checks.measures import Fact, applicable, is_open
from exchange.flows.checks.question import CHECKED_KINDS, about_person, check_denied, matter_problems, subject_problems
from exchange.flows.checks.trace import CheckTraces, batch_trace
from exchange.flows.context import LOCAL_TIME
from exchange.flows.intake.ids import new_id
from exchange.flows.queries.ground.freshness import stale_peers
from exchange.flows.queries.ground.reading import Asked, Reading
from exchange.flows.queries.ground.views import ref_of
from exchange.flows.queries.registers.credit import (
    MAX_SUBJECT_ROWS,
    counting,
    decisive_of,
    knowledge_of_region,
    newest_results,
    regions_of,
    standing_results,
)
from exchange.storage.queries import records
from exchange.storage.queries.records import RecordRow
from exchange.v1.check_service_pb2 import (
    BatchCheckSubjectsRequest,
    BatchCheckSubjectsResponse,
    CheckedSubject,
    RegionalLevel,
)
from exchange.v1.freshness_pb2 import Freshness
from exchange.v1.kind_pb2 import Kind, Lane
from exchange.v1.record_pb2 import Record

MAX_SUBJECTS = 1_000
"""Subjects of one check (contract §5: batches)."""

READ_TOGETHER = 100
"""Subjects whose rows are held in memory at a time."""


class BatchCheckFlow:
    """Answers checks of many subjects.

    Args:
        reading: What queries stand on.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._traces = CheckTraces(reading.node)

    def check(self, asked: Asked, request: BatchCheckSubjectsRequest) -> BatchCheckSubjectsResponse:
        """Check subjects. A code that breaks rules, or that no grant covers, is answered with its problems.

        Raises:
            Refused: The matter breaks rules, or there are no subjects, too many, or one twice.
            AccessDenied: No grant to check in the area of the matter.
        """
        self._admit(asked, request)
        answer = self._traces.write(
            lambda journal: [self._answer(asked, request, journal)],
            lambda _place, answer, salt: batch_trace(asked, request, answer, salt),
        )
        # Whoever plans by a notice is asked, too, when it ends.
        named = [ref for subject in answer[0].subjects for ref in (*subject.notices, *subject.lists)]
        self._reading.readers.note(asked.caller.name, named)
        return answer[0]

    def _admit(self, asked: Asked, request: BatchCheckSubjectsRequest) -> None:
        problems = matter_problems(request, self._reading.node.tables)
        if not request.usccs:
            problems.append(Problem("FIELD_MISSING", "usccs"))
        if len(request.usccs) > MAX_SUBJECTS:
            problems.append(Problem("TOO_MANY_ITEMS", "usccs", f"{len(request.usccs)} > {MAX_SUBJECTS}"))
        elif len({normalise(each) for each in request.usccs}) < len(request.usccs):
            problems.append(Problem("DUPLICATE_ITEM", "usccs"))
        if problems:
            raise Refused(problems)
        denied = check_denied(self._reading.book, asked.caller.name, request.area_code, person=False)
        if denied is not None:
            raise denied

    def _answer(self, asked: Asked, request: BatchCheckSubjectsRequest, journal: str) -> BatchCheckSubjectsResponse:
        reading = self._reading
        fresh = reading.freshness.read(asked.now, (Lane.LANE_REGISTRY,))
        answer = BatchCheckSubjectsResponse(
            check_id=str(new_id(asked.now)), freshness=fresh, journal=journal, question_salt=generate_salt()
        )
        answer.answered_at.FromDatetime(asked.now)
        for start in range(0, len(request.usccs), READ_TOGETHER):
            part = request.usccs[start : start + READ_TOGETHER]
            refused = {code: self._problems(asked, request, code, start + at) for at, code in enumerate(part)}
            wanted = [normalise(code) for code in part if not refused[code]]
            with reading.node.database.read() as connection:
                found, bodies = records.of_subjects(connection, wanted, CHECKED_KINDS, MAX_SUBJECT_ROWS)
            for code in part:
                shown = answer.subjects.add(uscc=code)
                if refused[code]:
                    shown.problems.extend(asked.words.problem(each) for each in refused[code])
                else:
                    self._fill(shown, found[normalise(code)], bodies, fresh, asked, request.matter_kind)
        return answer

    def _problems(self, asked: Asked, request: BatchCheckSubjectsRequest, code: str, place: int) -> list[Problem]:
        name = f"usccs[{place}]"
        problems = subject_problems(code, self._reading.node.tables, name)
        if not problems and about_person(normalise(code)):
            denied = check_denied(self._reading.book, asked.caller.name, request.area_code, person=True)
            if denied is not None:
                problems.append(Problem(denied.reason, name, denied.problem.detail))
        return problems

    def _fill(
        self,
        shown: CheckedSubject,
        rows: Sequence[RecordRow],
        bodies: Mapping[tuple[int, int], bytes],
        fresh: Sequence[Freshness],
        asked: Asked,
        matter_kind: int,
    ) -> None:
        node = self._reading.node
        today = asked.now.astimezone(LOCAL_TIME).date()
        credit = [row for row in rows if row.kind == Kind.KIND_CREDIT_RESULT]
        stale = stale_peers(fresh, Lane.LANE_REGISTRY)
        levels = []
        for origin in regions_of(node, credit):
            chosen = newest_results([row for row in credit if row.origin == origin])
            level = max((row.level for row in counting(node, chosen)), default=0)
            levels.append(
                RegionalLevel(
                    origin=origin,
                    knowledge=knowledge_of_region(chosen, stale=stale.get(origin, False)),
                    decisive_level=level,  # type: ignore[arg-type]
                )
            )
        facts = [
            Fact(row, Record.FromString(bodies[row.log_id, row.idx]))
            for row in rows
            if row.kind != Kind.KIND_CREDIT_RESULT and (row.log_id, row.idx) in bodies
        ]
        standing = [fact for fact in facts if is_open(fact, today.isoformat())]
        decisive = decisive_of(levels)
        shown.credit.extend(levels)
        shown.decisive_level = decisive  # type: ignore[assignment]
        shown.notices.extend(ref_of(each.row) for each in standing if each.row.kind == Kind.KIND_PENALTY_NOTICE)
        shown.lists.extend(ref_of(each.row) for each in standing if each.row.kind == Kind.KIND_LIST_ENTRY)
        shown.measures.extend(
            applicable(node, standing, standing_results(node, credit), decisive, matter_kind, today, due=False)
        )
