"""Fixtures for all tests: the databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.postgres import PostgresMissingError, PostgresServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for the session, started when first asked for; skips as ``postgresql-missing``."""
    try:
        server = PostgresServer()
    except PostgresMissingError as missing:
        pytest.skip(f"postgresql-missing: {missing}")
    with server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once of each kind that a node can stand on."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/exchange.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url
