"""What every table file of a side may have: columns, closed lists, a place in the sharing catalogue, additions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from exchange.domain.catalogues.table_file import Row, open_table
from exchange.v1.record_pb2 import ShareClass
from exchange_forms.sides.side import Column, Sharing
from exchange_forms.sides.vocabulary import Vocabulary, read_vocabulary
from exchange_sheets import heading_key

OVERLAY: Final = "aliases.toml"
"""The administrator's additions: ``[[alias]]`` with ``list``, ``text``, ``value``, ``source`` and ``author``."""


class Overlay:
    """The administrator's aliases by list; a list that nobody takes is a mistake."""

    def __init__(self, lists: dict[str, list[tuple[str, str]]]) -> None:
        self._lists = lists

    def take(self, name: str) -> list[tuple[str, str]]:
        """Texts and meanings that were added to a list."""
        return self._lists.pop(name, [])

    def end(self) -> None:
        """Refuse lists that nobody took."""
        for name in self._lists:
            row = Row({}, OVERLAY)
            raise row.wrong("alias.list", f"{name} is no list of this adapter")


def read_overlay(overlays: Mapping[str, bytes]) -> Overlay:
    """The administrator's ``aliases.toml``."""
    lists: dict[str, list[tuple[str, str]]] = {}
    if OVERLAY in overlays:
        file = open_table(OVERLAY, overlays[OVERLAY])
        for row in file.rows("alias"):
            row.text("source")
            row.text("author")
            lists.setdefault(row.text("list"), []).append((row.text("text"), row.text("value")))
            row.day("added_on")
            row.end()
        file.end()
    return Overlay(lists)


def read_file(regional: Mapping[str, bytes], name: str) -> Row:
    """A file that every region has."""
    if name not in regional:
        raise Row({}, name).wrong("", "missing")
    return open_table(name, regional[name])


def read_enum(file: Row, key: str, enum: object, prefix: str) -> Vocabulary:
    """A closed list of which every meaning is a name of an enum."""
    names: list[str] = enum.keys()  # type: ignore[attr-defined]  # generated enums share no class in their stubs
    return read_vocabulary(file, key, [name.removeprefix(prefix) for name in names if not name.endswith("UNSPECIFIED")])


def read_sharing(file: Row) -> Sharing:
    """The kind's place in the sharing catalogue."""
    row = file.row("sharing")
    sharing = Sharing(
        catalogue_no=row.text("catalogue_no"),
        share_class=ShareClass.Value(f"SHARE_CLASS_{row.one_of('share_class', ('UNCONDITIONAL', 'CONDITIONAL'))}"),
    )
    row.end()
    return sharing


def read_columns(file: Row) -> tuple[list[Column], dict[str, str]]:
    """The columns that are written, and the column of every heading."""
    columns: list[Column] = []
    aliases: dict[str, str] = {}
    for row in file.rows("column"):
        column = Column(
            field=row.text("field"),
            heading=row.text("heading"),
            numeric=row.flag("numeric", default=False),
            example=row.text("example", "-"),
        )
        written = row.flag("written", default=True)
        for text in (column.heading, *row.texts("aliases")):
            if aliases.setdefault(heading_key(text), column.field) != column.field:
                raise row.wrong("aliases", f"{text} names two fields")
        row.end()
        if written:
            columns.append(replace(column, example="" if column.example == "-" else column.example))
    return columns, aliases
