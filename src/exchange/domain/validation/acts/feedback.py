"""Measure feedback: what became of each measure in one matter."""

from __future__ import annotations

import re
from typing import Final

from exchange.domain.validation.findings import Findings, is_record_id, numbers
from exchange.domain.validation.limits import ITEMS, SENTENCE_CHARACTERS, SHORT_CHARACTERS
from exchange.domain.validation.measures import check_catalogued
from exchange.domain.validation.subject import check_subject
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.measure_feedback_pb2 import FeedbackResult, MeasureFeedback

_MATTERS = numbers(MatterKind)
_RESULTS = numbers(FeedbackResult)
_IMPLEMENTED = FeedbackResult.FEEDBACK_RESULT_IMPLEMENTED
_OFFICER = re.compile(r"[0-9A-Za-z._\-]{1,64}")
_P: Final = "measure_feedback."


def check_measure_feedback(found: Findings, body: MeasureFeedback) -> None:
    """Check the feedback about one matter."""
    found.reference(body.notice, _P + "notice")
    check_subject(found, body.subject, _P + "subject", persons=True)
    found.choice(body.matter_kind, _MATTERS, _P + "matter_kind")
    found.text(body.matter_no, _P + "matter_no", SHORT_CHARACTERS, required=True)
    if found.count(body.results, _P + "results", ITEMS, required=True):
        _check_results(found, body)
    done = any(each.result == _IMPLEMENTED for each in body.results)
    found.text(body.document_no, _P + "document_no", SHORT_CHARACTERS, required=done)
    found.day(body.acted_on, _P + "acted_on", required=True)
    if not _OFFICER.fullmatch(body.officer_ref):
        found.add("OFFICER_REF_FORMAT" if body.officer_ref else "FIELD_MISSING", _P + "officer_ref")
    if body.check_id and not is_record_id(body.check_id):
        found.add("CHECK_ID_FORMAT", _P + "check_id")


def _check_results(found: Findings, body: MeasureFeedback) -> None:
    seen: set[tuple[str, str, str]] = set()
    for number, each in enumerate(body.results):
        place = f"{_P}results[{number}]"
        name = (each.catalogue, each.edition, each.code)
        check_catalogued(found, *name, place)
        if name in seen:
            found.add("DUPLICATE_ITEM", place)
        seen.add(name)
        if found.choice(each.result, _RESULTS, f"{place}.result"):
            needed = each.result != _IMPLEMENTED
            found.text(each.reason, f"{place}.reason", SENTENCE_CHARACTERS, required=needed, lines=True)
