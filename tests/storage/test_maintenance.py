"""Backups of a running node, and restores that end marked as restored."""

from __future__ import annotations

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from exchange.domain.problems import Refused
from exchange.storage.engine import maintenance
from exchange.storage.engine.database import Database
from exchange.storage.engine.maintenance import backup, restore
from exchange.storage.engine.writer import Writer
from exchange.storage.logs import log_store
from exchange.storage.logs.verify import verify
from tests.storage.logs import ORIGIN, Append, append

pytestmark = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


def size(url: str) -> int:
    """Entries in the log."""
    database = Database(url)
    try:
        with database.read() as connection:
            head = log_store.head(connection, ORIGIN)
            return head.size if head else 0
    finally:
        database.dispose()


def write(url: str, count: int) -> None:
    """Append entries, as a node that runs for a moment."""
    database = Database(url)
    writer = Writer(database)
    for number in range(count):
        writer.call(append, Append((b"%d" % number,)))
    writer.close()
    database.dispose()


def flag(url: str) -> str | None:
    """What ``node_state`` says of a restore."""
    database = Database(url)
    try:
        with database.read() as connection:
            return connection.execute(text("SELECT value FROM node_state WHERE key = 'restored'")).scalar()
    finally:
        database.dispose()


def test_a_backup_of_a_running_node_is_sound(
    migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries are appended all the while; the copy ends, is one moment's state, complete, for its owner only."""
    monkeypatch.setattr(maintenance, "BACKUP_PAGES", 1)
    database = Database(migrated_url)
    writer = Writer(database)
    writer.call(append, Append((bytes(2_000),) * 1_000))
    stop = threading.Event()

    def keep_writing() -> None:
        # Without fsync, so that a commit falls between any two pages.
        with closing(sqlite3.connect(tmp_path / "exchange.db", isolation_level=None)) as busy:
            busy.execute("PRAGMA synchronous=OFF")
            while not stop.is_set():
                busy.execute("INSERT OR REPLACE INTO node_state (key, value) VALUES ('busy', hex(randomblob(8)))")

    thread = threading.Thread(target=keep_writing)
    thread.start()
    copy = tmp_path / "copy.db"
    try:
        backup(migrated_url, copy)
    finally:
        stop.set()
        thread.join()
    writer.close()
    database.dispose()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert verify(f"sqlite:///{copy}") == []
    assert size(f"sqlite:///{copy}") == 1_000
    assert sorted(path.name for path in tmp_path.iterdir() if "new" in path.name) == []


def test_a_backup_never_replaces_a_file(migrated_url: str, tmp_path: Path) -> None:
    """Not even one that came into being while it was made."""
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(Refused, match="FILE_EXISTS"):
        backup(migrated_url, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"
    with pytest.raises(Refused, match="FILE_MISSING"):
        backup(f"sqlite:///{tmp_path}/none.db", tmp_path / "other.db")


def test_a_restored_database_says_so(migrated_url: str, tmp_path: Path) -> None:
    """The state of the backup, without a trace of what came later, and the mark that makes the node ask its peers."""
    write(migrated_url, 3)
    backup(migrated_url, tmp_path / "copy.db")
    assert flag(migrated_url) is None
    write(migrated_url, 4)
    restore(tmp_path / "copy.db", migrated_url)
    assert size(migrated_url) == 3
    assert flag(migrated_url) == "1"
    assert flag(f"sqlite:///{tmp_path}/copy.db") is None
    assert verify(migrated_url) == []
    write(migrated_url, 2)
    assert size(migrated_url) == 5


def test_a_wal_that_was_left_behind_is_not_played_into_the_backup(migrated_url: str, tmp_path: Path) -> None:
    """A node that was killed leaves a WAL; after the restore nothing of it comes back."""
    write(migrated_url, 3)
    backup(migrated_url, tmp_path / "copy.db")
    database = Database(migrated_url)
    writer = Writer(database)
    writer.call(append, Append((b"later",)))
    target = tmp_path / "exchange.db"
    killed = {suffix: Path(f"{target}{suffix}").read_bytes() for suffix in ("", "-wal")}
    writer.close()
    database.dispose()
    for suffix, content in killed.items():
        Path(f"{target}{suffix}").write_bytes(content)
    assert len(killed["-wal"]) > 0
    restore(tmp_path / "copy.db", migrated_url)
    assert size(migrated_url) == 3
    assert verify(migrated_url) == []


def test_a_restore_over_a_damaged_database(migrated_url: str, tmp_path: Path) -> None:
    """What is replaced need not be readable: that is why it is replaced."""
    write(migrated_url, 3)
    backup(migrated_url, tmp_path / "copy.db")
    (tmp_path / "exchange.db").write_bytes(b"not a database" * 1_000)
    restore(tmp_path / "copy.db", migrated_url)
    assert size(migrated_url) == 3
    (tmp_path / "exchange.db").unlink()
    restore(tmp_path / "copy.db", migrated_url)
    assert size(migrated_url) == 3


def test_a_wal_beside_a_damaged_database_is_not_played_either(migrated_url: str, tmp_path: Path) -> None:
    """Nobody can fold that WAL into its database any more, so it goes."""
    write(migrated_url, 3)
    backup(migrated_url, tmp_path / "copy.db")
    database = Database(migrated_url)
    writer = Writer(database)
    writer.call(append, Append((b"later",) * 50))
    target = tmp_path / "exchange.db"
    left = Path(f"{target}-wal").read_bytes()
    writer.close()
    database.dispose()
    target.write_bytes(b"not a database" * 1_000)
    Path(f"{target}-wal").write_bytes(left)
    restore(tmp_path / "copy.db", migrated_url)
    assert size(migrated_url) == 3
    assert verify(migrated_url) == []


def test_a_backup_without_integrity_is_refused(migrated_url: str, tmp_path: Path) -> None:
    """Readable is not enough: pages that nothing refers to are found before the database is touched."""
    write(migrated_url, 3)
    backup(migrated_url, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        copy.execute("PRAGMA writable_schema=ON")
        copy.execute("DELETE FROM sqlite_master WHERE name = 'submissions_key'")
        copy.commit()
    with pytest.raises(Refused, match="BACKUP_DAMAGED"):
        restore(tmp_path / "copy.db", migrated_url)
    assert flag(migrated_url) is None


@pytest.mark.parametrize("content", [b"", b"rubbish" * 1_000, None], ids=["empty", "rubbish", "cut short"])
def test_a_damaged_backup_changes_nothing(migrated_url: str, tmp_path: Path, content: bytes | None) -> None:
    """It is refused before the database is touched."""
    write(migrated_url, 50)
    copy = tmp_path / "copy.db"
    if content is None:
        backup(migrated_url, copy)
        content = copy.read_bytes()[:-40_000]
    copy.write_bytes(content)
    with pytest.raises(Refused, match="BACKUP_DAMAGED"):
        restore(copy, migrated_url)
    assert size(migrated_url) == 50
    assert flag(migrated_url) is None
    assert [path.name for path in tmp_path.iterdir() if ".new" in path.name] == []


def test_a_backup_of_something_else_is_refused(migrated_url: str, tmp_path: Path) -> None:
    """A sound database of another program is not ours."""
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE theirs (n INTEGER)")
        other.commit()
    with pytest.raises(Refused, match="BACKUP_DAMAGED"):
        restore(tmp_path / "other.db", migrated_url)
    with pytest.raises(Refused, match="FILE_MISSING"):
        restore(tmp_path / "none.db", migrated_url)


def test_a_running_node_is_not_restored_under_its_feet(migrated_url: str, tmp_path: Path) -> None:
    """While any process has the database open, a restore is refused."""
    write(migrated_url, 3)
    backup(migrated_url, tmp_path / "copy.db")
    database = Database(migrated_url)
    writer = Writer(database)
    try:
        writer.call(append, Append((b"x",)))
        with pytest.raises(Refused, match="DATABASE_IN_USE"):
            restore(tmp_path / "copy.db", migrated_url)
        assert writer.call(append, Append((b"y",))) == 4
    finally:
        writer.close()
        database.dispose()
    assert size(migrated_url) == 5


def test_a_crash_before_the_rename_leaves_the_old_database(
    migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happens on the way, one of the two databases stands, whole."""
    write(migrated_url, 3)
    backup(migrated_url, tmp_path / "copy.db")
    write(migrated_url, 4)
    for step in ("_copy", "_require_sound", "migrate", "_fold_wal"):
        with monkeypatch.context() as patch:
            patch.setattr(maintenance, step, lambda *_args: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                restore(tmp_path / "copy.db", migrated_url)
        assert size(migrated_url) == 7


def test_postgresql_is_told_its_own_tools(migrated_url: str, tmp_path: Path) -> None:
    """The refusal shows the command, quoted, without the password."""
    url = "postgresql://exchange:secret@db.example/exchange"
    with pytest.raises(Refused) as refusal:
        backup(url, tmp_path / "a copy.dump")
    told = refusal.value.problems[0]
    assert told.reason == "BACKUP_UNSUPPORTED"
    assert told.detail.startswith("pg_dump --format=custom --file='")
    assert "secret" not in told.detail
    with pytest.raises(Refused, match="BACKUP_UNSUPPORTED"):
        restore(tmp_path / "copy.dump", url)
