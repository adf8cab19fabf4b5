"""Counts of calls by certificate: folded per day, on both databases."""

from __future__ import annotations

from dataclasses import replace

from exchange.storage.engine.database import Database
from exchange.storage.engine.writer import Writer
from exchange.storage.node import seen
from exchange.storage.node.seen import KEPT_DAYS, SeenCount

ONE = SeenCount(
    day=20_000,
    door="agencies",
    caller="spiffe://cq.exchange.example/agency/water",
    fingerprint="aa",
    outcome="SERVED",
    roots=("r1",),
    calls=3,
    first_at=10,
    last_at=20,
)


def test_counts_of_one_day_are_one_row(database: Database, writer: Writer) -> None:
    """What comes in several flushes, or twice in one, is added up; first and last stand; other outcomes stand apart."""
    writer.call(seen.add, (ONE, replace(ONE, calls=4, first_at=5, last_at=15)))
    writer.call(seen.add, (replace(ONE, calls=1, first_at=30, last_at=40, roots=("r1", "r2")),))
    writer.call(seen.add, (replace(ONE, outcome="CERTIFICATE_EXPIRED", calls=1),))
    with database.read() as connection:
        refused, served = seen.since(connection, ONE.day)
    assert served == replace(ONE, calls=8, first_at=5, last_at=40, roots=("r1", "r2"))
    assert (refused.outcome, refused.calls) == ("CERTIFICATE_EXPIRED", 1)


def test_counts_older_than_a_year_go(database: Database, writer: Writer) -> None:
    """A new day's row takes those that are kept no longer with it."""
    writer.call(seen.add, tuple(replace(ONE, day=day) for day in (100, 101)))
    writer.call(seen.add, (replace(ONE, day=101 + KEPT_DAYS),))
    with database.read() as connection:
        assert [each.day for each in seen.since(connection, 0)] == [101, 101 + KEPT_DAYS]
