"""Whether a record is well-formed: every broken rule, each with its field path.

Used at the door, and again by the receiver, who validates as if the sender had not. What it decides follows from the
record, the tables and the day alone; whether the caller may state it, and what was stated before, is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from exchange.domain.catalogues.tables import Tables
from exchange.domain.kinds import kind_of
from exchange.domain.problems import Problem
from exchange.domain.validation.acts.alert import check_alert
from exchange.domain.validation.acts.correction import check_correction_request
from exchange.domain.validation.acts.equivalence import check_standards_equivalence
from exchange.domain.validation.acts.feedback import check_measure_feedback
from exchange.domain.validation.acts.inspection import check_inspection_task
from exchange.domain.validation.acts.referral import check_case_referral
from exchange.domain.validation.acts.repair import check_repair_notice, check_revocation_notice
from exchange.domain.validation.facts.credit import check_credit_result
from exchange.domain.validation.facts.labs import check_lab_qualification
from exchange.domain.validation.facts.lists import check_list_entry
from exchange.domain.validation.facts.monitoring import check_monitoring_batch
from exchange.domain.validation.facts.penalty import check_penalty_notice
from exchange.domain.validation.findings import Findings
from exchange.domain.validation.header import check_header
from exchange.domain.validation.mechanism.answers import check_answer, check_erasure
from exchange.domain.validation.mechanism.decisions import check_recognition
from exchange.domain.validation.mechanism.keys import check_key_announcement
from exchange.v1.record_pb2 import Record

_CHECKS: Final[Mapping[str, Callable[[Findings, Any], None]]] = {
    "credit_result": check_credit_result,
    "monitoring_batch": check_monitoring_batch,
    "penalty_notice": check_penalty_notice,
    "list_entry": check_list_entry,
    "lab_qualification": check_lab_qualification,
    "measure_feedback": check_measure_feedback,
    "repair_notice": check_repair_notice,
    "revocation_notice": check_revocation_notice,
    "correction_request": check_correction_request,
    "case_referral": check_case_referral,
    "inspection_task": check_inspection_task,
    "alert": check_alert,
    "standards_equivalence": check_standards_equivalence,
    "recognition": check_recognition,
    "erasure": check_erasure,
    "answer": check_answer,
    "key_announcement": check_key_announcement,
}
"""What is checked of each alternative of the body."""


def validate(record: Record, tables: Tables, *, today: date) -> tuple[Problem, ...]:
    """Check a record against every rule that needs no other record.

    Args:
        record: The record; not changed.
        tables: The node's tables.
        today: The node's day in UTC+8, from the one reading of the clock of the operation.

    Returns:
        Every broken rule, in the order of the fields, with a reason of the table of reasons and the field path;
        empty when the record is sound.
    """
    found = Findings(tables, today.isoformat())
    if _has_unknown_fields(record):
        found.add("UNKNOWN_FIELD", "")
    check_header(found, record.header, kind_of(record))
    body = record.WhichOneof("body")
    if body is None:
        found.add("BODY_NOT_SET", "")
    else:
        _CHECKS[body](found, getattr(record, body))
    return tuple(found.problems)


def _has_unknown_fields(record: Record) -> bool:
    """Whether bytes travel in the record that no rule has looked at, at any depth."""
    known = Record()
    known.CopyFrom(record)
    known.DiscardUnknownFields()
    return len(known.SerializeToString()) != len(record.SerializeToString())
