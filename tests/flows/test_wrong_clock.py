"""A bad day: one node's clock is an hour ahead."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from exchange.flows.apply.deciding.ruling import read_decision
from exchange.flows.instants import instant, micros, timestamp
from exchange.flows.link.clocks import Clocks
from exchange.flows.link.links import Links
from exchange.flows.queries.node.counts import Counts
from exchange.flows.trust.compromise import CompromiseFlow
from exchange.v1.kind_pb2 import Outcome
from tests import evidence
from tests.flows.test_recovering import credit
from tests.world import World, lane_origin, worlds


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two linked nodes."""
    yield from worlds(tmp_path)


def deferred(world: World) -> set[str]:
    """Why entries of cq were deferred, as cq knows it."""
    rows = [row for row in world.rows("cq", "reg_decisions") if row.outcome == Outcome.OUTCOME_DEFERRED]
    return {reason for row in rows for reason in read_decision(row.decision).reasons}


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
    world.wait(lambda: "TIME" in {row.token for row in world.rows("sc", "reg_waits")}, what="deferred")
    world.wait(lambda: "UNPROVEN_TIME" in deferred(world), what="the decision at home")

    world.stop("cq")
    world.skew["cq"] = timedelta()
    world.start("cq")
    record.header.record_id, record.header.revision = answer.record_id, 2
    record.credit_result.score = "91"
    world.submit("cq", record, "again")
    uscc = record.credit_result.subject.uscc
    world.wait(lambda: [row for row in world.rows("sc") if row.subject == uscc], what="the next revision")
    world.wait(world.settled)
    (row,) = [row for row in world.rows("sc") if row.subject == uscc]
    assert (row.revision, row.outcome, row.newest) == (2, Outcome.OUTCOME_FULL, True)
    world.wait(lambda: "CLOCK_SKEW" not in world.nodes["sc"].bell.codes())
    evidence.assert_laws(world)


def test_a_clock_that_changes_while_the_link_stands_is_alarmed_and_cleared(world: World) -> None:
    """Clocks are compared with every answer: no hello is needed to see a wrong one, nor a right one."""
    world.start()
    world.wait(world.settled)
    bells = [world.nodes[name].bell for name in ("cq", "sc")]
    hellos = said(world)
    world.skew["cq"] = timedelta(hours=1)
    world.submit("cq", credit(1), "early")
    world.wait(lambda: all("CLOCK_SKEW" in bell.codes() for bell in bells), what="alarmed on both sides")
    ahead = world.nodes["sc"].core.peer_statuses()[0].clock_ahead_seconds
    assert 3500 < ahead <= 3600
    world.skew["cq"] = timedelta()
    world.submit("cq", credit(2), "in time")
    world.wait(lambda: not any("CLOCK_SKEW" in bell.codes() for bell in bells), what="cleared on both sides")
    assert said(world) == hellos
    evidence.assert_laws(world)


def test_neither_a_slow_call_nor_a_shown_older_note_is_a_wrong_clock() -> None:
    """An answer tells the time between call and arrival: what that leaves open changes nothing, in either direction."""
    links = Links()
    told: list[str] = []
    clocks = Clocks(
        links, 10.0, lambda code, _about, detail: told.append(f"{code} {detail}"), lambda *_: told.append("")
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def compare(at: float, came: float) -> list[str]:
        told.clear()
        when = timestamp(micros(start + timedelta(seconds=at)))
        clocks.compare("sc", when, start, start + timedelta(seconds=came))
        return list(told)

    assert compare(0.5, 1) == [""]
    assert compare(30, 60) == []
    assert compare(-11, 60) == ["CLOCK_SKEW -11 s"]
    assert compare(72, 60) == ["CLOCK_SKEW +12 s"]
    assert compare(5, 60) == []
    assert links.of("sc").clock_skew == 12
    clocks.compare("sc", Timestamp(), start, start)
    assert links.of("sc").clock_skew == 12
    links.of("sc").carried = True
    assert compare(-3600, 60) == [""]
    assert compare(3600, 60) == ["CLOCK_SKEW +3540 s"]


def said(world: World) -> list[int]:
    """Hellos of either side so far."""
    return [[verb for verb, _ in wire.calls].count("hello") for wire in world.wires.values()]


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
    world.start("cq")
    before = world.log_size("cq", lane_origin("cq", "sc"))
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
    world.wait(world.settled, what="cq has every cosigned note: by them it knows what it dated wrongly")
    world.stop("cq")
    world.skew["cq"] = timedelta()
    world.start("cq")
    world.wait(lambda: "CLOCK_SKEW" not in bell.codes())
    assert not set(stated) & recognised(world)
    assert sum(row.unanswered for row in Counts(world.nodes["sc"].node).rows()) > 0

    # Named at the end of the second in which the first of them was mirrored: cosignatures hold whole seconds.
    (log,) = [row.id for row in world.rows("cq", "logs") if row.origin == lane]
    notes = [row.cosigned_at for row in world.rows("cq", "checkpoints") if row.log_id == log and row.size > before]
    since = instant(min(notes) + 999_999)
    core = world.nodes["cq"].core
    world.wait(lambda: core.node.clock() > since)
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
