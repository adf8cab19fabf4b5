"""How long a penalty is shown, and from when it may be repaired: by the rule in force on the day of its decision."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from exchange.domain.catalogues.calendars import Calendars
from exchange.domain.catalogues.table_file import Row
from exchange.v1.penalty_notice_pb2 import DishonestyClass

STATED_CLASSES: Final = ("MINOR", "GENERAL", "SERIOUS")
"""Classes of dishonesty that an authority may state."""

_MONTHS: Final = range(1, 121)


@dataclass(frozen=True, kw_only=True, slots=True)
class Period:
    """Publicity of one class, in months from the decision.

    Attributes:
        min_months: After which repair may be asked for; None: the rule states none.
    """

    min_months: int | None
    max_months: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairRule:
    """One repair rule.

    Attributes:
        name: As ``repair_rule`` of a notice names it.
        in_force_until: None: no end is known.
        periods: By class of dishonesty.
    """

    rule_id: str
    name: str
    in_force_from: date
    in_force_until: date | None
    source: str
    periods: Mapping[DishonestyClass.ValueType, Period]

    def in_force(self, on: date) -> bool:
        """Whether it is in force on a day."""
        return self.in_force_from <= on and (self.in_force_until is None or on <= self.in_force_until)


@dataclass(frozen=True, kw_only=True, slots=True)
class Publicity:
    """What a rule makes of one decision.

    Attributes:
        min_until: Last day of the shortest publicity: on it repair becomes possible; None: the rule states none.
        max_until: Last day of publicity.
    """

    rule: RepairRule
    period: Period
    min_until: date | None
    max_until: date


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicityRules:
    """All repair rules.

    Attributes:
        by_name: By name and by every other way to write it.
        repair_working_days: Within how many a granted repair has reached every door.
        repair_source: Where that number is from.
    """

    rules: tuple[RepairRule, ...]
    by_name: Mapping[str, RepairRule]
    repair_working_days: int
    repair_source: str

    def chosen(self, decided_on: date) -> RepairRule | None:
        """Of the rules in force on the day of a decision, the one that came last; None before the first."""
        return max(
            (rule for rule in self.rules if rule.in_force(decided_on)),
            key=lambda rule: rule.in_force_from,
            default=None,
        )

    def compute(
        self, decided_on: date, stated: DishonestyClass.ValueType, rule: RepairRule | None = None
    ) -> Publicity | None:
        """The dates of one decision.

        Args:
            decided_on: Day of the decision.
            stated: Class of dishonesty that the authority states.
            rule: A rule that was chosen already; otherwise the one of the day.

        Returns:
            None where no class is stated, or no rule is in force on that day: nothing is computed.
        """
        rule = rule or self.chosen(decided_on)
        if rule is None or not rule.in_force(decided_on) or stated not in rule.periods:
            return None
        period = rule.periods[stated]
        return Publicity(
            rule=rule,
            period=period,
            min_until=None if period.min_months is None else months_after(decided_on, period.min_months),
            max_until=months_after(decided_on, period.max_months),
        )

    def repair_due_by(self, granted_on: date, calendars: Calendars) -> date:
        """The day by which a repair has reached every door.

        Raises:
            CalendarMissing: No calendar says which days until then are worked.
        """
        return calendars.working_days_after(granted_on, self.repair_working_days)[-1]


def months_after(start: date, months: int) -> date:
    """The last day of a term in months: the day of the same number, or the last of a month without one (民法典 202)."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def load_publicity(file: Row) -> PublicityRules:
    """Read ``publicity.toml``.

    Raises:
        TableError: A rule has no period for a class, ends before it begins, has a minimum above its maximum, begins on
            the day of another, or shares a name with one.
    """
    rules: list[RepairRule] = []
    by_name: dict[str, RepairRule] = {}
    for row in file.rows("rule"):
        names = (row.text("name"), *row.texts("aliases"))
        rule = _rule(row, names[0])
        if any(rule.in_force_from == other.in_force_from or rule.rule_id == other.rule_id for other in rules):
            raise row.wrong("in_force_from", "two rules that begin on one day, or have one id")
        for name in names:
            if name in by_name:
                raise row.wrong("name", f"{name} names two rules")
            by_name[name] = rule
        rules.append(rule)
    repair = file.row("repair")
    days = repair.whole("working_days")
    if days < 1:
        raise repair.wrong("working_days", "must be 1 or more")
    source = repair.text("source")
    repair.text("status")
    repair.end()
    file.end()
    return PublicityRules(rules=tuple(rules), by_name=by_name, repair_working_days=days, repair_source=source)


def _rule(row: Row, name: str) -> RepairRule:
    first, last = row.day("in_force_from"), row.day("in_force_until")
    if first is None or (last is not None and last < first):
        raise row.wrong("in_force_from", "a rule begins on a day, and does not end before it")
    periods = {}
    for each in row.rows("period"):
        chosen = DishonestyClass.Value(f"DISHONESTY_CLASS_{each.one_of('class', STATED_CLASSES)}")
        if chosen in periods:
            raise each.wrong("class", "is listed twice")
        periods[chosen] = _period(each)
    if len(periods) != len(STATED_CLASSES):
        raise row.wrong("period", f"must list {', '.join(STATED_CLASSES)}")
    rule = RepairRule(
        rule_id=row.text("id"),
        name=name,
        in_force_from=first,
        in_force_until=last,
        source=row.text("source"),
        periods=periods,
    )
    row.text("status")
    row.end()
    return rule


def _period(row: Row) -> Period:
    low = row.whole("min_months") if row.has("min_months") else None
    high = row.whole("max_months")
    if high not in _MONTHS or (low is not None and (low not in _MONTHS or low > high)):
        raise row.wrong("max_months", "months are 1 to 120, and the minimum is not above the maximum")
    row.end()
    return Period(min_months=low, max_months=high)
