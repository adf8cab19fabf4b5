"""Counting answers by the one rule: rows = accepted + revised + unchanged + quarantined + refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from exchange.domain.problems import Problem
from exchange.v1.submission_service_pb2 import SubmitResult

COUNTED: Final = ("ACCEPTED", "REVISED", "UNCHANGED", "QUARANTINED", "REFUSED", "VALID")
"""What can become of a row; VALID only where nothing was to be stored. Every row is exactly one of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowResult:
    """What became of one row or record.

    Attributes:
        place: Cell, line or byte within the file.
        result: One of :data:`COUNTED`.
        problems: Why, when it was quarantined or refused.
        left_out: Readings of it that were left out while the rest went on.
        joined: Places of the other rows of the same record.
    """

    row: int
    place: str
    result: str
    record_id: str = ""
    problems: tuple[Problem, ...] = ()
    left_out: tuple[Problem, ...] = ()
    key: str = ""
    quarantine_id: str = ""
    joined: tuple[str, ...] = ()


@dataclass(kw_only=True, slots=True)
class FileResult:
    """What became of one file.

    Attributes:
        refused: Why the whole file was refused; no row was counted then.
        away: The node did not answer; how far the file got is not known. Send it again with the same key.
        later: What stood in the way lies with the node or with a grant, and not with the file.
    """

    file: str
    rows: list[RowResult] = field(default_factory=list)
    remarks: list[Problem] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    adapter: str = ""
    dialect: str = ""
    refused: tuple[Problem, ...] = ()
    away: bool = False
    later: bool = False
    answer: str = ""

    @property
    def counts(self) -> Counter[str]:
        """Rows by result; ``ROWS`` is their number, ``LEFT_OUT`` that of the readings left out."""
        counts = Counter(row.result for row in self.rows)
        counts["ROWS"] = len(self.rows)
        counts["LEFT_OUT"] = sum(len(row.left_out) for row in self.rows)
        return counts

    @property
    def clean(self) -> bool:
        """Whether every row went through."""
        counts = self.counts
        return not (self.refused or self.away or counts["QUARANTINED"] or counts["REFUSED"])


def result_name(result: SubmitResult.ValueType) -> str:
    """The result as it is counted."""
    return SubmitResult.Name(result).removeprefix("SUBMIT_RESULT_")
