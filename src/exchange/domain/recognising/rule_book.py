"""All editions of the recognition rules that a node may decide by, and which of them is for which day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from exchange.domain import kinds
from exchange.domain.problems import Problem, Refused
from exchange.domain.recognising.recognition import DEFERRED, Decision, DecisionContext, RuleSet, legal_date, no_rule
from exchange.v1.kind_pb2 import KIND_UNSPECIFIED
from exchange.v1.record_pb2 import Record

MAX_EDITIONS = 200
"""Editions of one node: decades of yearly ones."""


@dataclass(frozen=True, eq=False)
class RuleBook:
    """Editions side by side; of any two at most one applies to a day: :meth:`with_edition` sees to it.

    Attributes:
        editions: In order of their first day, and as they came.
    """

    editions: tuple[RuleSet, ...] = ()

    def with_edition(self, new: RuleSet) -> RuleBook:
        """The book with one more edition; the same book when it has the very same one already.

        Two editions never apply to the same day, but for these: an edition without a last day ends on the day before
        the next one begins, and one that ``replaces`` another takes its place on its own days.

        Raises:
            Refused: Its name is taken by another text, it replaces what is not there, or it overlaps; every reason.
        """
        if any(new.digest == known.digest for known in self.editions):
            return self
        problems = []
        if len(self.editions) >= MAX_EDITIONS:
            problems.append(Problem("TOO_MANY_ITEMS", "rules", f"{len(self.editions)} >= {MAX_EDITIONS}"))
        for known in self.editions:
            if known.rules_id != new.rules_id:
                problems.append(Problem("RULES_OTHER_ID", "rules.id", f"{new.rules_id} ({known.rules_id})"))
                break
        if self.find(new.edition) is not None:
            problems.append(Problem("RULES_EDITION_TAKEN", "rules.edition", new.edition))
        problems += [
            Problem("RULES_EDITION_UNKNOWN", "rules.replaces", name) for name in new.replaces if self.find(name) is None
        ]
        book = RuleBook((*self.editions, new))
        problems += [
            Problem("RULES_OVERLAP", "rules.effective_from", f"{new.edition} {known.edition}")
            for known in self.editions
            if known.edition != new.edition and book._overlap(known, new)
        ]
        if problems:
            raise Refused(problems)
        return RuleBook(tuple(sorted(book.editions, key=lambda each: each.effective_from)))

    def find(self, edition: str) -> RuleSet | None:
        """An edition by its name."""
        return next((each for each in self.editions if each.edition == edition), None)

    def by_digest(self, digest: str) -> RuleSet | None:
        """An edition by the digest of its file."""
        return next((each for each in self.editions if each.digest == digest), None)

    @lru_cache(maxsize=4096)  # noqa: B019 - a node has few books in its life
    def edition_for(self, day: date) -> RuleSet | None:
        """The edition for facts of a day; None when there is none."""
        fitting = [each for each in self.editions if each.applies_on(day) and not self._is_over(each, day)]
        standing = [each for each in fitting if not any(self._replaces(other, each) for other in fitting)]
        return max(standing, key=lambda each: each.effective_from, default=None)

    def last_day(self, edition: RuleSet) -> date | None:
        """Last day of facts that an edition applies to, as the others leave it; None while open.

        What takes its place for a while only does not end it.
        """
        ends = [
            other.effective_from - timedelta(days=1)
            for other in self.editions
            if other.effective_from > edition.effective_from
            and not self._replaces(edition, other)
            and not (self._replaces(other, edition) and other.effective_until is not None)
        ]
        if edition.effective_until is not None:
            ends.append(edition.effective_until)
        return min(ends, default=None)

    def _is_over(self, edition: RuleSet, day: date) -> bool:
        last = self.last_day(edition)
        return last is not None and day > last

    def is_replaced(self, edition: RuleSet) -> bool:
        """Whether another edition stands in its place on its first day."""
        return self.edition_for(edition.effective_from) is not edition

    def edition_of(self, record: Record, decided_on: date) -> RuleSet | None:
        """The edition for a record: by its own date, or the day of the decision where it states none."""
        return self.edition_for(legal_date(record) or decided_on)

    def decide(self, record: Record, context: DecisionContext) -> tuple[Decision, RuleSet | None]:
        """Decide about a record of a peer, by the edition for its own date.

        Returns:
            The decision with its edition. Without one it is DEFERRED ``NO_RULE``.

        Raises:
            ValueError: The kind is not answered by a recognition.
        """
        edition = self.edition_of(record, context.decided_on)
        if edition is None:
            if kinds.kind_of(record) == KIND_UNSPECIFIED:
                waits: tuple[str, ...] = (f"REFERENCE:KIND:{context.kind}",)
                return Decision(outcome=DEFERRED, reasons=("KIND_UNKNOWN",), waits_for=waits), None
            return no_rule(kinds.kind_of(record), legal_date(record) or context.decided_on), None
        return edition.decide(record, context), edition

    def rules_arrived(self, what: str) -> bool:
        """Whether there are rules now for what a record waited for, as in ``RULES:CreditResult:2026-03-01``."""
        _, _, awaited = what.partition(":")
        name, _, day = awaited.partition(":")
        kind = kinds.kind_by_name(name)
        edition = self.edition_for(date.fromisoformat(day)) if day else None
        return kind is not None and edition is not None and bool(edition.rules.get(kind))

    def _replaces(self, new: RuleSet, old: RuleSet) -> bool:
        """Whether an edition takes the place of another one, perhaps through others."""
        seen: set[str] = set()
        names = list(new.replaces)
        while names:
            name = names.pop()
            if name == old.edition:
                return True
            found = self.find(name) if name not in seen else None
            seen.add(name)
            if found is not None:
                names += found.replaces
        return False

    def _overlap(self, one: RuleSet, other: RuleSet) -> bool:
        if self._replaces(one, other) or self._replaces(other, one):
            return False
        first, second = sorted((one, other), key=lambda each: each.effective_from)
        if first.effective_from == second.effective_from:
            return True
        return first.effective_until is not None and first.effective_until >= second.effective_from


class RuleShelf:
    """The book that a node decides by now; another one is put in its place whole.

    Args:
        editions: What is in force from the start; they were checked when they came.
    """

    def __init__(self, editions: Iterable[RuleSet] = ()) -> None:
        self._book = RuleBook()
        self.put(editions)

    @property
    def book(self) -> RuleBook:
        """The book now. Whoever decides several things takes it once."""
        return self._book

    def put(self, editions: Iterable[RuleSet]) -> None:
        """Decide by these and no others from now on: they are in the journal, and were checked before."""
        self._book = RuleBook(tuple(sorted(editions, key=lambda each: each.effective_from)))
