"""A database for one walk over exported logs: nothing in it outlives the walk, so nothing of it is synced."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import Connection, Index, create_engine, event
from sqlalchemy.pool import StaticPool

from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction

CACHE_KIB: Final = 65_536
"""SQLite page cache: what does not fit lies in the file."""

PAGE_BYTES: Final = 16384
"""Bodies of a kibibyte or four lie in one page with their entry, not in a chain behind it."""

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


_ENTRIES: Final = "entries_file"
"""Name by which the connection has the file of entries."""


@lru_cache(1)
def entries_in(file: Path) -> Connection:
    """The entries of another process's scratch database, as it last shared them."""

    def opened() -> sqlite3.Connection:
        return sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)

    return create_engine("sqlite://", creator=opened, poolclass=StaticPool).connect()


class Scratch:
    """An SQLite database in a folder of its own, which is gone when it is closed. One connection, one thread.

    Entries lie in a file apart, which other processes can read: ``entries_in``.

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
        event.listen(self._engine, "connect", self._opened)
        # Not by the event "begin": one listener would make every statement of the engine look for listeners.
        begin: Any = _begin
        self._engine.dialect.do_begin = begin  # type: ignore[method-assign]
        self._connection = self._engine.connect()
        self._connection.begin()
        # An option of a connection stays until it is taken back.
        self._connection.execution_options(schema_translate_map={None: _ENTRIES})
        schema.entries.create(self._connection)
        self._connection.execution_options(schema_translate_map=None)
        tables = [table for table in schema.metadata.sorted_tables if table is not schema.entries]
        schema.metadata.create_all(self._connection, tables=tables, checkfirst=False)
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

    @property
    def entries_file(self) -> Path:
        """Where other processes read the entries that were shared."""
        return self._folder / "entries.db"

    def share(self) -> None:
        """Let other processes see what was written by now."""
        self._connection.commit()
        self._connection.begin()

    def _opened(self, connection: sqlite3.Connection, _record: object) -> None:
        _pragmas(connection, "main")
        connection.execute("PRAGMA main.locking_mode=EXCLUSIVE").fetchall()
        connection.execute(f"ATTACH DATABASE ? AS {_ENTRIES}", (str(self.entries_file),)).close()
        _pragmas(connection, _ENTRIES)

    def close(self) -> None:
        """Throw everything away."""
        self._connection.close()
        self._engine.dispose()
        shutil.rmtree(self._folder, ignore_errors=True)


def _pragmas(connection: sqlite3.Connection, file: str) -> None:
    for pragma in (
        # One transaction for all of it, never rolled back, and committed only to be read by others.
        f"page_size={PAGE_BYTES}",
        "journal_mode=OFF",
        "synchronous=OFF",
        f"cache_size=-{CACHE_KIB}",
    ):
        connection.execute(f"PRAGMA {file}.{pragma}").fetchall()


def _begin(connection: Any) -> None:
    connection.execute("BEGIN").close()
