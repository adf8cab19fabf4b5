"""Fixtures: two linked nodes whose keys are rotated, and the officers of both sides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import World, worlds


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two linked nodes."""
    for made in worlds(tmp_path):
        made.start()
        yield made
