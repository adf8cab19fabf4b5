"""One batch's transaction: log heads under lock, rows collected per table, written once.

The log's index is given here, under the log's head row, and never from a sequence: the order of a sequence is not
the order of commits. Nothing leaves the node that was not committed by the batch that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Table, bindparam, func, insert, select, update

from exchange.storage import schema
from exchange.storage.engine.prepared import Prepared
from exchange.tlog.tree import Frontier, leaf_hash

STORED_LEVEL = 4
"""Lowest level of subtree hashes that is stored: below it, at most 16 leaves are hashed again when asked."""


@dataclass(frozen=True, slots=True)
class LogHead:
    """A log as its head row says."""

    id: int
    origin: str
    use: str
    peer: str
    lane: int
    epoch: int
    size: int
    frontier: Frontier
    retired: bool


class NewEntry(NamedTuple):
    """One entry to append. ``leaf`` is its leaf hash, computed before the queue."""

    entry: bytes
    leaf: bytes
    salt: bytes | None = None
    body: bytes | None = None
    submission: int | None = None

    @staticmethod
    def of(entry: bytes, salt: bytes | None = None, body: bytes | None = None) -> NewEntry:
        """An entry with its leaf hash."""
        return NewEntry(entry, leaf_hash(entry), salt, body)


# Made once: putting a statement together costs several times what a short one takes to run.
_HEADS = Prepared(select(schema.logs).order_by(schema.logs.c.id).with_for_update())
_MOVE_HEAD = (
    update(schema.logs)
    .where(schema.logs.c.id == bindparam("log"))
    .values(size=bindparam("size"), frontier=bindparam("frontier"), retired=bindparam("retired"))
)


@lru_cache(maxsize=64)
def _greatest(column: Column[Any]) -> Prepared:
    return Prepared(select(func.max(column).label("greatest")))


ROWS_AT_ONCE = 16
"""Rows of one statement: executing one costs SQLite and its driver as much as several rows do."""


@lru_cache(maxsize=128)
def _sqlite_insert(table: Table, names: tuple[str, ...], rows: int = 1) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    row = f"({', '.join('?' * len(names))})"
    return f'INSERT INTO "{table.name}" ({columns}) VALUES {", ".join([row] * rows)}'  # noqa: S608 - our names


HEADS_KEPT = 256
"""Heads kept as they were read: some logs, each a few times; a log that moves on pushes its older heads out."""


@lru_cache(maxsize=HEADS_KEPT)
def _head(
    number: int,
    origin: str,
    use: str,
    peer: str,
    lane: int,
    epoch: int,
    size: int,
    frontier: bytes,
    retired: bool,  # noqa: FBT001 - in the order of the table's columns
) -> LogHead:
    return LogHead(number, origin, use, peer, lane, epoch, size, Frontier.from_bytes(frontier), retired)


def head_of(row: Any) -> LogHead:
    """A log head from its row of all columns of ``logs``.

    Every transaction reads all heads, and most logs stand still between two: those are not made again.
    """
    return _head(*row)


def values_of(names: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """Takes the values of some columns out of a row, in their order."""
    # Of one name itemgetter would give the value alone.
    return itemgetter(*names) if len(names) > 1 else lambda row: tuple(row[name] for name in names)


class Transaction:
    """What handlers see of the batch's transaction."""

    def __init__(self, connection: Connection, *, is_sqlite: bool) -> None:
        self.connection = connection
        self.is_sqlite = is_sqlite
        self._heads: dict[int, LogHead] | None = None
        self._by_origin: dict[str, int] = {}
        self._changed: set[int] = set()
        self._touched: set[int] = set()
        self._new_logs: set[int] = set()
        self._inserts: dict[Table, list[Mapping[str, Any]]] = {}
        self._next_serial: dict[Table, int] = {}

    # -- logs ------------------------------------------------------------------------------------------------

    @property
    def heads(self) -> Mapping[int, LogHead]:
        """Every log's head by id, locked for this transaction."""
        if self._heads is None:
            self._heads = {row.id: head_of(row) for row in _HEADS.rows(self.connection)}
            self._by_origin = {head.origin: head.id for head in self._heads.values()}
        return self._heads

    def head(self, origin: str) -> LogHead | None:
        """The log of that origin."""
        heads = self.heads
        return heads[self._by_origin[origin]] if origin in self._by_origin else None

    def open_log(
        self, origin: str, *, use: str, peer: str, lane: int, epoch: int, number: int | None = None
    ) -> LogHead:
        """The log of that origin; made empty when it does not exist, by the next free number unless one is given."""
        known = self.head(origin)
        if known:
            return known
        assert self._heads is not None
        given = number if number is not None else max(self._heads, default=0) + 1
        head = LogHead(given, origin, use, peer, lane, epoch, 0, Frontier(), retired=False)
        self._heads[head.id] = head
        self._by_origin[origin] = head.id
        self._new_logs.add(head.id)
        self._changed.add(head.id)
        return head

    def retire_log(self, log_id: int) -> None:
        """The log goes on in a newer epoch; it is kept for ever."""
        retired = replace(self.heads[log_id], retired=True)
        assert self._heads is not None
        self._heads[log_id] = retired
        self._changed.add(log_id)

    def append(self, log_id: int, new: Sequence[NewEntry], *, trees: bool = True) -> int:
        """Append entries.

        Args:
            log_id: The log.
            new: The entries.
            trees: Whether subtree hashes are stored: without them there are no proofs.

        Returns:
            Index of the first one.
        """
        head = self.heads[log_id]
        assert self._heads is not None
        frontier, nodes = head.frontier.extend([entry.leaf for entry in new])
        first = head.size
        self._heads[log_id] = replace(head, size=first + len(new), frontier=frontier)
        self._changed.add(log_id)
        self.insert(
            schema.entries,
            [
                {
                    "log_id": log_id,
                    "idx": first + offset,
                    "entry": entry.entry,
                    "salt": entry.salt,
                    "body": entry.body,
                    "submission": entry.submission,
                }
                for offset, entry in enumerate(new)
            ],
        )
        stored = [
            {"log_id": log_id, "level": level, "idx": index, "hash": digest}
            for level, index, digest in nodes
            if level >= STORED_LEVEL
        ]
        if stored and trees:
            self.insert(schema.tree_nodes, stored)
        return first

    def replace_head(self, head: LogHead) -> None:
        """Put a head that recovery recomputed."""
        known = self.heads
        assert self._heads is known
        self._heads[head.id] = head
        self._changed.add(head.id)

    def touched(self, log_id: int) -> None:
        """A cosigned checkpoint of the log came: whoever waits for it looks again."""
        self._touched.add(log_id)

    @property
    def grown(self) -> Sequence[LogHead]:
        """Logs that got entries or checkpoints in this batch; the journal is left out, because nobody waits for it."""
        heads = (self.heads[each] for each in sorted(self._changed | self._touched))
        return [head for head in heads if head.use != "journal"]

    # -- rows ------------------------------------------------------------------------------------------------

    def insert(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Collect rows; they are written by ``flush``."""
        self._inserts.setdefault(table, []).extend(rows)

    def serial(self, table: Table, count: int = 1) -> int:
        """The next ``count`` serial numbers of a table's first column; returns the first of them."""
        column = next(iter(table.primary_key.columns))
        if table not in self._next_serial:
            newest = _greatest(column).first(self.connection)
            self._next_serial[table] = (newest.greatest or 0 if newest else 0) + 1
        first = self._next_serial[table]
        self._next_serial[table] = first + count
        return first

    def write_now(self, table: Table) -> None:
        """Write the rows collected for one table, for a handler that must read them back."""
        rows = self._inserts.pop(table, None)
        if not rows:
            return
        if not self.is_sqlite:
            self.connection.execute(insert(table), list(rows))
            return
        # The driver takes our values as they are: converting each of them again was a fifth of the writer's time.
        names = tuple(rows[0])
        take = values_of(names)
        values = [take(row) for row in rows]
        whole = len(values) - len(values) % ROWS_AT_ONCE
        if whole:
            blocks = [
                tuple(chain.from_iterable(values[at : at + ROWS_AT_ONCE])) for at in range(0, whole, ROWS_AT_ONCE)
            ]
            self.connection.exec_driver_sql(_sqlite_insert(table, names, ROWS_AT_ONCE), blocks)
        if whole < len(values):
            self.connection.exec_driver_sql(_sqlite_insert(table, names), values[whole:])

    def write_entries_now(self) -> None:
        """Write the entries collected, for a handler that appends page by page."""
        self.write_now(schema.entries)

    def flush(self) -> None:
        """Write everything that was collected: one statement per table."""
        for table in list(self._inserts):
            self.write_now(table)
        if not self._changed:
            return
        assert self._heads is not None
        new, known = [], []
        for log_id in sorted(self._changed):
            head = self._heads[log_id]
            row = {
                "size": head.size,
                "frontier": head.frontier.to_bytes(),
                "retired": head.retired,
            }
            if log_id in self._new_logs:
                named = {
                    "id": head.id,
                    "origin": head.origin,
                    "use": head.use,
                    "peer": head.peer,
                    "lane": head.lane,
                    "epoch": head.epoch,
                }
                new.append(named | row)
            else:
                known.append({"log": log_id} | row)
        if new:
            self.connection.execute(insert(schema.logs), new)
        if known:
            self.connection.execute(_MOVE_HEAD, known)
