"""Case referrals: what happened, on what legal basis, to whom."""

from __future__ import annotations

from typing import Final

from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.limits import (
    ITEMS,
    LEGAL_BASES,
    NAME_CHARACTERS,
    SENTENCE_CHARACTERS,
    SHORT_CHARACTERS,
    TEXT_CHARACTERS,
)
from exchange.domain.validation.subject import check_subject
from exchange.v1.case_referral_pb2 import CaseReferral, ReferralKind, ReferralState

_KINDS = numbers(ReferralKind)
_STATES = numbers(ReferralState)
_ENDS = frozenset({ReferralState.REFERRAL_STATE_CLOSED, ReferralState.REFERRAL_STATE_WITHDRAWN})
_P: Final = "case_referral."


def check_case_referral(found: Findings, body: CaseReferral) -> None:
    """Check a case referral."""
    found.text(body.case_no, _P + "case_no", SHORT_CHARACTERS, required=True)
    found.choice(body.referral_kind, _KINDS, _P + "referral_kind")
    check_subject(found, body.subject, _P + "subject", persons=True)
    found.text(body.facts, _P + "facts", TEXT_CHARACTERS, required=True, lines=True)
    if body.legal_basis:
        found.legal_bases(body.legal_basis, _P + "legal_basis", LEGAL_BASES)
    else:
        found.add("LEGAL_BASIS_MISSING", _P + "legal_basis")
    if body.HasField("addressee"):
        found.uscc(body.addressee.uscc, _P + "addressee.uscc")
        found.text(body.addressee.name, _P + "addressee.name", NAME_CHARACTERS, required=True)
    if found.count(body.materials, _P + "materials", ITEMS):
        for number, material in enumerate(body.materials):
            found.text(material, f"{_P}materials[{number}]", NAME_CHARACTERS, required=True)
    if found.count(body.related, _P + "related", ITEMS):
        for number, related in enumerate(body.related):
            found.reference(related, f"{_P}related[{number}]")
    referred = found.day(body.referred_on, _P + "referred_on", required=True)
    found.ordered(referred, found.day(body.due_by, _P + "due_by", future=True), _P + "due_by")
    found.choice(body.state, _STATES, _P + "state")
    ended = body.state in _ENDS
    if body.closing_ground and not ended:
        found.add("FIELD_NOT_ALLOWED", _P + "closing_ground")
    found.text(body.closing_ground, _P + "closing_ground", SENTENCE_CHARACTERS, required=ended, lines=True)
