"""Fixtures: two linked nodes with their agency ports, and exported folders of two nodes behind a history."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.cli.audit.folder.believing import gather
from exchange.flows.audit.verify.keys.believed import Believed
from tests.audit.material import NAMES, Material, make_material
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


@pytest.fixture(scope="session")
def believed(material: Material) -> Believed:
    """Both cards and both revocation lists."""
    return gather(
        policy=None,
        cards=[material.card(name) for name in NAMES],
        fingerprints=[material.fingerprint(name) for name in NAMES],
        roots=[],
        lists=[material.crl(name) for name in NAMES],
    )


@pytest.fixture
def copy(material: Material, tmp_path: Path) -> Path:
    """A copy of Chongqing's folder that a test may change."""
    return material.copy_of("cq", tmp_path / "cq")
