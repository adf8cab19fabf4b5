"""Texts of credit results and penalties in a side's words: what their writer puts into cells."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from exchange.v1.common_pb2 import SubjectKind
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState, NotEvaluatedReason
from exchange.v1.penalty_notice_pb2 import DishonestyClass, NoticeKind, PenaltyState, PenaltyType
from exchange.v1.record_pb2 import Record
from exchange_forms.registers.penalty import OTHER_IDS, divide_types
from exchange_forms.row import joined_texts
from exchange_forms.sides.side import Side
from exchange_forms.sides.vocabulary import Vocabulary
from exchange_forms.subject import header_values, place_values
from exchange_sheets import plain_text

_DIVIDERS = re.compile(r"[；;|\n]")


def _word(words: Vocabulary, name: str, prefix: str) -> str:
    return words.texts.get(name.removeprefix(prefix), "")


def credit_values(record: Record, side: Side) -> dict[str, str]:
    """Texts of a credit result by field, in this side's words."""
    body = record.credit_result
    tables = side.credit
    level = _word(tables.levels, CreditLevel.Name(body.shared_level), "CREDIT_LEVEL_")
    colour = body.source_colour
    if colour and tables.colours.find(colour) is None:
        colour = _word(tables.colours, CreditLevel.Name(body.shared_level), "CREDIT_LEVEL_")
    vetoes = [
        veto.source_text
        if tables.vetoes.find(veto.source_text) == veto.shared_code and not _DIVIDERS.search(veto.source_text)
        else veto.shared_code
        for veto in body.veto_reasons
    ]
    return {
        **header_values(record),
        **place_values(body.subject.area_code, record, side),
        "name": body.subject.name,
        "uscc": body.subject.uscc,
        "permit_code": body.subject.permit_code,
        "subject_kind": _word(side.subject_kinds, SubjectKind.Name(body.subject.kind), "SUBJECT_KIND_"),
        "year": str(body.evaluation_year) if body.evaluation_year else "",
        "window_start": body.window_start,
        "window_end": body.window_end,
        "scheme": body.scheme_id,
        "level": level,
        "source_level": "" if body.source_level_text == level else body.source_level_text,
        "not_evaluated": _word(
            tables.not_evaluated, NotEvaluatedReason.Name(body.not_evaluated_reason), "NOT_EVALUATED_REASON_"
        ),
        "source_not_evaluated": body.source_not_evaluated_text,
        "colour": colour,
        "score": body.score,
        "base_score": body.base_score,
        "bonus_score": body.bonus_score,
        "vetoes": joined_texts(vetoes),
        "state": _word(tables.states, CreditState.Name(body.state), "CREDIT_STATE_"),
        "published_on": body.published_on,
        "publicity_until": body.publicity_until,
        "valid_until": body.valid_until,
        "self_declared": side.yes_no.texts["TRUE"] if body.self_declared else "",
        "legal_basis": joined_texts(body.legal_basis),
        "objection": body.objection,
    }


def _in_wan(yuan: str) -> str:
    """An amount of yuan in 万元, exactly; empty where it is no number."""
    try:
        sign, digits, exponent = Decimal(yuan).as_tuple()
    except InvalidOperation:
        return ""
    return plain_text(Decimal((sign, digits, exponent - 4))) if isinstance(exponent, int) else ""


def _type_values(record: Record, side: Side) -> dict[str, str]:
    body = record.penalty_notice
    types = [PenaltyType.Name(each).removeprefix("PENALTY_TYPE_") for each in body.penalty_types]
    source = body.source_penalty_types
    found, orders, unknown = divide_types(source, side.penalty)
    if not source or found != types or unknown or any(each not in body.orders for each in orders):
        source = joined_texts([side.penalty.types.texts.get(each, "") for each in types])
        orders = []
    return {
        "penalty_types": source,
        "orders": joined_texts([each for each in body.orders if each not in orders]),
    }


def penalty_values(record: Record, side: Side) -> dict[str, str]:
    """Texts of a penalty notice by field, in this side's words."""
    body = record.penalty_notice
    tables = side.penalty
    ids = {other.scheme: other.value for other in body.subject.other_ids}
    stated = body.dishonesty_class not in (
        DishonestyClass.DISHONESTY_CLASS_NOT_STATED,
        DishonestyClass.DISHONESTY_CLASS_UNSPECIFIED,
    )
    measures: list[str] = []
    for measure in body.measures:
        known = side.domain.measures.find(measure.catalogue, measure.edition, measure.code)
        if known is not None and (measure.catalogue, measure.edition) == tables.measures:
            measures.append(f"{known.code} {known.name}")
    return {
        **header_values(record),
        **place_values(body.subject.area_code, record, side),
        **_type_values(record, side),
        **{field: ids.get(scheme, "") for field, scheme in OTHER_IDS},
        "name": body.subject.name,
        "uscc": body.subject.uscc,
        "subject_kind": _word(side.subject_kinds, SubjectKind.Name(body.subject.kind), "SUBJECT_KIND_"),
        "legal_representative": body.subject.legal_representative,
        "decision_no": body.decision_no,
        "decided_on": body.decided_on,
        "violation_type": body.violation_type,
        "violation_facts": body.violation_facts,
        "legal_basis": joined_texts(body.legal_basis),
        "content": body.content,
        "fine": _in_wan(body.fine_cny) if body.fine_cny else "",
        "confiscation": _in_wan(body.confiscation_cny) if body.confiscation_cny else "",
        "revoked_licence": body.revoked_licence,
        "effective_until": body.effective_until or side.no_end_text,
        "publicity_until": body.publicity_until,
        "source_unit_name": body.source_unit.name,
        "source_unit_uscc": body.source_unit.uscc,
        "note": body.note,
        "state": _word(tables.states, PenaltyState.Name(body.state), "PENALTY_STATE_"),
        "notice_kind": _word(tables.notice_kinds, NoticeKind.Name(body.notice_kind), "NOTICE_KIND_"),
        "dishonesty_class": _word(tables.classes, DishonestyClass.Name(body.dishonesty_class), "DISHONESTY_CLASS_")
        if stated
        else "",
        "measures": joined_texts(measures),
        "measure_basis": joined_texts(body.measures[0].legal_basis) if body.measures else "",
    }
