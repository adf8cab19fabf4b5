"""A side's table files of the kinds of this room, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exchange.domain import kinds
from exchange.domain.catalogues.table_file import Row, open_table
from exchange.v1.kind_pb2 import Kind
from exchange_forms.flat.kinds import FLAT_KINDS
from exchange_forms.flat.part import FlatKind
from exchange_forms.sides.files import Overlay, read_columns, read_sharing
from exchange_forms.sides.side import FormTables, Layout
from exchange_forms.sides.vocabulary import Vocabulary, read_vocabulary
from exchange_sheets import heading_key

_EVERYWHERE: Final = frozenset({"ignored", "personal", "authority_name", "authority_uscc"})
"""Columns that every form may have."""


def file_of(kind: Kind.ValueType) -> str:
    """Name of a kind's table file."""
    return f"{kinds.spec(kind).field}.toml"


FLAT_FILES: Final = tuple(file_of(flat.kind) for flat in FLAT_KINDS)


def load_forms(regional: Mapping[str, bytes], added: Overlay) -> dict[Kind.ValueType, FormTables]:
    """Check the table files that a side has.

    Args:
        regional: A region's table files by name.
        added: The administrator's additions: each list that is taken here is taken out.

    Raises:
        TableError: A file is ill-formed; names file and place.
    """
    return {
        flat.kind: _load(open_table(file_of(flat.kind), regional[file_of(flat.kind)]), flat, added)
        for flat in FLAT_KINDS
        if file_of(flat.kind) in regional
    }


def _load(file: Row, flat: FlatKind, added: Overlay) -> FormTables:
    field = kinds.spec(flat.kind).field
    file.text("source")
    file.text("status")
    columns, aliases = read_columns(file)
    aliases |= {heading_key(text): column for text, column in added.take(f"heading.{field}")}
    for column in aliases.values():
        if column not in flat.columns() | _EVERYWHERE:
            raise file.wrong("column", f"{column} is no column of {field}")
    for group in (*flat.found_by, *flat.needed):
        if not any(column in aliases.values() for column in group):
            raise file.wrong("column", f"one of {', '.join(group)} is missing")
    tables = FormTables(
        layout=Layout(name=field.replace("_", "-"), aliases=aliases, marks=frozenset(aliases), columns=tuple(columns)),
        sharing=read_sharing(file),
        file=file_of(flat.kind),
        edition=file.text("edition"),
        sheet=file.text("sheet"),
        words=_words(file, flat, field, added),
        notes=file.texts("notes"),
    )
    file.end()
    return tables


def _words(file: Row, flat: FlatKind, field: str, added: Overlay) -> dict[str, Vocabulary]:
    lists = flat.words()
    if not lists:
        return {}
    row = file.row("words")
    found: dict[str, Vocabulary] = {}
    for column, meanings in lists.items():
        words = read_vocabulary(row, column, meanings)
        for meaning in meanings or ():
            if meaning not in words.texts:
                raise row.wrong(column, f"no text means {meaning}")
        found[column] = words.with_aliases(added.take(f"{field}.{column}"))
    row.end()
    return found
