"""Inspection tasks: which firms, when, with whom, and what was found."""

from __future__ import annotations

from typing import Final

from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.limits import (
    ITEMS,
    LEGAL_BASES,
    NAME_CHARACTERS,
    SENTENCE_CHARACTERS,
    SHORT_CHARACTERS,
    TARGETS,
    TEXT_CHARACTERS,
)
from exchange.domain.validation.subject import check_subject
from exchange.v1.inspection_task_pb2 import InspectionMode, InspectionState, InspectionTask

_MODES = numbers(InspectionMode)
_STATES = numbers(InspectionState)
_ENDS = frozenset({InspectionState.INSPECTION_STATE_COMPLETED, InspectionState.INSPECTION_STATE_CANCELLED})
_P: Final = "inspection_task."


def check_inspection_task(found: Findings, body: InspectionTask) -> None:
    """Check an inspection task."""
    found.text(body.task_no, _P + "task_no", SHORT_CHARACTERS, required=True)
    found.choice(body.mode, _MODES, _P + "mode")
    found.text(body.topic, _P + "topic", NAME_CHARACTERS, required=True)
    if not body.area_code:
        found.add("FIELD_MISSING", _P + "area_code")
    found.area(body.area_code, _P + "area_code")
    start = found.day(body.planned_from, _P + "planned_from", required=True, future=True)
    end = found.day(body.planned_until, _P + "planned_until", required=True, future=True)
    found.ordered(start, end, _P + "planned_until")
    if found.count(body.participants, _P + "participants", ITEMS):
        for number, authority in enumerate(body.participants):
            found.uscc(authority.uscc, f"{_P}participants[{number}].uscc")
            found.text(authority.name, f"{_P}participants[{number}].name", NAME_CHARACTERS, required=True)
    drawn = body.mode == InspectionMode.INSPECTION_MODE_RANDOM
    found.text(body.sampling_rule, _P + "sampling_rule", SENTENCE_CHARACTERS, required=drawn, lines=True)
    found.text(body.request, _P + "request", SENTENCE_CHARACTERS, lines=True)
    found.choice(body.state, _STATES, _P + "state")
    ended = body.state in _ENDS
    if body.conclusion and not ended:
        found.add("FIELD_NOT_ALLOWED", _P + "conclusion")
    found.text(body.conclusion, _P + "conclusion", TEXT_CHARACTERS, required=ended, lines=True)
    found.legal_bases(body.legal_basis, _P + "legal_basis", LEGAL_BASES)
    _check_targets(found, body)


def _check_targets(found: Findings, body: InspectionTask) -> None:
    begun = body.state == InspectionState.INSPECTION_STATE_UNDER_WAY
    if not found.count(body.targets, _P + "targets", TARGETS, required=begun):
        return
    seen: set[tuple[str, str]] = set()
    for number, target in enumerate(body.targets):
        place = f"{_P}targets[{number}]"
        check_subject(found, target.subject, f"{place}.subject", persons=False)
        site = (target.subject.uscc, target.subject.permit_code)
        if site in seen:
            found.add("DUPLICATE_ITEM", place)
        seen.add(site)
        found.text(target.chosen_by, f"{place}.chosen_by", SENTENCE_CHARACTERS)
        found.text(target.finding, f"{place}.finding", SENTENCE_CHARACTERS, lines=True)
