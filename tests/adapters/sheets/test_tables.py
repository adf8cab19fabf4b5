"""Headers, totals, notes, merged cells."""

from __future__ import annotations

import io

import openpyxl

from exchange_sheets import Table, find_table, heading_key, open_book

ALIASES = {
    heading_key(text): field
    for text, field in (("企业名称", "name"), ("代码", "uscc"), ("得分", "score"), ("序号", "ignored"))
}


def table(content: bytes, index: int = 0) -> Table | None:
    """The table of a sheet by this module's headings."""
    sheet = open_book(content).sheets[index]
    return find_table(sheet, ALIASES, required=[["name"], ["uscc"]], identifying=["name", "uscc"])


def csv(*rows: str) -> bytes:
    """Rows as CSV."""
    return "\r\n".join(rows).encode()


def names(found: Table | None) -> list[str]:
    """Names in the rows of facts."""
    assert found is not None
    return [row.cells["name"].text if "name" in row.cells else "" for row in found.rows]


def test_the_header_is_found_below_titles_and_notes() -> None:
    """The row with the most known headings is the header, wherever it stands."""
    found = table(csv("重庆市评价结果", "", "说明：企业名称以执照为准,代码", "序号,企业名称*,代 码：,备注", "1,甲,X,y"))
    assert found is not None
    assert found.header == 4
    assert found.columns == {"ignored": 1, "name": 2, "uscc": 3}
    assert [cell.text for cell in found.unknown] == ["备注"]
    assert found.rows[0].place == "line 5"
    assert found.rows[0].cells["uscc"].address == "C5"


def test_a_sheet_without_header_has_no_table() -> None:
    """Half of the needed headings is no header."""
    assert table(csv("企业名称,得分", "甲,1")) is None


def test_totals_notes_and_signatures_are_no_facts() -> None:
    """They are told as remarks; a firm is never taken for a total."""
    found = table(
        csv(
            "序号,企业名称,代码,得分",
            "（1）,（2）,（3）,（4）",
            "1,甲,X1,9",
            "",
            "序号,企业名称,代码,得分",
            "2,合计科技有限公司,X2,8",
            "3,,,",
            "示例,乙,X3,",
            "合计,2,,17",
            "注：以上为初评。",
            "填表人：丙,,,",
        )
    )
    assert names(found) == ["甲", "合计科技有限公司"]
    assert found is not None
    assert [(problem.reason, problem.place) for problem in found.remarks] == [
        ("ROW_SKIPPED", "line 2"),
        ("ROW_SKIPPED", "line 5"),
        ("ROW_EMPTY", "line 7"),
        ("ROW_SKIPPED", "line 8"),
        ("ROW_SKIPPED", "line 9"),
        ("ROW_SKIPPED", "line 10"),
        ("ROW_SKIPPED", "line 11"),
    ]


def test_a_total_that_names_a_firm_and_a_code_is_a_fact() -> None:
    """Nothing that could be a fact is dropped."""
    assert names(table(csv("序号,企业名称,代码", "合计,甲,X1"))) == ["甲"]


def test_merged_cells_show_their_text_everywhere() -> None:
    """A city over three rows belongs to each; a merged total is still a total; a header of two rows is one header."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in (
        ["标题", None, None, None],
        ["企业名称", "代码", "分数", None],
        [None, None, "得分", "其他"],
        ["甲", "X1", 1, 2],
        [None, "X2", 3, 4],
        ["合计", None, 4, 6],
    ):
        sheet.append(row)
    for merged in ("A1:D1", "A2:A3", "B2:B3", "C2:D2", "A4:A5", "A6:B6"):
        sheet.merge_cells(merged)
    target = io.BytesIO()
    book.save(target)
    found = table(target.getvalue())
    assert names(found) == ["甲", "甲"]
    assert found is not None
    assert found.header == 3
    assert found.rows[1].cells["name"].address == "Sheet!A5"


def test_a_column_twice_is_told() -> None:
    """Which of the two counts is not for the reader to say."""
    found = table(csv("企业名称,代码,得分,得分", "甲,X,1,2"))
    assert found is not None
    assert [cell.address for cell in found.twice] == ["D1"]
