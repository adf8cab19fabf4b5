"""CheckService: looking a subject up before a matter is decided."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from exchange.domain.problems import ExchangeError
from exchange.flows.checks.batch import BatchCheckFlow
from exchange.flows.checks.check import CheckFlow, Question
from exchange.flows.checks.subject import SubjectQueries
from exchange.rpc.door import Call
from exchange.v1 import check_service_pb2 as pb

BATCH = 64
"""Checks answered together: what waited while the batch before was on its way to the disk."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    question: Question
    answer: asyncio.Future[pb.CheckSubjectResponse]


class CheckServicer:
    """Answers CheckService. Checks that come at the same time share one view and one transaction.

    One batch is under way at a time, so that the next one gathers while it is written: with a second one beside it
    most batches had a single check, each at the price of a whole transaction.
    """

    descriptor = pb.DESCRIPTOR.services_by_name["CheckService"]

    def __init__(self, flow: CheckFlow, many: BatchCheckFlow, subjects: SubjectQueries) -> None:
        self._flow = flow
        self._many = many
        self._subjects = subjects
        self._waiting: deque[_Waiting] = deque()
        self._working: asyncio.Task[None] | None = None

    async def check_subject(self, call: Call, request: pb.CheckSubjectRequest) -> pb.CheckSubjectResponse:
        """CheckSubject."""
        answer: asyncio.Future[pb.CheckSubjectResponse] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(Question(call.asked, request), answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(call))
        return await answer

    async def batch_check_subjects(
        self, call: Call, request: pb.BatchCheckSubjectsRequest
    ) -> pb.BatchCheckSubjectsResponse:
        """BatchCheckSubjects."""
        return await call.run(self._many.check, call.asked, request)

    async def get_subject(self, call: Call, request: pb.GetSubjectRequest) -> pb.GetSubjectResponse:
        """GetSubject."""
        return await call.run(self._subjects.get, call.asked, request)

    async def _work(self, call: Call) -> None:
        """Answer what waits until nothing does."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            questions = [each.question for each in batch]
            results = await self._answers(call, questions)
            if len(batch) > 1 and any(_is_a_bug(result) for result in results):
                # Nobody foresaw this, and it must not cost the others their answers.
                results = [(await self._answers(call, [question]))[0] for question in questions]
            for each, result in zip(batch, results, strict=True):
                if each.answer.done():
                    continue  # its caller went away; the trace stays
                if isinstance(result, Exception):
                    each.answer.set_exception(result)
                else:
                    each.answer.set_result(result)

    async def _answers(
        self, call: Call, questions: Sequence[Question]
    ) -> Sequence[pb.CheckSubjectResponse | Exception]:
        try:
            return await call.run(self._flow.check, questions)
        except Exception as error:  # noqa: BLE001 - each caller is told by the door, which also logs it
            return [error] * len(questions)


def _is_a_bug(result: object) -> bool:
    return isinstance(result, Exception) and not isinstance(result, ExchangeError)
