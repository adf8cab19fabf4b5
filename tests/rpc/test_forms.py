"""Workbooks of the smaller kinds, filled in by an officer and submitted by the command line to real nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import openpyxl
import pytest

from exchange.v1.common_pb2 import RecordRef
from exchange.v1.correction_request_pb2 import CorrectionState
from exchange.v1.record_service_pb2 import GetRecordRequest, RecordView
from exchange_sheets import open_book
from tests.cli.conftest import Run, run
from tests.rpc.doors import AgencyDoor, Stubs
from tests.rpc.facts import credit_of, firm, submit, wait_settled
from tests.rpc.test_folder import profile_of
from tests.rpc.test_repairs import notice_about
from tests.world import AUTHORITIES, adapters


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


def view_of(stubs: Stubs, record_id: str, origin: str = "cq") -> RecordView:
    """A record, as somebody sees it."""
    ref = RecordRef(origin=origin, record_id=record_id)
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


SAMPLES = Path(__file__).parents[2] / "adapters"


@pytest.mark.parametrize(("node", "side"), [("cq", "chongqing"), ("sc", "sichuan")])
def test_sample_workbooks_go_through_a_node(doors: dict[str, AgencyDoor], node: str, side: str, tmp_path: Path) -> None:
    """Lists, referrals and tasks of both sides: each row's outcome is the one that the samples promise."""
    profile = profile_of(tmp_path / "p", doors[node], f"forms-samples-{node}")
    promised = {each.document.file_name: each.expected for each in adapters()[side].samples()}
    for name in ("list-entry.xlsx", "case-referral.xlsx", "inspection-task.xlsx"):
        path = SAMPLES / f"exchange_{side}" / "samples" / name
        rows = send(path, profile, "--adapter", side, "--results", str(tmp_path)).json["files"][0]["rows"]
        refused = {problem["reason"] for row in rows if row["result"] == "REFUSED" for problem in row["problems"]}
        assert refused <= {"STATE_NOT_ENTRY", "USCC_FORMAT"}
        mapped = [row["result"] in ("ACCEPTED", "REFUSED") for row in rows]
        found = ["RECORD" if each else row["problems"][0]["reason"] for each, row in zip(mapped, rows, strict=True)]
        assert found == list(promised[name])
        assert [row["result"] for row in rows].count("ACCEPTED") >= 4


def test_a_request_goes_on_by_its_own_id(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """Two rows of one number are one request; the answer has its id, and by that the next workbook settles it."""
    cq = doors["cq"].agency("forms-doubted")
    about = firm(901)
    doubted = submit(cq, credit_of(about), "forms-doubted-1").record_id
    wait_settled(doors["cq"])
    sc, profile = doors["sc"].agency("forms-doubts"), profile_of(tmp_path / "p", doors["sc"], "forms-asks")
    first = {
        "序号": "1",
        "市（州）": "成都市",
        "县（市、区）": "锦江区",
        "异议提出方": "使用部门",
        "异议记录编号": f"cq/{doubted}/1",
        "异议字段": "总得分",
        "异议理由": "与公示文本不一致",
        "更正建议": "95",
        "提出日期": "2026-02-20",
        "办理状态": "待核查",
        "申请部门": "演示sc生态环境厅",
        "申请部门社会信用代码": AUTHORITIES["sc"],
    }
    second = {"序号": "1", "异议字段": "评价结果", "异议理由": "等级与得分不符"}
    path = fill("CorrectionRequest", "sichuan", tmp_path / "异议.xlsx", first, second)
    done = send(path, profile, "--adapter", "sichuan")
    assert done.status == 0, done.out
    (row,) = done.json["files"][0]["rows"]
    answered = open_book((tmp_path / "异议.answer.xlsx").read_bytes()).sheets[0].rows
    assert sum(row["record_id"] in [cell.text for cell in each.cells.values()] for each in answered) == 2
    settled = {**first, "原申请编号": row["record_id"], "办理状态": "已核查"}
    path = fill("CorrectionRequest", "sichuan", tmp_path / "办结.xlsx", settled, second)
    (again,) = send(path, profile, "--adapter", "sichuan").json["files"][0]["rows"]
    assert (again["result"], again["record_id"]) == ("REVISED", row["record_id"])
    unknown = fill("CorrectionRequest", "sichuan", tmp_path / "未知.xlsx", {**first, "原申请编号": doubted})
    (other,) = send(unknown, profile, "--adapter", "sichuan").json["files"][0]["rows"]
    assert [each["reason"] for each in other["problems"]] == ["NOT_FOUND"]
    wait_settled(doors["sc"])
    wait_settled(doors["cq"])
    for stubs in (cq, sc):
        request = view_of(stubs, row["record_id"], "sc").record.correction_request
        assert request.state == CorrectionState.CORRECTION_STATE_SETTLED
        assert [item.field for item in request.items] == ["credit_result.score", "credit_result.shared_level"]
        assert request.record.record_id == doubted


def test_feedback_in_a_workbook_reaches_who_asked_for_the_measure(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """One matter, two measures of the other side's notice, each with what became of it."""
    cq = doors["cq"].agency("forms-notice")
    about = firm(902)
    notice = submit(cq, notice_about(about, "演环惩〔2026〕902号"), "forms-notice-1").record_id
    wait_settled(doors["cq"])
    profile = profile_of(tmp_path / "p", doors["sc"], "forms-handles")
    first = {
        "单位名称": "演示甲化工有限公司",
        "社会信用代码": about,
        "市（州）": "成都市",
        "县（市、区）": "锦江区",
        "来源记录编号": f"cq/{notice}",
        "办件类型": "专项资金",
        "办件编号": "资金〔2026〕902号",
        "措施编号及名称": "B1 限制申请财政性资金项目",
        "执行结果": "已执行",
        "执行文书文号": "演环资〔2026〕902号",
        "办结日期": "2026-02-26",
        "经办代号": "0117",
        "办理部门": "演示sc生态环境厅",
        "办理部门社会信用代码": AUTHORITIES["sc"],
    }
    second = {
        "来源记录编号": f"cq/{notice}",
        "办件编号": "资金〔2026〕902号",
        "措施编号及名称": "C2",
        "执行结果": "不适用",
        "未执行或不适用理由": "不属于行政机关职责",
    }
    path = fill("MeasureFeedback", "sichuan", tmp_path / "反馈.xlsx", first, second)
    done = send(path, profile, "--adapter", "sichuan")
    assert done.status == 0, done.out
    (row,) = done.json["files"][0]["rows"]
    wait_settled(doors["sc"])
    wait_settled(doors["cq"])
    feedback = view_of(cq, row["record_id"], "sc").record.measure_feedback
    assert [(each.code, each.result) for each in feedback.results] == [("B1", 1), ("C2", 3)]
    assert feedback.notice.record_id == notice
