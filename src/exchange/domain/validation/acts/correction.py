"""Correction requests: which record, which fields, why."""

from __future__ import annotations

import re
from typing import Final

from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.limits import ITEMS, NAME_CHARACTERS, SENTENCE_CHARACTERS
from exchange.v1.correction_request_pb2 import CorrectionRequest, CorrectionRequester, CorrectionState

_REQUESTERS = numbers(CorrectionRequester)
_STATES = numbers(CorrectionState)
_FIELD = re.compile(r"[a-z][a-z0-9_]*(?:\[[0-9]{1,5}\])?(?:\.[a-z][a-z0-9_]*(?:\[[0-9]{1,5}\])?)*")
_P: Final = "correction_request."


def check_correction_request(found: Findings, body: CorrectionRequest) -> None:
    """Check a correction request."""
    found.reference(body.record, _P + "record")
    if not body.area_code:
        found.add("FIELD_MISSING", _P + "area_code")
    found.area(body.area_code, _P + "area_code")
    found.choice(body.requester, _REQUESTERS, _P + "requester")
    found.choice(body.state, _STATES, _P + "state")
    asked = found.day(body.requested_on, _P + "requested_on", required=True)
    found.ordered(asked, found.day(body.due_by, _P + "due_by", future=True), _P + "due_by")
    if not found.count(body.items, _P + "items", ITEMS, required=True):
        return
    for number, item in enumerate(body.items):
        place = f"{_P}items[{number}]"
        if item.field and (len(item.field) > NAME_CHARACTERS or not _FIELD.fullmatch(item.field)):
            found.add("FIELD_PATH_FORMAT", f"{place}.field")
        found.text(item.proposed, f"{place}.proposed", SENTENCE_CHARACTERS, lines=True)
        found.text(item.reason, f"{place}.reason", SENTENCE_CHARACTERS, required=True, lines=True)
