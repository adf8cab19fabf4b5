"""Short queries that every call runs: put together once, and run on SQLite by the driver itself.

Through SQLAlchemy a query of one row by its key takes some 50 µs, of which the database needs 4; a record that comes
alone needs dozens of them. PostgreSQL, where a round trip costs more than either, is asked through SQLAlchemy.
"""

from __future__ import annotations

import re
import sqlite3
from collections import namedtuple
from collections.abc import Generator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Connection, Integer, LargeBinary, Select, String
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError

_PLAIN: Final = (BigInteger, Integer, LargeBinary, String)
"""Types whose values the driver gives as they are meant."""

_LIST = re.compile(r"\(__\[POSTCOMPILE_(\w+)\]\)")
"""Where SQLAlchemy leaves room for the values of a list."""

_NOTHING: Final[Mapping[str, Any]] = {}


class Prepared:
    """One query with named values.

    A list is given as the value of an expanding parameter. Its length is rounded up to a power of two, by its last
    value again, so that the driver keeps few statements.

    Args:
        query: Of columns of integers, texts, bytes and booleans.

    Raises:
        TypeError: A column is of another type.
    """

    def __init__(self, query: Select[Any]) -> None:
        self._query = query
        columns = list(query.selected_columns)
        self._booleans = tuple(place for place, each in enumerate(columns) if isinstance(each.type, Boolean))
        odd = [each.name for each in columns if not isinstance(each.type, (*_PLAIN, Boolean))]
        if odd:
            raise TypeError(f"values of {', '.join(odd)} are not as the driver gives them")
        row: Any = namedtuple("Row", [each.name for each in columns])  # type: ignore[misc]  # noqa: PYI024
        self._make = row._make  # noqa: SLF001 - public for all its name
        self._texts: dict[tuple[int, ...], str] = {}

    def all(self, connection: Connection, values: Mapping[str, Any] = _NOTHING) -> Sequence[Any]:
        """Every row, with its columns by name."""
        return list(self.rows(connection, values))

    def first(self, connection: Connection, values: Mapping[str, Any] = _NOTHING) -> Any | None:
        """The first row; None when there is none."""
        rows = self.rows(connection, values)
        try:
            return next(rows, None)
        finally:
            rows.close()

    def rows(self, connection: Connection, values: Mapping[str, Any] = _NOTHING) -> Generator[Any, None, None]:
        """Row by row; the query is over once the iterator is closed.

        Raises:
            DBAPIError: As SQLAlchemy raises it, without the values.
        """
        if connection.dialect.name == "sqlite":
            return self._by_driver(connection, values)
        return self._by_sqlalchemy(connection, values)

    def _by_sqlalchemy(self, connection: Connection, values: Mapping[str, Any]) -> Generator[Any, None, None]:
        result = connection.execute(self._query, values)
        try:
            yield from result
        finally:
            result.close()

    def _by_driver(self, connection: Connection, values: Mapping[str, Any]) -> Generator[Any, None, None]:
        text, given = self._filled(values)
        cursor: Any = connection.connection.cursor()
        make, booleans = self._make, self._booleans
        try:
            cursor.execute(text, given)
            if not booleans:
                yield from map(make, cursor)
                return
            for found in cursor:
                row = list(found)
                for place in booleans:
                    row[place] = row[place] if row[place] is None else bool(row[place])
                yield make(row)
        except sqlite3.Error as error:
            raise DBAPIError.instance(
                text, None, error, sqlite3.Error, hide_parameters=True, dialect=connection.dialect
            ) from error
        finally:
            cursor.close()

    @cached_property
    def _compiled(self) -> tuple[list[str], Sequence[str], Mapping[str, Any]]:
        """Text between the lists, names of the values in their order, and the values that the query has itself."""
        compiled = self._query.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        own = {name: value for name, value in compiled.params.items() if value is not None}
        return _LIST.split(str(compiled))[::2], compiled.positiontup or (), own

    def _filled(self, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        parts, names, own = self._compiled
        given: list[Any] = []
        lengths = []
        for name in names:
            value = values[name] if name in values else own[name]
            if isinstance(value, (list, tuple)):
                room = 1 << (len(value) - 1).bit_length() if value else 0
                lengths.append(room)
                given += value
                given += [value[-1]] * (room - len(value)) if value else ()
            else:
                given.append(value)
        lists = tuple(lengths)
        text = self._texts.get(lists)
        if text is None:
            marks = [f"({', '.join('?' * length)})" for length in lists]
            text = self._texts[lists] = "".join(part + mark for part, mark in zip(parts, [*marks, ""], strict=True))
        return text, given
