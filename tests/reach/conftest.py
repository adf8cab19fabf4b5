"""Worlds in which at most one side dials."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

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
