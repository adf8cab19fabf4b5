"""Acts about other records: erasures and answers."""

from __future__ import annotations

from exchange.domain.catalogues.retention import ERASURE_GROUNDS
from exchange.domain.validation.findings import Findings, is_code, numbers
from exchange.domain.validation.instants import check_past
from exchange.domain.validation.limits import CODES, SENTENCE_CHARACTERS, SHORT_CHARACTERS
from exchange.v1.answer_pb2 import Answer, AnswerVerb
from exchange.v1.erasure_pb2 import Erasure

_VERBS = numbers(AnswerVerb)


def check_erasure(found: Findings, body: Erasure) -> None:
    """Check an erasure: record, ground, who, when."""
    found.reference(body.record, "erasure.record")
    found.text(body.legal_ground, "erasure.legal_ground", SENTENCE_CHARACTERS, required=True)
    if body.ground_code not in ERASURE_GROUNDS:
        reason = "ERASURE_GROUND_UNKNOWN" if body.ground_code else "FIELD_MISSING"
        found.add(reason, "erasure.ground_code")
    found.text(body.ordered_by, "erasure.ordered_by", SHORT_CHARACTERS, required=True)
    found.day(body.ordered_on, "erasure.ordered_on", required=True)


def check_answer(found: Findings, body: Answer) -> None:
    """Check an answer: record, verb, effect, who, when; a refusal names reasons."""
    found.reference(body.record, "answer.record")
    found.choice(body.verb, _VERBS, "answer.verb")
    if not is_code(body.effect):
        found.add("ANSWER_EFFECT_FORMAT" if body.effect else "FIELD_MISSING", "answer.effect")
    count = found.codes(body.reasons, "answer.reasons", CODES)
    if body.verb == AnswerVerb.ANSWER_VERB_REFUSED and not count:
        found.add("REASONS_MISSING", "answer.reasons")
    found.text(body.answered_by, "answer.answered_by", SHORT_CHARACTERS, required=True)
    check_past(found, body.answered_at, "answer.answered_at", given=body.HasField("answered_at"))
