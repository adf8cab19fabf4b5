"""Who was shown a notice, and what those agencies have not confirmed since it was repaired or revoked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, insert, select

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.v1.kind_pb2 import KIND_ANSWER, KIND_REPAIR_NOTICE, KIND_REVOCATION_NOTICE

KEYS_AT_ONCE = 200
"""Records looked up by one statement."""

_N = schema.notice_readers.c
_R = schema.records.c
_ACTS = (KIND_REPAIR_NOTICE, KIND_REVOCATION_NOTICE)


@dataclass(frozen=True, slots=True)
class Shown:
    """A notice that an agency was shown, and when, in microseconds."""

    agency: str
    origin: str
    record_id: bytes
    at: int

    @property
    def key(self) -> tuple[bytes, str, str]:
        """What names the row."""
        return self.record_id, self.origin, self.agency


def note(tx: Transaction, payloads: Sequence[Sequence[Shown]]) -> list[None]:
    """Keep who was shown what; the first time counts."""
    wanted = {shown.key: shown for payload in reversed(payloads) for shown in payload}
    ids = sorted({record_id for record_id, _, _ in wanted})
    for start in range(0, len(ids), KEYS_AT_ONCE):
        known = select(_N.record_id, _N.origin, _N.agency).where(_N.record_id.in_(ids[start : start + KEYS_AT_ONCE]))
        for row in tx.connection.execute(known):
            wanted.pop((row.record_id, row.origin, row.agency), None)
    if wanted:
        rows = [
            {"record_id": each.record_id, "origin": each.origin, "agency": each.agency, "since": each.at}
            for each in wanted.values()
        ]
        tx.connection.execute(insert(schema.notice_readers), rows)
    return [None] * len(payloads)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAct:
    """A repair or revocation in force of a notice that an agency was shown.

    Attributes:
        seq: Number of the act's row.
        arrived_at: When it reached this node, or was stated here, in microseconds.
    """

    seq: int
    agency: str
    origin: str
    act: bytes
    revision: int
    kind: int
    notice_origin: str
    notice: bytes
    log_id: int
    idx: int
    arrived_at: int


def acts_shown(connection: Connection, *, agency: str = "", before: int = 0, limit: int) -> list[ReadAct]:
    """Acts on notices that agencies were shown, newest first.

    Args:
        connection: Where to read.
        agency: Only this one; empty means all.
        before: Only rows of acts below this number; 0 means from the newest on.
        limit: Rows.
    """
    read = and_(_N.record_id == _R.about, _N.origin == _R.about_origin)
    query = (
        select(
            _R.seq,
            _N.agency,
            _R.origin,
            _R.record_id.label("act"),
            _R.revision,
            _R.kind,
            _R.about_origin.label("notice_origin"),
            _R.about.label("notice"),
            _R.log_id,
            _R.idx,
            func.coalesce(_R.mirrored_at, _R.logged_at).label("arrived_at"),
        )
        .join_from(schema.records, schema.notice_readers, read)
        .where(_R.kind.in_(_ACTS), _R.newest.is_(True), _R.tombstone == "")
        .order_by(_R.seq.desc(), _N.agency)
        .limit(limit)
    )
    if agency:
        query = query.where(_N.agency == agency)
    if before:
        query = query.where(_R.seq < before)
    return [ReadAct(**row._mapping) for row in connection.execute(query)]


def confirmed(connection: Connection, acts: Iterable[bytes], origin: str) -> set[tuple[bytes, str, str]]:
    """What agencies of this node answered to acts: (act, agency, natural key of the answer).

    Args:
        connection: Where to read.
        acts: Record ids.
        origin: This node.
    """
    found: set[tuple[bytes, str, str]] = set()
    ids = sorted(set(acts))
    sent = schema.submissions.c
    for start in range(0, len(ids), KEYS_AT_ONCE):
        query = (
            select(_R.about, sent.agency, _R.natural_key)
            .join_from(schema.records, schema.submissions, sent.record_id == _R.record_id)
            .where(
                _R.about.in_(ids[start : start + KEYS_AT_ONCE]),
                _R.kind == KIND_ANSWER,
                _R.origin == origin,
                sent.agency.is_not(None),
            )
        )
        found |= {(row.about, row.agency, row.natural_key) for row in connection.execute(query)}
    return found
