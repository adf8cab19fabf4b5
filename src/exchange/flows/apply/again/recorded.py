"""Decisions that were recorded before: facts, which replay and recovery take and never make again."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from exchange.domain import kinds
from exchange.domain.kinds.mechanism import KEY_EFFECTS
from exchange.domain.record_index import is_recognised_kind
from exchange.flows.apply.deciding.ruling import UNANSWERED, Ruling, rulings_in
from exchange.flows.apply.entry import ReadEntry
from exchange.v1.recognition_pb2 import DecisionCause, Recognition
from exchange.v1.record_pb2 import Record

Rulings = tuple[Ruling | None, Mapping[int, Ruling]]
"""The default of a Recognition, and its rulings on entries as they arrived or were decided again."""

Address = tuple[str, int]
"""Log and index of a record of ours."""


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A record of ours that decides or answers, with where it stands."""

    record: Record
    log: str
    index: int

    @property
    def address(self) -> Address:
        """Log and index."""
        return self.log, self.index

    @property
    def message(self) -> Recognition:
        """The decision."""
        return self.record.recognition


class RecordedDecisions:
    """Decisions and answers of ours, by what they are about."""

    def __init__(self, decisions: Iterable[RecordedDecision]) -> None:
        # The first one counts: a later one about the same was made anew after a restore.
        ranges: dict[str, dict[int, RecordedDecision]] = defaultdict(dict)
        self._items: dict[tuple[str, int, int], RecordedDecision] = {}
        self._answers: dict[tuple[str, str, int, str], Address] = {}
        for decision in decisions:
            if decision.record.HasField("answer"):
                self._answers.setdefault(_answered(decision.record), decision.address)
                continue
            message = decision.message
            if message.end > message.first:
                ranges[message.answered_log].setdefault(message.first, decision)
            for item in message.items:
                self._items.setdefault((message.answered_log, item.index, item.decision_revision), decision)
        self._ranges = {log: sorted(found.items()) for log, found in ranges.items()}

    def align(self, origin: str, first: int, end: int) -> int:
        """Where a step that begins at ``first`` ends, so that one recorded decision, or none, is about all of it."""
        decision = self._covering(origin, first)
        if decision is not None:
            return min(end, decision.message.end)
        ranges = self._ranges.get(origin, [])
        place = bisect_right(ranges, first, key=lambda item: item[0])
        return min(end, ranges[place][0]) if place < len(ranges) else end

    def ruling(self, origin: str) -> Callable[[ReadEntry], Ruling | None]:
        """Rulings on the entries of one log as they arrived."""
        read: dict[int, Rulings] = {}

        def find(entry: ReadEntry) -> Ruling | None:
            decision = self._covering(origin, entry.index)
            if decision is None:
                return None
            if decision.index not in read:
                read[decision.index] = read_rulings(decision.message)
            return ruling_for(entry, read[decision.index])

        return find

    def redecision(self, origin: str, index: int, revision: int) -> RecordedDecision | None:
        """The decision that decided an entry again."""
        decision = self._items.get((origin, index, revision))
        return decision if decision is not None and decision.message.end == decision.message.first else None

    def find(self, record: Record) -> Address | None:
        """Where a decision or answer stands that says what this one would say."""
        if record.HasField("answer"):
            return self._answers.get(_answered(record))
        message = record.recognition
        found = None
        if message.end > message.first:
            found = self._covering(message.answered_log, message.first)
        elif message.items:
            item = message.items[0]
            found = self._items.get((message.answered_log, item.index, item.decision_revision))
        return found.address if found is not None else None

    def _covering(self, origin: str, index: int) -> RecordedDecision | None:
        ranges = self._ranges.get(origin, [])
        place = bisect_right(ranges, index, key=lambda item: item[0])
        if not place:
            return None
        decision = ranges[place - 1][1]
        return decision if decision.message.end > index else None


def _answered(record: Record) -> tuple[str, str, int, str]:
    """What an answer of this node speaks of: of keys it says one thing, of an act one for each effect."""
    about, effect = record.answer.record, record.answer.effect
    return about.origin, about.record_id, about.revision, "" if effect in KEY_EFFECTS else effect


def read_rulings(message: Recognition) -> Rulings:
    """A Recognition's rulings by index. That something was erased follows from its Erasure, and is no ruling."""
    default, items = rulings_in(message)
    return default, {each.index: each.ruling for each in items if each.cause != DecisionCause.DECISION_CAUSE_ERASED}


def ruling_for(entry: ReadEntry, rulings: Rulings) -> Ruling | None:
    """The ruling that one Recognition holds for an entry; None for what no Recognition tells.

    Kinds that are not decided about stand in one only when they were refused or deferred.
    """
    default, items = rulings
    found = items.get(entry.index)
    if found is not None:
        return found
    if entry.kind not in kinds.KINDS:
        return default
    if kinds.spec(entry.kind).is_answer:
        return None
    return default if is_recognised_kind(entry.kind) else UNANSWERED
