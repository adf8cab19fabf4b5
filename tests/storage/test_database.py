"""Readers of a database: each sees one moment, none sees what another left."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from exchange.storage.engine.database import READERS, Database
from exchange.storage.engine.writer import Writer
from exchange.storage.logs import log_store
from tests.storage.logs import ORIGIN, Append, append


def _size(database: Database) -> int:
    with database.read() as connection:
        head = log_store.head(connection, ORIGIN)
    return head.size if head else 0


def _fail_half_way(database: Database) -> None:
    with database.read() as connection:
        rows = connection.execute(text("SELECT idx FROM entries ORDER BY idx"))
        assert next(iter(rows)).idx == 0
        raise ZeroDivisionError


def test_a_view_stands_still_and_the_next_one_is_newer(database: Database, writer: Writer) -> None:
    """What is committed while somebody reads is not seen by him, and by whoever reads after him."""
    writer.call(append, Append((b"one",)))
    with database.read() as connection:
        for size in (2, 3):
            first = log_store.head(connection, ORIGIN)
            assert first is not None
            writer.call(append, Append((b"more",)))
            again = log_store.head(connection, ORIGIN)
            assert again is not None
            assert again.size == first.size == 1
            assert _size(database) == size
    assert _size(database) == 3


def test_what_a_reader_raises_spoils_nothing_for_the_next(database: Database, writer: Writer) -> None:
    """An error of the database, and one that leaves a query half read: nobody after it sees what he saw."""
    writer.call(append, Append((b"one", b"two", b"three")))
    with pytest.raises(DBAPIError, match="nowhere"), database.read() as connection:
        connection.execute(text("SELECT * FROM nowhere"))
    with pytest.raises(ZeroDivisionError) as held:
        _fail_half_way(database)
    writer.call(append, Append((b"four",)))
    assert held.tb is not None
    assert _size(database) == 4


def test_what_was_left_half_read_is_over(database: Database, writer: Writer) -> None:
    """One row of three was enough: the next reader sees what was committed since."""
    writer.call(append, Append((b"one", b"two", b"three")))
    with database.read() as connection:
        assert next(iter(connection.execute(text("SELECT idx FROM entries ORDER BY idx")))).idx == 0
    writer.call(append, Append((b"four",)))
    assert _size(database) == 4


def test_more_readers_than_connections_take_turns(database: Database, writer: Writer) -> None:
    """All that there are at once, and the others behind them."""
    writer.call(append, Append((b"one",)))
    together = threading.Barrier(READERS)

    def read(number: int) -> int:
        with database.read() as connection:
            if number < READERS:
                together.wait(20)
            head = log_store.head(connection, ORIGIN)
            return head.size if head else 0

    with ThreadPoolExecutor(3 * READERS) as pool:
        assert list(pool.map(read, range(3 * READERS))) == [1] * 3 * READERS


def test_a_database_that_was_disposed_holds_no_file(tmp_path: Path) -> None:
    """Also not by a reader who was under way: the file can be moved or replaced."""
    path = tmp_path / "some.db"
    database = Database(f"sqlite:///{path}")
    with database.read() as connection:
        connection.execute(text("SELECT 1"))
        with database.read() as other:
            other.execute(text("SELECT 1"))
        database.dispose()
    held = [link for link in Path("/proc/self/fd").iterdir() if link.exists() and link.readlink() == path]
    assert held == []
