"""Logs that go on in a new epoch: when both sides were restored, and when an older copy knows of fewer epochs."""

from __future__ import annotations

import pytest

from exchange.domain.problems import Refused
from exchange.v1.kind_pb2 import Lane
from exchange.v1.operation_service_pb2 import LaneState
from tests import evidence
from tests.backups import copy_of, put_back
from tests.flows.test_recovering import BACK, OUT, assert_no_fork, credit, healed, ids_in, submit
from tests.world import World, lane_origin

LANES = (Lane.LANE_URGENT, Lane.LANE_REGISTRY, Lane.LANE_TELEMETRY)
OUT_2 = lane_origin("cq", "sc", epoch=2)


def retire_everything(world: World) -> None:
    """Both operators confirm: their own logs go on in new epochs, and so do the peer's."""
    for name, other in (("cq", "sc"), ("sc", "cq")):
        control = world.nodes[name].core.lanes
        for lane in LANES:
            control.retire(other, lane, "operator", "both restored", mirror=True)
            control.retire(other, lane, "operator", "both restored", mirror=False)


def test_both_restored_goes_on_in_new_epochs(local_world: World) -> None:
    """Both databases are put back: nobody can vouch, the lanes stop; after both operators confirm, all is mirrored."""
    world = local_world
    world.start()
    first = submit(world, range(5))
    submit(world, range(50, 53), "sc")
    world.wait(world.settled)
    copies = {name: copy_of(world, name) for name in ("cq", "sc")}
    submit(world, range(5, 9))
    world.wait(world.settled)
    world.stop()
    for name, copy in copies.items():
        put_back(world, name, copy, say_so=True)
    world.start("cq")
    meanwhile = submit(world, range(20, 24))
    world.start("sc")
    for name, other in (("cq", "sc"), ("sc", "cq")):
        world.wait(healed(world, name), what=name)
        world.wait(lambda bell=world.nodes[name].bell: "RESTORED_BOTH" in bell.codes(), what=f"{name} tells of it")  # type: ignore[misc]
        control = world.nodes[name].core.lanes
        world.wait(
            lambda control=control: all(  # type: ignore[misc]
                status.state == LaneState.LANE_STATE_STOPPED for status in control.lane_statuses()
            )
        )
        with pytest.raises(Refused) as refused:
            control.retry(other, Lane.LANE_REGISTRY, "operator", "try")
        assert [problem.reason for problem in refused.value.problems] == ["LANE_NEEDS_RETIRE"]
    signed = world.delivered("cq", OUT)
    assert signed < world.log_size("cq", OUT)

    retire_everything(world)
    world.wait(world.settled, 40)
    assert_no_fork_but_stops(world)
    mirrored = ids_in(world, "sc", OUT) + ids_in(world, "sc", OUT_2)
    for answer in (first | meanwhile).values():
        assert answer.record_id in mirrored
    opening = evidence.records(world, "sc", OUT_2)[0].key_announcement.continues
    assert (opening.origin, opening.size, opening.reason) == (OUT, signed, "RESTORED_BOTH")
    assert world.delivered("cq", OUT) == signed
    evidence.assert_laws(world)
    # and on, in both directions
    submit(world, range(30, 33))
    submit(world, range(60, 63), "sc")
    world.wait(world.settled, 40)
    evidence.assert_laws(world)
    # a restart finds the keys of the new epochs again
    world.stop()
    world.start()
    submit(world, range(33, 35))
    world.wait(world.settled, 40)
    evidence.assert_laws(world)


def assert_no_fork_but_stops(world: World) -> None:
    """Lanes were stopped by an operator's matter, not by a contradiction."""
    for runtime in world.nodes.values():
        assert not runtime.bell.ever & {"FORK", "BAD_CHECKPOINT", "MISMATCH", "CONFLICT", "INTERNAL"}


def test_what_one_side_still_holds_comes_back_even_then(local_world: World) -> None:
    """The newer of the two copies gives the older one back what it mirrored."""
    world = local_world
    world.start()
    submit(world, range(3))
    world.wait(world.settled)
    older = copy_of(world, "cq")
    lost = submit(world, range(3, 7))
    world.wait(world.settled)
    newer = copy_of(world, "sc")
    submit(world, range(7, 9))
    world.wait(world.settled)
    world.stop()
    put_back(world, "cq", older, say_so=True)
    put_back(world, "sc", newer, say_so=True)
    world.start()
    world.wait(lambda: all("RESTORED_BOTH" in world.nodes[name].bell.codes() for name in ("cq", "sc")))
    world.wait(healed(world, "cq"))
    world.wait(healed(world, "sc"))
    retire_everything(world)
    world.wait(world.settled, 40)
    for number, answer in lost.items():
        assert world.submit("cq", credit(number), f"key-{number}").record_id == answer.record_id
        assert answer.record_id in ids_in(world, "sc", OUT)
    assert_no_fork_but_stops(world)
    evidence.assert_laws(world)


@pytest.mark.slow
def test_restored_twice(local_world: World) -> None:
    """A copy from before the first recovery, put back after it: the journal skips the epoch that it forgot."""
    world = local_world
    world.start()
    submit(world, range(3))
    world.wait(world.settled)
    copy = copy_of(world, "cq")
    submit(world, range(3, 6))
    world.wait(world.settled)
    put_back(world, "cq", copy)
    world.start("cq")
    world.wait(healed(world, "cq"))
    submit(world, range(6, 9))
    world.wait(world.settled)
    witness(world, "cq")
    put_back(world, "cq", copy)
    world.start("cq")
    world.wait(healed(world, "cq"))
    submit(world, range(9, 12))
    world.wait(world.settled)
    assert_no_fork(world)
    journals = [origin for origin, log in evidence.heads(world, "cq").items() if log.use == "journal"]
    assert journals == ["cq.exchange.example/journal/1", "cq.exchange.example/journal/3"]
    assert len(ids_in(world, "sc", OUT)) == len(set(ids_in(world, "sc", OUT)))
    evidence.assert_laws(world)
    witness(world, "cq")
    # and a copy from between the two
    newer = copy_of(world, "cq")
    submit(world, range(12, 15))
    world.wait(world.settled)
    put_back(world, "cq", newer)
    world.start("cq")
    world.wait(healed(world, "cq"))
    world.wait(world.settled)
    assert_no_fork(world)
    evidence.assert_laws(world)


def witness(world: World, name: str) -> None:
    """Have the heads of journal and local log witnessed now."""
    core = world.nodes[name].core
    for task in core._tasks:
        if task.get_name().startswith("witness"):
            loop = task.get_coro().cr_frame.f_locals["self"]  # type: ignore[union-attr]
            world.run(loop.once())


def test_a_copy_that_knows_of_fewer_epochs(local_world: World) -> None:
    """Restored to before its lanes went on in new epochs: the epochs that it forgot come back whole."""
    world = local_world
    world.start()
    submit(world, range(4))
    world.wait(world.settled)
    older = copy_of(world, "cq")
    submit(world, range(4, 6))
    world.wait(world.settled)
    for lane in LANES:
        world.nodes["cq"].core.lanes.stop("sc", lane, "FORK", (), world.nodes["cq"].node.clock())
        world.nodes["sc"].core.lanes.retire("cq", lane, "operator", "forked", mirror=True)
        world.nodes["cq"].core.lanes.retire("sc", lane, "operator", "forked", mirror=False)
    later = submit(world, range(6, 10))
    world.wait(world.settled, 40)
    assert world.log_size("sc", OUT_2) > len(later)
    entries = [each.entry for each in evidence.entries(world, "cq", OUT_2)]
    world.stop("sc")
    put_back(world, "cq", older)
    world.start("cq")
    meanwhile = submit(world, range(10, 12))
    world.start("sc")
    world.wait(healed(world, "cq"))
    world.wait(world.settled, 40)
    heads = evidence.heads(world, "cq")
    assert (heads[OUT].retired, heads[OUT_2].retired) == (True, False)
    assert [each.entry for each in evidence.entries(world, "cq", OUT_2)][: len(entries)] == entries
    for answer in (later | meanwhile).values():
        assert answer.record_id in ids_in(world, "sc", OUT_2)
    evidence.assert_laws(world)


def test_a_receiver_that_forgot_an_epoch_gets_it_again(local_world: World) -> None:
    """The mirror is restored to before the peer's new epoch: both epochs are filled again, the retired one too."""
    world = local_world
    world.start()
    submit(world, range(3))
    world.wait(world.settled)
    older = copy_of(world, "sc")
    submit(world, range(3, 6))
    world.wait(world.settled)
    lane = Lane.LANE_REGISTRY
    world.nodes["cq"].core.lanes.stop("sc", lane, "FORK", (), world.nodes["cq"].node.clock())
    world.nodes["sc"].core.lanes.retire("cq", lane, "operator", "forked", mirror=True)
    world.nodes["cq"].core.lanes.retire("sc", lane, "operator", "forked", mirror=False)
    submit(world, range(6, 9))
    world.wait(world.settled, 40)
    put_back(world, "sc", older)
    world.start("sc")
    world.wait(healed(world, "sc"))
    for origin in (OUT, OUT_2):
        world.wait(lambda origin=origin: world.log_size("sc", origin) == world.delivered("cq", origin), what=origin)  # type: ignore[misc]
    world.wait(world.settled, 40)
    evidence.assert_laws(world)
    assert len(evidence.entries(world, "sc", OUT_2)) == world.delivered("cq", OUT_2)
    assert len(evidence.entries(world, "cq", BACK)) == world.delivered("sc", BACK)
