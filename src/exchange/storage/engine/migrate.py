"""Bringing a database to this program's tables. Most starts find it there, and do without Alembic."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL, make_url

from exchange.domain.problems import Problem, Refused
from exchange.storage.engine.database import Database

SCRIPTS = Path(__file__).parents[1] / "migrations"

TABLE = "alembic_version"
"""Alembic's own table: the revision that a database stands at."""

_ADVISORY_LOCK = 0x6578_6368
"""Key of PostgreSQL's lock around a migration: two processes that start together take turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What a migration did.

    Attributes:
        before: Revision that was found; empty for a new database.
        after: Revision that stands now.
    """

    before: str
    after: str


def newest_revision() -> str:
    """The revision that this program's code is written for: files are named by the number that they bring."""
    return max(file.name.partition("_")[0] for file in (SCRIPTS / "versions").glob("[0-9]*.py"))


def revision_of(connection: Connection) -> str:
    """The revision that a database stands at; empty when it has no tables of ours."""
    if not inspect(connection).has_table(TABLE):
        return ""
    return connection.execute(text(f"SELECT version_num FROM {TABLE}")).scalar() or ""  # noqa: S608 - a name of ours


def sqlite_path(url: str | URL) -> Path | None:
    """The file of an SQLite URL; None for another kind of database, or for one in memory."""
    made = make_url(url)
    if made.get_backend_name() != "sqlite" or made.database in (None, "", ":memory:"):
        return None
    return Path(str(made.database))


def migrate(url: str) -> Migration:
    """Bring a database to the newest revision, in one transaction; a new one is made, readable by its owner only.

    True afterwards: the tables are those of ``schema.metadata``. A crash leaves the database as it was.

    Raises:
        Refused: ``DATABASE_SCHEMA``: a newer program wrote the database, or it holds tables of something else.
    """
    path = sqlite_path(url)
    if path is not None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    database = Database(url)
    try:
        with database.writer_connection() as connection, connection.begin():
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            before = revision_of(connection)
            if before == newest_revision():
                return Migration(before=before, after=before)
            if not before and set(inspect(connection).get_table_names()) - {TABLE}:
                raise _schema_refused("tables without a revision")
            from exchange.storage.engine import upgrade  # noqa: PLC0415 - Alembic costs each start a fifth of a second

            try:
                upgrade.to_newest(connection)
            except upgrade.UnknownRevisionError as error:
                raise _schema_refused(f"revision {before} is not known to this program") from error
            return Migration(before=before, after=revision_of(connection))
    finally:
        database.dispose()


def require_newest(database: Database) -> None:
    """Refuse a database that stands at another revision than the code expects.

    Raises:
        Refused: ``DATABASE_SCHEMA``.
    """
    with database.read() as connection:
        found = revision_of(connection)
    if found != newest_revision():
        raise _schema_refused(f"revision {found or 'none'}, wanted {newest_revision()}")


def _schema_refused(detail: str) -> Refused:
    return Refused([Problem("DATABASE_SCHEMA", "database.url", detail)])
