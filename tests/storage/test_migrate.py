"""Migrations: what they make is what the code expects."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from exchange.domain.problems import Refused
from exchange.storage import schema
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import migrate, newest_revision, require_newest
from exchange.storage.engine.upgrade import config


def test_the_migrated_database_is_the_schema(database_url: str) -> None:
    """Alembic finds no difference between the tables in the code and those that the revisions made."""
    done = migrate(database_url)
    assert (done.before, done.after) == ("", newest_revision())
    database = Database(database_url)
    try:
        with database.read() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            # Drift? Run tools/new_migration.py.
            assert compare_metadata(context, schema.metadata) == []
        require_newest(database)
    finally:
        database.dispose()


def _sqlite_tables(path: Path) -> dict[str, str]:
    database = Database(f"sqlite:///{path}")
    try:
        with database.read() as connection:
            rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
            return {name: " ".join(sql.split()) for name, sql in rows if "alembic" not in name}
    finally:
        database.dispose()


def test_sqlite_gets_the_same_statements(tmp_path: Path) -> None:
    """Also what a comparison of metadata does not see, as WITHOUT ROWID, is as in the code."""
    migrate(f"sqlite:///{tmp_path}/migrated.db")
    made = Database(f"sqlite:///{tmp_path}/made.db")
    with made.writer_connection() as connection, connection.begin():
        schema.metadata.create_all(connection)
    made.dispose()
    assert _sqlite_tables(tmp_path / "migrated.db") == _sqlite_tables(tmp_path / "made.db")


def test_migrating_again_changes_nothing(database_url: str) -> None:
    """The second run finds the newest revision."""
    migrate(database_url)
    done = migrate(database_url)
    assert done.before == done.after == newest_revision()


def test_files_of_revisions_are_named_by_what_they_bring() -> None:
    """The newest revision is known by the name of its file, and Alembic comes to the same one."""
    scripts = ScriptDirectory.from_config(config())
    assert newest_revision() == scripts.get_current_head()
    for script in scripts.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")


def test_a_start_on_newest_tables_does_without_alembic(migrated_file: Path) -> None:
    """A node that starts again, as after a crash, does not wait for what it has no use for."""
    program = (
        "import sys; from exchange.app import process; from exchange.storage.engine.migrate import migrate;"
        f"migrate('sqlite:///{migrated_file}'); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_new_database_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """The file is made with mode 0600."""
    migrate(f"sqlite:///{tmp_path}/exchange.db")
    assert stat.S_IMODE((tmp_path / "exchange.db").stat().st_mode) == 0o600


def test_a_database_of_a_newer_program_is_refused(database_url: str) -> None:
    """An unknown revision stops the program before it touches anything."""
    migrate(database_url)
    database = Database(database_url)
    with database.writer_connection() as connection, connection.begin():
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Refused, match="DATABASE_SCHEMA"):
        require_newest(database)
    database.dispose()
    with pytest.raises(Refused, match="DATABASE_SCHEMA"):
        migrate(database_url)


def test_a_database_of_something_else_is_refused(database_url: str) -> None:
    """Foreign tables are never touched, and a failed migration leaves none of ours."""
    database = Database(database_url)
    with database.writer_connection() as connection, connection.begin():
        connection.execute(text("CREATE TABLE theirs (n INTEGER)"))
    database.dispose()
    with pytest.raises(Refused, match="DATABASE_SCHEMA"):
        migrate(database_url)
    database = Database(database_url)
    with pytest.raises(Refused, match="DATABASE_SCHEMA"):
        require_newest(database)
    database.dispose()
