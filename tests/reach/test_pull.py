"""Only one side dials: everything that the other would send is fetched, and goes by the same flows and checks."""

from __future__ import annotations

import random
from typing import Any

import pytest
from google.protobuf.message import Message

from exchange.flows.link.peer_port import PeerAwayError
from exchange.v1.submission_service_pb2 import SubmitResult
from tests import evidence, test_walk
from tests.backups import copy_of, put_back
from tests.domain import records
from tests.flows import test_recovering
from tests.world import World, lane_origin


def test_one_record_walks_though_only_its_origin_dials(pulled_world: World) -> None:
    """Submit to recognised from the dialling side: the decision is fetched."""
    test_walk.test_one_record_walks_from_an_agency_to_the_peers_register_and_back(pulled_world)


@pytest.mark.parametrize("name", ["cq", "sc"])
def test_every_kind_walks_in_either_direction_though_only_one_side_dials(pulled_world: World, name: str) -> None:
    """From the side that dials, and from the side that is fetched from."""
    test_walk.test_every_kind_in_its_lane_in_either_direction(pulled_world, name)
    assert not [verb for verb, _ in pulled_world.wires["sc"].calls]


def test_a_node_that_is_not_fetched_from_signs_nothing_and_waits(pulled_world: World) -> None:
    """Without the dialling side its lanes wait, and go on when it comes."""
    world = pulled_world
    world.start("sc")
    record = test_walk.of_region(records.credit(), "sc")
    assert world.submit("sc", record, "key").result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    outbound = lane_origin("sc", "cq")
    world.wait(lambda: world.nodes["sc"].core.lanes.lane_status("cq", 2).tries > 0, what="a try that nobody fetched")
    assert world.delivered("sc", outbound) == 0
    world.start("cq")
    world.wait(lambda: world.delivered("sc", outbound) == 2, what="the delivery is fetched")
    world.wait(world.settled)
    evidence.assert_laws(world)


def test_fetches_and_answers_may_be_lost_doubled_and_late(pulled_world: World) -> None:
    """Whatever is lost on the way is fetched again, and nothing is taken twice."""
    world, moments = pulled_world, random.Random(7)

    async def lose(verb: str, request: Message) -> Message | None:
        if moments.random() < 0.15:
            raise PeerAwayError("lost on the way")
        return request

    def lose_answer(verb: str, request: Message, response: Any) -> Any:
        if moments.random() < 0.15:
            raise PeerAwayError("the answer was lost")
        return response

    world.wires["cq"].before, world.wires["cq"].after = lose, lose_answer
    world.start()
    for number in range(24):
        record = test_walk.of_region(records.credit(), "sc")
        record.credit_result.subject.uscc = records.make_uscc(100 + number)
        record.credit_result.subject.ClearField("permit_code")
        assert world.submit("sc", record, f"key-{number}").result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    world.wait(lambda: world.delivered("sc", lane_origin("sc", "cq")) >= 25, seconds=40, what="all are delivered")
    world.wires["cq"].before = world.wires["cq"].after = None
    world.wait(world.settled)
    assert world.nodes["cq"].bell.ever | world.nodes["sc"].bell.ever <= {"PEER_AWAY"}
    evidence.assert_laws(world)


@pytest.mark.parametrize("name", ["cq", "sc"])
def test_a_restored_node_is_healed_though_only_one_side_dials(pulled_world: World, name: str) -> None:
    """Whichever of them was restored: what the other mirrored comes back, or is sent again."""
    if name == "cq":
        test_recovering.test_what_the_peer_had_comes_back(pulled_world)
        return
    world = pulled_world
    world.start()
    test_recovering.submit(world, range(6), "sc")
    world.wait(world.settled)
    copy = copy_of(world, "sc")
    lost = test_recovering.submit(world, range(6, 12), "sc")
    world.wait(world.settled)
    world.stop("sc")
    put_back(world, "sc", copy)
    world.start("sc")
    world.wait(test_recovering.healed(world, "sc"), what="healed")
    held = test_recovering.ids_in(world, "sc", lane_origin("sc", "cq"))
    assert {each.record_id for each in lost.values()} <= set(held)
    world.wait(world.settled)
    test_recovering.assert_no_fork(world)
    evidence.assert_laws(world)
