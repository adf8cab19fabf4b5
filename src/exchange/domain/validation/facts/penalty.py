"""Penalty notices: decision, legal basis, money, measures from a named catalogue, publicity."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from exchange.domain.personal import name_is_masked
from exchange.domain.validation.findings import Findings, is_date, numbers
from exchange.domain.validation.limits import (
    ITEMS,
    LEGAL_BASES,
    MONEY_INTEGER_DIGITS,
    NAME_CHARACTERS,
    SENTENCE_CHARACTERS,
    SHORT_CHARACTERS,
    TEXT_CHARACTERS,
)
from exchange.domain.validation.measures import check_measures
from exchange.domain.validation.subject import check_subject
from exchange.v1.penalty_notice_pb2 import (
    DishonestyClass,
    NoticeKind,
    PenaltyNotice,
    PenaltyState,
    PenaltyType,
)

_MONEY = re.compile(rf"(?:0|[1-9][0-9]{{0,{MONEY_INTEGER_DIGITS - 1}}})(?:\.[0-9]{{1,6}})?")
_NEGATIVE = re.compile(r"-[0-9]+(?:\.[0-9]+)?")
_KINDS = numbers(NoticeKind)
_STATES = numbers(PenaltyState)
_TYPES = numbers(PenaltyType)
_CLASSES = numbers(DishonestyClass)
_PENALTY = NoticeKind.NOTICE_KIND_PENALTY
_P = "penalty_notice."

# Field, characters, required, line breaks allowed.
_TEXTS: Final = (
    ("decision_no", SHORT_CHARACTERS, True, False),
    ("violation_type", SENTENCE_CHARACTERS, False, True),
    ("source_penalty_types", NAME_CHARACTERS, False, False),
    ("content", TEXT_CHARACTERS, False, True),
    ("revoked_licence", SENTENCE_CHARACTERS, False, True),
    ("repair_rule", SHORT_CHARACTERS, False, False),
    ("note", TEXT_CHARACTERS, False, True),
)


def check_penalty_notice(found: Findings, body: PenaltyNotice) -> None:
    """Check a penalty notice."""
    penalty = body.notice_kind == _PENALTY
    found.choice(body.notice_kind, _KINDS, _P + "notice_kind")
    check_subject(found, body.subject, "penalty_notice.subject", persons=True)
    for name, limit, required, lines in _TEXTS:
        found.text(getattr(body, name), _P + name, limit, required=required, lines=lines)
    found.text(body.violation_facts, _P + "violation_facts", TEXT_CHARACTERS, required=penalty, lines=True)
    legal_basis = body.legal_basis
    if legal_basis:
        found.legal_bases(legal_basis, _P + "legal_basis", LEGAL_BASES)
    else:
        found.add("LEGAL_BASIS_MISSING", _P + "legal_basis")
    found.choice(body.state, _STATES, _P + "state")
    _check_types(found, body, penalty=penalty)
    _check_money(found, body.fine_cny, _P + "fine_cny")
    _check_money(found, body.confiscation_cny, _P + "confiscation_cny")
    _check_dates(found, body)
    measures = body.measures
    if measures:
        check_measures(found, measures, _P + "measures")
    elif not penalty and body.notice_kind in _KINDS:
        found.add("MEASURES_MISSING", _P + "measures")
    _check_lists(found, body)


def _check_types(found: Findings, body: PenaltyNotice, *, penalty: bool) -> None:
    types = body.penalty_types
    if penalty and not types:
        found.add("FIELD_MISSING", _P + "penalty_types")
    if len(types) > ITEMS:
        found.add("TOO_MANY_ITEMS", _P + "penalty_types", f"{len(types)} > {ITEMS}")
        return
    for number, value in enumerate(types):
        found.choice(value, _TYPES, f"penalty_notice.penalty_types[{number}]")
    if len(set(types)) != len(types):
        found.add("DUPLICATE_ITEM", _P + "penalty_types")


def _check_money(found: Findings, value: str, place: str) -> None:
    if value and not _MONEY.fullmatch(value):
        found.add("VALUE_NEGATIVE" if _NEGATIVE.fullmatch(value) else "DECIMAL_FORMAT", place)


def _check_dates(found: Findings, body: PenaltyNotice) -> None:
    decided = found.day(body.decided_on, _P + "decided_on", required=True)
    for name in ("effective_until", "publicity_until", "publicity_min_until", "publicity_max_until"):
        value = getattr(body, name)
        if value:
            until = found.day(value, _P + name, future=True)
            found.ordered(decided, until, _P + name, "PUBLICITY_BEFORE_DECISION")
    found.choice(body.dishonesty_class, _CLASSES, _P + "dishonesty_class")
    if body.publicity_min_until or body.publicity_max_until:
        _check_publicity(found, body)


def _check_publicity(found: Findings, body: PenaltyNotice) -> None:
    """Dates that were computed: by a rule that is named, known and of the day, and as it computes them."""
    low, high = body.publicity_min_until, body.publicity_max_until
    found.ordered(low, high, _P + "publicity_max_until")
    if body.dishonesty_class == DishonestyClass.DISHONESTY_CLASS_NOT_STATED:
        found.add("PUBLICITY_COMPUTED", _P + "publicity_min_until")
        return
    if not body.repair_rule:
        found.add("REPAIR_RULE_MISSING", _P + "repair_rule")
        return
    rules = found.tables.publicity
    rule = rules.by_name.get(body.repair_rule)
    if rule is None:
        found.add("REPAIR_RULE_UNKNOWN", _P + "repair_rule")
        return
    if not is_date(body.decided_on):
        return
    decided = date.fromisoformat(body.decided_on)
    computed = rules.compute(decided, body.dishonesty_class, rule)
    if computed is None:
        if not rule.in_force(decided):
            found.add(
                "REPAIR_RULE_NOT_IN_FORCE", _P + "repair_rule", f"{rule.in_force_from}–{rule.in_force_until or ''}"
            )
        return
    for stated, right, name in (
        (low, computed.min_until, "publicity_min_until"),
        (high, computed.max_until, "publicity_max_until"),
    ):
        if stated and is_date(stated) and (right is None or stated != right.isoformat()):
            found.add("PUBLICITY_NOT_BY_RULE", _P + name, f"{stated} ≠ {right or '-'}")


def _check_lists(found: Findings, body: PenaltyNotice) -> None:
    persons = body.responsible_persons
    orders = body.orders
    for name, count in (("responsible_persons", len(persons)), ("orders", len(orders))):
        if count > ITEMS:
            found.add("TOO_MANY_ITEMS", _P + name, f"{count} > {ITEMS}")
            return
    for number, person in enumerate(persons):
        place = f"penalty_notice.responsible_persons[{number}]"
        found.text(person.role, f"{place}.role", SHORT_CHARACTERS, required=True)
        found.text(person.name_masked, f"{place}.name_masked", SHORT_CHARACTERS, required=True)
        if person.name_masked and not name_is_masked(person.name_masked):
            found.add("NAME_NOT_MASKED", f"{place}.name_masked")
    for number, order in enumerate(orders):
        found.text(order, f"penalty_notice.orders[{number}]", SENTENCE_CHARACTERS, required=True, lines=True)
    if body.HasField("source_unit"):
        found.uscc(body.source_unit.uscc, _P + "source_unit.uscc")
        found.text(body.source_unit.name, _P + "source_unit.name", NAME_CHARACTERS)
