"""Credit results: level, score and veto by the table of schemes."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from exchange.domain.catalogues.schemes import Scheme
from exchange.domain.validation.findings import Findings, numbers
from exchange.domain.validation.limits import (
    CODE_CHARACTERS,
    EARLIEST_YEAR,
    ITEMS,
    LEGAL_BASES,
    NAME_CHARACTERS,
    SENTENCE_CHARACTERS,
    SHORT_CHARACTERS,
)
from exchange.domain.validation.subject import check_subject
from exchange.v1.credit_result_pb2 import CreditLevel, CreditResult, CreditState, NotEvaluatedReason

_SCORE = re.compile(r"-?(?:0|[1-9][0-9]{0,5})(?:\.[0-9]{1,6})?")
_LEVELS = numbers(CreditLevel)
_STATES = numbers(CreditState)
_NOT_EVALUATED = CreditLevel.CREDIT_LEVEL_NOT_EVALUATED
_NOT_EVALUATED_REASONS = numbers(NotEvaluatedReason)
_UNPUBLISHED = CreditState.CREDIT_STATE_PRELIMINARY
_P = "credit_result."


def check_credit_result(found: Findings, body: CreditResult) -> None:
    """Check a credit result."""
    check_subject(found, body.subject, "credit_result.subject", persons=False)
    if not EARLIEST_YEAR <= body.evaluation_year <= int(found.today[:4]):
        found.add("YEAR_RANGE", _P + "evaluation_year", str(body.evaluation_year))
    found.choice(body.shared_level, _LEVELS, _P + "shared_level")
    found.choice(body.state, _STATES, _P + "state")
    _check_texts(found, body)
    _check_dates(found, body)
    scheme = _scheme(found, body)
    if body.shared_level == _NOT_EVALUATED:
        _check_not_evaluated(found, body)
        return
    if body.not_evaluated_reason or body.source_not_evaluated_text:
        found.add("FIELD_NOT_ALLOWED", _P + "not_evaluated_reason")
    vetoed = _check_vetoes(found, body, scheme) if body.veto_reasons else False
    _check_scores(found, body, scheme, vetoed=vetoed)


def _check_not_evaluated(found: Findings, body: CreditResult) -> None:
    """What says that nobody was evaluated says why, and nothing that an evaluation would have found."""
    found.choice(body.not_evaluated_reason, _NOT_EVALUATED_REASONS, _P + "not_evaluated_reason")
    place = _P + "source_not_evaluated_text"
    other = body.not_evaluated_reason == NotEvaluatedReason.NOT_EVALUATED_REASON_OTHER
    found.text(body.source_not_evaluated_text, place, SENTENCE_CHARACTERS, required=other)
    for name in ("score", "score_max", "base_score", "bonus_score", "veto_reasons"):
        if getattr(body, name):
            found.add("FIELD_NOT_ALLOWED", _P + name)


def _check_texts(found: Findings, body: CreditResult) -> None:
    found.text(body.source_level_text, _P + "source_level_text", SHORT_CHARACTERS, required=True)
    found.text(body.source_colour, _P + "source_colour", SHORT_CHARACTERS)
    found.text(body.score_kind, _P + "score_kind", CODE_CHARACTERS)
    found.text(body.objection, _P + "objection", SENTENCE_CHARACTERS, lines=True)
    legal_basis = body.legal_basis
    if legal_basis:
        found.legal_bases(legal_basis, _P + "legal_basis", LEGAL_BASES)


def _check_dates(found: Findings, body: CreditResult) -> None:
    start = found.day(body.window_start, _P + "window_start")
    end = found.day(body.window_end, _P + "window_end", required=True)
    found.ordered(start, end, _P + "window_end")
    published = found.day(body.published_on, _P + "published_on", required=body.state > _UNPUBLISHED)
    if body.publicity_until:
        until = found.day(body.publicity_until, _P + "publicity_until", future=True)
        found.ordered(published, until, _P + "publicity_until")
    if body.valid_until:
        until = found.day(body.valid_until, _P + "valid_until", future=True)
        found.ordered(published, until, _P + "valid_until")


def _scheme(found: Findings, body: CreditResult) -> Scheme | None:
    scheme_id = body.scheme_id
    if not scheme_id:
        found.add("FIELD_MISSING", _P + "scheme_id")
        return None
    scheme = found.tables.schemes.find(scheme_id)
    if scheme is None:
        found.add("SCHEME_UNKNOWN", _P + "scheme_id")
        found.text(scheme_id, _P + "scheme_id", NAME_CHARACTERS)
    elif body.scheme_edition != scheme.edition:
        found.add("SCHEME_EDITION_UNKNOWN", _P + "scheme_edition")
    return scheme


def _check_vetoes(found: Findings, body: CreditResult, scheme: Scheme | None) -> bool:
    """Whether at least one veto stands whose code is known."""
    reasons = body.veto_reasons
    if len(reasons) > ITEMS:
        found.add("TOO_MANY_ITEMS", _P + "veto_reasons", f"{len(reasons)} > {ITEMS}")
        return False
    known = False
    for number, reason in enumerate(reasons):
        place = f"credit_result.veto_reasons[{number}]"
        if found.tables.schemes.knows_veto(scheme, reason.shared_code):
            known = True
        else:
            found.add("VETO_UNKNOWN", f"{place}.shared_code")
        found.text(reason.source_text, f"{place}.source_text", SENTENCE_CHARACTERS, lines=True)
    return known


def _decimal(found: Findings, text: str, place: str) -> Decimal | None:
    if not text:
        return None
    if not _SCORE.fullmatch(text):
        found.add("DECIMAL_FORMAT", place)
        return None
    return Decimal(text)


@lru_cache(maxsize=4096)
def _by_scheme(scheme: Scheme, score: str) -> tuple[bool, CreditLevel.ValueType | None]:
    """What a scheme says about a score: whether it can be one, and which level it gives. Few scores occur often."""
    number = Decimal(score)
    return scheme.accepts_score(number), scheme.level_for(number)


def _check_scores(found: Findings, body: CreditResult, scheme: Scheme | None, *, vetoed: bool) -> None:
    score = _decimal(found, body.score, _P + "score")
    highest = _decimal(found, body.score_max, _P + "score_max")
    base = _decimal(found, body.base_score, _P + "base_score")
    bonus = _decimal(found, body.bonus_score, _P + "bonus_score")
    if scheme is not None and highest is not None and scheme.score_max not in (None, highest):
        found.add("SCORE_MAX_MISMATCH", _P + "score_max", f"{scheme.score_max}")
    if bonus is not None and bonus < 0:
        found.add("VALUE_NEGATIVE", _P + "bonus_score")
    if score is None:
        return
    if base is not None and bonus is not None and base + bonus < score:
        found.add("SCORE_PARTS_MISMATCH", _P + "score")
    if scheme is None or not scheme.bands:
        return
    accepted, by_score = _by_scheme(scheme, body.score)
    if not accepted:
        whole = score == score.to_integral_value()
        found.add("SCORE_RANGE" if whole or not scheme.score_integer else "SCORE_NOT_INTEGER", _P + "score", str(score))
        return
    if by_score is None or body.shared_level not in _LEVELS or body.shared_level == by_score:
        return
    # A veto only lowers: levels count downwards from GREEN.
    if not (vetoed and body.shared_level > by_score):
        found.add("LEVEL_SCORE_MISMATCH", _P + "shared_level")
