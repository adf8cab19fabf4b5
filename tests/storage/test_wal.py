"""SQLite's write-ahead log is emptied beside the commits, never in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.storage.engine import wal as module
from exchange.storage.engine.database import Database
from exchange.storage.engine.wal import WalCheckpointer
from exchange.storage.engine.writer import Writer
from tests.storage.logs import Append, append


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_long_wal_is_emptied(database: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit never moves pages itself; a look at a long WAL empties it, with readers around."""
    monkeypatch.setattr(module, "TRUNCATE_ABOVE", 1 << 20)
    watch = WalCheckpointer(database)
    for _ in range(20):
        writer.call(append, Append((bytes(10_000),) * 20))
    assert watch.size() > 4 << 20
    watch.look()
    assert watch.size() == 0
    assert writer.call(append, Append((b"x",))) == 400


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_reader_in_the_way_costs_nothing_but_time(
    database: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody reads an older state the WAL stays; writing goes on, and later it is emptied."""
    monkeypatch.setattr(module, "TRUNCATE_ABOVE", 1)
    monkeypatch.setattr("exchange.storage.engine.database.TRUNCATE_TIMEOUT_MS", 20)
    watch = WalCheckpointer(database)
    writer.call(append, Append((b"x",)))
    with database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM entries").scalar()
        writer.call(append, Append((b"y",)))
        watch.look()
        assert watch.size() > 0
        assert writer.call(append, Append((b"z",))) == 2
    watch.look()
    assert watch.size() == 0


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_the_last_look_empties_the_wal(database: Database, writer: Writer, tmp_path: Path) -> None:
    """A node that stopped in order leaves everything in one file."""
    watch = WalCheckpointer(database)
    watch.start()
    writer.call(append, Append((b"x",)))
    assert watch.size() > 0
    watch.close()
    assert (tmp_path / "exchange.db-wal").stat().st_size == 0


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
def test_postgresql_has_no_wal_of_ours(database: Database) -> None:
    """Starting, looking and closing do nothing there."""
    watch = WalCheckpointer(database)
    watch.start()
    watch.look()
    watch.close()
    assert watch.size() == 0
