"""Decisions that were recorded before: facts, which replay and recovery take and never make again."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exchange.domain import kinds
from exchange.flows.apply.entry import ReadEntry
from exchange.flows.apply.ruling import UNANSWERED, Ruling, rulings_in
from exchange.v1.recognition_pb2 import DecisionCause, Recognition


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A Recognition of ours with where it stands, and the answers appended beside it."""

    message: Recognition
    log: str
    index: int


class RecordedDecisions:
    """Recognitions of ours, by the log and the range that they answer."""

    def __init__(self, decisions: Iterable[RecordedDecision]) -> None:
        ranges: dict[str, dict[int, RecordedDecision]] = defaultdict(dict)
        for decision in decisions:
            message = decision.message
            if message.end > message.first:
                # The first one counts: a later one for the same range was made anew after a restore.
                ranges[message.answered_log].setdefault(message.first, decision)
        self._ranges = {log: sorted(found.items()) for log, found in ranges.items()}

    def align(self, origin: str, first: int, end: int) -> tuple[int, list[tuple[str, int]]]:
        """Where a step that begins at ``first`` ends, and the decision recorded for exactly that range."""
        ranges = self._ranges.get(origin, [])
        place = bisect_right(ranges, first, key=lambda item: item[0])
        if place and ranges[place - 1][1].message.end > first:
            begin, decision = ranges[place - 1]
            if begin == first:
                return decision.message.end, [(decision.log, decision.index)]
            return decision.message.end, []
        if place < len(ranges):
            return min(end, ranges[place][0]), []
        return end, []

    def ruling(self, origin: str) -> Callable[[ReadEntry], Ruling | None]:
        """Rulings for the entries of one log."""
        ranges = self._ranges.get(origin, [])
        read: dict[int, Rulings] = {}

        def find(entry: ReadEntry) -> Ruling | None:
            place = bisect_right(ranges, entry.index, key=lambda item: item[0])
            if not place or ranges[place - 1][1].message.end <= entry.index:
                return None
            if place not in read:
                read[place] = rulings_in(ranges[place - 1][1].message)
            return ruling_for(entry, read[place])

        return find


Rulings = tuple[Ruling | None, Mapping[int, tuple[Ruling, int, int]]]
"""What ``rulings_in`` reads from a Recognition."""


def ruling_for(entry: ReadEntry, rulings: Rulings) -> Ruling | None:
    """The ruling that one Recognition holds for an entry; None when it has to be judged.

    Kinds that no Recognition answers stand in one only when they were refused.
    """
    default, items = rulings
    found = items.get(entry.index)
    if found is not None and found[2] != DecisionCause.DECISION_CAUSE_ERASED:
        return found[0]
    statement = entry.statement
    if statement is None or statement.kind not in kinds.KINDS:
        return default
    spec = kinds.spec(statement.kind)
    if spec.is_answer:
        return None
    if not spec.submittable or spec.lane is None:
        return UNANSWERED
    return default
