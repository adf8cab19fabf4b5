"""Fixtures for all tests: the databases."""

from __future__ import annotations

import os

# Before gRPC is imported: tests start processes between their calls, and gRPC's own way with a fork can take the child
# down before it has become the program that it was to be.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import structlog
from hypothesis import settings
from psycopg import sql

from exchange.storage.engine.migrate import migrate
from exchange.storage.schema import metadata
from tests.rigs.postgres import PostgresMissingError, PostgresServer
from tests.rigs.softhsm import SoftHsm, SoftHsmMissingError
from tests.world import NODES, World

# No timing is asserted: a busy machine takes half a second for what else takes half a millisecond.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A drawing of every local of every frame takes seconds on the loop that answers the calls.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

KILLS = 20
"""SIGKILLs of a usual run of ``tests/processes/test_kill.py``: less than a minute on two free cores."""

WAITING = 100_000
"""Entries that wait in ``tests/processes/test_backlog.py``, of the long set; ``--waiting 1000000`` takes an hour."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--kills N``: an evening's run instead of a minute's. Here, since pytest asks only this folder for options."""
    parser.addoption("--waiting", type=int, default=WAITING, help="entries in tests/processes/test_backlog.py")
    parser.addoption("--kills", type=int, default=KILLS, help="SIGKILLs in tests/processes/test_kill.py")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for the session, started when first asked for; skips as ``postgresql-missing``."""
    try:
        server = PostgresServer()
    except PostgresMissingError as missing:
        pytest.skip(f"postgresql-missing: {missing}")
    with server:
        yield server


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """One token for the session, made when first asked for; skips as ``softhsm-missing``."""
    try:
        return SoftHsm.start(tmp_path_factory.mktemp("softhsm"))
    except SoftHsmMissingError as missing:
        pytest.skip(f"softhsm-missing: {missing}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database, once of each kind that a node can stand on."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/exchange.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


def _prepare(url: str) -> None:
    migrate(url)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with the newest tables, made once; tests copy it."""
    path = tmp_path_factory.mktemp("migrated") / "exchange.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: PostgresServer) -> str:
    """The URL of one PostgreSQL database with the newest tables; tests empty it, which is far cheaper than a copy."""
    return postgres.url(postgres.new_database(postgres.template("migrated", _prepare)))


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with the newest tables and no rows, once of each kind that a node can stand on."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "exchange.db")
        return f"sqlite:///{tmp_path}/exchange.db"
    url: str = request.getfixturevalue("migrated_postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        # Sessions that a test forgot would hold locks on what it wrote.
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for table in metadata.sorted_tables:
            connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Two nodes that were never started, once on each kind of database."""
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            urls = {name: f"sqlite:///{tmp_path}/{name}.db" for name in NODES}
            for name in NODES:
                shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / f"{name}.db")
        else:
            server: PostgresServer = request.getfixturevalue("postgres")
            made = server.template("migrated", _prepare)
            urls = {name: stack.enter_context(server.database(made)) for name in NODES}
        yield stack.enter_context(contextlib.closing(World(urls)))


@pytest.fixture
def local_world(tmp_path: Path, migrated_file: Path) -> Iterator[World]:
    """Two nodes that were never started, on SQLite: for what depends on files, or not on the database."""
    for name in NODES:
        shutil.copy(migrated_file, tmp_path / f"{name}.db")
    with contextlib.closing(World({name: f"sqlite:///{tmp_path}/{name}.db" for name in NODES})) as made:
        yield made
