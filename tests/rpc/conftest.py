"""Fixtures: two linked nodes, each with its agency port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.rpc.doors import AgencyDoor
from tests.world import World


@contextmanager
def two_doors(folder: Path, **options: Any) -> Iterator[dict[str, AgencyDoor]]:
    """Agency ports of cq and sc, linked."""
    world = World({name: f"sqlite:///{folder}/{name}.db" for name in ("cq", "sc")})
    world.start()
    doors: dict[str, AgencyDoor] = {}
    try:
        for name in ("cq", "sc"):
            doors[name] = AgencyDoor(world, world.nodes[name], **options)
        yield doors
    finally:
        for door in doors.values():
            door.close()
        world.close()


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, AgencyDoor]]:
    """Two linked nodes for all tests of a module: each test uses names of its own."""
    with two_doors(tmp_path_factory.mktemp("doors"), heartbeat=0.3) as made:
        yield made


@pytest.fixture
def fresh_doors(tmp_path: Path) -> Iterator[dict[str, AgencyDoor]]:
    """Two linked nodes for one test."""
    with two_doors(tmp_path, heartbeat=0.3) as made:
        yield made


Numbered = Callable[[], int]
