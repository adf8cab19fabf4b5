"""Lists of which each item has a row of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from exchange_forms.flat.cells import value_at
from exchange_forms.flat.part import Context, Part
from exchange_forms.row import RowMapping


@dataclass(frozen=True, slots=True)
class Items(Part):
    """A repeated message: one item for each joined row that has a cell of it.

    Attributes:
        path: The list within the body.
        parts: What an item is made of; paths within the item.
    """

    path: str
    parts: tuple[Part, ...]

    def columns(self) -> Collection[str]:
        """Columns of an item."""
        return [column for part in self.parts for column in part.columns()]

    def words(self) -> Mapping[str, Collection[str] | None]:
        """Lists of texts of an item."""
        return {column: meanings for part in self.parts for column, meanings in part.words().items()}

    def read(self, row: RowMapping, context: Context) -> None:
        """Add an item for each row that says something of one."""
        columns = self.columns()
        for each in row.rows:
            if any(column in each.cells and not row.is_blank(each.cells[column]) for column in columns):
                item = row.item(each, self.path)
                for part in self.parts:
                    part.read(item, context)

    def write_rows(self, message: Message, context: Context) -> Sequence[Mapping[str, str]]:
        """A row for each item."""
        rows: list[Mapping[str, str]] = []
        for item in value_at(message, self.path):
            cells: dict[str, str] = {}
            for part in self.parts:
                cells.update(part.write(item, context))
            rows.append(cells)
        return rows

    def suggested(self) -> Collection[str]:
        """Columns of an item whose drop-down list only suggests."""
        return [column for part in self.parts for column in part.suggested()]

    def choices(self, context: Context) -> Mapping[str, Sequence[str]]:
        """Drop-down lists of an item."""
        return {column: texts for part in self.parts for column, texts in part.choices(context).items()}
