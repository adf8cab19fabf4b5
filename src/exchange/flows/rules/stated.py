"""Equivalences that stand as records, and which nodes approved them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from google.protobuf.message import DecodeError

from exchange.flows.queries.ground.views import ref_of
from exchange.storage.engine.database import Connection
from exchange.storage.queries import records
from exchange.storage.queries.records import AreaLimit, RecordFilter
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.record_pb2 import Record
from exchange.v1.rule_service_pb2 import StatedEquivalence
from exchange.v1.standards_equivalence_pb2 import StandardsEquivalence

MOST = 500
"""Equivalences listed: the two sides compare some dozens of standards."""

_WITHOUT_EFFECT = (Outcome.OUTCOME_DEFERRED, Outcome.OUTCOME_NOT_RECOGNISED)


def stated_equivalences(
    connection: Connection, readable: Mapping[int, AreaLimit | None], today: str
) -> list[StatedEquivalence]:
    """Equivalences in effect, newest first.

    Args:
        connection: Where to read.
        readable: What the caller may read.
        today: Local day, ``YYYY-MM-DD``.
    """
    wanted = RecordFilter(readable=readable)
    newest = records.newest_seq(connection) + 1
    rows = [
        row
        for row in records.page(connection, wanted, before=newest, after=0, limit=MOST)
        if row.newest and not row.tombstone and row.outcome not in _WITHOUT_EFFECT
    ]
    said = _approvals(connection, [(row.origin, row.record_id) for row in rows])
    bodies = records.bodies(connection, rows)
    found = []
    for row in rows:
        record = _record(bodies.get((row.log_id, row.idx)))
        if not record.HasField("standards_equivalence"):
            continue
        body = record.standards_equivalence
        by = approved_by(body, row.origin, said.get((row.origin, row.record_id), ()))
        current = body.valid_from <= today and (not body.valid_until or today <= body.valid_until)
        both = {body.left.node, body.right.node} <= set(by)
        found.append(StatedEquivalence(ref=ref_of(row), equivalence=body, approved_by=by, approved=both and current))
    return found


def approved_by(body: StandardsEquivalence, origin: str, answers: Iterable[tuple[str, int]]) -> list[str]:
    """Nodes that approved: the origin by its own act in the record, others by their newest Answer."""
    by = {approval.node for approval in body.approvals if approval.node == origin}
    for node, verb in answers:
        if verb == AnswerVerb.ANSWER_VERB_CONFIRMED:
            by.add(node)
        elif verb == AnswerVerb.ANSWER_VERB_REFUSED:
            by.discard(node)
    return sorted(by)


def _approvals(
    connection: Connection, about: list[tuple[str, bytes]]
) -> dict[tuple[str, bytes], list[tuple[str, int]]]:
    """Who answered what, oldest first, of answers that took effect."""
    found: dict[tuple[str, bytes], list[tuple[str, int]]] = {}
    for row in records.answers_about(connection, about):
        if row.outcome not in _WITHOUT_EFFECT and row.about is not None:
            found.setdefault((row.about_origin, row.about), []).append((row.origin, row.level))
    return found


def _record(body: bytes | None) -> Record:
    try:
        return Record.FromString(body or b"")
    except DecodeError:
        return Record()
