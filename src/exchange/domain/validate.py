"""Whether a record is well-formed: every broken rule, each with its field path.

Used at the door, and again by the receiver, who validates as if the sender had not. What it decides follows from the
record, the tables and the day alone; whether the caller may state it, and what was stated before, is decided elsewhere.
"""

from __future__ import annotations

from datetime import date
from typing import assert_never

from exchange.domain.kinds import kind_of
from exchange.domain.problems import Problem
from exchange.domain.tables import Tables
from exchange.domain.validation.acts import check_answer, check_erasure
from exchange.domain.validation.credit import check_credit_result
from exchange.domain.validation.decisions import check_recognition
from exchange.domain.validation.findings import Findings
from exchange.domain.validation.header import check_header
from exchange.domain.validation.keys import check_key_announcement
from exchange.domain.validation.monitoring import check_monitoring_batch
from exchange.domain.validation.penalty import check_penalty_notice
from exchange.v1.record_pb2 import Record


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
    match body:
        case "credit_result":
            check_credit_result(found, record.credit_result)
        case "monitoring_batch":
            check_monitoring_batch(found, record.monitoring_batch)
        case "penalty_notice":
            check_penalty_notice(found, record.penalty_notice)
        case "recognition":
            check_recognition(found, record.recognition)
        case "erasure":
            check_erasure(found, record.erasure)
        case "answer":
            check_answer(found, record.answer)
        case "key_announcement":
            check_key_announcement(found, record.key_announcement)
        case None:
            found.add("BODY_NOT_SET", "")
        case _:
            assert_never(body)
    return tuple(found.problems)


def _has_unknown_fields(record: Record) -> bool:
    """Whether bytes travel in the record that no rule has looked at, at any depth."""
    known = Record()
    known.CopyFrom(record)
    known.DiscardUnknownFields()
    return len(known.SerializeToString()) != len(record.SerializeToString())
