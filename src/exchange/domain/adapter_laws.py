"""What every adapter must hold, checked on its own samples. ``exchange adapters test`` shows the results."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from typing import Final

from google.protobuf.message import Message

from exchange.domain.adapter import Adapter, DocumentReading, MappedRow, NativeDocument, Sample
from exchange.domain.catalogues.tables import Tables
from exchange.domain.kinds import kind_of
from exchange.domain.losses import SOME_VALUES, is_within, paths_of
from exchange.domain.personal import contains_resident_id
from exchange.domain.problems import ExchangeError, Refused
from exchange.domain.validate import validate
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record

FORMS: Final = ("xlsx", "csv", "json", "hj212")
"""Forms that an adapter may write."""

RECORD: Final = "RECORD"
"""Expected outcome of a row that becomes a record."""

_SHOWN: Final = 5
"""Breaches that one result names."""

_NATIVE_TIME_ZONE: Final = timezone(timedelta(hours=8))
_WHOLE: Final = "google.protobuf."
"""An instant is one value."""

_INDEX = re.compile(r"\[[0-9]+\]")
_OWN = ("header.record_id", "header.revision", "header.provenance")


@dataclass(frozen=True, kw_only=True, slots=True)
class LawResult:
    """One law on one sample or kind.

    Attributes:
        name: ``law: sample``.
        detail: What was compared, or what broke the law.
    """

    name: str
    passed: bool
    detail: str


def flatten(record: Record) -> dict[str, object]:
    """Every set field of a record by its path, as in ``credit_result.legal_basis[0]``; provenance left out.

    An instant is one value.
    """
    return {path: value for path, value in _leaves(record, "") if not path.startswith("header.provenance")}


def plain_path(path: str) -> str:
    """The path without the numbers of list items: one name for all items of a list."""
    return _INDEX.sub("", path)


def _leaves(message: Message, prefix: str) -> Iterator[tuple[str, object]]:
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        values = [(f"{path}[{n}]", each) for n, each in enumerate(value)] if field.is_repeated else [(path, value)]
        for place, each in values:
            if isinstance(each, Message) and not each.DESCRIPTOR.full_name.startswith(_WHOLE):
                yield from _leaves(each, f"{place}.")
            else:
                yield place, each


def check(adapter: Adapter, tables: Tables) -> list[LawResult]:
    """Hold an adapter against the laws.

    1. Each kind has a sample with a record, and each sample's rows come out as expected.
    2. Every set field of every record has a line of provenance, for itself or for what it is part of.
    3. The redacted document gives the same rows, and is its own redacted form. No resident identity number is left.
    4. A record that is written in the side's own layout and read again says the same, but for fields whose mapping is
       marked as lossy and fields that the writer itself lists as lost.
    5. The report of losses of each kind says of every field of the schema whether it is carried, or why not, and says
       one thing of each.
    6. Records are well-formed, or the rules of validation say what is wrong with them; none of them breaks a rule
       that the adapter should have seen.

    Args:
        adapter: The adapter.
        tables: The domain's tables.

    Returns:
        One result for each law and sample or kind. An adapter that raises has broken the law that was being checked.
    """
    results: list[LawResult] = []
    records: dict[Kind.ValueType, list[tuple[Sample, Record]]] = {kind: [] for kind in adapter.kinds}
    for sample in adapter.samples():
        try:
            reading = adapter.read(sample.document)
        except Refused as refusal:
            results.append(_outcome(sample, [refusal.reason]))
            continue
        except ExchangeError as error:
            results.append(LawResult(name=f"outcome: {sample.name}", passed=False, detail=error.reason))
            continue
        results.append(_outcome(sample, [_outcome_of(row) for row in reading.rows]))
        results.append(_provenance(sample, reading))
        results.append(_redaction(adapter, sample, reading))
        results.append(_well_formed(sample, reading, tables))
        for row in reading.rows:
            if row.record is not None:
                records.setdefault(kind_of(row.record), []).append((sample, row.record))
    for kind, found in records.items():
        name = Kind.Name(kind)
        results.append(_losses(adapter, kind))
        if not found:
            results.append(LawResult(name=f"samples: {name}", passed=False, detail="no sample has a record"))
            continue
        results += _round_trips(adapter, kind, found)
    return results


def _losses(adapter: Adapter, kind: Kind.ValueType) -> LawResult:
    name = f"losses: {Kind.Name(kind)}"
    try:
        report = adapter.losses(kind)
    except ExchangeError as error:
        return LawResult(name=name, passed=False, detail=error.reason)
    places = [problem.place for problem in report.fields if problem.reason != SOME_VALUES]
    breaches = [
        path
        for path in paths_of(kind)
        if (path in report.carried) + sum(is_within(path, place) for place in places) != 1
    ]
    return _result(name, breaches, f"{len(report.carried)} fields carried, {len(places)} lines of what is not")


def _outcome_of(row: MappedRow) -> str:
    return RECORD if row.record is not None else row.problems[0].reason if row.problems else "NOTHING"


def _result(name: str, breaches: list[str], done: str) -> LawResult:
    if not breaches:
        return LawResult(name=name, passed=True, detail=done)
    more = f" (+{len(breaches) - _SHOWN})" if len(breaches) > _SHOWN else ""
    return LawResult(name=name, passed=False, detail="; ".join(breaches[:_SHOWN]) + more)


def _outcome(sample: Sample, found: list[str]) -> LawResult:
    breaches = [
        f"row {number}: {actual} instead of {expected}"
        for number, (actual, expected) in enumerate(zip(found, sample.expected, strict=False), start=1)
        if actual != expected
    ]
    if len(found) != len(sample.expected):
        breaches.append(f"{len(found)} rows instead of {len(sample.expected)}")
    return _result(f"outcome: {sample.name}", breaches, f"{len(found)} rows")


def _provenance(sample: Sample, reading: DocumentReading) -> LawResult:
    breaches: list[str] = []
    fields = 0
    for row in reading.rows:
        if row.record is None:
            continue
        known = {plain_path(line.field) for line in row.record.header.provenance.fields}
        for path in flatten(row.record):
            fields += 1
            plain = plain_path(path)
            parts = plain.split(".")
            if not plain.startswith(_OWN) and not any(".".join(parts[:n]) in known for n in range(2, len(parts) + 1)):
                breaches.append(f"{row.place}: {plain}")
    return _result(f"provenance: {sample.name}", breaches, f"{fields} fields")


def _redaction(adapter: Adapter, sample: Sample, reading: DocumentReading) -> LawResult:
    name = f"redaction: {sample.name}"
    try:
        again = adapter.read(replace(sample.document, content=reading.redacted))
    except ExchangeError as error:
        return LawResult(name=name, passed=False, detail=f"the redacted document is refused: {error.reason}")
    breaches: list[str] = []
    if again.redacted != reading.redacted:
        breaches.append("the redacted document is not its own redacted form")
    if len(again.rows) != len(reading.rows):
        breaches.append(f"{len(again.rows)} rows instead of {len(reading.rows)}")
    breaches += [
        f"{first.place}: another row"
        for first, second in zip(reading.rows, again.rows, strict=False)
        if first != second
    ]
    breaches += [f"{row.place}: an identity number" for row in reading.rows if contains_resident_id(row.content)]
    return _result(name, breaches, f"{len(reading.redacted)} bytes")


def _well_formed(sample: Sample, reading: DocumentReading, tables: Tables) -> LawResult:
    today = sample.document.received_at.astimezone(_NATIVE_TIME_ZONE).date()
    breaches: list[str] = []
    refused = 0
    for row in reading.rows:
        problems = validate(row.record, tables, today=today) if row.record is not None else ()
        refused += bool(problems)
        breaches += [
            f"{row.place}: {problem.reason} {problem.place}"
            for problem in problems
            if problem.place.startswith(("header.provenance", "header.kind_edition")) or not problem.place
        ]
    return _result(f"well-formed: {sample.name}", breaches, f"{refused} records refused by validation")


def _round_trips(adapter: Adapter, kind: Kind.ValueType, found: list[tuple[Sample, Record]]) -> list[LawResult]:
    results: list[LawResult] = []
    for form in FORMS:
        name = f"round trip: {Kind.Name(kind)} {form}"
        try:
            written = adapter.write([record for _, record in found], kind=kind, form=form)
        except Refused as refusal:
            if refusal.reason != "LAYOUT_UNKNOWN":
                results.append(LawResult(name=name, passed=False, detail=refusal.reason))
            continue
        lost = frozenset(plain_path(problem.place) for problem in written.lost)
        document = replace(
            found[0][0].document, file_name=written.file_name, content=written.content, kind=Kind.KIND_UNSPECIFIED
        )
        results.append(_round_trip(adapter, name, found, document, lost))
    if not results:
        results.append(LawResult(name=f"round trip: {Kind.Name(kind)}", passed=False, detail="no form is written"))
    return results


def _round_trip(
    adapter: Adapter, name: str, found: list[tuple[Sample, Record]], document: NativeDocument, lost: frozenset[str]
) -> LawResult:
    try:
        rows = adapter.read(document).rows
    except ExchangeError as error:
        return LawResult(name=name, passed=False, detail=f"what it wrote is refused: {error.reason}")
    by_content: list[str] = []
    if len(rows) != len(found):
        by_content.append(f"{len(rows)} rows instead of {len(found)}")
    for (_, before), row in zip(found, rows, strict=False):
        if row.record is None:
            by_content.append(f"{row.place}: {_outcome_of(row)}")
            continue
        lossy = [plain_path(line.field) for line in before.header.provenance.fields if line.lossy]
        differing = _differing(flatten(before), flatten(row.record))
        by_content += [f"{row.place}: {path}" for path in differing if not plain_path(path).startswith((*lost, *lossy))]
    return _result(name, by_content, f"{len(rows)} records, {len(lost)} fields not carried")


def _differing(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    paths = [*before, *(path for path in after if path not in before)]
    return [path for path in paths if not path.startswith(_OWN) and before.get(path) != after.get(path)]
