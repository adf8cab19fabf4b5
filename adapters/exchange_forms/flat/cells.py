"""Parts that are one column and one field."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

from google.protobuf.message import Message

from exchange_forms.flat.part import Context, Part
from exchange_forms.row import RowMapping, divided, joined_texts
from exchange_sheets import plain_text
from exchange_sheets.book import in_words


class EnumType(Protocol):
    """What a generated enum offers."""

    def keys(self) -> list[str]:
        """Every name."""
        ...

    def values(self) -> list[Any]:
        """Every number."""
        ...

    def Name(self, number: Any) -> str:  # noqa: N802 - protobuf's own name
        """The name of a number."""
        ...

    def Value(self, name: Any) -> Any:  # noqa: N802 - protobuf's own name
        """The number of a name."""
        ...


def prefix_of(enum: EnumType) -> str:
    """What every name of an enum begins with."""
    return enum.keys()[0].removesuffix("UNSPECIFIED")


def meanings_of(enum: EnumType) -> list[str]:
    """Every name but that of 0, without the prefix."""
    return [name.removeprefix(prefix_of(enum)) for name in enum.keys()[1:]]


def value_at(message: Message, path: str) -> Any:
    """The value of a field within a message, by its path."""
    return reduce(getattr, path.split("."), message)


@dataclass(frozen=True, slots=True)
class Field(Part):
    """One column and one field.

    Attributes:
        column: Name of the column in tables.
        path: Field within body or item; empty: the same name.
    """

    column: str
    path: str = ""

    @property
    def target(self) -> str:
        """Path of the field within body or item."""
        return self.path or self.column

    def columns(self) -> Collection[str]:
        """The one column."""
        return (self.column,)

    def write(self, message: Message, context: Context) -> Mapping[str, str]:
        """The field's text."""
        return {self.column: self.text_of(value_at(message, self.target), context)}

    def text_of(self, value: Any, _context: Context) -> str:
        """A value as it is written."""
        return str(value)


class Text(Field):
    """A text as written."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """Without outer blanks."""
        row.text(self.column, self.target)


class Texts(Field):
    """A list of texts in one cell, divided by ；."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """Divided by ；, | or line breaks."""
        row.texts(self.column, self.target)

    def text_of(self, value: Sequence[str], _context: Context) -> str:
        """An item that holds a divider itself is divided when it is read: the writer counts it as lost."""
        return joined_texts(value)


class Code(Field):
    """A code: in a cell of text, or quarantined."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """Normalised."""
        row.code(self.column, self.target)


class Number(Field):
    """A text of digits that is no code to be normalised, as a document number: in a cell of text, or quarantined."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """As written, but never from a numeric cell."""
        if row.code_cell(self.column) is not None:
            row.text(self.column, self.target)


class Day(Field):
    """A date."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """In any of the known ways to write one."""
        row.day(self.column, self.target)


class Amount(Field):
    """A decimal number."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """Exactly as many digits as are written."""
        found = row.number(self.column)
        if found is not None:
            row.put(self.target, plain_text(found[0]), found[1].address, "decimal")


@dataclass(frozen=True, slots=True)
class Choice(Field):
    """One word of a closed list."""

    enum: EnumType | None = None

    def words(self) -> Mapping[str, Collection[str] | None]:
        """Every name of the enum."""
        assert self.enum is not None
        return {self.column: meanings_of(self.enum)}

    def read(self, row: RowMapping, context: Context) -> None:
        """A word that is not listed is never guessed at."""
        assert self.enum is not None
        chosen = row.choice(self.column, context.tables.words[self.column], "WORD_UNMAPPED")
        if chosen is not None:
            row.put(self.target, self.enum.Value(prefix_of(self.enum) + chosen[0]), chosen[1].address, "alias")

    def text_of(self, value: Any, context: Context) -> str:
        """The side's own word."""
        return self.word_of(value, context)

    def word_of(self, number: int, context: Context) -> str:
        """The side's own word for one number; empty for 0."""
        assert self.enum is not None
        if number not in self.enum.values():
            return ""  # of a newer edition
        name = self.enum.Name(number).removeprefix(prefix_of(self.enum))
        return context.tables.words[self.column].texts.get(name, "")


@dataclass(frozen=True, slots=True)
class Choices(Choice):
    """Several words of a closed list in one cell."""

    def suggested(self) -> Collection[str]:
        """Its list has single words."""
        return (self.column,)

    def read(self, row: RowMapping, context: Context) -> None:
        """Divided by ；, 、 or line breaks; each word that is not listed is a fault of its own."""
        assert self.enum is not None
        cell = row.cell(self.column)
        if cell is None:
            return
        words = context.tables.words[self.column]
        numbers: list[int] = []
        for text in [cell.text] if words.find(cell.text) is not None else divided(cell.text, "；;|\n、，,"):
            meaning = words.find(text)
            if meaning is None:
                row.fault("WORD_UNMAPPED", cell, in_words(text, 40))
            else:
                numbers.append(self.enum.Value(prefix_of(self.enum) + meaning))
        if numbers:
            row.put(self.target, numbers, cell.address, "alias")

    def text_of(self, value: Any, context: Context) -> str:
        """The side's own words."""
        return joined_texts([self.word_of(number, context) for number in value])


class Flag(Field):
    """是 or 否. A blank cell is a fault: what is not said is not taken as no."""

    def read(self, row: RowMapping, _context: Context) -> None:
        """Yes or no, in one of the listed ways."""
        said = row.choice(self.column, row.side.yes_no, "YES_NO_UNMAPPED")
        if said is not None:
            row.put(self.target, said[0] == "TRUE", said[1].address, "alias")
        elif row.cell(self.column) is None:
            row.fault("FIELD_MISSING", row.row.cells.get(self.column), self.column)

    def text_of(self, value: Any, context: Context) -> str:
        """是 or 否."""
        return context.side.yes_no.texts["TRUE" if value else "FALSE"]

    def choices(self, context: Context) -> Mapping[str, Sequence[str]]:
        """Both."""
        return {self.column: list(context.side.yes_no.texts.values())}
