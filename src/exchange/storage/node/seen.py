"""Who called by which certificate, folded per day: what is asked before an old authority is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select, update

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction

KEPT_DAYS = 400
"""Days that counts are kept: a year's audit, and the month before it."""

KEYS_AT_ONCE = 100
"""Rows looked up by one statement: a database takes some hundred parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCount:
    """How often one caller came by one certificate on one day, with one outcome.

    Attributes:
        day: UTC date, as days since 1970.
        door: ``agencies``, ``peers``, or ``dialled`` for our own calls.
        caller: Identity; of our own calls the peer that was called. Empty where none could be read.
        fingerprint: Hex SHA-256 of the certificate; empty without one.
        outcome: ``SERVED``, the reason code of a refusal, or the status of a call of ours that failed.
        roots: Fingerprints of the roots that the certificate led to, sorted.
        calls: How many.
        first_at: The first one, in microseconds.
        last_at: The last one.
        not_before: First instant of the certificate, in microseconds; 0 without one.
        not_after: Its last instant.
    """

    day: int
    door: str
    caller: str
    fingerprint: str
    outcome: str
    roots: tuple[str, ...]
    calls: int
    first_at: int
    last_at: int
    not_before: int = 0
    not_after: int = 0

    @property
    def key(self) -> tuple[int, str, str, str, str]:
        """What names the row."""
        return self.day, self.door, self.caller, self.fingerprint, self.outcome


def add(tx: Transaction, payloads: Sequence[Sequence[SeenCount]]) -> list[None]:
    """Add counts to the rows of their days; rows that are too old go."""
    counts = [count for payload in payloads for count in payload]
    folded: dict[tuple[int, str, str, str, str], SeenCount] = {}
    for count in counts:
        known = folded.get(count.key)
        folded[count.key] = _together(known, count) if known else count
    table = schema.seen_calls
    standing = set(_standing(tx.connection, list(folded)))
    old = [count for key, count in folded.items() if key in standing]
    if old:
        tx.connection.execute(
            update(table)
            .where(*(table.c[name] == bindparam(f"k_{name}") for name in _KEY))
            .values(calls=table.c.calls + bindparam("n"), last_at=bindparam("at"), roots=bindparam("r")),
            [_bound(count) for count in old],
        )
    new = [count for key, count in folded.items() if key not in standing]
    if new:
        tx.connection.execute(insert(table), [_row(count) for count in new])
        tx.connection.execute(delete(table).where(table.c.day < max(count.day for count in new) - KEPT_DAYS))
    return [None] * len(payloads)


def since(connection: Connection, day: int) -> list[SeenCount]:
    """Every row of a day and of those behind it, in order of day."""
    table = schema.seen_calls
    rows = connection.execute(select(table).where(table.c.day >= day).order_by(*(table.c[name] for name in _KEY)))
    return [
        SeenCount(
            day=row.day,
            door=row.door,
            caller=row.caller,
            fingerprint=row.fingerprint,
            outcome=row.outcome,
            roots=tuple(filter(None, row.roots.split(","))),
            calls=row.calls,
            first_at=row.first_at,
            last_at=row.last_at,
            not_before=row.not_before,
            not_after=row.not_after,
        )
        for row in rows
    ]


def rows(connection: Connection) -> int:
    """How many rows there are."""
    return connection.execute(select(func.count()).select_from(schema.seen_calls)).scalar() or 0


_KEY = ("day", "door", "caller", "fingerprint", "outcome")


def _standing(
    connection: Connection, keys: Sequence[tuple[int, str, str, str, str]]
) -> list[tuple[int, str, str, str, str]]:
    table = schema.seen_calls
    found: list[tuple[int, str, str, str, str]] = []
    for at in range(0, len(keys), KEYS_AT_ONCE):
        wanted = or_(
            *(
                and_(*(table.c[name] == value for name, value in zip(_KEY, key, strict=True)))
                for key in keys[at : at + KEYS_AT_ONCE]
            )
        )
        found += [
            (row.day, row.door, row.caller, row.fingerprint, row.outcome)
            for row in connection.execute(select(*(table.c[name] for name in _KEY)).where(wanted))
        ]
    return found


def _together(one: SeenCount, other: SeenCount) -> SeenCount:
    return SeenCount(
        day=one.day,
        door=one.door,
        caller=one.caller,
        fingerprint=one.fingerprint,
        outcome=one.outcome,
        roots=other.roots,
        calls=one.calls + other.calls,
        first_at=min(one.first_at, other.first_at),
        last_at=max(one.last_at, other.last_at),
        not_before=other.not_before,
        not_after=other.not_after,
    )


def _row(count: SeenCount) -> dict[str, object]:
    return {
        **dict(zip(_KEY, count.key, strict=True)),
        "roots": ",".join(count.roots),
        "calls": count.calls,
        "first_at": count.first_at,
        "last_at": count.last_at,
        "not_before": count.not_before,
        "not_after": count.not_after,
    }


def _bound(count: SeenCount) -> dict[str, object]:
    key = {f"k_{name}": value for name, value in zip(_KEY, count.key, strict=True)}
    return {**key, "n": count.calls, "at": count.last_at, "r": ",".join(count.roots)}
