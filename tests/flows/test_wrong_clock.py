"""A bad day: one node's clock is an hour ahead."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.flows.apply.ruling import read_decision
from exchange.v1.kind_pb2 import Outcome
from tests import evidence
from tests.flows.test_recovering import credit
from tests.world import World, worlds


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two linked nodes."""
    yield from worlds(tmp_path)


def test_a_clock_an_hour_ahead_is_alarmed_and_its_records_wait(world: World) -> None:
    """Both sides see it; what was logged in the future is deferred, not lost; the next revision counts at once."""
    world.start()
    world.wait(world.settled)
    world.stop("cq")
    world.skew["cq"] = timedelta(hours=1)
    world.start("cq")
    record = credit(1)
    answer = world.submit("cq", record, "early")
    world.wait(world.settled)
    world.wait(lambda: all("CLOCK_SKEW" in world.nodes[name].bell.ever for name in ("cq", "sc")))
    assert "TIME" in {row.token for row in world.rows("sc", "reg_waits")}
    decided = [row for row in world.rows("cq", "reg_decisions") if row.outcome == Outcome.OUTCOME_DEFERRED]
    assert "UNPROVEN_TIME" in {reason for row in decided for reason in read_decision(row.decision).reasons}

    world.stop("cq")
    world.skew["cq"] = timedelta()
    world.start("cq")
    record.header.record_id, record.header.revision = answer.record_id, 2
    record.credit_result.score = "91"
    world.submit("cq", record, "again")
    world.wait(world.settled)
    (row,) = [row for row in world.rows("sc") if row.subject == record.credit_result.subject.uscc]
    assert (row.revision, row.outcome, row.newest) == (2, Outcome.OUTCOME_FULL, True)
    world.wait(lambda: "CLOCK_SKEW" not in world.nodes["sc"].bell.codes())
    evidence.assert_laws(world)
