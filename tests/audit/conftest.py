"""Fixtures: two linked nodes with their agency ports, and exported folders of two nodes behind a history."""

from __future__ import annotations

import pytest

from tests.audit.material import Material, make_material
from tests.rpc.conftest import doors, fresh_doors

__all__ = ["doors", "fresh_doors", "material"]


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """Exported folders; a test that changes one takes a copy."""
    return make_material(tmp_path_factory.mktemp("material"))
