"""Connections: one for the writer, several for readers, set up so that an acknowledged commit survives a crash."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import make_url
from sqlalchemy.pool import QueuePool

DATABASE_ERRORS = (exc.SQLAlchemyError,)
"""What the database raises when it fails, for callers that must tell it from a mistake in the data."""

READERS = 16
"""Connections for readers: enough for every reading thread of the process; each is held for one short query."""

READER_WAIT_S = 30
"""How long a reader waits for one of them."""

BUSY_TIMEOUT_MS = 10_000
"""How long SQLite waits for another process that holds the file (backup, checkpoint) before it gives up."""

TRUNCATE_TIMEOUT_MS = 500
"""How long emptying the WAL may hold the writer back while readers leave it."""

DISPOSE_SECONDS = 2.0
"""How long closing waits for queries under way: each is short; a task that was cancelled leaves its thread behind."""

PAGE_CACHE_KIB = 65_536
"""SQLite page cache of the writer: keeps the hot part of the indexes in memory."""

PG_LOCK_TIMEOUT_MS = 10_000
PG_STATEMENT_TIMEOUT_MS = 60_000
PG_IDLE_TIMEOUT_MS = 60_000
"""PostgreSQL: no session may hold or wait for longer than this; a stuck one must not stop the node silently."""


__all__ = ["Connection", "Database"]


class Database:
    """One database, on SQLite or PostgreSQL.

    Args:
        url: ``sqlite:///path`` or ``postgresql://…``.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writer = self._engine(writing=True)
        self._reader = self._engine(writing=False)
        self._readers = threading.Semaphore(READERS)
        self._idle: deque[Connection] = deque()
        self._disposed = False

    def _engine(self, *, writing: bool) -> Engine:
        if self.is_sqlite:
            engine = create_engine(
                self.url,
                poolclass=QueuePool,
                pool_size=1 if writing else READERS,
                max_overflow=0,
                # A reader ends its transaction itself.
                pool_reset_on_return="rollback" if writing else None,
                connect_args={"check_same_thread": False, "isolation_level": None, "timeout": BUSY_TIMEOUT_MS / 1000},
            )
            event.listen(engine, "connect", _sqlite_writer if writing else _sqlite_reader)
            # Not by the event "begin": one listener would make every statement of the engine look for listeners.
            begin: Any = _begin_immediate if writing else _begin_deferred
            engine.dialect.do_begin = begin  # type: ignore[method-assign]
            return engine
        options = (
            f"-c lock_timeout={PG_LOCK_TIMEOUT_MS} -c statement_timeout={PG_STATEMENT_TIMEOUT_MS} "
            f"-c idle_in_transaction_session_timeout={PG_IDLE_TIMEOUT_MS} -c synchronous_commit=on"
        )
        return create_engine(
            self.url,
            pool_size=1 if writing else READERS,
            max_overflow=0,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED" if writing else "REPEATABLE READ",
            connect_args={"options": options},
        )

    def _in_use(self) -> int:
        pool = self._reader.pool
        return pool.checkedout() - len(self._idle) if isinstance(pool, QueuePool) else 0

    def writer_connection(self) -> Connection:
        """A connection for the one writer; it stays open for the life of the process."""
        return self._writer.connect()

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view for a short query. Never held for longer: it would stop WAL checkpoints."""
        with self._reading() as connection:
            connection.begin()
            try:
                yield connection
            finally:
                connection.rollback()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection for one reader.

        On SQLite it is kept as it is for the next one: to and from the pool costs more than most queries. PostgreSQL's
        pool asks first whether a connection still stands.
        """
        if not self.is_sqlite:
            with self._reader.connect() as connection:
                yield connection
            return
        if not self._readers.acquire(timeout=READER_WAIT_S):
            raise exc.TimeoutError(f"no connection for a reader within {READER_WAIT_S} s")
        try:
            # The last one first: its page cache is the warmest.
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._reader.connect()
            try:
                yield connection
            except BaseException:
                # What its reader left half read would keep an old view alive for as long as somebody holds the error.
                _drop(connection)
                raise
            if self._disposed or connection.in_transaction():
                _drop(connection)
            else:
                self._idle.append(connection)
        finally:
            self._readers.release()

    def checkpoint_wal(self, *, truncate: bool = False) -> None:
        """Move what is committed from the WAL into the database file. Called by a thread of its own.

        Args:
            truncate: Also empty the WAL; the writer waits for it, and it for readers, both for
                ``TRUNCATE_TIMEOUT_MS`` at most. If somebody is in the way, the WAL stays and nothing is lost.
        """
        if not self.is_sqlite:
            return
        with self._reading() as connection:
            cursor = connection.connection.cursor()
            try:
                if truncate:
                    cursor.execute(f"PRAGMA busy_timeout={TRUNCATE_TIMEOUT_MS}").fetchall()
                    cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                else:
                    cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                if truncate:
                    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}").fetchall()
                cursor.close()

    def dispose(self) -> None:
        """Close every connection; those that a thread still reads by get a moment first."""
        deadline = time.monotonic() + DISPOSE_SECONDS
        while self._in_use() and time.monotonic() < deadline:
            time.sleep(0.005)
        self._disposed = True
        while self._idle:
            self._idle.pop().close()
        self._reader.dispose()
        self._writer.dispose()


def _drop(connection: Connection) -> None:
    """Close a connection for good; the pool opens another one for it."""
    if not connection.invalidated:
        connection.detach()
    connection.close()


def _sqlite_writer(connection: Any, _record: object) -> None:
    _sqlite_pragmas(connection, ("synchronous=FULL", f"cache_size=-{PAGE_CACHE_KIB}", "wal_autocheckpoint=0"))


def _sqlite_reader(connection: Any, _record: object) -> None:
    _sqlite_pragmas(connection, ("synchronous=FULL", "cache_size=-8192", "wal_autocheckpoint=0"))


def _sqlite_pragmas(connection: sqlite3.Connection, own: tuple[str, ...]) -> None:
    for pragma in ("journal_mode=WAL", "secure_delete=ON", "temp_store=MEMORY", *own):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_immediate(connection: Any) -> None:
    # The driver alone opens no transaction for SELECT: what a batch read could change before it writes.
    connection.execute("BEGIN IMMEDIATE").close()


def _begin_deferred(connection: Any) -> None:
    connection.execute("BEGIN").close()
