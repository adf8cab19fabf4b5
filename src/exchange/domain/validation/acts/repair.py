"""Repairs and revocations: which notice, what has to be done, by when. The legal act is in the header."""

from __future__ import annotations

from collections.abc import Sequence

from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.limits import ITEMS, LEGAL_BASES, NAME_CHARACTERS, SENTENCE_CHARACTERS, SHORT_CHARACTERS
from exchange.domain.validation.subject import check_subject
from exchange.v1.repair_notice_pb2 import RepairEffect, RepairNotice
from exchange.v1.revocation_notice_pb2 import RevocationGround, RevocationNotice

_EFFECTS = numbers(RepairEffect)
_EVERY_EFFECT = frozenset(effect for effect in RepairEffect.values() if effect)
_GROUNDS = numbers(RevocationGround)


def check_repair_notice(found: Findings, body: RepairNotice) -> None:
    """Check a repair."""
    found.reference(body.notice, "repair_notice.notice")
    check_subject(found, body.subject, "repair_notice.subject", persons=True)
    _check_effects(found, body.effects, "repair_notice.effects")
    found.day(body.due_by, "repair_notice.due_by", required=True, future=True)
    found.text(body.repair_rule, "repair_notice.repair_rule", SHORT_CHARACTERS, required=True)
    found.text(body.ground, "repair_notice.ground", SENTENCE_CHARACTERS, lines=True)


def check_revocation_notice(found: Findings, body: RevocationNotice) -> None:
    """Check a revocation."""
    found.reference(body.notice, "revocation_notice.notice")
    check_subject(found, body.subject, "revocation_notice.subject", persons=True)
    found.choice(body.ground, _GROUNDS, "revocation_notice.ground")
    found.text(body.decided_by, "revocation_notice.decided_by", NAME_CHARACTERS)
    _check_effects(found, body.effects, "revocation_notice.effects")
    found.day(body.due_by, "revocation_notice.due_by", required=True, future=True)
    if body.legal_basis:
        found.legal_bases(body.legal_basis, "revocation_notice.legal_basis", LEGAL_BASES)
    else:
        found.add("LEGAL_BASIS_MISSING", "revocation_notice.legal_basis")


def _check_effects(found: Findings, effects: Sequence[int], place: str) -> None:
    if not found.count(effects, place, ITEMS, required=True):
        return
    known = [found.choice(effect, _EFFECTS, f"{place}[{number}]") for number, effect in enumerate(effects)]
    if len(set(effects)) != len(effects):
        found.add("DUPLICATE_ITEM", place)
    # A notice whose publicity ends while its measures stay would be one that nobody can look up and somebody applies.
    elif all(known) and not set(effects) >= _EVERY_EFFECT:
        found.add("EFFECTS_INCOMPLETE", place)
