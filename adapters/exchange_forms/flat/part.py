"""What a kind is made of: parts, each of which reads and writes some columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from exchange.domain.adapter import NativeDocument
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange_forms.form import Groups
from exchange_forms.row import RowMapping
from exchange_forms.sides.side import FormTables, Side


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a part may look at beside the row or record.

    Attributes:
        document: What the file itself does not say; None while writing.
        record: The whole record that is written; None while reading.
    """

    tables: FormTables
    side: Side
    document: NativeDocument | None = None
    record: Record | None = None


class Part:
    """Some columns and the fields that they are of. This one has none: parts override what they need.

    A part says with every value where it came from (:meth:`RowMapping.put`), and notes a fault for every cell that it
    can not map: a cell that is not blank is never passed over.
    """

    def columns(self) -> Collection[str]:
        """Every column that :meth:`read` looks at."""
        return ()

    def words(self) -> Mapping[str, Collection[str] | None]:
        """By column with a list of texts: every meaning that a side's table gives a text; None: any it chooses."""
        return {}

    def read(self, _row: RowMapping, _context: Context) -> None:
        """Map the cells of the row; in a part of an item, those of the item's own row."""

    def write(self, _message: Message, _context: Context) -> Mapping[str, str]:
        """Cells by column, so that :meth:`read` gives the same again; the message is the body, or an item."""
        return {}

    def write_rows(self, _message: Message, _context: Context) -> Sequence[Mapping[str, str]]:
        """Cells of rows of their own, one for each item; only of parts that read :attr:`RowMapping.rows`."""
        return ()

    def suggested(self) -> Collection[str]:
        """Columns whose drop-down list only suggests: several of its texts may stand there, or another one."""
        return ()

    def choices(self, _context: Context) -> Mapping[str, Sequence[str]]:
        """Drop-down lists by column, beside those of :meth:`words`."""
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class FlatKind:
    """One kind; what a side calls its columns and words stands in the side's table file.

    Attributes:
        parts: In the order of reading; the subject first, so that texts behind it know whom they may name.
        found_by: Groups of columns: a header has at least one of each, and no other form's header has.
        identifying: Columns of which a row of facts has at least one.
        needed: Groups of columns without which no row can become a record.
        joined_by: Columns, each needed, whose texts join rows to one record: rows are its items, the other columns
            say the same in each row or stand in the first alone. ``ignored``, the row's number, joins rows of one table
            only. Empty where each row is a record.
    """

    kind: Kind.ValueType
    parts: tuple[Part, ...]
    found_by: Groups
    identifying: tuple[str, ...]
    needed: Groups = ()
    joined_by: tuple[str, ...] = ()

    def columns(self) -> frozenset[str]:
        """Every column that a table of the kind may have."""
        return frozenset(column for part in self.parts for column in part.columns()) | frozenset(self.joined_by)

    def suggested(self) -> frozenset[str]:
        """Every column whose drop-down list only suggests."""
        return frozenset(column for part in self.parts for column in part.suggested())

    def words(self) -> dict[str, Collection[str] | None]:
        """Every list of texts, by column."""
        return {column: meanings for part in self.parts for column, meanings in part.words().items()}
