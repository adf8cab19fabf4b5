"""Laboratory qualifications: certificate, scope by days, roster standing, suspensions that may lie in the past."""

from __future__ import annotations

from typing import Final

from exchange.domain.codes import cma_no_holds
from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.limits import (
    CODE_CHARACTERS,
    ITEMS,
    LEGAL_BASES,
    NAME_CHARACTERS,
    SCOPE_LINES,
    SENTENCE_CHARACTERS,
    SHORT_CHARACTERS,
)
from exchange.domain.validation.subject import check_subject
from exchange.v1.lab_qualification_pb2 import LabQualification, LabScope, LabState, LabSuspension

_STATES = numbers(LabState)
_P: Final = "lab_qualification."


def check_lab_qualification(found: Findings, body: LabQualification) -> None:
    """Check a laboratory qualification."""
    check_subject(found, body.subject, _P + "subject", persons=False)
    if not cma_no_holds(body.cma_no):
        found.add("CMA_NO_FORMAT" if body.cma_no else "FIELD_MISSING", _P + "cma_no")
    found.text(body.issuing_body, _P + "issuing_body", NAME_CHARACTERS, required=True)
    first = found.day(body.first_issued_on, _P + "first_issued_on")
    start = found.day(body.valid_from, _P + "valid_from", required=True, future=True)
    end = found.day(body.valid_until, _P + "valid_until", required=True, future=True)
    found.ordered(first, start, _P + "valid_from")
    found.ordered(start, end, _P + "valid_until")
    found.text(body.roster, _P + "roster", NAME_CHARACTERS, required=True)
    found.text(body.roster_no, _P + "roster_no", SHORT_CHARACTERS)
    found.text(body.filing_no, _P + "filing_no", SHORT_CHARACTERS)
    found.choice(body.state, _STATES, _P + "state")
    found.day(body.state_since, _P + "state_since", required=True)
    if found.count(body.scope, _P + "scope", SCOPE_LINES, required=True):
        for number, line in enumerate(body.scope):
            _check_scope(found, line, f"{_P}scope[{number}]")
    if found.count(body.suspensions, _P + "suspensions", ITEMS):
        for number, each in enumerate(body.suspensions):
            _check_suspension(found, each, f"{_P}suspensions[{number}]")
    _check_standing(found, body)
    if body.HasField("commitment"):
        found.salted_digest(body.commitment, _P + "commitment")
    if body.HasField("credit"):
        for name in ("scheme_id", "source_level_text", "source_risk_text"):
            found.text(getattr(body.credit, name), f"{_P}credit.{name}", SHORT_CHARACTERS)
    found.legal_bases(body.legal_basis, _P + "legal_basis", LEGAL_BASES)


def _check_scope(found: Findings, line: LabScope, place: str) -> None:
    found.text(line.object, f"{place}.object", SHORT_CHARACTERS, required=True)
    if line.factor_code and found.tables.factors.find(line.factor_code) is None:
        found.add("FACTOR_UNMAPPED", f"{place}.factor_code")
    found.text(line.parameter, f"{place}.parameter", SHORT_CHARACTERS, required=True)
    found.text(line.method_standard, f"{place}.method_standard", CODE_CHARACTERS, required=True)
    found.text(line.limitation, f"{place}.limitation", SENTENCE_CHARACTERS, lines=True)
    start = found.day(line.valid_from, f"{place}.valid_from", required=True, future=True)
    end = found.day(line.valid_until, f"{place}.valid_until", future=True)
    found.ordered(start, end, f"{place}.valid_until")


def _check_suspension(found: Findings, each: LabSuspension, place: str) -> None:
    start = found.day(each.suspended_from, f"{place}.suspended_from", required=True, future=True)
    end = found.day(each.suspended_until, f"{place}.suspended_until", future=True)
    found.ordered(start, end, f"{place}.suspended_until")
    found.text(each.ground, f"{place}.ground", SENTENCE_CHARACTERS, required=True, lines=True)
    found.text(each.document_no, f"{place}.document_no", SHORT_CHARACTERS)
    if each.HasField("notice"):
        found.reference(each.notice, f"{place}.notice")


def _check_standing(found: Findings, body: LabQualification) -> None:
    """The roster state and what is said of it agree."""
    if body.state == LabState.LAB_STATE_SUSPENDED and not body.suspensions:
        found.add("FIELD_MISSING", _P + "suspensions")
    removed = body.state == LabState.LAB_STATE_REMOVED
    if body.removal_ground and not removed:
        found.add("FIELD_NOT_ALLOWED", _P + "removal_ground")
    found.text(body.removal_ground, _P + "removal_ground", SENTENCE_CHARACTERS, required=removed, lines=True)
