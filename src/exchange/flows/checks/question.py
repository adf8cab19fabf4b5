"""What a check has to say before it is answered, and which grants it needs."""

from __future__ import annotations

import re
from typing import Protocol

from exchange.domain.catalogues.tables import Tables
from exchange.domain.codes import normalise, uscc_reasons
from exchange.domain.kinds.spec import SOLE_TRADER_PREFIX
from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AccessDenied, AgencyBook
from exchange.flows.queries.exchanged.records import check_enum
from exchange.v1.kind_pb2 import Kind
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.security_service_pb2 import Verb

CHECKED_KINDS = (Kind.KIND_CREDIT_RESULT, Kind.KIND_PENALTY_NOTICE, Kind.KIND_LIST_ENTRY)
"""Kinds that an answer is made of."""

MAX_MATTER_NO = 100
"""Characters of a matter number."""

MAX_PURPOSE = 200
"""Characters of a purpose: one sentence."""

_OFFICER_REF = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")


class Matter(Protocol):
    """The matter that a check is made for, as every request of CheckService states it."""

    matter_kind: MatterKind.ValueType
    matter_no: str
    purpose: str
    officer_ref: str
    area_code: str


def subject_problems(code: str, tables: Tables, place: str) -> list[Problem]:
    """What is wrong with a subject's USCC."""
    uscc = normalise(code)
    if not uscc:
        return [Problem("FIELD_MISSING", place)]
    return [Problem(reason, place, uscc[:18]) for reason in uscc_reasons(uscc, tables.accepted_codes)]


def matter_problems(request: Matter, tables: Tables) -> list[Problem]:
    """Every rule that a matter breaks."""
    problems = []
    if request.matter_kind == MatterKind.MATTER_KIND_UNSPECIFIED:
        problems.append(Problem("MATTER_MISSING", "matter_kind"))
    else:
        try:
            check_enum(MatterKind, request.matter_kind, "matter_kind")
        except Refused as refused:
            problems += refused.problems
    problems += _text(request.matter_no, "matter_no", MAX_MATTER_NO, "MATTER_MISSING")
    purpose = _text(request.purpose, "purpose", MAX_PURPOSE, "PURPOSE_MISSING")
    if not purpose:
        outside = tables.sharing.use_problem(CHECKED_KINDS, request.purpose, "purpose")
        purpose = [outside] if outside is not None else []
    problems += purpose
    if not request.officer_ref:
        problems.append(Problem("OFFICER_MISSING", "officer_ref"))
    elif not _OFFICER_REF.fullmatch(request.officer_ref):
        problems.append(Problem("OFFICER_REF_FORMAT", "officer_ref"))
    if request.area_code and not tables.areas.plausible(request.area_code):
        problems.append(Problem("AREA_UNKNOWN", "area_code", request.area_code[:8]))
    return problems


def about_person(uscc: str) -> bool:
    """Whether a person stands behind the code: that of a sole trader (个体工商户)."""
    return uscc.startswith(SOLE_TRADER_PREFIX)


def check_denied(book: AgencyBook, agency: str, area: str, *, person: bool) -> AccessDenied | None:
    """Why an agency may not check in an area, or not a person there; None when grants allow it."""
    denied = book.require(agency, Verb.VERB_CHECK, 0, area)
    if denied is None and person:
        denied = book.require(agency, Verb.VERB_CHECK_PERSON, 0, area)
    return AccessDenied(denied) if denied is not None else None


def _text(value: str, place: str, limit: int, missing: str) -> list[Problem]:
    if not value.strip():
        return [Problem(missing, place)]
    if len(value) > limit:
        return [Problem("TEXT_TOO_LONG", place, str(len(value)))]
    if not value.isprintable():
        return [Problem("TEXT_CONTROL_CHARACTER", place)]
    return []
