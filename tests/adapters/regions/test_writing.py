"""Writing in a side's own layout, also what came from the other side; forms; volume."""

from __future__ import annotations

import io
from pathlib import Path

import openpyxl
import pytest

from exchange.domain.adapter import MappedRow
from exchange.domain.kinds import content_bytes
from exchange.domain.problems import Refused
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange_forms import FormsAdapter
from exchange_forms.made.generate import main
from exchange_forms.made.making import made_uscc
from exchange_hj212 import StationProfiles
from exchange_sheets import RowAnswer, annotate
from tests.adapters.regions.documents import CREDIT, csv_of, native, read_one

CREDIT_KIND = Kind.KIND_CREDIT_RESULT
PENALTY_KIND = Kind.KIND_PENALTY_NOTICE


def records_of(adapter: FormsAdapter, kind: Kind.ValueType) -> list[Record]:
    """Records of a kind in the samples."""
    found: list[Record] = []
    for sample in adapter.samples():
        if sample.document.kind == kind and "RECORD" in sample.expected:
            rows = adapter.read(sample.document).rows
            found += [row.record for row in rows if row.record is not None]
    return found


def test_a_record_of_the_other_side_is_written_in_own_words(chongqing: FormsAdapter, sichuan: FormsAdapter) -> None:
    """The own name of the level, the original text beside it, the other side's scheme untouched."""
    given = csv_of([{**CREDIT, "信用等级": "环保信用不良单位", "评价得分": "59.5", "县（市、区）": "锦江区"}])
    (row,) = sichuan.read(native(given)).rows
    assert row.record is not None
    written = chongqing.write([row.record], kind=CREDIT_KIND, form="json").content.decode()
    assert '"信用等级": "环保不良企业"' in written
    assert '"原评价等级表述": "环保信用不良单位"' in written
    assert '"评价办法": "SC-2019版"' in written
    assert '"所在区县": "510104"' in written
    (back,) = chongqing.read(native(written.encode())).rows
    assert back.record is not None
    body = back.record.credit_result
    assert body.source_level_text == "环保信用不良单位"
    assert (body.scheme_id, body.score, body.subject.area_code) == ("SC-2019版", "59.5", "510104")


@pytest.mark.parametrize("kind", [CREDIT_KIND, PENALTY_KIND])
def test_what_one_side_writes_of_the_other_is_read_or_told_as_lost(
    chongqing: FormsAdapter, sichuan: FormsAdapter, kind: Kind.ValueType
) -> None:
    """Every record of one side's samples is a row of the other's layout, and what is not there is listed."""
    for writer, source in ((chongqing, sichuan), (sichuan, chongqing)):
        records = records_of(source, kind)
        written = writer.write(records, kind=kind, form="csv")
        lost = {problem.place for problem in written.lost}
        rows = writer.read(native(written.content)).rows
        assert len(rows) == len(records)
        assert lost <= {
            "header.purpose",
            "credit_result.veto_reasons.source_text",
            "credit_result.self_declared",
        }
        assert all(row.record is not None for row in rows)


def test_a_written_record_names_its_id(chongqing: FormsAdapter) -> None:
    """Officers find the record again; readers pass over the column."""
    record = read_one(chongqing, CREDIT).record
    assert record is not None
    record.header.record_id = "01900000-0000-7000-8000-000000000001"
    written = chongqing.write([record], kind=CREDIT_KIND, form="csv")
    assert "01900000-0000-7000-8000-000000000001" in written.content.decode("utf-8-sig")
    assert {problem.place for problem in written.lost} == {"header.purpose"}
    (row,) = chongqing.read(native(written.content)).rows
    assert row.record is not None
    assert not row.record.header.record_id


def test_what_a_layout_does_not_carry_is_listed(chongqing: FormsAdapter) -> None:
    """Items that can not be divided again, attachments, publicity dates that were computed."""
    record = read_one(chongqing, CREDIT).record
    assert record is not None
    record.credit_result.legal_basis.append("甲；乙")
    record.credit_result.self_declared = True
    record.header.attachments.add(name="a.pdf")
    written = chongqing.write([record], kind=CREDIT_KIND, form="xlsx")
    assert {problem.place for problem in written.lost} == {
        "credit_result.legal_basis",
        "credit_result.self_declared",
        "header.attachments.name",
        "header.purpose",
    }
    assert all(problem.reason == "FIELD_NOT_CARRIED" for problem in written.lost)


def test_a_side_has_no_layout_for_other_kinds_and_forms(adapter: FormsAdapter) -> None:
    """Refused with its reason; a record of another kind as well."""
    record = Record()
    record.penalty_notice.decision_no = "1"
    for kind, form, reason in (
        (Kind.KIND_ANSWER, "xlsx", "LAYOUT_UNKNOWN"),
        (CREDIT_KIND, "hj212", "LAYOUT_UNKNOWN"),
        (Kind.KIND_MONITORING_BATCH, "xlsx", "LAYOUT_UNKNOWN"),
        (CREDIT_KIND, "csv", "KIND_MISMATCH"),
    ):
        with pytest.raises(Refused) as refused:
            adapter.write([record], kind=kind, form=form)
        assert refused.value.reason == reason


@pytest.mark.parametrize("kind", [CREDIT_KIND, PENALTY_KIND])
def test_a_form_is_empty_and_can_be_sent_once_filled(adapter: FormsAdapter, kind: Kind.ValueType) -> None:
    """Its example row is passed over; a row below it is read; lists hold only what is understood."""
    form = adapter.template(kind)
    reading = adapter.read(native(form.content))
    assert reading.rows == ()
    book = openpyxl.load_workbook(io.BytesIO(form.content))
    sheet = book.worksheets[0]
    headings = [str(cell.value) for cell in sheet[2]]
    record = records_of(adapter, kind)[0]
    written = openpyxl.load_workbook(io.BytesIO(adapter.write([record], kind=kind, form="xlsx").content)).worksheets[0]
    for column, heading in enumerate(headings, start=1):
        source = next(cell for cell in written[2] if cell.value == heading)
        sheet.cell(row=4, column=column).value = written.cell(row=3, column=source.column).value
    target = io.BytesIO()
    book.save(target)
    (row,) = adapter.read(native(target.getvalue())).rows
    assert row.record is not None
    assert content_bytes(row.record) == content_bytes(_with_purpose(record))
    choices = book["选项"]
    assert choices.sheet_state == "hidden"
    assert sheet.data_validations.count > 3


def _with_purpose(record: Record) -> Record:
    copy = Record()
    copy.CopyFrom(record)
    copy.header.purpose = "演示"
    return copy


def test_the_form_for_monitoring_is_a_file_of_profiles(adapter: FormsAdapter) -> None:
    """What a side fills in for HJ 212 are its stations."""
    profiles = StationProfiles.load(adapter.template(Kind.KIND_MONITORING_BATCH).content)
    assert len(profiles.stations) == 1


def test_an_answered_workbook_can_be_sent_again(adapter: FormsAdapter) -> None:
    """The three columns of the answer change nothing of what is read."""
    sample = next(each for each in adapter.samples() if each.name == "credit, workbook")
    before = adapter.read(sample.document)
    answers = {row.place: RowAnswer(result="已接收", reasons="原因", record_id="x") for row in before.rows}
    after = adapter.read(native(annotate(sample.document.content, answers)))
    assert [_said(row) for row in after.rows] == [_said(row) for row in before.rows]


def _said(row: MappedRow) -> object:
    return row.record.credit_result if row.record is not None else row.problems


@pytest.mark.parametrize("kind", ["credit", "penalty"])
def test_volume_is_sound_and_the_same_again(adapter: FormsAdapter, kind: str, tmp_path: Path) -> None:
    """Every generated row becomes a record; the same seed gives the same bytes; a folder gets parts."""
    package = f"exchange_{adapter.name}"
    for name in ("a.csv", "b.csv"):
        assert main(package, [kind, "60", "7", str(tmp_path / name)]) == 0
    content = (tmp_path / "a.csv").read_bytes()
    assert content == (tmp_path / "b.csv").read_bytes()
    rows = adapter.read(native(content)).rows
    assert len(rows) == 60
    assert all(row.record is not None for row in rows)
    assert main(package, [kind, "2100", "7", str(tmp_path / "folder")]) == 0
    assert len(list((tmp_path / "folder").iterdir())) == 2
    assert main(package, [kind, "x", "7", "y"]) == 2


def test_made_codes_are_different_and_sound(chongqing: FormsAdapter) -> None:
    """One code for each number, and none that a real authority could have given."""
    codes = {made_uscc("chongqing", number) for number in range(2000)}
    assert len(codes) == 2000
    assert all(code[2:8] == "509901" for code in codes)
    row = read_one(chongqing, CREDIT, 统一社会信用代码=made_uscc("chongqing", 5), 评价得分="100", 信用等级="诚信")
    assert row.record is not None
    assert row.record.credit_result.shared_level == CreditLevel.CREDIT_LEVEL_GREEN
