"""Where decisions stand: ours about a mirror, a peer's about a log of ours."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from exchange.storage import schema

MOST = 64
"""Decisions about one entry that are looked for: one on arrival, the others made again."""

_THEIRS = schema.decisions
_OURS = schema.made_decisions


def _origin(connection: Connection, log_id: int) -> str:
    table = schema.logs.c
    return connection.execute(select(table.origin).where(table.id == log_id)).scalar() or ""


def about(connection: Connection, log_id: int, index: int) -> list[tuple[int, int]]:
    """(log, index) of the decisions about one entry, the newest first."""
    found: list[tuple[int, int]] = []
    for table, of_log in (
        (_THEIRS, _THEIRS.c.log_id == log_id),
        (_OURS, _OURS.c.answered == _origin(connection, log_id)),
    ):
        made = table.c
        items = (
            select(made.source_log, made.source_idx)
            .where(of_log, made.item.is_(True), made.first == index)
            .order_by(made.revision.desc(), made.seq.desc())
            .limit(MOST)
        )
        found += [(row.source_log, row.source_idx) for row in connection.execute(items)]
        ranges = (
            select(made.source_log, made.source_idx, made.end)
            .where(of_log, made.item.is_(False), made.first <= index)
            .order_by(made.first.desc(), made.seq)
            .limit(1)
        )
        found += [(row.source_log, row.source_idx) for row in connection.execute(ranges) if row.end > index]
    return list(dict.fromkeys(found))


def first_decisions(connection: Connection, log_id: int, first: int, end: int) -> list[tuple[int, int, int, int]]:
    """(first, end, log, index) of our decisions on arrival that a run of a mirror met with, in order."""
    made = _OURS.c
    query = (
        select(made.first, made.end, made.source_log, made.source_idx)
        .where(made.answered == _origin(connection, log_id), made.item.is_(False), made.first < end, made.end > first)
        .order_by(made.first, made.seq)
    )
    return [(row.first, row.end, row.source_log, row.source_idx) for row in connection.execute(query)]


def again(connection: Connection, log_id: int, indices: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """By index, (log, index) of each decision of ours that decided an entry of a mirror again, in order."""
    if not indices:
        return {}
    made = _OURS.c
    query = (
        select(made.first, made.source_log, made.source_idx)
        .where(made.answered == _origin(connection, log_id), made.item.is_(True), made.first.in_(list(indices)))
        .order_by(made.revision, made.seq)
    )
    found: dict[int, list[tuple[int, int]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.first, []).append((row.source_log, row.source_idx))
    return found
