"""Reasons in the language of the call."""

from __future__ import annotations

from collections.abc import Iterable

from exchange.domain.catalogues.reasons import Reasons
from exchange.domain.problems import Problem
from exchange.v1.common_pb2 import Problem as ProblemMessage


class Wording:
    """Words for one call.

    Args:
        reasons: The table of reasons.
        lang: Language of the call, as in ``zh-CN``.
    """

    def __init__(self, reasons: Reasons, lang: str) -> None:
        self._reasons = reasons
        self.lang = lang

    def problem(self, problem: Problem) -> ProblemMessage:
        """One broken rule, or one reason of an outcome."""
        text = self._reasons.text(problem.reason, self.lang)
        message = f"{text.message} ({problem.detail})" if problem.detail else text.message
        return ProblemMessage(reason=problem.reason, place=problem.place, message=message, remedy=text.remedy)

    def reasons(self, codes: Iterable[str]) -> list[ProblemMessage]:
        """Reasons of an outcome."""
        return [self.problem(Problem(code)) for code in codes]

    def complete(self, messages: Iterable[ProblemMessage]) -> None:
        """Put words into problems whose message holds only the detail."""
        for message in messages:
            message.CopyFrom(self.problem(Problem(message.reason, message.place, message.message)))
