"""Fixtures: two linked nodes with their agency ports, and exported folders of two nodes behind a history."""

from __future__ import annotations

import pytest

from tests.audit.material import Material, make_material
from tests.audit.rotated import Rotated, make_rotated
from tests.rpc.conftest import doors, fresh_doors

__all__ = ["doors", "fresh_doors", "material", "rotated"]


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Exported folders; a test that changes one takes a copy."""
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.fixture(scope="session")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> Rotated:
    """Exported folders behind rotations of every key and the loss of one; a test that changes one takes a copy."""
    return make_rotated(tmp_path_factory.mktemp("rotated"))
