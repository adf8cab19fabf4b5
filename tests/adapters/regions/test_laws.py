"""The laws of adapters hold, and are broken by adapters that break them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

import exchange_chongqing.build_samples
import exchange_sichuan.build_samples
from exchange.domain.adapter import DocumentReading, MappedRow, NativeDocument, Sample, WrittenDocument
from exchange.domain.adapter_laws import RECORD, LawResult, check, flatten
from exchange.domain.catalogues.tables import Tables
from exchange.domain.losses import LossReport
from exchange.domain.validate import validate
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange_forms import FormsAdapter
from exchange_forms.made.sampling import Samples


def test_every_law_holds(adapter: FormsAdapter, tables: Tables) -> None:
    """On every sample of the side, and for every form that it writes."""
    results = check(adapter, tables)
    assert [result for result in results if not result.passed] == []
    assert {result.name.partition(":")[0] for result in results} == {
        "losses",
        "outcome",
        "provenance",
        "redaction",
        "well-formed",
        "round trip",
    }


def test_samples_have_the_awkward_cases(adapter: FormsAdapter) -> None:
    """Tens of rows, every reason that rows of forms can be quarantined with, and documents that are refused whole."""
    expected = [each for sample in adapter.samples() for each in sample.expected]
    assert len(expected) >= 100
    assert set(expected) >= {
        RECORD,
        "AREA_UNMAPPED",
        "CELL_FORMULA_NO_VALUE",
        "CELL_NUMERIC_CODE",
        "DATE_FORMAT",
        "FILE_TYPE",
        "LAYOUT_MIXED",
        "LEVEL_SCORE_MISMATCH",
        "LEVEL_UNMAPPED",
        "PENALTY_TYPE_UNMAPPED",
        "USCC_CHECK",
    }


def test_records_of_samples_are_sound_but_for_two(adapter: FormsAdapter, tables: Tables) -> None:
    """What the samples map is what validation accepts; the exceptions are there on purpose."""
    broken: list[str] = []
    for sample in adapter.samples():
        if sample.expected in (("LAYOUT_MIXED",), ("FILE_TYPE",)):
            continue
        for row in adapter.read(sample.document).rows:
            if row.record is not None:
                broken += [p.reason for p in validate(row.record, tables, today=sample.document.received_at.date())]
    assert set(broken) <= {"USCC_FORMAT", "SCORE_NOT_INTEGER", "SCORE_RANGE"}


@pytest.mark.parametrize(
    ("package", "samples"),
    [
        ("exchange_chongqing", exchange_chongqing.build_samples.build()),
        ("exchange_sichuan", exchange_sichuan.build_samples.build()),
    ],
)
def test_committed_samples_are_what_the_program_builds(package: str, samples: Samples, tmp_path: Path) -> None:
    """Nobody edited a sample by hand, and the builder gives the same bytes again."""
    samples.write(tmp_path)
    module = {"exchange_chongqing": exchange_chongqing, "exchange_sichuan": exchange_sichuan}[package]
    assert module.__file__ is not None
    committed = Path(module.__file__).parent / "samples"
    assert _digests(committed) == _digests(tmp_path)


@pytest.mark.parametrize("year", [2025, 2033])
@pytest.mark.parametrize(
    ("create", "build"),
    [
        (exchange_chongqing.create, exchange_chongqing.build_samples.build),
        (exchange_sichuan.create, exchange_sichuan.build_samples.build),
    ],
)
def test_samples_of_a_later_round_come_out_alike_and_hold_for_its_year(
    tables: Tables, create: Callable[..., FormsAdapter], build: Callable[[int], Samples], year: int
) -> None:
    """What a demo sends two years after a round: each row as in the samples that are kept, and none of it too old."""
    adapter, made = create(tables, {}), build(year)
    first, last = datetime(year + 2, 1, 1, tzinfo=UTC), f"{year + 2}-12-31"
    kept = {sample.name: sample.document for sample in adapter.samples()}
    rounds, ends = set[int](), set[str]()
    for title, file, _kind, expected in made.listed:
        if expected in (["LAYOUT_MIXED"], ["FILE_TYPE"]):
            continue
        rows = adapter.read(replace(kept[title], file_name=file, content=made.files[file], received_at=first)).rows
        assert [RECORD if row.record else row.problems[0].reason for row in rows] == expected, title
        records = [row.record for row in rows if row.record]
        rounds |= {each.credit_result.evaluation_year for each in records if each.HasField("credit_result")}
        ends |= {each.list_entry.valid_until for each in records if each.HasField("list_entry")} - {""}
        for record in records:
            if record.HasField("credit_result") or record.HasField("list_entry"):
                broken = {problem.reason for problem in validate(record, tables, today=first.date())}
                assert broken <= {"USCC_FORMAT", "SCORE_NOT_INTEGER", "SCORE_RANGE"}
    assert rounds <= {year, 2018}  # Chongqing has one by its scheme of 2017, which is too old on purpose
    assert year in rounds
    assert ends
    assert min(ends) > last


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


_SMALL = ("credit, JSON", "penalties, JSON", "hj212/edition-2005.txt")


class Faulty:
    """An adapter that can be broken by assignment."""

    def __init__(self, adapter: FormsAdapter) -> None:
        self.name = adapter.name
        self.side = adapter.side
        self.edition = adapter.edition
        self.kinds = adapter.kinds
        self._adapter = adapter
        self.rows: Callable[[tuple[MappedRow, ...]], tuple[MappedRow, ...]] = lambda rows: rows
        self.redact: Callable[[bytes], bytes] = lambda content: content
        self.lost = True
        self.silent_about: tuple[str, ...] = ()

    def recognises(self, document: NativeDocument) -> bool:
        """As the sound one."""
        return self._adapter.recognises(document)

    def read(self, document: NativeDocument) -> DocumentReading:
        """As the sound one, then broken."""
        reading = self._adapter.read(document)
        return replace(reading, rows=self.rows(reading.rows), redacted=self.redact(reading.redacted))

    def write(self, records: Sequence[Record], *, kind: Kind.ValueType, form: str) -> WrittenDocument:
        """As the sound one, without telling what is lost where asked."""
        written = self._adapter.write(records, kind=kind, form=form)
        return written if self.lost else replace(written, lost=())

    def template(self, kind: Kind.ValueType) -> WrittenDocument:
        """As the sound one."""
        return self._adapter.template(kind)

    def losses(self, kind: Kind.ValueType) -> LossReport:
        """As the sound one, less what is told of."""
        found = self._adapter.losses(kind)
        return replace(found, carried={path: by for path, by in found.carried.items() if path not in self.silent_about})

    def samples(self) -> Sequence[Sample]:
        """The smaller ones."""
        return [each for each in self._adapter.samples() if each.name in _SMALL]


def failed(adapter: Faulty, tables: Tables) -> set[str]:
    """Laws that an adapter breaks."""
    results: list[LawResult] = check(adapter, tables)
    return {result.name.partition(":")[0] for result in results if not result.passed}


def without_provenance(rows: tuple[MappedRow, ...]) -> tuple[MappedRow, ...]:
    """Rows whose records lost their first line of provenance."""
    found: list[MappedRow] = []
    for row in rows:
        if row.record is None:
            found.append(row)
            continue
        record = Record()
        record.CopyFrom(row.record)
        del record.header.provenance.fields[0]
        found.append(replace(row, record=record))
    return tuple(found)


def test_a_field_without_provenance_breaks_the_law(chongqing: FormsAdapter, tables: Tables) -> None:
    """One missing line is seen."""
    faulty = Faulty(chongqing)
    faulty.rows = without_provenance
    assert "provenance" in failed(faulty, tables)


def test_a_dropped_row_breaks_the_law(chongqing: FormsAdapter, tables: Tables) -> None:
    """Rows that do not come out are seen."""
    faulty = Faulty(chongqing)
    faulty.rows = lambda rows: rows[:-1]
    assert "outcome" in failed(faulty, tables)


def test_an_untold_loss_breaks_the_law(chongqing: FormsAdapter, tables: Tables) -> None:
    """A writer must say what its layout can not carry."""
    faulty = Faulty(chongqing)
    faulty.lost = False
    assert "round trip" in failed(faulty, tables)


def test_a_report_of_losses_that_leaves_a_field_out_breaks_the_law(chongqing: FormsAdapter, tables: Tables) -> None:
    """Every field is carried or listed with its reason, whoever made the adapter."""
    faulty = Faulty(chongqing)
    faulty.silent_about = ("credit_result.score",)
    assert "losses" in failed(faulty, tables)


def test_a_redacted_form_that_reads_otherwise_breaks_the_law(chongqing: FormsAdapter, tables: Tables) -> None:
    """What is stored must give the same rows again."""
    faulty = Faulty(chongqing)
    faulty.redact = lambda content: content + b"\r\n"
    assert "redaction" in failed(faulty, tables)


def test_flatten_names_every_set_field() -> None:
    """Items of lists have their number; provenance is left out."""
    record = Record()
    record.header.authority.name = "x"
    record.header.provenance.adapter = "a"
    record.credit_result.legal_basis.extend(["a", "b"])
    assert flatten(record) == {
        "header.authority.name": "x",
        "credit_result.legal_basis[0]": "a",
        "credit_result.legal_basis[1]": "b",
    }
