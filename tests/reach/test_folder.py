"""Nothing joins the nodes but files: the same walk, whatever the courier does."""

from __future__ import annotations

import pytest

from tests import test_walk
from tests.rigs.courier import Courier
from tests.world import World


@pytest.mark.usefixtures("courier")
def test_one_record_walks_by_files(folder_world: World) -> None:
    """Submit to recognised and back, each step with its proof."""
    test_walk.test_one_record_walks_from_an_agency_to_the_peers_register_and_back(folder_world)


def test_every_kind_walks_by_files_that_are_lost_doubled_shuffled_cut_and_late(
    folder_world: World, courier: Courier
) -> None:
    """Lost files come again, copies and cut ones do no harm, order on the way does not matter."""
    courier.loss, courier.double, courier.cut, courier.late = 0.1, 0.2, 0.1, 0.3
    test_walk.test_every_kind_in_its_lane_in_either_direction(folder_world, "cq")
