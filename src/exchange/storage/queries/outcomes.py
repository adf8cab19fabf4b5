"""What peers made of our entries: when they were delivered, and which decision counts for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from exchange.storage import schema

MAX_RANGE = 4_096
"""Entries that one decision's range is looked for: the most that one Deliver carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """One decision of a peer about a range of a log of ours, or about one entry of it."""

    seq: int
    log_id: int
    first: int
    end: int
    revision: int
    item: bool
    outcome: int
    decision: str
    source_log: int
    source_idx: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFate:
    """What became of one entry.

    Attributes:
        delivered_at: Time of the first cosignature that covers it, in microseconds; None before.
        decision: The decision that counts: of items the newest revision, else the default of its range.
    """

    delivered_at: int | None
    decision: DecisionRow | None


def _decision(row: object) -> DecisionRow:
    return DecisionRow(**row._mapping)  # type: ignore[attr-defined]


def fates(connection: Connection, log_id: int, indices: Sequence[int]) -> dict[int, EntryFate]:
    """What became of some entries of one log of ours; an index beyond the log is left out."""
    entry, note, made = schema.entries.c, schema.checkpoints.c, schema.decisions.c
    delivered_at = (
        select(note.cosigned_at)
        .where(note.log_id == log_id, note.size > entry.idx)
        .order_by(note.size)
        .limit(1)
        .scalar_subquery()
    )
    item = (
        select(made.seq)
        .where(made.log_id == log_id, made.item.is_(True), made.first == entry.idx)
        .order_by(made.revision.desc(), made.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    default = (
        select(made.seq)
        .where(
            made.log_id == log_id,
            made.item.is_(False),
            made.first <= entry.idx,
            made.first > entry.idx - MAX_RANGE,
            made.end > entry.idx,
        )
        .order_by(made.first.desc(), made.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(entry.idx, delivered_at.label("at"), func.coalesce(item, default).label("seq")).where(
            entry.log_id == log_id, entry.idx.in_(list(indices))
        )
    ).all()
    numbers = sorted({row.seq for row in rows if row.seq is not None})
    decisions = {
        row.seq: _decision(row) for row in connection.execute(select(schema.decisions).where(made.seq.in_(numbers)))
    }
    return {row.idx: EntryFate(delivered_at=row.at, decision=decisions.get(row.seq)) for row in rows}


def decided_after(connection: Connection, after: int, limit: int) -> list[DecisionRow]:
    """Decisions beyond a number, in order."""
    made = schema.decisions.c
    query = select(schema.decisions).where(made.seq > after).order_by(made.seq).limit(limit)
    return [_decision(row) for row in connection.execute(query)]


def newest_decision(connection: Connection) -> int:
    """Number of the newest decision; 0 when there is none."""
    return connection.execute(select(func.max(schema.decisions.c.seq))).scalar() or 0


def submissions_in(connection: Connection, log_id: int, first: int, end: int, agency: str) -> list[tuple[int, int]]:
    """An agency's submissions in a range of a log: (index, submission number), in order of index."""
    entry, submission = schema.entries.c, schema.submissions.c
    query = (
        select(entry.idx, entry.submission)
        .join(schema.submissions, entry.submission == submission.seq)
        .where(entry.log_id == log_id, entry.idx >= first, entry.idx < end, submission.agency == agency)
        .order_by(entry.idx)
    )
    return [(row.idx, row.submission) for row in connection.execute(query)]


def submission_kinds(connection: Connection, after: int, limit: int) -> list[tuple[int, int, str]]:
    """Submissions beyond a number: (number, kind, addresses as stored), in order."""
    table = schema.submissions.c
    query = select(table.seq, table.kind, table.addresses).where(table.seq > after).order_by(table.seq).limit(limit)
    return [(row.seq, row.kind, row.addresses) for row in connection.execute(query)]
