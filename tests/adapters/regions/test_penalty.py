"""Penalties: both layouts, money, kinds of penalty, what persons' data must not pass."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.codes import organisation_code_holds, uscc_check_character
from exchange.domain.personal import contains_resident_id
from exchange.v1.common_pb2 import SubjectKind
from exchange.v1.kind_pb2 import Kind
from exchange.v1.penalty_notice_pb2 import DishonestyClass, NoticeKind, PenaltyState, PenaltyType
from exchange_forms import FormsAdapter
from exchange_forms.made.making import MadeSheet, made_workbook
from exchange_forms.made.sampling import person_numbers
from exchange_forms.registers.penalty import wan_to_yuan
from exchange_sheets import plain_text
from tests.adapters.regions.documents import FIRM, PENALTY, csv_of, native, read_one, reasons, refusal

OLD = {
    "CF_WSH": "演示[2016]1号",
    "CF_CFMC": "超标排放案",
    "CF_CFLB1": "罚款",
    "CF_SY": "演示数据",
    "CF_YJ": "《中华人民共和国大气污染防治法》第九十九条",
    "CF_XDR_MC": "演示一有限公司",
    "CF_XDR_SHXYM": FIRM,
    "CF_JG": "罚款2万元",
    "CF_JDRQ": "2016/9/1",
    "CF_ZT": "0",
}
"""A sound penalty in the layout of 2016."""


@given(st.decimals(0, 10**9, allow_nan=False, allow_infinity=False, places=6))
def test_yuan_are_exactly_ten_thousand_times_wan(amount: Decimal) -> None:
    """Nothing is rounded, whatever the context's precision is."""
    assert wan_to_yuan(amount) == Decimal(int(amount.scaleb(6))) / 100
    assert Decimal(plain_text(wan_to_yuan(amount))).scaleb(-4) == amount


def test_a_long_amount_is_not_rounded() -> None:
    """More digits than the default context keeps."""
    assert plain_text(wan_to_yuan(Decimal("1234567890123456789012345.678901"))) == "12345678901234567890123456789.01"


def test_a_row_of_the_current_layout_becomes_a_record(adapter: FormsAdapter) -> None:
    """Field codes are read by both sides; 2099-12-31 means no end."""
    row = read_one(adapter, PENALTY)
    assert row.record is not None
    body = row.record.penalty_notice
    assert (body.fine_cny, body.effective_until) == ("2000", "")
    assert body.notice_kind == NoticeKind.NOTICE_KIND_PENALTY
    assert body.dishonesty_class == DishonestyClass.DISHONESTY_CLASS_NOT_STATED
    assert body.state == PenaltyState.PENALTY_STATE_ISSUED
    assert row.record.header.issued.document_no == "演示环罚〔2025〕1号"
    lines = {line.field: (line.rule, line.lossy) for line in row.record.header.provenance.fields}
    assert lines["penalty_notice.fine_cny"] == ("wan-to-yuan", False)
    assert lines["penalty_notice.effective_until"] == ("no-end", True)


def test_chinese_headings_mean_the_same(adapter: FormsAdapter) -> None:
    """A column's code and its name are the same column."""
    names = {
        "CF_XDR_MC": "行政相对人名称",
        "CF_XDR_LB": "行政相对人类别",
        "CF_XDR_SHXYM": "统一社会信用代码",
        "CF_WSH": "行政处罚决定书文号",
        "CF_WFSS": "违法事实",
        "CF_YJ": "处罚依据",
        "CF_CFLB": "处罚类别",
        "CF_NR_FK": "罚款金额(万元)",
        "CF_JDRQ": "处罚决定日期",
        "CF_YXQ": "处罚有效期",
    }
    first = read_one(adapter, PENALTY).record
    second = read_one(adapter, {names[key]: value for key, value in PENALTY.items()}).record
    assert first is not None
    assert second is not None
    assert first.penalty_notice == second.penalty_notice


def test_yuan_columns_are_not_multiplied(adapter: FormsAdapter) -> None:
    """The unit stands in the heading; both units in one file are two layouts."""
    row = {key: value for key, value in PENALTY.items() if key != "CF_NR_FK"}
    record = read_one(adapter, row, **{"罚款金额（元）": "2000"}).record
    assert record is not None
    assert record.penalty_notice.fine_cny == "2000"
    assert refusal(adapter, csv_of([{**PENALTY, "罚款金额（元）": "2000"}])) == "LAYOUT_MIXED"


@pytest.mark.parametrize(
    ("text", "types", "orders"),
    [
        ("警告", ["WARNING"], []),
        ("罚款、没收违法所得", ["FINE", "CONFISCATE_GAINS"], []),
        ("罚款；责令改正违法行为", ["FINE"], ["责令改正违法行为"]),
        ("责令停产停业/罚款/罚款", ["STOP_PRODUCTION", "FINE"], []),
        ("法律、行政法规规定的其他行政处罚", ["OTHER_BY_LAW"], []),
    ],
)
def test_kinds_of_penalty_are_divided(adapter: FormsAdapter, text: str, types: list[str], orders: list[str]) -> None:
    """Several in one cell; orders are no penalties; the source's own words are kept."""
    record = read_one(adapter, PENALTY, CF_CFLB=text).record
    assert record is not None
    body = record.penalty_notice
    assert [PenaltyType.Name(each).removeprefix("PENALTY_TYPE_") for each in body.penalty_types] == types
    assert list(body.orders) == orders
    assert body.source_penalty_types == text


def test_an_unknown_kind_of_penalty_waits(adapter: FormsAdapter) -> None:
    """Also beside known ones."""
    assert reasons(read_one(adapter, PENALTY, CF_CFLB="罚款、责令道歉")) == ["PENALTY_TYPE_UNMAPPED"]


def test_the_layout_of_2016_is_read(adapter: FormsAdapter) -> None:
    """Two columns of kinds, a state, and the day of effect where no day of decision is written."""
    row = read_one(adapter, OLD, CF_CFLB2="责令改正", CF_JDRQ="", CF_SXQ="2016.9.8", CF_ZT="1")
    assert row.record is not None
    body = row.record.penalty_notice
    assert (body.decided_on, body.violation_type, body.content) == ("2016-09-08", "超标排放案", "罚款2万元")
    assert (body.fine_cny, list(body.orders)) == ("", ["责令改正"])
    assert body.state == PenaltyState.PENALTY_STATE_REVOKED
    lines = {line.field: (line.rule, line.lossy) for line in row.record.header.provenance.fields}
    assert lines["penalty_notice.decided_on"] == ("effective-day-for-decision-day", True)
    assert row.record.header.provenance.dialect == f"{adapter.name}-penalty-2016"


def test_a_file_that_mixes_both_layouts_is_refused(adapter: FormsAdapter) -> None:
    """In one table, or in two sheets of one workbook."""
    assert refusal(adapter, csv_of([{**PENALTY, "CF_ZT": "0"}])) == "LAYOUT_MIXED"
    assert refusal(adapter, csv_of([{**OLD, "CF_GSJZQ": ""}])) == "LAYOUT_MIXED"
    sheets = [
        MadeSheet(name="新", rows=[list(PENALTY), list(PENALTY.values())]),
        MadeSheet(name="旧", rows=[list(OLD), list(OLD.values())]),
    ]
    assert refusal(adapter, made_workbook(sheets)) == "LAYOUT_MIXED"


@pytest.mark.parametrize("form", ["csv", "json", "xlsx"])
def test_document_numbers_of_persons_do_not_pass(adapter: FormsAdapter, form: str) -> None:
    """Neither in their own columns nor anywhere else: not in rows, records or what is kept of the document."""
    first, second = person_numbers()
    spaced = f"{second[:6]} {second[6:14]} {second[14:]}"
    values = {
        **PENALTY,
        "CF_FR_ZJHM": first,
        "CF_XDR_ZJHM": "护照E1234567",
        "经办人身份证": "x" + first,
        "BZ": f"见{spaced}。",
    }
    content = {
        "csv": csv_of([values]),
        "json": json.dumps([values], ensure_ascii=False).encode(),
        "xlsx": made_workbook([MadeSheet(name="一", rows=[list(values), list(values.values())])]),
    }[form]
    reading = adapter.read(native(content))
    (row,) = reading.rows
    assert row.record is not None
    kept = [row.content, str(row.record), repr(reading.remarks)]
    if form != "xlsx":
        kept.append(reading.redacted.decode())
    for text in kept:
        assert not contains_resident_id(text)
        assert "E1234567" not in text
    assert "〔身份号码已删除〕" in row.record.penalty_notice.note
    assert adapter.read(native(reading.redacted)).rows == reading.rows


def test_a_natural_person_is_masked_everywhere(adapter: FormsAdapter) -> None:
    """In the name and wherever the name stands in the row, also in what is kept."""
    reading = adapter.read(
        native(csv_of([{**PENALTY, "CF_XDR_MC": "欧阳演示", "CF_XDR_LB": "自然人", "CF_XDR_SHXYM": person_numbers()[0],
                        "CF_WFSS": "欧阳演示倾倒废液", "BZ": "欧阳演示已到场"}]))
    )  # fmt: skip
    (row,) = reading.rows
    assert row.record is not None
    body = row.record.penalty_notice
    assert body.subject.kind == SubjectKind.SUBJECT_KIND_NATURAL_PERSON
    assert (body.subject.name, body.subject.uscc) == ("欧**", "")
    assert body.violation_facts == "欧**倾倒废液"
    assert "欧阳演示" not in row.content + str(row.record) + reading.redacted.decode()
    assert adapter.read(native(reading.redacted)).rows == reading.rows


def test_a_document_without_persons_data_is_kept_byte_for_byte(adapter: FormsAdapter) -> None:
    """Its digest is salted, and is that of the file as the agency has it."""
    content = csv_of([PENALTY])
    document = native(content)
    reading = adapter.read(document)
    assert reading.redacted == content
    assert reading.rows[0].record is not None
    digest = reading.rows[0].record.header.provenance.document
    assert digest.digest == hashlib.sha256(document.salt + content).digest()
    assert digest.salt == document.salt


def test_a_sound_firm_code_is_no_person_number(adapter: FormsAdapter) -> None:
    """A code of digits alone can pass the check of a person's number as well: it stays."""
    codes = (f"91509919850101{number:03d}" for number in range(1000))
    sound = (body + uscc_check_character(body) for body in codes if organisation_code_holds(body[8:]))
    code = next(each for each in sound if contains_resident_id(each))
    record = read_one(adapter, PENALTY, CF_XDR_SHXYM=code).record
    assert record is not None
    assert record.penalty_notice.subject.uscc == code


def test_a_fine_of_zero_is_none(adapter: FormsAdapter) -> None:
    """Forms write 0 where there is no fine; the line of provenance says so."""
    record = read_one(adapter, PENALTY, CF_NR_FK="0.00").record
    assert record is not None
    assert record.penalty_notice.fine_cny == ""
    rules = {line.field: line.rule for line in record.header.provenance.fields}
    assert rules["penalty_notice.fine_cny"] == "zero-is-none"


def test_no_end_is_written_as_the_layout_does(adapter: FormsAdapter) -> None:
    """The day 2099-12-31 stands for it."""
    record = read_one(adapter, PENALTY).record
    assert record is not None
    written = adapter.write([record], kind=Kind.KIND_PENALTY_NOTICE, form="csv")
    assert "2099-12-31" in written.content.decode("utf-8-sig")


def test_a_joint_measure_names_its_measures(adapter: FormsAdapter) -> None:
    """Codes of the catalogue become measures; class C is a recommendation."""
    record = read_one(
        adapter,
        PENALTY,
        通知类型="联合惩戒",
        惩戒措施="B1；C1 纳入征信",
        惩戒措施依据="国办发〔2020〕49号",
        失信等级="严重",
    ).record
    assert record is not None
    first, second = record.penalty_notice.measures
    assert (first.code, first.addressee, first.recommendation) == ("B1", "GOVERNMENT", False)
    assert (second.code, second.addressee, second.recommendation) == ("C1", "MARKET", True)
    assert list(first.legal_basis) == ["国办发〔2020〕49号"]
    assert record.penalty_notice.dishonesty_class == DishonestyClass.DISHONESTY_CLASS_SERIOUS
    assert reasons(read_one(adapter, PENALTY, 惩戒措施="B99")) == ["MEASURE_UNMAPPED"]


def test_publicity_is_computed_where_the_class_is_stated(adapter: FormsAdapter) -> None:
    """By the rule of the day of the decision, with the rule as its source; without a class nothing is."""
    stated = read_one(adapter, PENALTY, 失信等级="一般", CF_JDRQ="2025-11-30").record
    assert stated is not None
    body = stated.penalty_notice
    assert (body.publicity_min_until, body.publicity_max_until) == ("2026-02-28", "2026-11-30")
    assert body.repair_rule == "国办发〔2025〕22号"
    rules = {line.field: line.rule for line in stated.header.provenance.fields}
    assert rules["penalty_notice.publicity_max_until"] == "repair-rule:GBF-2025-22"
    written = adapter.write([stated], kind=Kind.KIND_PENALTY_NOTICE, form="xlsx")
    assert not any("publicity" in problem.place for problem in written.lost)
    silent = read_one(adapter, PENALTY, CF_JDRQ="2025-11-30").record
    assert silent is not None
    assert not silent.penalty_notice.publicity_max_until
    assert not silent.penalty_notice.repair_rule


def test_facts_and_cause_are_one_field(adapter: FormsAdapter) -> None:
    """A file that has both fills both, and says so."""
    record = read_one(adapter, PENALTY, CF_SY="另一事由").record
    assert record is not None
    assert record.penalty_notice.violation_facts == "演示数据\n另一事由"
    without = {key: value for key, value in PENALTY.items() if key != "CF_WFSS"}
    only = read_one(adapter, without, CF_SY="事由").record
    assert only is not None
    assert only.penalty_notice.violation_facts == "事由"
