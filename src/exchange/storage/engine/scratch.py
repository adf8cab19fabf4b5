"""A database for one walk over exported logs: nothing in it outlives the walk, so nothing of it is synced."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import Connection, Index, create_engine, event
from sqlalchemy.pool import StaticPool

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction

CACHE_KIB: Final = 65_536
"""SQLite page cache: what does not fit lies in the file."""

_UNUSED: Final = frozenset(
    {
        "reg_records_subject",
        "reg_records_kind",
        "reg_records_kept",
        "reg_records_ended",
        "reg_records_supersedes",
        "reg_decisions_range",
        "reg_blocks_section",
        "reg_blocks_station",
        "reg_dues_day",
        "reg_dues_agency",
        "reg_labs_cma_no",
        "reg_labs_firm_code",
        "reg_feedback_notice",
    }
)
"""Indexes by which only queries of a running node look."""


class Scratch:
    """An SQLite database in a folder of its own, which is gone when it is closed. One connection, one thread.

    Args:
        folder: Where to make the folder; the system's place for temporary files when None.
    """

    is_sqlite = True

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="exchange-", dir=folder))
        self._engine = create_engine(
            f"sqlite:///{self._folder}/scratch.db",
            poolclass=StaticPool,
            connect_args={"isolation_level": None, "check_same_thread": False},
        )
        event.listen(self._engine, "connect", _pragmas)
        # Not by the event "begin": one listener would make every statement of the engine look for listeners.
        begin: Any = _begin
        self._engine.dialect.do_begin = begin  # type: ignore[method-assign]
        self._connection = self._engine.connect()
        self._connection.begin()
        schema.metadata.create_all(self._connection)
        for table in schema.metadata.tables.values():
            for index in table.indexes:
                if index.name in _UNUSED:
                    Index.drop(index, self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """The one view there is: everything that was written."""
        yield self._connection

    @contextmanager
    def change(self) -> Iterator[Transaction]:
        """Write; what is written is seen at once. An error leaves part of it: whoever meets one gives the walk up."""
        tx = Transaction(self._connection, is_sqlite=True)
        yield tx
        tx.flush()

    def close(self) -> None:
        """Throw everything away."""
        self._connection.close()
        self._engine.dispose()
        shutil.rmtree(self._folder, ignore_errors=True)


def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in (
        # One transaction for all of it, never rolled back and never committed.
        "journal_mode=OFF",
        "synchronous=OFF",
        "locking_mode=EXCLUSIVE",
        "temp_store=MEMORY",
        f"cache_size=-{CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin(connection: Any) -> None:
    connection.execute("BEGIN").close()
