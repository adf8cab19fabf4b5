"""Queries that are put together once: the same rows by the driver as by SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Select, String, Table, Uuid, bindparam, select
from sqlalchemy.exc import DBAPIError

from exchange.storage import schema
from exchange.storage.engine.database import Connection, Database
from exchange.storage.engine.prepared import Prepared
from exchange.storage.engine.transaction import Transaction
from exchange.storage.engine.writer import WorkClass, Writer
from tests.storage.logs import Append, append

_LOG, _ENTRY = schema.logs.c, schema.entries.c
_AMONG = (
    select(_ENTRY.idx, _ENTRY.entry, _ENTRY.body, _ENTRY.submission)
    .where(_ENTRY.log_id == bindparam("log"), _ENTRY.idx.in_(bindparam("wanted", expanding=True)))
    .order_by(_ENTRY.idx)
)
_BETWEEN = (
    select(_ENTRY.idx)
    .where(
        _ENTRY.idx >= bindparam("low"),
        _ENTRY.idx.in_(bindparam("wanted", expanding=True)),
        _ENTRY.idx < bindparam("end"),
    )
    .order_by(_ENTRY.idx)
    .limit(2)
)


@pytest.fixture
def connection(database: Database, writer: Writer) -> Iterator[Connection]:
    """A view of two logs, one of them retired, with eleven entries in the first."""
    writer.call(append, Append(tuple(b"%d" % number for number in range(11))))
    writer.call(_retired, None, WorkClass.REGISTRY)
    with database.read() as view:
        yield view


def _retired(tx: Transaction, payloads: Sequence[None]) -> Sequence[None]:
    tx.retire_log(tx.open_log("old", use="mirror", peer="sc", lane=2, epoch=1).id)
    return payloads


def _both(connection: Connection, query: Select[Any], **values: Any) -> tuple[list[Any], list[Any]]:
    ours = Prepared(query).all(connection, values)
    theirs = connection.execute(query, values).all()
    assert [row._fields for row in ours] == [row._fields for row in theirs]
    return [tuple(row) for row in ours], [tuple(row) for row in theirs]


def test_rows_are_those_of_sqlalchemy_with_their_types(connection: Connection) -> None:
    """Integers, texts, bytes, nulls and booleans, in the query's order."""
    ours, theirs = _both(connection, select(schema.logs).order_by(_LOG.id))
    assert ours == theirs
    assert [[type(value) for value in row] for row in ours] == [[type(value) for value in row] for row in theirs]
    assert {row[-1] for row in ours} == {True, False}
    assert _both(connection, select(_LOG.origin).where(_LOG.retired.is_(True))) == ([("old",)], [("old",)])


@pytest.mark.parametrize("count", range(8))
def test_a_list_of_any_length_finds_each_once(connection: Connection, count: int) -> None:
    """None, one, or several: no row comes twice, and none is left out."""
    wanted = list(range(9, 9 - count, -1))
    ours, theirs = _both(connection, _AMONG, log=1, wanted=wanted)
    assert ours == theirs
    assert [row[0] for row in ours] == sorted(wanted)


def test_a_list_stands_among_other_values_in_their_order(connection: Connection) -> None:
    """A value before it, one behind it, and the limit that the query has itself."""
    ours, theirs = _both(connection, _BETWEEN, low=2, wanted=[1, 2, 5, 7, 9], end=9)
    assert ours == theirs == [(2,), (5,)]


def test_the_first_row_ends_the_query(connection: Connection) -> None:
    """One row by its name, or None; the connection is free for the next."""
    prepared = Prepared(_BETWEEN)
    found = prepared.first(connection, {"low": 3, "wanted": [3, 4], "end": 9})
    assert found is not None
    assert found.idx == 3
    assert prepared.first(connection, {"low": 3, "wanted": [], "end": 9}) is None
    rows = prepared.rows(connection, {"low": 0, "wanted": [1, 2], "end": 9})
    assert next(rows).idx == 1
    rows.close()


def test_an_error_of_the_database_is_one_of_sqlalchemy_and_tells_no_value(connection: Connection) -> None:
    """Whoever tells faults of the database from faults in the data knows it, and no value gets into a log."""
    missing = Table("nowhere", MetaData(), Column("name", String))
    with pytest.raises(DBAPIError, match="nowhere") as caught:
        Prepared(select(missing).where(missing.c.name == bindparam("name"))).all(connection, {"name": "secret"})
    if connection.dialect.name == "sqlite":
        assert not re.search("secret", str(caught.value))


def test_a_column_that_the_driver_gives_otherwise_is_refused() -> None:
    """A type that SQLAlchemy would have to convert is found when the query is made."""
    odd = Table("odd", MetaData(), Column("name", Uuid))
    with pytest.raises(TypeError, match="name"):
        Prepared(select(odd))
