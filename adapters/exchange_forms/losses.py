"""Finds out what a form carries of its kind, by trying: which columns make a field, and which the field makes.

No list of fields stands here. A cell is filled, and what changes in the record is what its column makes; a field of a
record is changed, and the columns that change are those that carry it. So a kind, a column or a field that is new is
told as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from google.protobuf.message import Message

from exchange.domain.adapter import NativeDocument
from exchange.domain.adapter_laws import flatten, plain_path
from exchange.domain.losses import (
    COLUMN_IGNORED,
    COLUMN_REMOVED,
    FOLLOWS,
    FROM_TABLES,
    ONLY_READ,
    WITH_DOCUMENT,
    LossReport,
    Treatment,
    report,
)
from exchange.domain.problems import Problem
from exchange.v1.common_pb2 import Authority
from exchange.v1.record_pb2 import Record
from exchange_forms.form import Form
from exchange_forms.row import RowMapping
from exchange_forms.sides.side import Side
from exchange_forms.sides.vocabulary import Vocabulary, text_key
from exchange_sheets import Cell, SheetRow, TableRow, heading_key

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor

IGNORED: Final = "ignored"
PERSONAL: Final = "personal"

_DOCUMENT: Final = NativeDocument(
    file_name="",
    content=b"",
    received_at=datetime(1970, 1, 1, tzinfo=UTC),
    authority=Authority(uscc="甲", name="甲"),
    purpose="甲",
)
_TEXTS: Final = (
    "甲", "乙", "2024-03-05", "2024-06-07", "2024-03-05 08:00", "2024-06-07 09:30", "2023", "2024", "12.5", "3", "7",
    "C1", "A1", "w01018", "w21003", "a21026", "cq/0190a000-0000-7000-8000-000000000001/2",
    "sc/0190a000-0000-7000-8000-000000000002/3", "0190a000-0000-7000-8000-000000000003",
    "0190a000-0000-7000-8000-000000000004",
)  # fmt: skip
"""Texts of every sort that a cell may want; those of closed lists come from the side's tables."""

_ENOUGH: Final = 2
"""Texts of one column with different effects: enough to tell what it makes from what it happens to say."""

_MOST_WORDS: Final = 12
"""Words of a list that decides what other columns mean; longer ones are lists of places."""

_WITNESSES: Final = 4
"""Records that are looked at for one field."""

_Row = Mapping[str, str]


@dataclass(slots=True)
class _Probe:
    """What was found out of one form.

    Attributes:
        makers: Columns that make a field, by its path.
        only_read: Those among them that no form is written with.
        witnesses: Records in which a field is set, made by one of its columns.
        sources: Where a field came from in its first witness: a column, or a table.
        given: Source and rule of fields that no cell makes, in an empty row and in a full one.
        idle: Columns that make nothing.
    """

    form: Form
    side: Side
    makers: dict[str, list[str]] = field(default_factory=dict)
    only_read: dict[str, list[str]] = field(default_factory=dict)
    witnesses: dict[str, list[Record]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    given: dict[str, tuple[str, str]] = field(default_factory=dict)
    idle: list[str] = field(default_factory=list)

    def read(self, row: _Row) -> RowMapping:
        """What becomes of a row; each cell's address is the name of its column."""
        cells = {name: Cell(name, text) for name, text in row.items()}
        source = SheetRow(number=1, place="", cells={})
        table_row = TableRow(number=1, place="", cells=cells, source=source)
        return self.form.read([table_row], _DOCUMENT, frozenset(self.written()))

    def written(self) -> dict[str, str]:
        """Headings of the columns that are written, by field."""
        return {each.field: each.heading for each in self.form.columns if each.field not in (IGNORED, PERSONAL)}

    def others(self) -> dict[str, str]:
        """Headings of further columns that are read."""
        written, found = self.written(), dict[str, str]()
        for layout in self.form.layouts:
            for heading, name in layout.aliases.items():
                if name not in written and name not in (IGNORED, PERSONAL):
                    found.setdefault(name, heading)
        return found

    def fill(self) -> None:
        """Fill one column after the other, and see what each makes: alone, else together with the others."""
        full: dict[str, str] = {}
        waiting = [name for name in self.written() if not self._try(name, {}, self.makers, kept=full)]
        waiting = self._under_a_word(waiting, full)
        self.idle += [name for name in waiting if not self._try(name, full, self.makers, kept=full)]
        for row in ({}, full):
            for line in self.read(row).lines:
                if not line.source or line.source.endswith(".toml"):
                    self.given.setdefault(plain_path(line.field), (line.source, line.rule))
        for name in self.others():
            # Some columns count only where another one is not there.
            if not self._try(name, full, self.only_read) and not self._try(name, {}, self.only_read):
                self.idle.append(name)

    def _under_a_word(self, waiting: list[str], full: dict[str, str]) -> list[str]:
        """Columns that make nothing under any word of another one, as those of one kind of event do under its word."""
        written, lists = self.written(), self.form.choices()
        deciding = sorted((name for name in lists if name in written), key=lambda name: len(lists[name]))
        words = [(other, text) for other in deciding for text in lists[other][:_MOST_WORDS]]
        idle: list[str] = []
        for name in waiting:
            for word in words:
                other, text = word
                if other != name and self._try(name, {other: text}, self.makers, kept=full, deep=False):
                    # The next column is most often one of the same kind.
                    words.remove(word)
                    words.insert(0, word)
                    break
            else:
                idle.append(name)
        return idle

    def _try(
        self,
        name: str,
        base: _Row,
        makers: dict[str, list[str]],
        *,
        kept: dict[str, str] | None = None,
        deep: bool = True,
    ) -> bool:
        """Fill a column with one text after the other; whether it makes anything.

        Args:
            name: The column.
            base: Texts of others.
            makers: Where its fields are noted.
            kept: Where its text is kept for those behind it.
            deep: Try texts of lists as well that the form does not show.
        """
        before = _plain(self.read(base).record)
        effects: list[dict[str, list[object]]] = []
        doubtful: tuple[str, RowMapping] | None = None
        listed = len(self.form.choices().get(name, ()))
        for number, text in enumerate(self._texts(name, deep=deep)):
            # Each word of a short list may make something else.
            if len(effects) >= _ENOUGH and number >= min(listed, _MOST_WORDS):
                break
            mapping = self.read({**base, name: text})
            made = _made(before, mapping)
            if not made or made in effects:
                continue
            if any(problem.place == name for problem in mapping.problems):
                doubtful = doubtful or (text, mapping)
                continue
            self._note(name, mapping, made, makers)
            effects.append(made)
            if kept is not None:
                kept.setdefault(name, text)
        if not effects and doubtful is not None:
            text, mapping = doubtful
            self._note(name, mapping, _made(before, mapping), makers)
            if kept is not None:
                kept[name] = text
        return bool(effects) or doubtful is not None

    def _note(self, name: str, mapping: RowMapping, made: Mapping[str, object], makers: dict[str, list[str]]) -> None:
        sources = {plain_path(line.field): line.source for line in mapping.lines}
        for path in made:
            if name not in makers.setdefault(path, []):
                makers[path].append(name)
            self.witnesses.setdefault(path, []).append(mapping.record)
            self.sources.setdefault(path, sources.get(path, name))

    def _texts(self, name: str, *, deep: bool) -> Iterator[str]:
        listed = self.form.choices().get(name, ())
        example = next((each.example for each in self.form.columns if each.field == name and each.example), "")
        areas = list(self.side.places.names)[-2:]
        found = [*listed, *([example] if example else []), *_TEXTS, *areas]
        yield from found
        if deep:
            yield from (word for word in _words(getattr(self.side, self.form.name, None)) if word not in found)


def losses_of(form: Form, side: Side) -> LossReport:
    """What a side's form of a kind carries, and what it can not.

    Args:
        form: The form.
        side: The side's tables.
    """
    probe = _Probe(form, side)
    probe.fill()
    headings = {**probe.others(), **probe.written()}
    treatments: dict[str, Treatment] = {}
    for path in {**probe.makers, **probe.only_read, **probe.given}:
        carriers = _carriers(probe, path)
        makers = probe.makers.get(path, [])
        source, rule = probe.given.get(path, ("", ""))
        made_by = probe.sources.get(path, source)
        if carriers:
            by = "、".join(headings[name] for name in carriers)
            treatments[path] = Treatment(by=by, values=_without_word(probe, path))
        elif makers and not made_by.endswith(".toml"):
            treatments[path] = Treatment(reason=FOLLOWS, by=headings.get(made_by, headings[makers[0]]))
        elif not makers and path in probe.only_read:
            treatments[path] = Treatment(reason=ONLY_READ, by=headings[probe.only_read[path][0]])
        elif makers or rule != "document":
            treatments[path] = Treatment(reason=FROM_TABLES, by=made_by)
        else:
            treatments[path] = Treatment(reason=WITH_DOCUMENT)
    name = f"{side.name}-{form.name}-{form.editions[form.layouts[0].name]}"
    return report(form.kind, name, treatments, _idle_columns(probe, headings))


def _idle_columns(probe: _Probe, headings: Mapping[str, str]) -> list[Problem]:
    reasons = {IGNORED: COLUMN_IGNORED, PERSONAL: COLUMN_REMOVED}
    found: dict[str, Problem] = {}
    for column in probe.form.columns:
        if column.field in reasons:
            found[heading_key(column.heading)] = Problem(reasons[column.field], column.heading)
    for layout in probe.form.layouts:
        for key, name in layout.aliases.items():
            if name in reasons:
                found.setdefault(key, Problem(reasons[name], key))
    return [*found.values(), *(Problem(COLUMN_IGNORED, headings[name]) for name in probe.idle)]


def _carriers(probe: _Probe, path: str) -> list[str]:
    """Columns that say a field: written from it, and it is made of them."""
    written, makers = probe.written(), probe.makers.get(path, [])
    found: set[str] = set()
    witnesses = probe.witnesses.get(path, [])
    for record in witnesses[:_WITNESSES]:
        before = probe.form.write(record)
        for donor in (None, *witnesses[:_WITNESSES]):
            if found >= set(makers):
                break
            after = probe.form.write(_changed(record, path, donor))
            found |= {name for name in written if _texts_of(before, name) != _texts_of(after, name)}
    return [name for name in written if name in found and name in makers]


def _texts_of(rows: list[dict[str, str]], name: str) -> list[str]:
    return [row.get(name, "") for row in rows]


def _without_word(probe: _Probe, path: str) -> tuple[str, ...]:
    """Values of an enumeration that do not come back when they are written."""
    descriptor = _descriptor(path)
    if descriptor.enum_type is None:
        return ()
    missing: list[str] = []
    record = probe.witnesses[path][0]
    for value in descriptor.enum_type.values:
        if not value.number:
            continue
        changed = _changed(record, path, None, value.number)
        row = {name: text for name, text in probe.form.write(changed)[0].items() if text and name in probe.written()}
        if _plain(probe.read(row).record).get(path) != [value.number]:
            missing.append(value.name)
    return tuple(missing)


def _made(before: Mapping[str, list[object]], mapping: RowMapping) -> dict[str, list[object]]:
    return {path: value for path, value in _plain(mapping.record).items() if before.get(path) != value}


def _descriptor(path: str) -> FieldDescriptor:
    first, *rest = path.split(".")
    found = Record.DESCRIPTOR.fields_by_name[first]
    for name in rest:
        assert found.message_type is not None
        found = found.message_type.fields_by_name[name]
    return found


def _plain(record: Record) -> dict[str, list[object]]:
    """Values by path, those of all items of a list together."""
    found: dict[str, list[object]] = {}
    for path, value in flatten(record).items():
        found.setdefault(plain_path(path), []).append(value)
    return found


def _changed(record: Record, path: str, donor: Record | None, number: int = 0) -> Record:
    """The record with one field as the donor has it, with a number, or without it."""
    copy = Record()
    copy.CopyFrom(record)
    _change(copy, path.split("."), donor, number)
    return copy


def _change(target: Message, parts: list[str], donor: Message | None, number: int) -> None:
    name, rest = parts[0], parts[1:]
    repeated = target.DESCRIPTOR.fields_by_name[name].is_repeated
    if not rest:
        _set(target, name, donor, number)
    elif repeated:
        items = list(getattr(donor, name)) if donor is not None else []
        for place, item in enumerate(getattr(target, name)):
            _change(item, rest, items[min(place, len(items) - 1)] if items else None, number)
    elif target.HasField(name):
        _change(getattr(target, name), rest, getattr(donor, name) if donor is not None else None, number)


def _set(target: Message, name: str, donor: Message | None, number: int) -> None:
    described = target.DESCRIPTOR.fields_by_name[name]
    target.ClearField(name)
    if number:
        if described.is_repeated:
            getattr(target, name).append(number)
        else:
            setattr(target, name, number)
    elif donor is not None and (described.is_repeated or described.message_type is None or donor.HasField(name)):
        value = getattr(donor, name)
        if described.is_repeated:
            getattr(target, name).extend(value)
        elif described.message_type is not None:
            getattr(target, name).CopyFrom(value)
        else:
            setattr(target, name, value)


def _words(tables: object) -> list[str]:
    """Every word of the closed lists of some tables, other ways to write it first: they tell a text from its word."""
    found: dict[str, None] = {}
    for each in fields(tables) if is_dataclass(tables) else ():
        value = getattr(tables, each.name)
        if isinstance(value, Vocabulary):
            aliases = [key for key in value.values if key not in map(text_key, value.texts.values())]
            found.update(dict.fromkeys([*aliases, *value.texts.values()]))
    return list(found)
