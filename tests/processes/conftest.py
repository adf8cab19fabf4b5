"""Options of the tests with real processes."""

from __future__ import annotations

import pytest

KILLS = 30
"""Kills of a usual run: half a minute on two free cores."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--kills N``: an evening's run instead of a minute's."""
    parser.addoption("--kills", type=int, default=KILLS, help="SIGKILLs in tests/processes/test_kill.py")


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How many kills."""
    return int(request.config.getoption("--kills"))
