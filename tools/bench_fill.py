"""Firms for the bench's registers, written straight into a stopped node's tables: a million in a minute or two.

Each has one final credit result with its body, as a node has it after years of submissions. They stand in a log of
their own that nobody delivers, so nothing else of the node changes; `db verify` would rightly complain.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from exchange.domain.record_index import index_of
from exchange.v1.kind_pb2 import Kind
from tests.domain.records import FIRM, credit, make_uscc

ROWS_AT_ONCE = 10_000


def fill(database: Path, firms: int) -> None:
    """Write firms 0 to ``firms`` into the registers.

    Args:
        database: SQLite file of a node that does not run.
        firms: How many, at most a million.
    """
    with sqlite3.connect(database) as connection:
        log_id = 1 + connection.execute("SELECT max(id) FROM logs").fetchone()[0]
        columns = [row[1] for row in connection.execute("PRAGMA table_info(logs)")]
        known = dict(zip(columns, connection.execute("SELECT * FROM logs WHERE use = 'local'").fetchone(), strict=True))
        own = known | {"id": log_id, "origin": "bench.exchange.example/filled/1", "use": "filled"}
        _insert(connection, "logs", [own])
        begin = connection.execute("SELECT min(seq) FROM reg_records").fetchone()[0] or 1
        for start in range(0, firms, ROWS_AT_ONCE):
            numbers = range(start, min(start + ROWS_AT_ONCE, firms))
            made = list(_made(log_id, begin, numbers))
            _insert(connection, "entries", [entry for entry, _ in made])
            _insert(connection, "reg_records", [row for _, row in made])
            connection.commit()


def _insert(connection: sqlite3.Connection, table: str, rows: list[dict[str, object]]) -> None:
    names = list(rows[0])
    marks = ", ".join(f":{name}" for name in names)
    connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)  # noqa: S608 - own names


def _made(log_id: int, begin: int, numbers: range) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    record = credit()
    record.credit_result.subject.permit_code = ""
    body, index = record.SerializeToString(), index_of(record)
    for number in numbers:
        uscc = make_uscc(number)
        record_id = sha256(uscc.encode()).digest()[:16]
        entry = {
            "log_id": log_id,
            "idx": number,
            "entry": b"",
            "salt": bytes(32),
            "body": body.replace(FIRM.encode(), uscc.encode()),
        }
        row = {
            "seq": begin - 1 - number,
            "origin": "cq",
            "record_id": record_id,
            "revision": 1,
            "kind": int(Kind.KIND_CREDIT_RESULT),
            "erasure_class": 0,
            "log_id": log_id,
            "idx": number,
            "commitment": bytes(32),
            "logged_at": 0,
            "natural_key": f"{uscc}||{index.year}|{record.header.authority.uscc}",
            "about_origin": "",
            "subject": uscc,
            "area": index.area,
            "authority": record.header.authority.uscc,
            "level": index.level,
            "state": index.state,
            "year": index.year,
            "sort_on": index.sort_on,
            "outcome": 0,
            "decision_revision": 0,
            "decision": '{"rules":["ORIGIN"]}',
            "newest": 1,
            "own_end": "",
            "own_end_on": "",
            "tombstone": "",
            "tombstone_on": "",
        }
        yield entry, row
