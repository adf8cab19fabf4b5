"""Decisions made again by the edition that they name: what a node decided otherwise is found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.domain.recognising.recognition import Decision, RuleSet
from exchange.flows.apply.applier import ReplayedNode
from exchange.flows.apply.deciding import judge
from exchange.flows.apply.deciding.ruling import Ruling
from exchange.flows.audit.replay.reevaluate import Reevaluated, reevaluate
from exchange.flows.audit.replay.run import ReplayRun
from exchange.flows.audit.sources.stored import StoredLogs
from exchange.tables import read_all
from exchange.v1.kind_pb2 import Outcome
from tests.domain.records import make_uscc
from tests.rpc.facts import credit_of
from tests.world import FEDERATION, World, lane_origin, tables

LANE = lane_origin("cq", "sc")


def _decided_again(world: World) -> Reevaluated:
    rules = RuleSet.load(read_all()["rules/recognition.toml"])
    node = ReplayedNode(name="sc", federation=FEDERATION, tables=tables())
    with ReplayRun(StoredLogs("sc", FEDERATION, world.nodes["sc"].database), tables()) as run:
        assert list(run.go()) == []  # a replay takes outcomes as they were recorded
        with run.scratch.read() as connection:
            return reevaluate(connection, node, {rules.digest: rules})


def test_a_decision_that_its_edition_does_not_make_is_found(
    local_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sichuan's node once answers by something else than its rules: the entry is named, and its other answer is not."""
    world = local_world
    world.start()
    world.submit("cq", credit_of(make_uscc(9_001)), "honest")
    world.wait(world.settled)
    by_rules = judge.ruling_by

    def otherwise(decision: Decision, edition: RuleSet | None) -> Ruling:
        return by_rules(replace(decision, outcome=Outcome.OUTCOME_NOT_RECOGNISED, reasons=("LEVEL_UNKNOWN",)), edition)

    with monkeypatch.context() as patched:
        patched.setattr(judge, "ruling_by", otherwise)
        world.submit("cq", credit_of(make_uscc(9_002)), "otherwise")
        world.wait(world.settled)
    done = _decided_again(world)
    size = world.log_size("cq", LANE)
    assert [(each.code, each.log, each.index) for each in done.findings] == [("DECISION_DIFFERS", LANE, size - 1)]
    assert done.same >= 1
