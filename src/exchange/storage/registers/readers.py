"""Who was shown a notice, and what those agencies have not confirmed since it was repaired or revoked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, and_, func, select

from exchange.domain.record_index import raw_id
from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import journal
from exchange.storage.registers import registers
from exchange.storage.registers.registers import Change
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.journal_pb2 import JournalEntry, NoticesShown
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
    """Journal who is shown what, and keep it; the first time counts, and is the only one that is journaled."""
    told: dict[tuple[str, int], list[Shown]] = {}
    for shown in dict.fromkeys(each for payload in payloads for each in payload):
        told.setdefault((shown.agency, shown.at), []).append(shown)
    for (agency, at), group in told.items():
        tx.write_now(schema.notice_readers)
        known = _known(tx.connection, [each.record_id for each in group])
        new = [each for each in group if each.key not in known]
        if new:
            refs = [RecordRef(origin=each.origin, record_id=str(UUID(bytes=each.record_id))) for each in new]
            event = JournalEntry(notices_shown=NoticesShown(agency=agency, notices=refs))
            event.at.FromMicroseconds(at)
            journal.append(tx, [event])
            registers.write(tx, [_change(each) for each in new])
    return [None] * len(payloads)


def changes_of(state: Connection, event: JournalEntry) -> list[Change]:
    """The rows that a line of the journal makes; what is known already was shown before."""
    shown, at = event.notices_shown, event.at.ToMicroseconds()
    told = [Shown(shown.agency, each.origin, raw_id(each.record_id), at) for each in shown.notices]
    known = _known(state, [each.record_id for each in told])
    return [_change(each) for each in dict.fromkeys(told) if each.key not in known]


def _change(shown: Shown) -> Change:
    row = {"record_id": shown.record_id, "origin": shown.origin, "agency": shown.agency, "since": shown.at}
    return Change("notice_readers", shown.key, row, fresh=True)


def _known(connection: Connection, record_ids: Iterable[bytes]) -> set[tuple[bytes, str, str]]:
    found: set[tuple[bytes, str, str]] = set()
    ids = sorted(set(record_ids))
    for start in range(0, len(ids), KEYS_AT_ONCE):
        query = select(_N.record_id, _N.origin, _N.agency).where(_N.record_id.in_(ids[start : start + KEYS_AT_ONCE]))
        found |= {(row.record_id, row.origin, row.agency) for row in connection.execute(query)}
    return found


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
