"""A bad day: one node's clock is an hour ahead."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from exchange.flows.apply.ruling import read_decision
from exchange.flows.queries.counts import Counts
from exchange.flows.trust.compromise import CompromiseFlow
from exchange.v1.kind_pb2 import Outcome
from tests import evidence
from tests.flows.test_recovering import credit
from tests.world import World, lane_origin, worlds


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


def recognised(world: World) -> set[str]:
    """Records of cq that sc holds as fully recognised."""
    return {
        str(UUID(bytes=row.record_id))
        for row in world.rows("sc")
        if row.origin == "cq" and row.outcome == Outcome.OUTCOME_FULL
    }


def test_what_a_wrong_clock_dated_is_stated_again_once_it_is_right(world: World) -> None:
    """Records and decisions of an hour that never was: one alarm for each lane, one command, and both count."""
    world.start()
    world.wait(world.settled)
    world.stop("cq")
    world.skew["cq"] = timedelta(hours=1)
    since = datetime.now(UTC)
    world.start("cq")
    stated = [world.submit("cq", credit(number), f"early-{number}").record_id for number in range(3)]
    for number in range(3):
        world.submit("sc", credit(10 + number, "sc"), f"asked-{number}")
    world.wait(
        lambda: [row.token for row in world.rows("sc", "reg_waits")].count("TIME") > len(stated), what="deferred"
    )
    bell = world.nodes["sc"].bell
    lane = lane_origin("cq", "sc")
    world.wait(lambda: ("UNPROVEN_TIME", lane) in bell.open, what="the alarm about decisions that do not count")
    assert [about for code, about in bell.open if code == "UNPROVEN_TIME" and "registry" in about] == [lane]
    world.stop("cq")
    world.skew["cq"] = timedelta()
    world.start("cq")
    world.wait(lambda: "CLOCK_SKEW" not in bell.codes())
    assert not set(stated) & recognised(world)
    assert sum(row.unanswered for row in Counts(world.nodes["sc"].node).rows()) > 0

    core = world.nodes["cq"].core
    flow = CompromiseFlow(core.node)
    key = core.node.keys.signers[0].keyid
    doubted = [each.record_id for each in flow.unproven(key, since)]
    assert set(stated) < set(doubted)
    done = flow.confirm(key, since, (), "the clock was an hour fast", "security/officer", core.node.clock())
    assert done == len(doubted)
    world.wait(world.settled)
    world.wait(lambda: set(stated) <= recognised(world), what="the records count")
    counted = Counts(world.nodes["sc"].node)
    world.wait(lambda: sum(row.unanswered for row in counted.rows()) == 0, what="the decisions count")
    world.wait(lambda: "UNPROVEN_TIME" not in bell.codes(), what="the alarm clears")
    assert flow.confirm(key, since, (), "again", "security/officer", core.node.clock()) == 0
    evidence.assert_laws(world)
