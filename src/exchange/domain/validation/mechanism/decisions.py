"""Recognitions: what a peer's decision must carry before it is shown as one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from exchange.domain.validation.findings import Findings, is_code, is_log_origin, is_record_id, numbers
from exchange.domain.validation.instants import check_past
from exchange.domain.validation.limits import CODE_CHARACTERS, CODES, DECISION_ITEMS, FACTS, SHORT_CHARACTERS
from exchange.v1.kind_pb2 import Condition, Outcome
from exchange.v1.recognition_pb2 import DecisionCause, DecisionItem, Recognition

_OUTCOMES = numbers(Outcome)
_CONDITIONS = numbers(Condition)
_CAUSES = numbers(DecisionCause)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FACT_VALUE = re.compile(r"[0-9A-Za-z_.,:/+\-]{0,128}")
_USCC_SHAPE = re.compile(r"(?<![0-9A-Z])[0-9ANY][0-9]{7}[0-9A-HJ-NPQRTUWXY]{10}(?![0-9A-Z])")
_PART = re.compile(r"[0-9A-Za-z_./\-]{0,64}")
_RULE_ID = re.compile(r"[0-9A-Za-z._\-]{1,64}")
_MANY_INDICES: Final = 1 << 53
"""Indices stay below what every JSON reader holds exactly."""

_P = "recognition."


def check_recognition(found: Findings, body: Recognition) -> None:
    """Check a recognition."""
    if not is_log_origin(body.answered_log):
        found.add("LOG_ORIGIN_FORMAT", _P + "answered_log")
    if not 0 <= body.first <= body.end <= _MANY_INDICES:
        found.add("RANGE_INVALID", _P + "end")
    items = body.items
    if body.end > body.first and (body.default_outcome or not items):
        # A range may hold nothing that the default would speak of: all of it items, or kinds that nothing answers.
        _check_outcome(
            found,
            body.default_outcome,
            body.default_reasons,
            body.default_conditions,
            waits=True,
            prefix=_P + "default_",
        )
    elif body.end == body.first and not items:
        found.add("FIELD_MISSING", _P + "items")
    _check_rules(found, body.default_rules, _P + "default_rules")
    if len(items) > DECISION_ITEMS:
        found.add("TOO_MANY_ITEMS", _P + "items", f"{len(items)} > {DECISION_ITEMS}")
    else:
        for number, item in enumerate(items):
            _check_item(found, item, f"recognition.items[{number}]")
    found.choice(body.cause, _CAUSES, _P + "cause")
    found.text(body.rule_edition, _P + "rule_edition", SHORT_CHARACTERS, required=True)
    if not _DIGEST.fullmatch(body.rule_digest):
        found.add("RULE_DIGEST_FORMAT", _P + "rule_digest")
    check_past(found, body.decided_at, _P + "decided_at", given=body.HasField("decided_at"))


def _check_item(found: Findings, item: DecisionItem, place: str) -> None:
    if not 0 <= item.index <= _MANY_INDICES:
        found.add("RANGE_INVALID", f"{place}.index")
    # An entry that can not be read names no record.
    if not is_record_id(item.record_id) and "ENTRY_UNREADABLE" not in item.reasons:
        found.add("RECORD_ID_FORMAT", f"{place}.record_id")
    if (item.revision < 1 and item.record_id) or item.decision_revision < 1:
        found.add("REVISION_INVALID", f"{place}.revision")
    _check_outcome(found, item.outcome, item.reasons, item.conditions, waits=bool(item.waits_for), prefix=f"{place}.")
    if len(item.waits_for) > CODES or len(item.facts) > FACTS:
        found.add("TOO_MANY_ITEMS", place)
        return
    for number, waits in enumerate(item.waits_for):
        found.text(waits, f"{place}.waits_for[{number}]", SHORT_CHARACTERS, required=True)
    _check_rules(found, item.rules, f"{place}.rules")
    for number, fact in enumerate(item.facts):
        if not is_code(fact.code) or not _fact_is_neutral(fact.value):
            found.add("FACT_NOT_ALLOWED", f"{place}.facts[{number}]")
    if not _PART.fullmatch(item.part):
        found.add("FACT_NOT_ALLOWED", f"{place}.part")
    if item.rule_edition or item.rule_digest:
        found.text(item.rule_edition, f"{place}.rule_edition", SHORT_CHARACTERS, required=True)
        if not _DIGEST.fullmatch(item.rule_digest):
            found.add("RULE_DIGEST_FORMAT", f"{place}.rule_digest")
    if item.cause and item.cause not in _CAUSES:
        found.add("ENUM_UNKNOWN", f"{place}.cause", str(item.cause))


def _fact_is_neutral(value: str) -> bool:
    """Whether a fact's value is a code, date, number or record id, and no subject identifier."""
    return _FACT_VALUE.fullmatch(value) is not None and (is_record_id(value) or not _USCC_SHAPE.search(value))


def _check_outcome(
    found: Findings,
    outcome: int,
    reasons: Sequence[str],
    conditions: Sequence[int],
    *,
    waits: bool,
    prefix: str,
) -> None:
    found.choice(outcome, _OUTCOMES, f"{prefix}outcome")
    count = found.codes(reasons, f"{prefix}reasons", CODES)
    if outcome in (Outcome.OUTCOME_NOT_RECOGNISED, Outcome.OUTCOME_DEFERRED) and not count:
        found.add("REASONS_MISSING", f"{prefix}reasons")
    if outcome == Outcome.OUTCOME_DEFERRED and not waits:
        found.add("WAITS_FOR_MISSING", f"{prefix}waits_for")
    if outcome == Outcome.OUTCOME_CONDITIONAL and not conditions:
        found.add("CONDITIONS_MISSING", f"{prefix}conditions")
    if outcome != Outcome.OUTCOME_CONDITIONAL and conditions:
        found.add("CONDITIONS_NOT_ALLOWED", f"{prefix}conditions")
    if len(conditions) > CODES or len(set(conditions)) != len(conditions):
        found.add("DUPLICATE_ITEM", f"{prefix}conditions")
    for number, condition in enumerate(conditions[:CODES]):
        found.choice(condition, _CONDITIONS, f"{prefix}conditions[{number}]")


def _check_rules(found: Findings, rules: Sequence[str], place: str) -> None:
    if len(rules) > CODES:
        found.add("TOO_MANY_ITEMS", place, f"{len(rules)} > {CODES}")
    elif not all(_RULE_ID.fullmatch(rule) for rule in rules):
        found.add("REASON_CODE_FORMAT", place, f"at most {CODE_CHARACTERS} letters, digits, . _ -")
