"""Claim 9: a unit's own list against the log. Each row was read as a record by the unit's adapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError, Message

from exchange.domain.kinds import kind_of
from exchange.domain.kinds.keys import normalise_document_no
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.verify.claims import Against, ClaimNo, Docket
from exchange.flows.audit.verify.crew import Crew, Part, disk_of
from exchange.flows.audit.verify.keys.statements import body_problem, read_entry
from exchange.flows.audit.verify.material.disk import Bodies, Entries, Material
from exchange.flows.instants import micros_of
from exchange.tlog.origin import LogName
from exchange.tlog.tiles import run_of, runs
from exchange.v1.record_pb2 import Record

BUNDLES = 8
"""Bundles that a process searches at once."""


_NOT_THE_UNITS = frozenset({"default", "constant"})
"""Rules of provenance by which a field is filled from the adapter's tables and not from the unit's words."""


@dataclass(frozen=True, slots=True)
class OwnList:
    """A unit's own list.

    Attributes:
        name: Its file.
        key: Field of the record's body by which its rows are found, as in ``decision_no``.
        rows: Place and serialized Record of each row that could be read.
        unreadable: Places of the others.
    """

    name: str
    key: str
    rows: tuple[tuple[str, bytes], ...]
    unreadable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of which the list says something else than the log.

    Attributes:
        field: Its path in the record.
        listed: What the list says.
        logged: What the log says.
    """

    field: str
    listed: str
    logged: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRow:
    """What became of a row.

    Attributes:
        place: Where it stands in the list.
        key: What it is found by; empty where the row has none.
        log: Log that it was found in; empty when it was not.
        index: Entry there.
        differences: Fields that differ.
        promised: It stands beyond a checkpoint: nothing of it is proven.
    """

    place: str
    key: str
    log: str = ""
    index: int | None = None
    differences: tuple[Difference, ...] = ()
    promised: bool = False


@dataclass(slots=True)
class Comparison:
    """A list beside the log.

    Attributes:
        rows: Every row that could be read.
        absent: This node's own records of these kinds whose bodies are not in the folder, or not the ones that were
            signed, and entries that are not here at all: what is not found may be one of them.
    """

    rows: list[ListedRow] = field(default_factory=list)
    absent: int = 0

    @property
    def missing(self) -> list[ListedRow]:
        """Rows that no record was found of."""
        return [row for row in self.rows if not row.log]

    @property
    def differing(self) -> list[ListedRow]:
        """Rows whose record says something else."""
        return [row for row in self.rows if row.differences]


@dataclass(frozen=True, slots=True)
class _Search:
    """Bundles to search, and what for."""

    part: Part
    key: str
    wanted: frozenset[str]
    kinds: frozenset[int]
    digests: tuple[bytes, ...] = ()
    """Of the bundles as they were read before; empty where they were not."""


@dataclass(slots=True)
class _Found:
    """Logged time, index and record by key, the newest of each; and how many bodies are not there."""

    records: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)
    absent: int = 0


def check(
    disk: Material,
    folder: Path,
    listed: OwnList | None,
    crew: Crew,
    docket: Docket,
    digests: Mapping[str, Sequence[bytes]],
) -> None:
    """Write down what a list says otherwise than the log, as ``compare`` finds it.

    Args:
        disk: The folder.
        folder: Where it is.
        listed: The list; None without one.
        crew: Who searches.
        docket: Where it is written down.
        digests: Of each bundle as it was read before, by origin.
    """
    no = ClaimNo.OWN_LIST
    if listed is None:
        docket.lack(no, "LIST")
        return
    compared = compare(disk, folder, listed, crew, digests)
    if not compared.rows:
        docket.lack(no, "LIST")
    for row in compared.missing:
        if not row.key:
            docket.lack(no, "LIST_ROW", f"{listed.name} {row.place}")
        elif row.promised:
            docket.lack(no, "CHECKPOINT", f"{row.place} {row.key}")
        elif compared.absent:
            docket.lack(no, "BODIES", f"{row.place} {row.key}")
        else:
            found = Finding(code="LIST_ROW_MISSING", file=listed.name, detail=f"{row.place} {row.key}")
            docket.find(Against(no, found))
    for row in compared.differing:
        for each in row.differences:
            found = Finding(
                code="LIST_ROW_DIFFERS",
                log=row.log,
                index=row.index,
                file=listed.name,
                detail=f"{row.place} {row.key} {each.field}",
                evidence={"listed": each.listed, "logged": each.logged},
            )
            docket.find(Against(no, found))
    for place in listed.unreadable:
        docket.lack(no, "LIST_ROW", f"{listed.name} {place}")
    docket.fact(no, "rows", len(compared.rows))


def compare(
    disk: Material, folder: Path, listed: OwnList, crew: Crew, digests: Mapping[str, Sequence[bytes]] | None = None
) -> Comparison:
    """Look every row of a list up in a node's own logs.

    Args:
        disk: The folder.
        folder: Where it is.
        listed: The list.
        crew: Who searches.
        digests: Of each bundle as it was read before, by origin: what is another one by now is not here.
    """
    rows = [(place, Record.FromString(data)) for place, data in listed.rows]
    keyed = [(place, key_of(record, listed.key), record) for place, record in rows]
    wanted = frozenset(key for _, key, _ in keyed if key)
    wanted_kinds = frozenset(int(kind_of(record)) for _, record in rows)
    newest: dict[str, tuple[int, str, int, bytes]] = {}
    tails: set[str] = set()
    result = Comparison()
    for log in disk.logs:
        if log.is_journal or LogName.parse(log.origin).node != disk.node:
            continue
        part = Part(folder, log, (), disk.node)
        result.absent += sum(run.width for run in runs(log.size) if not log.has_bundle(run.number))
        before = tuple(digests[log.origin]) if digests is not None else ()
        asked = _Search(part, listed.key, wanted, wanted_kinds, before)
        if log.promised:
            with disk.promised_bodies(log) as bodies:
                tails |= _looked(disk.promised(log), bodies, log.size, asked).records.keys()
        for found in crew.map(search, _searches(asked)):
            result.absent += found.absent
            for key, (logged_at, index, body) in found.records.items():
                if key not in newest or (logged_at, log.origin) >= newest[key][:2]:
                    newest[key] = (logged_at, log.origin, index, body)
    for place, key, record in keyed:
        if key not in newest:
            result.rows.append(ListedRow(place=place, key=key, promised=key in tails))
            continue
        _, origin, index, body = newest[key]
        differences = tuple(_differences(record, Record.FromString(body)))
        result.rows.append(ListedRow(place=place, key=key, log=origin, index=index, differences=differences))
    return result


def _searches(asked: _Search) -> Iterator[_Search]:
    log = asked.part.log
    numbers = [run.number for run in runs(log.size) if log.has_bundle(run.number)]
    for at in range(0, len(numbers), BUNDLES):
        part = numbers[at : at + BUNDLES]
        before = tuple(asked.digests[number] for number in part) if asked.digests else ()
        yield replace(asked, part=replace(asked.part, numbers=tuple(part)), digests=before)


def search(asked: _Search) -> _Found:
    """Records of some bundles that a list asks for."""
    found = _Found()
    disk = disk_of(asked.part.folder)
    for at, number in enumerate(asked.part.numbers):
        run = run_of(asked.part.log.size, number)
        assert run is not None, "bundles are numbered by the log's size"
        entries = disk.entries(asked.part.log, run)
        if asked.digests and entries.digest != asked.digests[at]:
            found.absent += run.width
            continue
        found.absent += max(0, run.width - len(entries.found))
        with disk.bodies(asked.part.log, run) as bodies:
            part = _looked(entries, bodies, run.first, asked)
        found.absent += part.absent
        found.records |= part.records
    return found


def _looked(entries: Entries, bodies: Bodies, first: int, asked: _Search) -> _Found:
    found = _Found()
    for index, (_, data) in enumerate(entries.found, first):
        held, read = bodies.of(index), read_entry(data)
        if read is None:
            continue
        entry, statement = read
        if held is None or body_problem(statement, held.body, held.salt):
            found.absent += statement.kind in asked.kinds
            continue
        try:
            key = key_of(Record.FromString(held.body), asked.key)
        except DecodeError:
            continue
        if key in asked.wanted:
            found.records[key] = (micros_of(entry.logged_at), index, held.body)
    return found


def key_of(record: Record, name: str) -> str:
    """What a record is found by; empty where its kind has no such field, or it is not filled in."""
    which = record.WhichOneof("body")
    text = _text_at(record, f"{which}.{name}") if which else None
    if not text:
        return ""
    return normalise_document_no(text) if name.endswith("_no") else text.strip()


def _differences(listed: Record, logged: Record) -> Iterator[Difference]:
    """Fields that the list has a cell for."""
    for each in listed.header.provenance.fields:
        if not each.source or each.rule in _NOT_THE_UNITS:
            continue
        one, other = _text_at(listed, each.field), _text_at(logged, each.field)
        if one is not None and one != other:
            yield Difference(each.field, one, other or "")


def _text_at(record: Message, path: str) -> str | None:
    """What stands at a path; a list is taken whole. None where the schema has no such field."""
    here: Message = record
    for part in path.split("."):
        name = part.partition("[")[0]
        known = here.DESCRIPTOR.fields_by_name.get(name)
        if known is None:
            return None
        value = getattr(here, name)
        if known.is_repeated:
            return "; ".join(str(each).strip() for each in value)
        if known.message_type is None:
            return _scalar(known, value)
        here = value
    return str(here).strip()


def _scalar(known: Any, value: Any) -> str:
    if known.enum_type is not None:
        named = known.enum_type.values_by_number.get(value)
        return named.name if named is not None else str(value)
    return str(value)
