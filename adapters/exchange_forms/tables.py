"""A side's tables: layouts, names and defaults, checked once. Bytes come in, typed tables leave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Final

from exchange.domain.catalogues.table_file import Row, TableError, open_table
from exchange.domain.catalogues.tables import Tables
from exchange.v1.common_pb2 import SubjectKind
from exchange.v1.credit_result_pb2 import CreditLevel, CreditState
from exchange.v1.penalty_notice_pb2 import DishonestyClass, NoticeKind, PenaltyState, PenaltyType
from exchange.v1.record_pb2 import ShareClass
from exchange_forms.places import Places, make_places
from exchange_forms.vocabulary import Vocabulary, read_vocabulary, text_key
from exchange_sheets import heading_key

OVERLAY: Final = "aliases.toml"
"""The administrator's additions: ``[[alias]]`` with ``list``, ``text``, ``value``, ``source`` and ``author``."""

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
class Side:
    """All tables of one side.

    Attributes:
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
    domain: Tables


def load_side(regional: Mapping[str, bytes], overlays: Mapping[str, bytes], tables: Tables) -> Side:
    """Check a side's tables.

    Args:
        regional: ``side.toml``, ``credit.toml`` and ``penalty.toml`` of the region's package.
        overlays: The administrator's additions; ``aliases.toml`` is read here.
        tables: The domain's tables.

    Raises:
        TableError: A file is missing or ill-formed; names file and place.
    """
    folder = files("exchange_forms") / "tables"
    common = open_table("common.toml", (folder / "common.toml").read_bytes())
    national = open_table("penalty.toml", (folder / "penalty.toml").read_bytes())
    side_file = _file(regional, "side.toml")
    credit_file = _file(regional, "credit.toml")
    penalty_file = _file(regional, "penalty.toml")
    for file in (common, national, side_file, credit_file, penalty_file):
        file.text("source")
        file.text("status")
    added = _overlay(overlays)
    common.text("edition")
    blank = frozenset(map(text_key, common.texts("blank")))
    no_end = common.texts("no_end")
    area_code = side_file.text("area_code")
    if tables.areas.find(area_code) is None:
        raise side_file.wrong("area_code", "is no area")
    place_names = read_vocabulary(side_file, "area").with_aliases(added.take("area"))
    side = Side(
        name=side_file.text("name"),
        side=side_file.text("side"),
        edition=side_file.text("edition"),
        title=side_file.text("title"),
        notes=side_file.texts("notes"),
        area_code=area_code,
        places=make_places(tables.areas, area_code, place_names.values),
        authorities=read_vocabulary(side_file, "authority").with_aliases(added.take("authority")),
        blank=blank,
        no_end=frozenset(map(text_key, no_end)),
        no_end_text=no_end[0],
        yes_no=read_vocabulary(common, "yes_no", ("TRUE", "FALSE")),
        subject_kinds=_enum(common, "subject_kind", SubjectKind, "SUBJECT_KIND_").with_aliases(
            added.take("subject_kind")
        ),
        credit=_credit(credit_file, added, tables),
        penalty=_penalty(national, penalty_file, added),
        domain=tables,
    )
    for file in (common, national, side_file, credit_file, penalty_file):
        file.end()
    added.end()
    return side


class _Overlay:
    """The administrator's aliases by list; a list that nobody takes is a mistake."""

    def __init__(self, lists: dict[str, list[tuple[str, str]]]) -> None:
        self._lists = lists

    def take(self, name: str) -> list[tuple[str, str]]:
        return self._lists.pop(name, [])

    def end(self) -> None:
        for name in self._lists:
            row = Row({}, OVERLAY)
            raise row.wrong("alias.list", f"{name} is no list of this adapter")


def _overlay(overlays: Mapping[str, bytes]) -> _Overlay:
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
    return _Overlay(lists)


def _file(regional: Mapping[str, bytes], name: str) -> Row:
    if name not in regional:
        raise Row({}, name).wrong("", "missing")
    return open_table(name, regional[name])


def _enum(file: Row, key: str, enum: object, prefix: str) -> Vocabulary:
    names: list[str] = enum.keys()  # type: ignore[attr-defined]  # generated enums share no class in their stubs
    return read_vocabulary(file, key, [name.removeprefix(prefix) for name in names if not name.endswith("UNSPECIFIED")])


def _sharing(file: Row) -> Sharing:
    row = file.row("sharing")
    sharing = Sharing(
        catalogue_no=row.text("catalogue_no"),
        share_class=ShareClass.Value(f"SHARE_CLASS_{row.one_of('share_class', ('UNCONDITIONAL', 'CONDITIONAL'))}"),
    )
    row.end()
    return sharing


def _columns(file: Row) -> tuple[list[Column], dict[str, str]]:
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


def _credit(file: Row, added: _Overlay, tables: Tables) -> CreditTables:
    columns, aliases = _columns(file)
    aliases |= {heading_key(text): field for text, field in added.take("heading.credit")}
    rules: dict[str, SchemeRule] = {}
    names: list[tuple[str, str]] = []
    for scheme in tables.schemes.by_id.values():
        names += [(scheme.scheme_id, scheme.scheme_id), (scheme.name, scheme.scheme_id)]
    for row in file.rows("scheme"):
        rule = SchemeRule(
            scheme_id=row.one_of("id", tables.schemes.by_id),
            first_year=row.whole("first_year"),
            last_year=row.whole("last_year"),
            score_kind=row.text("score_kind"),
        )
        names += [(text, rule.scheme_id) for text in row.texts("aliases")]
        row.end()
        rules[rule.scheme_id] = rule
    vetoes = Vocabulary(
        values={text_key(name): code for code, name in tables.schemes.veto_names.items()}
        | {code: code for code in tables.schemes.veto_names},
        texts=tables.schemes.veto_names,
    ).merged(read_vocabulary(file, "veto", tables.schemes.veto_names))
    return CreditTables(
        layout=Layout(name=CREDIT, aliases=aliases, marks=frozenset(aliases), columns=tuple(columns)),
        sharing=_sharing(file),
        levels=_enum(file, "level", CreditLevel, "CREDIT_LEVEL_").with_aliases(added.take("level")),
        colours=_enum(file, "colour", CreditLevel, "CREDIT_LEVEL_").with_aliases(added.take("colour")),
        states=_enum(file, "state", CreditState, "CREDIT_STATE_").with_aliases(added.take("state")),
        vetoes=Vocabulary(values=vetoes.values, texts=tables.schemes.veto_names).with_aliases(added.take("veto")),
        schemes=Vocabulary(values={}, texts={}).with_aliases([*names, *added.take("scheme")]),
        scheme_rules=rules,
        default_state=CreditState.Value(f"CREDIT_STATE_{file.text('default_state')}"),
        edition=file.text("edition"),
    )


def _penalty(national: Row, file: Row, added: _Overlay) -> PenaltyTables:
    by_layout: dict[str, dict[str, str]] = {CURRENT: {}, OLD: {}}
    by_code: dict[str, Column] = {}
    for row in national.rows("column"):
        field, code, heading = row.text("field"), row.text("code"), row.text("heading")
        by_code[code] = Column(field=field, heading=heading)
        keys = [heading_key(text) for text in (code, heading, *row.texts("aliases"))]
        layouts = row.texts("layouts")
        row.end()
        for layout in layouts:
            for key in keys:
                if by_layout[layout].setdefault(key, field) != field:
                    raise row.wrong("aliases", f"{key} names two fields of {layout}")
    marks = {
        CURRENT: frozenset(by_layout[CURRENT]) - frozenset(by_layout[OLD]),
        OLD: frozenset(by_layout[OLD]) - frozenset(by_layout[CURRENT]),
    }
    extra, aliases = _columns(file)
    aliases |= {heading_key(text): field for text, field in added.take("heading.penalty")}
    by_codes = file.flag("headings_are_codes", default=False)
    written: list[Column] = []
    for code in file.texts("written"):
        if code not in by_code:
            raise file.wrong("written", f"{code} is no field of the national layout")
        known = by_code[code]
        written.append(replace(known, heading=code if by_codes else known.heading))
    measures = file.row("measures")
    catalogue = (measures.text("catalogue"), measures.text("edition"))
    measures.end()
    own_types = _enum(file, "penalty_type", PenaltyType, "PENALTY_TYPE_")
    own_orders = read_vocabulary(file, "order")
    file.text("edition")
    return PenaltyTables(
        layouts=tuple(
            Layout(
                name=name,
                # What a side adds counts for both editions, and never tells them apart.
                aliases={**aliases, **by_layout[name]},
                marks=marks[name] - frozenset(aliases),
                columns=(*written, *extra) if name == CURRENT else (),
            )
            for name in (CURRENT, OLD)
        ),
        sharing=_sharing(file),
        types=_enum(national, "penalty_type", PenaltyType, "PENALTY_TYPE_")
        .merged(own_types)
        .with_aliases(added.take("penalty_type")),
        orders=read_vocabulary(national, "order").merged(own_orders).with_aliases(added.take("order")),
        states=_enum(national, "state", PenaltyState, "PENALTY_STATE_").with_aliases(added.take("penalty_state")),
        classes=_enum(national, "dishonesty_class", DishonestyClass, "DISHONESTY_CLASS_").with_aliases(
            added.take("dishonesty_class")
        ),
        notice_kinds=_enum(national, "notice_kind", NoticeKind, "NOTICE_KIND_").with_aliases(added.take("notice_kind")),
        measures=catalogue,
        personal_words=tuple(map(heading_key, national.texts("personal_words"))),
        edition=national.text("edition"),
    )


__all__ = [
    "CREDIT",
    "CURRENT",
    "OLD",
    "OVERLAY",
    "Column",
    "CreditTables",
    "Layout",
    "PenaltyTables",
    "SchemeRule",
    "Sharing",
    "Side",
    "TableError",
    "load_side",
]
