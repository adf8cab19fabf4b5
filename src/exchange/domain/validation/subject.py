"""The subject: the firm or person that a fact is about."""

from __future__ import annotations

from typing import Final

from exchange.domain.personal import name_is_masked
from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.limits import CODE_CHARACTERS, ITEMS, NAME_CHARACTERS, SHORT_CHARACTERS
from exchange.v1.common_pb2 import Subject, SubjectKind

_KINDS = numbers(SubjectKind)
_PERSON = SubjectKind.SUBJECT_KIND_NATURAL_PERSON
OTHER_ID_SCHEMES: Final = frozenset(
    {"BUSINESS_REGISTRATION", "ORGANISATION_CODE", "TAX", "PUBLIC_INSTITUTION", "SOCIAL_ORGANISATION"}
)
"""Registers of numbers older than the USCC, as the 双公示 layout has them."""


def check_subject(found: Findings, subject: Subject, place: str, *, persons: bool) -> None:
    """Check a subject.

    Args:
        found: Where broken rules go.
        subject: The subject.
        place: Its field path.
        persons: A natural person may stand here.
    """
    kind = subject.kind
    found.choice(kind, _KINDS, f"{place}.kind")
    uscc = subject.uscc
    if kind == _PERSON:
        _check_person(found, subject, place, allowed=persons)
    else:
        found.uscc(uscc, f"{place}.uscc", required=True)
    found.text(subject.name, f"{place}.name", NAME_CHARACTERS, required=True)
    found.area(subject.area_code, f"{place}.area_code")
    found.permit(subject.permit_code, uscc, f"{place}.permit_code")
    found.text(subject.legal_representative, f"{place}.legal_representative", SHORT_CHARACTERS)
    others = subject.other_ids
    if others:
        if len(others) > ITEMS:
            found.add("TOO_MANY_ITEMS", f"{place}.other_ids")
            return
        for number, other in enumerate(others):
            if other.scheme not in OTHER_ID_SCHEMES:
                found.add("OTHER_ID_SCHEME", f"{place}.other_ids[{number}].scheme")
            found.text(other.value, f"{place}.other_ids[{number}].value", CODE_CHARACTERS, required=True)


def _check_person(found: Findings, subject: Subject, place: str, *, allowed: bool) -> None:
    if not allowed:
        found.add("SUBJECT_KIND_NOT_ALLOWED", f"{place}.kind")
    if subject.uscc:
        found.add("PERSON_WITH_USCC", f"{place}.uscc")
    if subject.name and not name_is_masked(subject.name):
        found.add("NAME_NOT_MASKED", f"{place}.name")
    for number, _ in enumerate(subject.other_ids):
        found.add("PERSON_WITH_USCC", f"{place}.other_ids[{number}]")
