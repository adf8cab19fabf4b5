"""How long bodies are kept, by class and kind: which rule ends a record's keeping, and on which day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from exchange.domain.catalogues.table_file import Row
from exchange.domain.kinds import KINDS, kind_by_name, spec
from exchange.v1.kind_pb2 import ErasureClass

MAX_YEARS: Final = 100
"""A longer period is none."""

ERASURE_GROUNDS: Final = frozenset({"PERSONAL_DATA", "RETENTION_ENDED", "REPAIRED", "REVOKED", "COURT_ORDER"})
"""Codes of the grounds on which a body is destroyed."""

DATE: Final = "DATE"
SINCE: Final = (DATE, "REPAIRED", "REVOKED")
"""What a period counts from: the record's own date, or the day of what ended it."""

_CLASSES: Final = {
    name.removeprefix("ERASURE_CLASS_"): number
    for name, number in ErasureClass.items()
    if number not in (ErasureClass.ERASURE_CLASS_UNSPECIFIED, ErasureClass.ERASURE_CLASS_PERMANENT)
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RetentionRule:
    """One rule.

    Attributes:
        erasure_class: Of the statement.
        kinds: Kinds that it is about.
        since: What its years count from.
    """

    id: str
    erasure_class: int
    kinds: frozenset[int]
    since: str
    years: int
    ground_code: str
    legal_ground: str

    def last_day(self, today: date) -> str:
        """The latest day, ``YYYY-MM-DD``, from which the whole period is over today."""
        try:
            day = today.replace(year=today.year - self.years)
        except ValueError:
            # 29 February: the period from 1 March of that year on is not over before 1 March of this one.
            day = date(today.year - self.years, 2, 28)
        return day.isoformat()


@dataclass(frozen=True, kw_only=True, slots=True)
class Retention:
    """The rules of one edition, in the order in which they are tried."""

    edition: str
    rules: tuple[RetentionRule, ...]

    def of(self, rule_id: str) -> RetentionRule | None:
        """A rule by its name."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


def load_retention(file: Row) -> Retention:
    """Read ``retention.toml``.

    Raises:
        TableError: A rule is named twice, or names a class, kind, ground or period that there is not.
    """
    rules = tuple(_rules(file))
    retention = Retention(edition=file.text("edition"), rules=rules)
    file.text("status")
    file.end()
    return retention


def _rules(file: Row) -> Iterator[RetentionRule]:
    seen: set[str] = set()
    for row in file.rows("rule"):
        name = row.text("id")
        if name in seen:
            raise row.wrong("id", "is named twice")
        seen.add(name)
        erasure_class = _CLASSES[row.one_of("class", _CLASSES)]
        years = row.whole("years")
        if not 1 <= years <= MAX_YEARS:
            raise row.wrong("years", f"must be 1 to {MAX_YEARS}")
        rule = RetentionRule(
            id=name,
            erasure_class=erasure_class,
            kinds=_kinds(row),
            since=row.one_of("since", SINCE),
            years=years,
            ground_code=row.one_of("ground_code", sorted(ERASURE_GROUNDS)),
            legal_ground=row.text("legal_ground"),
        )
        row.text("source")
        row.end()
        yield rule


def _kinds(row: Row) -> frozenset[int]:
    found = set()
    for name in row.texts("kinds"):
        kind = kind_by_name(name)
        if kind is None or spec(kind).erasure_class == ErasureClass.ERASURE_CLASS_PERMANENT:
            raise row.wrong("kinds", f"{name} is no kind that may be erased by a period")
        found.add(int(kind))
    every = {int(k) for k in KINDS if spec(k).erasure_class != ErasureClass.ERASURE_CLASS_PERMANENT}
    return frozenset(found or every)
