"""Fixtures of audits: one history for all of them, and copies that a test may change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flows.audit.past import Past, copy_of, make_past


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """A history of two nodes."""
    return make_past(tmp_path_factory.mktemp("past"))


@pytest.fixture
def tampered(past: Past, tmp_path: Path) -> Past:
    """A copy of the history."""
    return copy_of(past, tmp_path)
