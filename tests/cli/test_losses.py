"""Reports of losses by the command line, and what is told of documents that were written."""

from __future__ import annotations

import re
from pathlib import Path

from tests.adapters.regions.documents import FIRM, csv_of
from tests.cli.conftest import run


def test_a_report_of_losses_in_both_languages_and_as_json() -> None:
    """By kind and side; reasons come from the one table; ``--json`` is the same whatever the language."""
    english = run("adapters", "losses", "CreditResult", "--side", "cq")
    assert english.status == 0
    assert "The layout has no place for this field." in english.out
    assert "sichuan" not in english.out
    chinese = run("adapters", "losses", "CreditResult", "--side", "cq", lang="zh")
    assert "该格式没有此字段的位置。" in chinese.out
    reports = run("adapters", "losses", "--side", "cq", "--json").json["reports"]
    (listed,) = (each for each in run("adapters", "list", "--json").json["adapters"] if each["side"] == "cq")
    assert [each["kind"] for each in reports] == listed["kinds"]
    credit = next(each for each in reports if each["kind"] == "CreditResult")
    assert {"field": "credit_result.score", "column": "评价得分"} in credit["carried"]
    assert {"field": "header.supersedes", "reason": "LOSS_NO_PLACE", "detail": ""} in credit["fields"]
    assert {"column": "序号", "reason": "LOSS_COLUMN_IGNORED"} in credit["columns"]


def test_a_report_that_nobody_can_give_is_refused() -> None:
    """A kind without layout, and a side that there is none of."""
    assert run("adapters", "losses", "Answer").status == 1
    assert run("adapters", "losses", "--side", "gz").status == 2


def test_a_document_that_is_written_tells_what_it_leaves_out(tmp_path: Path) -> None:
    """For each row the fields that were set and are not there, and why."""
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    row = {"单位名称": "演示一有限公司", "社会信用代码": FIRM, "评价年度": "2024", "评价结果": "环保诚信企业"}
    row |= {"结果公布日期": "2025-06-30", "评价部门": "演示局", "评价部门社会信用代码": FIRM}
    source.write_bytes(csv_of([{**row, "是否自评申报": said} for said in ("是", "否", "是")]))
    arguments = ("adapters", "convert", "sichuan", source, "--to", "chongqing", "--form", "csv", "-o", target)
    done = run(*arguments, "--json")
    lost = {"reason": "LOSS_ONLY_READ", "place": "credit_result.self_declared", "detail": "企业自评"}
    assert [each["row"] for each in done.json["lost_of"]] == [1, 3]
    assert all(lost.items() <= each["lost"][0].items() for each in done.json["lost_of"])
    shown = run(*arguments).out
    assert "Fields that are not in the document" in shown
    assert "1, 3" in shown


def test_a_row_that_is_left_out_of_a_document_is_told_with_its_cell(tmp_path: Path) -> None:
    """Whoever corrects it looks for the cell, not for the row."""
    source = tmp_path / "in.csv"
    row = {"单位名称": "演示一有限公司", "社会信用代码": FIRM, "评价年度": "2024", "评价结果": "看情况"}
    source.write_bytes(csv_of([row]))
    shown = run("adapters", "convert", "sichuan", source, "-o", tmp_path / "out.jsonl")
    assert shown.status == 1
    assert re.search(r"\bD2\b.*LEVEL_UNMAPPED", shown.out)
