"""Registers row by row, as they are compared and exported: one canonical line for each row, in order of its key.

Two databases of one node have the same lines: a log's number is written as the log's origin, and text is ordered by
its bytes on either kind of database.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, Text, literal, select, tuple_

from exchange.storage import schema
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import journal, log_store
from exchange.storage.registers import registers
from exchange.storage.registers.registers import LOG_COLUMNS, SEQ_CURSOR

BUCKET_ROWS: Final = 256
"""Rows that one digest stands for: what is read one by one where it differs."""

PAGE_ROWS: Final = 16 * BUCKET_ROWS
"""Rows read in one view: some tens of milliseconds."""

PAGE_BYTES: Final = 3 << 20
"""Bytes of lines read in one view; one row may be larger."""

_MAX_INTEGER: Final = 1 << 63
_NO_LOG: Final = (1 << 31) - 1
"""Number that no log has."""

REGISTERS: Final[Mapping[str, Table]] = {
    table.name: table for table in (*schema.PROJECTIONS, schema.rule_editions, schema.rule_orders)
}
"""Every register that walking the journal makes, by the name of its table."""


@dataclass(frozen=True, slots=True)
class RegisterPosition:
    """How far registers have come.

    Attributes:
        journal: Origin of the journal's current epoch.
        size: Entries of it.
        next_seq: Number of the next row change of apply: equal numbers, equal steps.
    """

    journal: str
    size: int
    next_seq: int


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """One row.

    Attributes:
        key: Its key as a JSON list.
        line: The row as a JSON object of all its columns, without the line's end.
    """

    key: str
    line: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """Some rows in a run, by digest.

    Attributes:
        last: Key of the last one.
        rows: How many.
        digest: SHA-256 over the caller's salt and every line with its end.
    """

    last: str
    rows: int
    digest: bytes


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=bytes.hex)


def encode(value: object) -> str:
    """Canonical JSON: keys sorted, no blanks, bytes in hex."""
    return _encoder.encode(value)


def journals(connection: Connection) -> list[LogHead]:
    """Every epoch of the journal."""
    return [log for log in log_store.heads(connection) if log.use == journal.USE]


def position(connection: Connection) -> RegisterPosition:
    """How far the registers of this view have come; nowhere, without a journal."""
    book = max(journals(connection), key=lambda log: log.epoch, default=None)
    next_seq = registers.next_indices(connection).get(SEQ_CURSOR, 1)
    return RegisterPosition(book.origin if book else "", book.size if book else 0, next_seq)


def withholds(connection: Connection) -> bool:
    """Whether any record is withheld, whose rows say what no door shows any more."""
    ended = schema.records.c.tombstone.in_(("REPAIRED", "REVOKED", "WITHDRAWN"))
    return connection.execute(select(schema.records.c.seq).where(ended).limit(1)).first() is not None


class RowReader:
    """Reads the rows of registers within one view.

    Args:
        connection: The view.
        known_logs: Whether a key may only name logs that are here; others stand behind them.

    Attributes:
        origins: Origin of each log by its number.
    """

    def __init__(self, connection: Connection, *, known_logs: bool = True) -> None:
        self._known_logs = known_logs
        self._connection = connection
        heads = log_store.heads(connection)
        self.origins: Mapping[int, str] = {log.id: log.origin for log in heads} | {SEQ_CURSOR: ""}
        self._ids = {origin: number for number, origin in self.origins.items()}
        self._is_sqlite = connection.dialect.name == "sqlite"

    def rows(self, register: str, after: str = "", until: str = "", limit: int = PAGE_ROWS) -> Iterator[RegisterRow]:
        """Rows in order of key, until ``PAGE_BYTES`` are passed.

        Args:
            register: Name of the table.
            after: Key that the first row stands behind; empty for the beginning.
            until: Key of the last row, which need not be there; empty for the end.
            limit: Most rows.

        Raises:
            ValueError: No such register, or a key that is none of it.
        """
        if register not in REGISTERS:
            raise ValueError(register)
        table = REGISTERS[register]
        names = [column.name for column in table.primary_key.columns]
        ordered = [self._ordered(column) for column in table.primary_key.columns]
        query = select(table).order_by(*ordered).limit(limit)
        if after:
            query = query.where(tuple_(*ordered) > tuple_(*self._bound(ordered, self._key(table, after))))
        if until:
            query = query.where(tuple_(*ordered) <= tuple_(*self._bound(ordered, self._key(table, until))))
        size = 0
        with self._connection.execution_options(stream_results=True, max_row_buffer=64).execute(query) as result:
            for row in result:
                values = self._outside(row._asdict())
                line = encode(values)
                yield RegisterRow(encode([values[name] for name in names]), line)
                size += len(line)
                if size > PAGE_BYTES:
                    return

    def buckets(
        self, register: str, salt: bytes, after: str = "", until: str = "", limit: int = PAGE_ROWS
    ) -> list[Bucket]:
        """Digests of the rows behind a key, a run of ``BUCKET_ROWS`` each; the last one of a page may be shorter.

        Raises:
            ValueError: No such register, or a key that is none of it.
        """
        found: list[Bucket] = []
        digest, count, last = sha256(salt), 0, ""
        for row in self.rows(register, after, until, limit):
            digest.update(row.line.encode() + b"\n")
            count, last = count + 1, row.key
            if count == BUCKET_ROWS:
                found.append(Bucket(last, count, digest.digest()))
                digest, count = sha256(salt), 0
        if count:
            found.append(Bucket(last, count, digest.digest()))
        return found

    def key_of(self, row: Mapping[str, Any]) -> str:
        """The key of a row by the values of its key's columns, in order."""
        return encode(list(self._outside(row).values()))

    def _ordered(self, column: Any) -> ColumnElement[Any]:
        ordered: ColumnElement[Any] = column
        if isinstance(column.type, Text) and not self._is_sqlite:
            ordered = column.collate("C")
        return ordered

    @staticmethod
    def _bound(ordered: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> list[ColumnElement[Any]]:
        return [literal(value, column.type) for column, value in zip(ordered, values, strict=True)]

    def _outside(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self.origins.get(value, f"#{value}") if name in LOG_COLUMNS else value for name, value in row.items()
        }

    def _key(self, table: Table, key: str) -> list[Any]:
        columns = list(table.primary_key.columns)
        try:
            parts = json.loads(key)
        except (ValueError, RecursionError):
            raise ValueError(key) from None
        if not isinstance(parts, list) or len(parts) != len(columns):
            raise ValueError(key)
        return [self._inside(column, part) for column, part in zip(columns, parts, strict=True)]

    def _inside(self, column: Any, part: Any) -> Any:
        if column.name in LOG_COLUMNS:
            if not isinstance(part, str) or (self._known_logs and part not in self._ids):
                raise ValueError(part)
            return self._ids.get(part, _NO_LOG)
        wanted = column.type.python_type
        if wanted is bytes and isinstance(part, str):
            return bytes.fromhex(part)
        if type(part) is not wanted or (wanted is int and not -_MAX_INTEGER <= part < _MAX_INTEGER):
            raise ValueError(part)
        return part
