"""What is written is read again, and is no formula."""

from __future__ import annotations

import io
import zipfile

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange_sheets import OutSheet, RowAnswer, annotate, open_book, without_cells, write_csv, write_json, write_xlsx
from exchange_sheets.csv_reading import unguard
from exchange_sheets.writing import guard
from tests.adapters.sheets.workbooks import repacked, workbook

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=12)
PLAIN = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12).filter(str.strip)


def grid(content: bytes) -> list[list[str]]:
    """Texts of the first sheet."""
    return [[cell.text for cell in row.cells.values()] for row in open_book(content).sheets[0].rows]


@given(st.lists(st.lists(TEXT.filter(str.strip), min_size=2, max_size=2), min_size=1, max_size=4))
@settings(max_examples=80)
def test_a_workbook_gives_its_texts_back(rows: list[list[str]]) -> None:
    """Every character that a text can hold, control characters and what looks like an escape included."""
    content = write_xlsx([OutSheet(name="s", headings=["甲", "乙"], rows=rows)])
    assert grid(content) == [["甲", "乙"], *rows]


@given(st.lists(st.lists(PLAIN, min_size=2, max_size=2), min_size=1, max_size=4))
@settings(max_examples=80)
def test_csv_and_json_give_their_texts_back(rows: list[list[str]]) -> None:
    """Commas, quotes and what looks like a formula come back as they were."""
    sheet = OutSheet(name="s", headings=["甲", "乙"], rows=rows)
    assert grid(write_csv(sheet)) == [["甲", "乙"], *rows]
    assert grid(write_csv(sheet, encoding="gb18030")) == [["甲", "乙"], *rows]
    assert grid(write_json(sheet)) == [["甲", "乙"], *rows]


@given(st.text(alphabet="'=+-@\t1a.", max_size=6))
def test_guarding_a_text_can_be_undone(text: str) -> None:
    """The apostrophe that is put before a text is the one that is taken away."""
    assert unguard(guard(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd", "@x", "'=1", "\t=1"])
def test_text_that_looks_like_a_formula_stays_text(text: str) -> None:
    """A spreadsheet program shows it and computes nothing."""
    sheet = OutSheet(name="s", headings=["甲"], rows=[[text]])
    assert not write_csv(sheet).decode("utf-8-sig").splitlines()[1].strip('"').startswith(("=", "+", "-", "@", "\t"))
    written = openpyxl.load_workbook(io.BytesIO(write_xlsx([sheet])))["s"]["A2"]
    assert written.data_type == "s"
    assert written.value == text


def test_negative_numbers_are_no_formulas() -> None:
    """A plain number stays one."""
    assert write_csv(OutSheet(name="s", headings=["x"], rows=[["-3.5"]])).endswith(b"-3.5\r\n")


def test_other_programs_read_forms_with_their_lists() -> None:
    """Drop-down lists point at a hidden sheet; long codes stay text; notes stand on a sheet of their own."""
    form = OutSheet(
        name="表",
        title="标题",
        headings=["代码", "等级", "得分"],
        rows=[["915001070000000000", "甲", "80.1"]],
        numeric=[3],
        choices={2: ["甲", "乙"]},
        notes=["一、说明"],
    )
    book = openpyxl.load_workbook(io.BytesIO(write_xlsx([form])))
    assert book.sheetnames == ["表", "填写说明", "选项"]
    assert book["选项"].sheet_state == "hidden"
    assert book["表"]["A3"].value == "915001070000000000"
    assert book["表"]["C3"].value == 80.1
    (rule,) = book["表"].data_validations.dataValidation
    assert rule.formula1 == "选项!$A$1:$A$2"
    assert "B3" in rule.sqref


def test_the_same_rows_give_the_same_bytes() -> None:
    """No time and no chance goes into a workbook."""
    sheet = OutSheet(name="s", headings=["甲"], rows=[["1"]])
    assert write_xlsx([sheet]) == write_xlsx([sheet])


@pytest.mark.parametrize(
    "content",
    [
        workbook(),
        "甲,乙\r\n\r\n'=1,'',\r\n\"a\nb\",3\r\n".encode("gb18030"),
        '{"rows": [{"甲": null, "乙": 1.50}, {"甲": "x", "丙": {"a": 1}}, {}, {"乙": true}]}'.encode(),
    ],
)
def test_a_document_without_edits_reads_the_same(content: bytes) -> None:
    """The form that is kept gives the same cells at the same places, and is its own kept form."""
    book = open_book(content)
    kept = without_cells(content, book, {})
    again = open_book(kept)
    assert again.sheets == book.sheets
    assert without_cells(kept, again, {}) == kept


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b'{"rows": [{"b": "", "a": "x", "n": 1.50}, {}, {"b": "y", "c": {"d": 1}, "e": true}]}', "rows[0].a"),
        ('甲,乙\r\n\r\n\'=1,x\r\n,"a\nb"\r\n'.encode("gb18030"), "B3"),
    ],
)
def test_an_edited_document_keeps_columns_and_rows(content: bytes, place: str) -> None:
    """Blank first values, empty rows, numbers and quoted line breaks stand where they stood."""
    book = open_book(content)
    assert open_book(without_cells(content, book, {place: "x"})).sheets == book.sheets


def test_a_cell_that_goes_is_nowhere_in_the_workbook() -> None:
    """Neither as a shared string nor in a part that nobody looks at."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["名称", "证件号"])
    sheet.append(["甲", "SECRET-1"])
    book.properties.creator = "SECRET-2"
    target = io.BytesIO()
    book.save(target)
    content = target.getvalue()
    kept = without_cells(content, open_book(content), {"Sheet!B2": ""})
    with zipfile.ZipFile(io.BytesIO(kept)) as archive:
        parts = b"".join(archive.read(name) for name in archive.namelist())
    assert b"SECRET" not in parts
    assert grid(kept) == [["名称", "证件号"], ["甲"]]


def test_csv_keeps_its_lines_without_a_cell() -> None:
    """Rows keep their numbers, so that answers still point at the right line."""
    content = b"a,b\r\n\r\n1,2\r\n"
    kept = without_cells(content, open_book(content), {"B3": ""})
    assert kept == b"a,b\r\n\r\n1,\r\n"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (
            write_xlsx([OutSheet(name="s", title="标题", headings=["名称", "代码"], rows=[["甲", "1"], ["乙", "2"]])]),
            "s!A4",
        ),
        ("标题\r\n名称,代码\r\n甲,1\r\n乙,2\r\n".encode("gb18030"), "line 4"),
        ('[{"名称": "甲", "代码": "1"}, {"名称": "乙", "代码": "2"}]'.encode(), "rows[1]"),
    ],
)
def test_an_answer_stands_beside_its_row_and_is_passed_over(content: bytes, place: str) -> None:
    """The same document plus three columns; a second answer replaces the first; readers see the same facts."""
    first = annotate(content, {place: RowAnswer(result="退回", reasons="=代码有误", attention=True)})
    second = annotate(first, {place: RowAnswer(result="已接收", record_id="0190-x")})
    texts = [text for row in grid(second) for text in row]
    assert texts.count("处理结果") == 1
    assert "已接收" in texts
    assert "退回" not in texts
    assert "=代码有误" in [text for row in grid(first) for text in row]
    assert "=代码有误" not in texts
    row = next(row for row in open_book(second).sheets[0].rows if row.place == place)
    assert [cell.text for cell in row.cells.values()] == ["乙", "2", "已接收", "0190-x"]


def test_an_annotated_workbook_keeps_its_formats() -> None:
    """Widths, merged cells, formulas and other sheets are still there."""
    book = openpyxl.load_workbook(io.BytesIO(workbook()))
    book["一"].merge_cells("A1:B1")
    book["一"].column_dimensions["A"].width = 33
    target = io.BytesIO()
    book.save(target)
    answered = annotate(target.getvalue(), {"一!A2": RowAnswer(result="已接收")})
    after = openpyxl.load_workbook(io.BytesIO(answered))
    assert after.sheetnames == ["一", "二"]
    assert after["一"].column_dimensions["A"].width == 33
    assert after["一"]["D2"].value == "=1+1"
    assert [str(each) for each in after["一"].merged_cells.ranges] == ["A1:B1"]
    assert after["一"]["I2"].value == "已接收"


def test_an_annotated_workbook_keeps_results_of_formulas() -> None:
    """Numbers, texts and booleans; a formula that had no result has none."""
    part = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">'
        b'<c r="A1"><f>1+1</f><v>2</v></c><c r="B1" t="str"><f>"a"&amp;"&lt;"</f><v>a&lt;</v></c>'
        b'<c r="C1" t="b"><f>TRUE()</f><v>1</v></c><c r="D1"><f>1+2</f></c></row></sheetData></worksheet>'
    )
    plain = write_xlsx([OutSheet(name="s", headings=["x"], rows=[])])
    content = repacked(plain, {"xl/worksheets/sheet1.xml": part})
    answered = annotate(content, {"s!A1": RowAnswer(result="已接收")})
    before, after = (open_book(each).sheets[0].rows[0].cells for each in (content, answered))
    assert {column: after[column] for column in before} == dict(before)
    formulas = [cell.value for cell in openpyxl.load_workbook(io.BytesIO(answered))["s"][1]][:4]
    assert formulas == ["=1+1", '="a"&"<"', "=TRUE()", "=1+2"]
