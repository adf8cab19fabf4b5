"""A restored node that carried out an order to decide again while its peer was away."""

from __future__ import annotations

from exchange.domain.recognising.recognition import RuleSet
from exchange.flows.intake.ids import new_id
from exchange.flows.rules.editions import bring_in, load_rules
from exchange.storage.engine.writer import WorkClass
from exchange.storage.queries import rules
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.journal_pb2 import JournalEntry, RedecisionOrdered
from exchange.v1.rule_pb2 import RedecisionOrder, RedecisionState
from tests import evidence
from tests.backups import copy_of, put_back
from tests.flows.test_recovering import assert_no_fork, healed
from tests.rpc.test_rules import STRICTER, stated
from tests.world import World
from tests.world import rules as shipped

GREEN = CreditLevel.CREDIT_LEVEL_GREEN


def _order(world: World, order_id: str, edition: RuleSet) -> None:
    """Two officers' order to decide everything again."""
    core = world.nodes["sc"].core
    order = RedecisionOrder(
        order_id=order_id,
        edition=edition.edition,
        digest=edition.digest,
        state=RedecisionState.REDECISION_STATE_OPEN,
    )
    event = JournalEntry(redecision_ordered=RedecisionOrdered(order=order))
    event.at.FromDatetime(core.node.clock())
    core.node.writer.call(rules.put_orders, event, WorkClass.INTERACTIVE)
    core.apply.wake()


def _is_done(world: World, order_id: str) -> bool:
    with world.nodes["sc"].database.read() as connection:
        found = rules.order_of(connection, order_id)
    return found is not None and found.state == RedecisionState.REDECISION_STATE_DONE


def _revisions(world: World) -> list[int]:
    return [row.decision_revision for row in world.rows("sc") if row.kind == 1]


def test_an_order_is_carried_out_again_where_its_steps_were_lost(local_world: World) -> None:
    """What was decided again before stands on the peer's disk and is taken from there; the order closes behind it."""
    world = local_world
    world.start()
    node = world.nodes["sc"].core.node
    node.rules.put([])
    bring_in(node, shipped(), "test", node.clock())
    for number in range(3):
        world.submit("cq", stated(number, "cq", GREEN, "103", "100", (), "FINAL"), f"key-{number}")
    world.wait(world.settled)
    stricter = RuleSet.load(STRICTER.encode())
    bring_in(node, stricter, "test", node.clock())
    copy = copy_of(world, "sc")
    first, second = str(new_id(node.clock())), str(new_id(node.clock()))
    _order(world, first, stricter)
    world.wait(lambda: _is_done(world, first), what="decided again")
    world.wait(world.settled)
    assert _revisions(world) == [2, 2, 2]
    decided = [each.entry for each in evidence.entries(world, "sc", "sc.exchange.example/to/cq/registry/1")]

    world.stop("cq")
    put_back(world, "sc", copy)
    world.start("sc")
    load_rules(world.nodes["sc"].core.node)
    assert _revisions(world) == [1, 1, 1]
    _order(world, second, stricter)
    world.wait(lambda: _is_done(world, second), what="decided again alone")
    assert _revisions(world) == [2, 2, 2]
    world.start("cq")
    world.wait(healed(world, "sc"), what="healed")
    world.wait(lambda: _is_done(world, second), what="the order is closed")
    world.wait(world.settled)

    assert_no_fork(world)
    assert _revisions(world) == [2, 2, 2]
    now = [each.entry for each in evidence.entries(world, "sc", "sc.exchange.example/to/cq/registry/1")]
    assert now[: len(decided)] == decided
    evidence.assert_laws(world)
