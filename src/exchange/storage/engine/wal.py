"""Moving what is committed from SQLite's write-ahead log into the database file, in a thread of its own.

Commits then never pay for it. Nothing here is needed for durability: a commit is on disk when the WAL is.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import sqlite_path

LOOK_EVERY_S = 1.0
"""Seconds between two looks at the WAL's size."""

PASSIVE_ABOVE = 4 << 20
"""Bytes of WAL from which it is moved, without making anybody wait; below, a burst is still growing."""

TRUNCATE_ABOVE = 64 << 20
"""Bytes of WAL from which the writer has to wait until it is emptied: under unbroken load the passive way never gets
to the end, and reading through a long WAL is slow."""

IDLE_TRUNCATE_S = 60.0
"""Seconds after which any WAL is emptied, so that erased bodies do not lie in it."""

_log = structlog.get_logger(__name__)


class WalCheckpointer:
    """Runs between ``start`` and ``close``; does nothing on PostgreSQL.

    Args:
        database: The node's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        path = sqlite_path(database.url)
        self._wal = Path(f"{path}-wal") if path else None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wal", daemon=True)
        self._last_truncate = time.monotonic()

    def start(self) -> None:
        """Begin to watch the WAL."""
        if self._wal is not None:
            self._thread.start()

    def close(self) -> None:
        """Stop, and empty the WAL a last time."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
            self._checkpoint(truncate=True)

    def size(self) -> int:
        """Bytes of the WAL; 0 on PostgreSQL."""
        try:
            return self._wal.stat().st_size if self._wal else 0
        except FileNotFoundError:
            return 0

    def look(self) -> None:
        """Do what the WAL's size and age ask for now."""
        size = self.size()
        idle = time.monotonic() - self._last_truncate >= IDLE_TRUNCATE_S
        if size and (size >= TRUNCATE_ABOVE or idle):
            # First what can be moved without anybody waiting; then the writer waits for the rest only.
            self._checkpoint(truncate=False)
            self._checkpoint(truncate=True)
            self._last_truncate = time.monotonic()
        elif size >= PASSIVE_ABOVE:
            self._checkpoint(truncate=False)

    def _checkpoint(self, *, truncate: bool) -> None:
        try:
            self._database.checkpoint_wal(truncate=truncate)
        except DBAPIError as error:
            _log.warning("wal-checkpoint-failed", error=str(error.orig))

    def _run(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            self.look()
