"""Registers row by row, alike on either kind of database."""

from __future__ import annotations

from hashlib import sha256

import pytest

from exchange.storage import schema
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import Transaction
from exchange.storage.registers import canonical
from exchange.storage.registers.canonical import RowReader

NAMES = ["a", "B", "b", "ä", "Z-9", "z", "中", "a b"]
SALT = b"a salt of sixteen"


def test_rows_come_in_the_order_of_their_bytes(migrated_url: str) -> None:
    """Whatever the database's language: pages, stretches and digests are those of a list sorted by bytes."""
    database = Database(migrated_url)
    try:
        with database.writer_connection() as connection, connection.begin():
            tx = Transaction(connection, is_sqlite=database.is_sqlite)
            log = tx.open_log("cq.exchange.example/journal/1", use="journal", peer="", lane=0, epoch=1, number=7)
            tx.insert(schema.agencies, [{"name": name, "agency": name.encode()} for name in NAMES])
            tx.insert(schema.cursors, [{"log_id": 0, "next": 5}, {"log_id": log.id, "next": 3}])
            tx.flush()
        ordered = sorted(NAMES, key=str.encode)
        with database.read() as connection:
            reader = RowReader(connection)
            rows = list(reader.rows("reg_agencies"))
            assert [row.key for row in rows] == [canonical.encode([name]) for name in ordered]
            assert rows[0].line == canonical.encode({"name": ordered[0], "agency": ordered[0].encode()})
            part = list(reader.rows("reg_agencies", rows[1].key, rows[4].key))
            assert part == rows[2:5]
            assert list(reader.rows("reg_agencies", rows[1].key, limit=2)) == rows[2:4]
            (run,) = reader.buckets("reg_agencies", SALT)
            assert (run.last, run.rows) == (rows[-1].key, len(NAMES))
            assert run.digest == sha256(SALT + b"".join(row.line.encode() + b"\n" for row in rows)).digest()
            assert [row.line for row in reader.rows("cursors")] == [
                '{"log_id":"","next":5}',
                '{"log_id":"cq.exchange.example/journal/1","next":3}',
            ]
            found = canonical.position(connection)
            assert (found.journal, found.size, found.next_seq) == ("cq.exchange.example/journal/1", 0, 5)
            with pytest.raises(ValueError, match=r"no\.log"):
                list(reader.rows("reg_waits", '["no.log",1]'))
    finally:
        database.dispose()
