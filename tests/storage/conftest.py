"""Fixtures of storage: a database with the newest tables, and its writer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exchange.storage.engine.database import Database
from exchange.storage.engine.writer import Writer


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """The database, on SQLite and PostgreSQL."""
    made = Database(migrated_url)
    yield made
    made.dispose()


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    """Its writer, closed at the end."""
    made = Writer(database)
    yield made
    made.close()
