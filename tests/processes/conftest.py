"""Options of the tests with real processes."""

from __future__ import annotations

import pytest


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many kills."""
    return int(request.config.getoption("--kills"))
