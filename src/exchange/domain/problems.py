"""What was wrong: one value for a broken rule, and the errors that carry them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One broken rule, or one reason of an outcome.

    Attributes:
        reason: Code from ``tables/reasons.toml``; callers switch on it, never on text.
        place: Field path (``credit_result.score``), cell (``Sheet1!C5``) or frame item (``w01018-Avg``).
        detail: What was found there, short, without secrets or natural persons' data.
    """

    reason: str
    place: str = ""
    detail: str = ""


class ExchangeError(Exception):
    """Root of all errors that this program raises on purpose; each carries the reason on the wire."""

    reason = "INTERNAL"


class Refused(ExchangeError):
    """The caller's data broke rules: nothing was stored. Lists every broken rule, not only the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        if not self.problems:
            raise ValueError("a refusal names at least one problem")
        self.reason = self.problems[0].reason
        super().__init__(", ".join(f"{p.reason} {p.place}".strip() for p in self.problems))


class DocumentRefused(Refused):
    """A whole native document was refused: mixed layouts, an unreadable file type or encoding."""
