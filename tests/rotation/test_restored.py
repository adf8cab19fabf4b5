"""Rotations and restores: a database that is older than the keys, on either side."""

from __future__ import annotations

import pytest

from exchange.v1.operation_service_pb2 import NodeState
from exchange.v1.rotation_pb2 import RotationState
from exchange.v1.security_service_pb2 import RotationView
from tests import evidence
from tests.backups import copy_of, put_back
from tests.rotation.officers import OFFICER, advance, certificate, confirm, credit, flow, now, until_active
from tests.world import World


def heal(world: World, name: str) -> None:
    """Start a node whose database was put back, until it serves again."""
    world.start(name)
    core = world.nodes[name].core
    world.wait(lambda: core.status.state == NodeState.NODE_STATE_AWAITING_ACKNOWLEDGEMENT, 60, what="healed")
    core.acknowledge_restore()
    world.wait(world.settled, 60, what="settled")


@pytest.mark.parametrize(
    "key", [pytest.param("signing", marks=pytest.mark.slow), "log", pytest.param("mirror", marks=pytest.mark.slow)]
)
def test_a_rotation_that_was_open_in_the_backup_goes_on(world: World, key: str) -> None:
    """Open when the backup was taken: its row is there behind the restore, and its steps follow.

    The restore opens a new epoch of the journal in the middle of it: the peer's officer is not asked again.
    """
    view = until_active(world, key) if key == "mirror" else announced(world, key)
    world.wait(world.settled, 60)
    copy = copy_of(world, "cq")
    for number in range(3):
        world.submit("cq", credit(number), f"lost-{number}")
    world.wait(world.settled, 60)
    put_back(world, "cq", copy)
    heal(world, "cq")
    (again,) = flow(world).open(now())
    assert again.rotation == view.rotation
    while again.rotation.state != RotationState.ROTATION_STATE_RETIRED:
        again = advance(world, again)
    world.submit("cq", credit(9), "behind")
    world.wait(world.settled, 60)
    evidence.assert_laws(world)


def announced(world: World, key: str) -> RotationView:
    """A rotation whose new key is announced, and confirmed where that is asked for."""
    view = flow(world).start(key, b"", "yearly", OFFICER, now())
    if key == "signing":
        view = advance(world, view, material=certificate("cq", view))
    view = advance(world, view)
    if key != "signing":
        confirm(world, key, view.rotation.number)
    return view
