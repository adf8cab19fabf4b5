"""Adapters of both sides with the shipped tables."""

from __future__ import annotations

import pytest

import exchange_chongqing
import exchange_sichuan
from exchange.domain.catalogues.tables import Tables, load
from exchange.tables import read_all
from exchange_forms import FormsAdapter


@pytest.fixture(scope="session")
def tables() -> Tables:
    """The shipped tables."""
    return load(read_all())


@pytest.fixture(scope="session")
def chongqing(tables: Tables) -> FormsAdapter:
    """Chongqing's adapter without overlays."""
    return exchange_chongqing.create(tables, {})


@pytest.fixture(scope="session")
def sichuan(tables: Tables) -> FormsAdapter:
    """Sichuan's adapter without overlays."""
    return exchange_sichuan.create(tables, {})


@pytest.fixture(params=["chongqing", "sichuan"])
def adapter(request: pytest.FixtureRequest) -> FormsAdapter:
    """Either side's adapter."""
    found: FormsAdapter = request.getfixturevalue(request.param)
    return found
