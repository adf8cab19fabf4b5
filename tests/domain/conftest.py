"""The shipped tables and rules, checked once for all tests."""

from __future__ import annotations

import pytest

from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.recognising.recognition import RuleSet
from exchange.tables import read_all


@pytest.fixture(scope="session")
def tables() -> Tables:
    """The shipped tables."""
    return load(read_all())


@pytest.fixture(scope="session")
def rules() -> RuleSet:
    """The shipped recognition rules."""
    return RuleSet.load(read_all()["rules/recognition.toml"])
