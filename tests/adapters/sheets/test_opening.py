"""What is opened and what is refused at the door."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchange.domain.problems import DocumentRefused
from exchange_sheets import OutSheet, open_book, write_xlsx
from exchange_sheets import limits as bounds
from exchange_sheets.package import OLE_MAGIC
from tests.adapters.sheets.workbooks import repacked, workbook


def reason(content: bytes) -> str:
    """Why a document is refused; empty when it is not."""
    try:
        open_book(content)
    except DocumentRefused as refusal:
        return refusal.reason
    return ""


def plain() -> bytes:
    """A small workbook."""
    return write_xlsx([OutSheet(name="s", headings=["a"], rows=[["1"]])])


@given(st.binary(max_size=400))
@example(b"PK\x03\x04")
@example(b"[" * 5000)
@example(b"PK\x05\x06" + bytes(18))
@settings(max_examples=300)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Whatever the bytes are, the only error is the refusal of the document."""
    reason(content)
    reason(b"PK\x03\x04" + content)
    reason(b"[" + content)


@given(position=st.integers(0, 3000), value=st.integers(0, 255))
@settings(max_examples=150)
def test_a_damaged_workbook_is_read_or_refused(position: int, value: int) -> None:
    """One wrong byte anywhere in a workbook leads to no other error."""
    content = bytearray(plain())
    content[position % len(content)] = value
    reason(bytes(content))


@given(st.text(alphabet='<>/="&;!?[]abcrstv0123456789 \n', max_size=120))
@settings(max_examples=150)
def test_any_sheet_part_is_read_or_refused(text: str) -> None:
    """Whatever stands in a sheet's part, the only error is the refusal of the document."""
    reason(repacked(plain(), {"xl/worksheets/sheet1.xml": f"<worksheet><sheetData>{text}".encode()}))


def test_an_old_or_encrypted_workbook_is_refused_with_its_remedy() -> None:
    """Compound files are .xls, .et and workbooks with a password."""
    assert reason(OLE_MAGIC + bytes(600)) == "FILE_TYPE"


def test_a_workbook_with_macros_is_refused() -> None:
    """A macro project gives it away, and so does the content type."""
    assert reason(repacked(plain(), {"xl/vbaProject.bin": b"x"})) == "FILE_TYPE"
    with zipfile.ZipFile(io.BytesIO(plain())) as archive:
        types = archive.read("[Content_Types].xml")
    macro = types.replace(
        b"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
        b"application/vnd.ms-excel.sheet.macroEnabled.main+xml",
    )
    assert reason(repacked(plain(), {"[Content_Types].xml": macro})) == "FILE_TYPE"


@pytest.mark.parametrize(
    "content", [b"", b"  \n", b"%PDF-1.7 x", b"<html><table>", b"<?xml version='1.0'?><a/>", b"Rar!x"]
)
def test_what_is_no_table_is_refused(content: bytes) -> None:
    """Empty files, PDF, web pages saved as .xls and archives are no tables."""
    assert reason(content) == "FILE_TYPE"


def test_a_zip_archive_that_is_no_workbook_is_refused() -> None:
    """Other office files and plain archives are not searched for tables."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    assert reason(target.getvalue()) == "FILE_TYPE"


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    """A part of forty megabytes of nothing is over the limit by what the archive says."""
    assert reason(repacked(plain(), {"xl/media/image1.png": bytes(40_000_000)})) == "DOCUMENT_TOO_LARGE"


def test_a_ratio_that_no_sheet_has_is_refused() -> None:
    """Below the limit in bytes, but packed as no real sheet is."""
    size = bounds.MAX_UNPACKED_BYTES - 1_000_000
    assert reason(repacked(plain(), {"xl/media/image1.png": bytes(size)})) == "DOCUMENT_TOO_LARGE"


def test_a_bomb_within_text_is_refused() -> None:
    """One long shared string in many cells takes no room in the file and much in memory."""
    text = "长" * 30_000
    rows = [[text] * 10 for _ in range(80)]
    assert reason(write_xlsx([OutSheet(name="s", headings=["a"] * 10, rows=rows)])) == "DOCUMENT_TOO_LARGE"


def test_overlapping_merges_take_no_time_out_of_proportion() -> None:
    """Thousands of merged ranges over the same cells are refused, not filled again and again."""
    merges = "".join('<mergeCell ref="A1:IV9999"/>' for _ in range(19_000))
    rows = "".join(f'<row r="{n}"><c r="A{n}"><v>1</v></c></row>' for n in range(1, 300))
    part = f"<worksheet><sheetData>{rows}</sheetData><mergeCells>{merges}</mergeCells></worksheet>"
    wide = part.replace("</row>", '<c r="IV1" t="str"><v>x</v></c></row>', 1)
    assert reason(repacked(plain(), {"xl/worksheets/sheet1.xml": wide.encode()})) == "DOCUMENT_TOO_LARGE"


def test_entities_are_refused() -> None:
    """A document type declaration is the way to entity bombs and to files of the server."""
    part = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><worksheet><sheetData/></worksheet>'
    assert reason(repacked(plain(), {"xl/worksheets/sheet1.xml": part})) == "FILE_DAMAGED"


def test_deep_xml_is_refused() -> None:
    """Each level of elements takes memory that no limit on bytes bounds."""
    assert reason(repacked(plain(), {"xl/worksheets/sheet1.xml": b"<a>" * 2_000})) == "DOCUMENT_TOO_LARGE"


def test_two_parts_of_one_name_are_refused() -> None:
    """Programs disagree about which of the two counts."""
    target = io.BytesIO(plain())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(target, "a") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"<worksheet/>")
    assert reason(target.getvalue()) == "FILE_DAMAGED"


def test_other_ways_of_packing_are_refused() -> None:
    """LZMA asks for as much memory as the archive says."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>")
    assert reason(target.getvalue()) == "FILE_TYPE"


def test_too_many_rows_are_refused() -> None:
    """One answer has to hold all rows."""
    content = "a,b\r\n" + "1,2\r\n" * (bounds.MAX_ROWS + 1)
    assert reason(content.encode()) == "DOCUMENT_TOO_LARGE"
    objects = "[" + ",".join(["{}"] * (bounds.MAX_ROWS + 1)) + "]"
    assert reason(objects.encode()) == "DOCUMENT_TOO_LARGE"


def test_too_many_bytes_are_refused() -> None:
    """A file over the limit is not read at all."""
    assert reason(b"a,b\n" + b"x" * bounds.MAX_FILE_BYTES) == "DOCUMENT_TOO_LARGE"
    assert reason(b"[" + b" " * bounds.MAX_FILE_BYTES) == "DOCUMENT_TOO_LARGE"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ("名称,值\r\n甲,1\r\n".encode(), "utf-8"),
        ("名称,值\r\n甲,1\r\n".encode("utf-8-sig"), "utf-8-sig"),
        ("名称,值\r\n甲,1\r\n".encode("gb18030"), "gb18030"),
        ("名称,值\r\n㐀𠀀,1\r\n".encode("gb18030"), "gb18030"),
    ],
)
def test_the_encoding_is_found_and_told(content: bytes, encoding: str) -> None:
    """UTF-8 with and without its mark, and GB 18030 with its rare characters."""
    book = open_book(content)
    assert book.encoding == encoding
    assert book.sheets[0].rows[0].cells[1].text == "名称"


@pytest.mark.parametrize(
    "content", ["名称".encode("utf-16"), b"\xef\xbb\xbf\xff\xfe", b"a,\xff\xff\n", b"a,b\x00c\n", b"\x81"]
)
def test_an_unreadable_encoding_is_refused(content: bytes) -> None:
    """Nothing is decoded with characters left out or replaced."""
    assert reason(content) == "ENCODING_UNKNOWN"


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1, "a": 2}]',
        "[1, 2]",
        '{"data": []}',
        '[{"a": NaN}]',
        '[{"a": 1e999}]',
        '[{"a": "\\ud800"}]',
        '[{"a": 1}',
        '[{"' + "k" * 65 + '": 1}]',
    ],
)
def test_json_that_is_no_list_of_rows_is_refused(text: str) -> None:
    """Keys twice, other shapes, numbers that are none, halves of characters."""
    assert reason(text.encode()) == "FILE_DAMAGED"


def test_json_rows_keep_numbers_as_written() -> None:
    """No number goes through binary fractions; lists of texts are one cell; other values are told."""
    content = json.dumps({"title": "x", "rows": [{"a": "甲", "b": ["一", "二"], "c": {"d": 1}, "e": True, "f": None}]})
    book = open_book(content[:-3].encode() + b', "n": 80.10, "z": 1.5e3}]}')
    cells = {cell.address: (cell.text, cell.kind.value) for cell in book.sheets[0].rows[1].cells.values()}
    assert cells == {
        "rows[0].a": ("甲", "text"),
        "rows[0].b": ("一；二", "text"),
        "rows[0].c": ("", "nested"),
        "rows[0].e": ("TRUE", "boolean"),
        "rows[0].n": ("80.10", "number"),
        "rows[0].z": ("1500", "number"),
    }
    assert [problem.reason for problem in book.remarks] == ["KEY_IGNORED"]


def test_csv_with_open_quotes_is_refused() -> None:
    """A quote that never closes would swallow the rows behind it."""
    assert reason(b'a,b\n"x,1\ny,2\n') == "FILE_DAMAGED"


def test_workbooks_of_other_programs_are_read() -> None:
    """Formulas, dates, inline strings, errors and hidden sheets as another program saves them."""
    book = open_book(workbook())
    (visible, hidden) = book.sheets
    assert hidden.hidden
    assert [problem.reason for problem in book.remarks] == ["SHEET_HIDDEN"]
    cells = {cell.address.partition("!")[2]: (cell.text, cell.kind.value) for cell in visible.rows[1].cells.values()}
    assert cells == {
        "A2": ("甲", "text"),
        "B2": ("80.1", "number"),
        "C2": ("2024-03-05", "date"),
        "D2": ("", "no_value"),
        "E2": ("TRUE", "boolean"),
        "F2": ("#N/A", "error"),
        "G2": ("2024-03-05T10:30:00", "date"),
        "H2": ("915000000000000000", "number"),
    }
    assert visible.rows[1].place == "一!A2"


def test_saved_values_of_formulas_are_read() -> None:
    """What the officer saw is what is read; also a text result that is empty is a value."""
    part = (
        b'<worksheet><sheetData><row r="1"><c r="A1"><f>1+1</f><v>2</v></c><c r="B1" t="str"><f>T(1)</f><v></v></c>'
        b'<c r="C1"><f>1+1</f></c><c r="D1" t="inlineStr"><is><r><t>a</t></r><rPh><t>x</t></rPh><r><t>_x0041_</t></r>'
        b'</is></c><c r="E1"><v>80.099999999999994</v></c></row></sheetData></worksheet>'
    )
    row = open_book(repacked(plain(), {"xl/worksheets/sheet1.xml": part})).sheets[0].rows[0]
    assert {column: (cell.text, cell.kind.value) for column, cell in row.cells.items()} == {
        1: ("2", "number"),
        3: ("", "no_value"),
        4: ("aA", "text"),
        5: ("80.1", "number"),
    }
