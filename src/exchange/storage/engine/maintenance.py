"""Backing a database up and restoring it. Checking it is in ``verify``, bringing it up to date in ``migrate``."""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from exchange.domain.problems import Problem, Refused
from exchange.storage.engine.migrate import migrate, newest_revision, sqlite_path

BACKUP_PAGES = 1_024
"""Pages copied at once, 4 MiB: the node reads and commits in between. Its WAL grows until the copy is done."""

BACKUP_PAUSE_S = 0.005
"""Seconds between two such pieces, so that a backup does not take the whole disk."""

RESTORED = "restored"
"""Key in ``node_state``: "1" after a restore, until the node has found out from its peers what it lacks."""


def backup(url: str, destination: Path) -> None:
    """Copy a database while the node runs, as of one moment, into a file that did not exist.

    True afterwards: the file is complete, sound, on disk and readable by its owner only. A crash leaves no file of
    that name.

    Raises:
        Refused: ``BACKUP_UNSUPPORTED`` on PostgreSQL, with the command to run instead; ``FILE_EXISTS``;
            ``FILE_MISSING`` when there is no database; ``DATABASE_ERROR``.
    """
    source = sqlite_path(url)
    if source is None:
        raise Refused([Problem("BACKUP_UNSUPPORTED", "database.url", _pg_dump(url, destination))])
    if not source.exists():
        raise Refused([Problem("FILE_MISSING", str(source))])
    if destination.exists():
        raise Refused([Problem("FILE_EXISTS", str(destination))])
    with _beside(destination) as made:
        _copy(source, made)
        _require_sound(made)
        # A link refuses to replace what came into being since; a rename would not.
        try:
            os.link(made, destination)
        except FileExistsError:
            raise Refused([Problem("FILE_EXISTS", str(destination))]) from None
    _sync_folder(destination)


def restore(source: Path, url: str) -> None:
    """Put a backup in the place of a node's database. The node must not run.

    True afterwards: the node's next start finds the backup's state, marked as restored, so that it signs nothing
    before its peers have shown what they hold. A crash leaves either the old database or the new one.

    Raises:
        Refused: ``BACKUP_UNSUPPORTED`` on PostgreSQL; ``FILE_MISSING``; ``BACKUP_DAMAGED``; ``DATABASE_SCHEMA``;
            ``DATABASE_IN_USE``. Nothing was changed.
    """
    target = sqlite_path(url)
    if target is None:
        raise Refused([Problem("BACKUP_UNSUPPORTED", "database.url", "pg_restore")])
    if not source.is_file():
        raise Refused([Problem("FILE_MISSING", str(source))])
    with _beside(target) as made:
        _copy(source, made)
        _require_sound(made)
        # Also refuses a backup of a newer program; an older one is brought up to date here, not in place.
        migrate(f"sqlite:///{made}")
        with closing(sqlite3.connect(made, isolation_level=None)) as connection:
            connection.execute("INSERT OR REPLACE INTO node_state (key, value) VALUES (?, '1')", (RESTORED,))
            # Everything into the one file that is renamed.
            connection.execute("PRAGMA journal_mode=DELETE").fetchall()
        with made.open("rb") as file:
            os.fsync(file.fileno())
        _fold_wal(target)
        # A WAL that outlived its database would be played into the new one.
        for left in (Path(f"{target}-wal"), Path(f"{target}-shm")):
            left.unlink(missing_ok=True)
        made.replace(target)
    _sync_folder(target)


def _pg_dump(url: str, destination: Path) -> str:
    made = make_url(url).set(drivername="postgresql", password=None)
    return f"pg_dump --format=custom --file={shlex.quote(str(destination))} {shlex.quote(str(made))}"


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A new file beside another one, removed at the end if it is still there."""
    made = path.with_name(f".{path.name}.{os.getpid()}.new")
    made.unlink(missing_ok=True)
    os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        yield made
    finally:
        for left in (made, Path(f"{made}-wal"), Path(f"{made}-shm"), Path(f"{made}-journal")):
            left.unlink(missing_ok=True)


def _copy(source: Path, made: Path) -> None:
    """SQLite's online backup: one moment's state, whatever is written meanwhile."""
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reader,
            closing(sqlite3.connect(made)) as writer,
        ):
            # One read transaction around all of it: without, every commit of the node starts the copy anew.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
            reader.backup(writer, pages=BACKUP_PAGES, sleep=BACKUP_PAUSE_S)
    except sqlite3.DatabaseError as error:
        raise Refused([Problem("BACKUP_DAMAGED", str(source), str(error))]) from error
    with made.open("rb") as file:
        os.fsync(file.fileno())


def _require_sound(made: Path) -> None:
    """Integrity, and that it is a database of ours."""
    try:
        with closing(sqlite3.connect(made)) as connection:
            verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        raise Refused([Problem("BACKUP_DAMAGED", "", str(error))]) from error
    if verdict != "ok":
        raise Refused([Problem("BACKUP_DAMAGED", "", str(verdict))])
    if not {"alembic_version", "logs", "entries", "node_state"} <= tables:
        raise Refused([Problem("BACKUP_DAMAGED", "", f"not a database of this program, {newest_revision()}")])


def _fold_wal(target: Path) -> None:
    """Move the target's own WAL into it; fails while any process has it open."""
    if not target.exists():
        return
    try:
        with closing(sqlite3.connect(target, timeout=0, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE").fetchall()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise Refused([Problem("DATABASE_IN_USE", str(target))]) from error
    except sqlite3.DatabaseError:
        # A damaged database is what a restore is for.
        return


def _sync_folder(path: Path) -> None:
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
