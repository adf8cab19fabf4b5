"""Options of the tests with real processes."""

from __future__ import annotations

import pytest


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many kills."""
    return int(request.config.getoption("--kills"))


@pytest.fixture
def waiting(request: pytest.FixtureRequest) -> int:
    """How many entries wait for a peer that is away."""
    return int(request.config.getoption("--waiting"))
