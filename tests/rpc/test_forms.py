"""Workbooks of the smaller kinds, filled in by an officer and submitted by the command line to real nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import openpyxl

from exchange.v1.common_pb2 import RecordRef
from exchange.v1.record_service_pb2 import GetRecordRequest, RecordView
from exchange_sheets import open_book
from tests.cli.conftest import Run, run
from tests.rpc.doors import AgencyDoor, Stubs
from tests.rpc.facts import firm, submit, wait_settled
from tests.rpc.test_folder import profile_of
from tests.rpc.test_repairs import notice_about
from tests.world import AUTHORITIES


def fill(kind: str, adapter: str, path: Path, *rows: Mapping[str, str]) -> Path:
    """The empty form of a kind, with rows filled in below its example."""
    assert run("adapters", "template", kind, "--adapter", adapter, "-o", path).status == 0
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    columns = {str(cell.value): number for number, cell in enumerate(sheet[2], start=1)}
    for number, row in enumerate(rows, start=4):
        for heading, text in row.items():
            sheet.cell(row=number, column=columns[heading]).value = text
    book.save(path)
    return path


def send(path: Path, profile: Path, *more: str) -> Run:
    """Submit a file."""
    return run("submit", path, "--profile", profile, "--json", "--purpose", "两地互认（演示数据）", *more)


def view_of(stubs: Stubs, record_id: str) -> RecordView:
    """A record of cq, as somebody sees it."""
    ref = RecordRef(origin="cq", record_id=record_id)
    view: RecordView = stubs.call(stubs.record.GetRecord, GetRecordRequest(ref=ref)).record
    return view


def test_a_repair_in_a_workbook_ends_its_notice_on_both_sides(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """The form of our side, filled in, is a signed act; a row that can not be mapped comes back with its cell."""
    cq, sc = doors["cq"].agency("forms-repair"), doors["sc"].agency("forms-repair")
    profile = profile_of(tmp_path / "p", doors["cq"], "forms-office")
    about = firm(900)
    notice = submit(cq, notice_about(about, "演环惩〔2026〕900号"), "forms-repair-1").record_id
    wait_settled(doors["cq"])
    sound = {
        "企业名称": "演示甲化工有限公司",
        "统一社会信用代码": about,
        "原通知记录编号": notice,
        "修复决定文号": "演环修〔2026〕900号",
        "修复决定日期": "2026年2月25日",
        "修复依据": "国家发展改革委令第58号",
        "修复事项": "解除惩戒；终止公示；停止共享和使用",
        "完成期限": "2026-03-05",
        "修复机关": "演示cq生态环境局",
        "修复机关统一社会信用代码": AUTHORITIES["cq"],
    }
    path = fill("RepairNotice", "chongqing", tmp_path / "修复.xlsx", sound, {**sound, "修复事项": "从轻处理"})
    done = send(path, profile)
    assert done.status == 1, done.out + done.err
    first, second = done.json["files"][0]["rows"]
    assert (first["result"], second["result"]) == ("ACCEPTED", "QUARANTINED")
    assert [(each["reason"], each["place"]) for each in second["problems"]] == [("WORD_UNMAPPED", "信用修复决定!L5")]
    answer = open_book((tmp_path / "修复.answer.xlsx").read_bytes()).sheets[0]
    assert any(first["record_id"] in [cell.text for cell in row.cells.values()] for row in answer.rows)
    wait_settled(doors["cq"])
    wait_settled(doors["sc"])
    for stubs in (cq, sc):
        assert view_of(stubs, notice).tombstone.reason == "REPAIRED"
        record = view_of(stubs, first["record_id"]).record
        assert record.repair_notice.notice.record_id == notice
        assert record.header.provenance.dialect == "chongqing-repair-notice-2026"
