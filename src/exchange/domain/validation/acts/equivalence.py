"""Standards equivalences: two sides, one relation, and no conversion of what has no measure."""

from __future__ import annotations

from typing import Final

from exchange.domain.validation.findings import Findings, is_node, numbers
from exchange.domain.validation.limits import CODE_CHARACTERS, ITEMS, SENTENCE_CHARACTERS, SHORT_CHARACTERS
from exchange.v1.standards_equivalence_pb2 import (
    EquivalenceKind,
    EquivalenceRelation,
    StandardRef,
    StandardsEquivalence,
    Stricter,
)

_KINDS = numbers(EquivalenceKind)
_RELATIONS = numbers(EquivalenceRelation)
_STRICTER = numbers(Stricter)
_CONVERTIBLE = frozenset({EquivalenceKind.EQUIVALENCE_KIND_UNIT, EquivalenceKind.EQUIVALENCE_KIND_LIMIT})
_MOST_PLACES: Final = 12
_P: Final = "standards_equivalence."


def check_standards_equivalence(found: Findings, body: StandardsEquivalence) -> None:
    """Check a comparison of two standards."""
    found.choice(body.equivalence_kind, _KINDS, _P + "equivalence_kind")
    found.text(body.edition, _P + "edition", CODE_CHARACTERS, required=True)
    _check_side(found, body.left, _P + "left")
    _check_side(found, body.right, _P + "right")
    if body.left.node and body.left.node == body.right.node:
        found.add("EQUIVALENCE_SIDES", _P + "right.node")
    found.text(body.shared_code, _P + "shared_code", CODE_CHARACTERS)
    found.choice(body.relation, _RELATIONS, _P + "relation")
    found.choice(body.stricter, _STRICTER, _P + "stricter")
    if body.HasField("conversion"):
        _check_conversion(found, body)
    found.text(body.evidence_ref, _P + "evidence_ref", SENTENCE_CHARACTERS, required=True)
    start = found.day(body.valid_from, _P + "valid_from", required=True, future=True)
    found.ordered(start, found.day(body.valid_until, _P + "valid_until", future=True), _P + "valid_until")
    if found.count(body.approvals, _P + "approvals", ITEMS):
        _check_approvals(found, body)


def _check_side(found: Findings, side: StandardRef, place: str) -> None:
    if not is_node(side.node):
        found.add("NODE_NAME_FORMAT" if side.node else "FIELD_MISSING", f"{place}.node")
    found.text(side.standard_no, f"{place}.standard_no", SHORT_CHARACTERS, required=True)
    found.text(side.edition, f"{place}.edition", CODE_CHARACTERS, required=True)
    found.text(side.clause, f"{place}.clause", SHORT_CHARACTERS)
    found.text(side.code, f"{place}.code", CODE_CHARACTERS)
    found.text(side.source_text, f"{place}.source_text", SENTENCE_CHARACTERS, lines=True)


def _check_conversion(found: Findings, body: StandardsEquivalence) -> None:
    if body.equivalence_kind not in _CONVERTIBLE:
        found.add("CONVERSION_NOT_ALLOWED", _P + "conversion")
    factor = found.number(body.conversion.factor, _P + "conversion.factor", required=True)
    if factor is not None and not factor:
        found.add("RANGE_INVALID", _P + "conversion.factor")
    found.number(body.conversion.offset, _P + "conversion.offset", signed=True)
    if not 0 <= body.conversion.decimal_places <= _MOST_PLACES:
        found.add("RANGE_INVALID", _P + "conversion.decimal_places")


def _check_approvals(found: Findings, body: StandardsEquivalence) -> None:
    sides = {body.left.node, body.right.node}
    seen: set[str] = set()
    for number, approval in enumerate(body.approvals):
        place = f"{_P}approvals[{number}]"
        if approval.node not in sides:
            found.add("EQUIVALENCE_SIDES", f"{place}.node")
        elif approval.node in seen:
            found.add("DUPLICATE_ITEM", place)
        seen.add(approval.node)
        found.text(approval.document_no, f"{place}.document_no", SHORT_CHARACTERS, required=True)
        found.day(approval.approved_on, f"{place}.approved_on", required=True)
