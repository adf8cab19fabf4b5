"""Worlds in which at most one side dials."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.courier import Courier
from tests.world import NODES, World


@pytest.fixture
def databases(tmp_path: Path, migrated_file: Path) -> dict[str, str]:
    """An empty database for each node."""
    for name in NODES:
        shutil.copy(migrated_file, tmp_path / f"{name}.db")
    return {name: f"sqlite:///{tmp_path}/{name}.db" for name in NODES}


@pytest.fixture
def pulled_world(databases: dict[str, str]) -> Iterator[World]:
    """Two nodes of which only cq dials."""
    with contextlib.closing(World(databases, dialler="cq")) as made:
        yield made


@pytest.fixture
def fetched_world(databases: dict[str, str]) -> Iterator[World]:
    """Two nodes of which only sc dials: what cq has to say is fetched from it."""
    with contextlib.closing(World(databases, dialler="sc")) as made:
        yield made


@pytest.fixture
def folder_world(databases: dict[str, str], tmp_path: Path) -> Iterator[World]:
    """Two nodes that nothing joins but a folder each."""
    with contextlib.closing(World(databases, spools=tmp_path / "spools")) as made:
        yield made


@pytest.fixture
def courier(folder_world: World) -> Iterator[Courier]:
    """Who goes between them; honest unless told otherwise."""
    assert folder_world.spools is not None
    with Courier({name: folder_world.spools / name for name in NODES}) as made:
        yield made
