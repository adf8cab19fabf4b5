"""What a side's tables say once they are checked: layouts, names and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exchange.domain.catalogues.tables import Tables
from exchange.v1.credit_result_pb2 import CreditState
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import ShareClass
from exchange_forms.sides.places import Places
from exchange_forms.sides.vocabulary import Vocabulary

CREDIT: Final = "credit"
CURRENT: Final = "current"
OLD: Final = "2016"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a layout.

    Attributes:
        field: What it holds; ``ignored`` and ``personal`` are never mapped.
        heading: As it is written.
        numeric: Plain numbers are written as numbers.
        example: Cell of the example row of a form.
    """

    field: str
    heading: str
    numeric: bool = False
    example: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """One layout of rows.

    Attributes:
        aliases: Field by heading key, over every way to write a heading.
        marks: Heading keys that no other layout of the same kind has.
        columns: What is written, in order; empty for a layout that is only read.
    """

    name: str
    aliases: Mapping[str, str]
    marks: frozenset[str]
    columns: tuple[Column, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemeRule:
    """How a side uses a scheme.

    Attributes:
        first_year: First evaluation year for which it is taken when the document names none; 0: never.
        last_year: Last such year.
        score_kind: How the score is made.
    """

    scheme_id: str
    first_year: int
    last_year: int
    score_kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sharing:
    """A kind's place in the sharing catalogue."""

    catalogue_no: str
    share_class: ShareClass.ValueType


@dataclass(frozen=True, kw_only=True, slots=True)
class CreditTables:
    """What credit results need."""

    layout: Layout
    sharing: Sharing
    levels: Vocabulary
    colours: Vocabulary
    not_evaluated: Vocabulary
    states: Vocabulary
    vetoes: Vocabulary
    schemes: Vocabulary
    scheme_rules: Mapping[str, SchemeRule]
    default_state: CreditState.ValueType
    edition: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PenaltyTables:
    """What penalties need.

    Attributes:
        measures: Catalogue and edition of the measure codes of this side's documents.
    """

    layouts: tuple[Layout, ...]
    sharing: Sharing
    types: Vocabulary
    orders: Vocabulary
    states: Vocabulary
    classes: Vocabulary
    notice_kinds: Vocabulary
    measures: tuple[str, str]
    personal_words: tuple[str, ...]
    edition: str


@dataclass(frozen=True, kw_only=True, slots=True)
class FormTables:
    """What a side says of one kind of :mod:`exchange_forms.flat`.

    Attributes:
        file: Name of the table file; what provenance names for defaults.
        sheet: Name of the sheet, and what its title ends with.
        words: By field: its closed list of texts.
        notes: Lines of the notes sheet of its form, before those that every form has.
    """

    layout: Layout
    sharing: Sharing
    file: str
    edition: str
    sheet: str
    words: Mapping[str, Vocabulary]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """All tables of one side.

    Attributes:
        side: Name of its node.
        forms: Tables of the other kinds; a kind without a file is not there.
        title: What its forms are headed with.
        notes: Lines of the notes sheet of its forms.
        area_code: Area of facts whose document names none below it.
        authorities: USCC by name of an authority that documents name without its code.
        blank: Texts that stand for an empty cell.
        no_end: Texts of a date without end.
    """

    name: str
    side: str
    edition: str
    title: str
    notes: tuple[str, ...]
    area_code: str
    places: Places
    authorities: Vocabulary
    blank: frozenset[str]
    no_end: frozenset[str]
    no_end_text: str
    yes_no: Vocabulary
    subject_kinds: Vocabulary
    credit: CreditTables
    penalty: PenaltyTables
    forms: Mapping[Kind.ValueType, FormTables]
    domain: Tables
