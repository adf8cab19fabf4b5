"""Lists as files: whole, in the officer's language, with nothing in them that a spreadsheet program would run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from openpyxl import load_workbook

from exchange.cli.calls.shown import export
from exchange.v1 import check_service_pb2 as checks
from exchange.v1 import common_pb2 as common
from exchange.v1 import credit_service_pb2 as credit
from exchange.v1 import kind_pb2 as kind
from exchange.v1 import operation_service_pb2 as operation
from exchange.v1 import penalty_service_pb2 as penalties
from exchange.v1 import record_service_pb2 as records
from exchange.v1 import security_service_pb2 as security
from exchange.v1 import submission_service_pb2 as submissions
from exchange.v1.matter_pb2 import MATTER_KIND_PERMIT
from exchange.v1.submission_pb2 import SubmissionState
from tests.cli.conftest import run
from tests.cli.fake_node import Abort, FakeNode

pytestmark = pytest.mark.usefixtures("profile")

CODE = "915000000000000019"


def listed(count: int, number: str = "=1+1") -> records.ListRecordsResponse:
    """Penalties of a firm whose code is all digits."""
    answer = records.ListRecordsResponse()
    for place in range(count):
        view = answer.records.add(kind=kind.KIND_PENALTY_NOTICE, ref=common.RecordRef(record_id=f"id-{place}"))
        view.record.penalty_notice.subject.uscc = CODE
        view.record.penalty_notice.decision_no = number
    return answer


def test_a_list_goes_whole_into_both_files(node: FakeNode, tmp_path: Path) -> None:
    """More rows than a screen shows; codes keep their digits, what looks like a formula is text, headings are words."""
    node.answers["ListRecords"] = listed(150)
    table, book = tmp_path / "list.csv", tmp_path / "list.xlsx"
    done = run("records", "list", "--csv", table, "--xlsx", book, lang="zh")
    assert done.status == 0
    assert "150" in done.out
    assert "id-7" not in done.out
    with table.open(encoding="utf-8-sig", newline="") as stream:
        headings, *rows = list(csv.reader(stream))
    assert "记录编号" in headings
    assert len(rows) == 150
    assert {row[4] for row in rows} == {CODE}
    assert {row[5] for row in rows} == {"'=1+1"}
    cells = list(load_workbook(book).worksheets[0].iter_rows())
    assert len(cells) == 151
    assert [cell.value for cell in cells[0]] == headings
    assert (cells[1][4].value, cells[1][4].data_type) == (CODE, "s")
    assert (cells[1][5].value, cells[1][5].data_type) == ("=1+1", "s")
    assert sorted(path.name for path in tmp_path.glob("*list*")) == ["list.csv", "list.xlsx"]


def test_a_limit_holds_for_files_too(node: FakeNode, tmp_path: Path) -> None:
    """What was asked for, no more; and with --json the rows are printed beside the file."""
    node.answers["ListRecords"] = listed(5)
    done = run("records", "list", "--csv", tmp_path / "a.csv", "--limit", 3, "--json")
    assert len(done.json["records"]) == 3
    assert len((tmp_path / "a.csv").read_text("utf-8-sig").splitlines()) == 4


def test_a_list_goes_on_behind_an_empty_page(node: FakeNode) -> None:
    """Where few of very many fit, a node answers with a token and no rows, and is asked again."""

    def answer(request: records.ListRecordsRequest) -> records.ListRecordsResponse:
        if request.page_token:
            return listed(2)
        return records.ListRecordsResponse(next_page_token="on")

    node.answers["ListRecords"] = answer
    assert len(run("records", "list", "--json").json["records"]) == 2


def test_no_half_file_is_left(node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused call, or more rows than a workbook holds: what stood there before stays as it was."""
    table = tmp_path / "a.csv"
    table.write_text("before", "utf-8")
    node.answers["ListRecords"] = Abort("PERMISSION_DENIED", "NO_GRANT")
    assert run("records", "list", "--csv", table).status == 1
    node.answers["ListRecords"] = listed(3)
    monkeypatch.setattr(export, "MAX_SHEET_ROWS", 2)
    assert run("records", "list", "--csv", table, "--xlsx", tmp_path / "a.xlsx").status == 2
    assert table.read_text("utf-8") == "before"
    assert [path.name for path in tmp_path.glob("*a.*")] == ["a.csv"]


def test_a_finding_is_one_in_a_file_too(node: FakeNode, tmp_path: Path) -> None:
    """What is overdue gives exit status 1, whether it is read on the screen or in a file."""
    answer = penalties.ListDueFeedbackResponse()
    answer.feedback.add(
        matter_no="许可-1", matter_kind=MATTER_KIND_PERMIT, source_kind=kind.KIND_PENALTY_NOTICE, overdue=True
    )
    node.answers["ListDueFeedback"] = answer
    done = run("feedback", "due", "--csv", tmp_path / "due.csv")
    assert (done.status, done.err) == (1, "")
    assert "许可-1" in (tmp_path / "due.csv").read_text("utf-8-sig")


def test_every_list_goes_into_a_file(node: FakeNode, tmp_path: Path) -> None:
    """Submissions with a line for each addressee, effects to confirm, alarms, agencies: what the screen would show."""
    sent = submissions.ListSubmissionsResponse()
    one = sent.submissions.add(record_id="sub-1", kind=kind.KIND_PENALTY_NOTICE)
    for name in ("sc", "gz"):
        one.addressees.add(addressee=name, state=SubmissionState.SUBMISSION_STATE_DELIVERED)
    effects = penalties.ListUnconfirmedEffectsResponse()
    effects.effects.add(kind=kind.KIND_REPAIR_NOTICE, act=common.RecordRef(record_id="eff-1"), effects=["STOP_SHARE"])
    raised = operation.ListAlarmsResponse()
    raised.alarms.add(code="ALERT_OPEN", object="ala-1")
    known = security.ListAgenciesResponse()
    known.agencies.add(name="age-1")
    node.answers |= {
        "ListSubmissions": sent,
        "ListUnconfirmedEffects": effects,
        "ListAlarms": raised,
        "ListAgencies": known,
    }
    for noun, verb, status, rows, wanted in (
        ("submissions", "list", 0, 2, "sub-1"),
        ("feedback", "effects", 1, 1, "eff-1"),
        ("alarms", "list", 0, 1, "ala-1"),
        ("agencies", "list", 0, 1, "age-1"),
    ):
        table, book = tmp_path / f"{noun}.csv", tmp_path / f"{noun}.xlsx"
        done = run(noun, verb, "--csv", table, "--xlsx", book)
        assert done.status == status, done.err
        _headings, *lines = list(csv.reader(table.read_text("utf-8-sig").splitlines()))
        assert len(lines) == rows
        assert all(wanted in " ".join(line) for line in lines)
        assert len(list(load_workbook(book).worksheets[0].iter_rows())) == rows + 1
    assert [row["record_id"] for row in run("submissions", "list", "--json").json["submissions"]] == ["sub-1"]


def test_a_firms_whole_picture_is_one_list(node: FakeNode, tmp_path: Path) -> None:
    """Each record behind the name of its part; what is known of credit and what is left out are in it, too."""
    answer = checks.GetSubjectResponse(not_granted=[kind.KIND_LIST_ENTRY])
    for origin, knowledge in (("cq", credit.KNOWLEDGE_FOUND), ("sc", credit.KNOWLEDGE_NO_RECORD)):
        answer.credit.add(origin=origin, knowledge=knowledge)
    answer.credit[0].results.add(kind=kind.KIND_CREDIT_RESULT, ref=common.RecordRef(record_id="id-1"))
    answer.notices.add(kind=kind.KIND_PENALTY_NOTICE, ref=common.RecordRef(record_id="id-2"))
    node.answers["GetSubject"] = answer
    table, book = tmp_path / "firm.csv", tmp_path / "firm.xlsx"
    done = run("subject", CODE, "--csv", table, "--xlsx", book)
    assert (done.status, "id-2" in done.out) == (0, False)
    _headings, *lines = list(csv.reader(table.read_text("utf-8-sig").splitlines()))
    assert [(line[0], line[1] or line[6]) for line in lines[2:4]] == [("Results", "id-1"), ("Notices", "id-2")]
    assert [line[3] for line in lines[:2]] == ["cq", "sc"]
    assert "no record" in lines[1][6]
    assert "no grant" in lines[4][6]
    assert len(list(load_workbook(book).worksheets[0].iter_rows())) == 6
    assert run("subject", CODE, "--csv", table, "--json").json["notices"][0]["ref"]["record_id"] == "id-2"


def test_checks_of_many_are_a_list(node: FakeNode, tmp_path: Path) -> None:
    """One line for each firm; of a single check there is no list."""
    answer = checks.BatchCheckSubjectsResponse(check_id="check-1")
    found = answer.subjects.add(uscc=CODE)
    found.notices.add(record_id="id-1")
    found.credit.add(origin="sc", knowledge=credit.KNOWLEDGE_PEER_STALE)
    node.answers["BatchCheckSubjects"] = answer
    (tmp_path / "codes").write_text(CODE, "utf-8")
    told = ("--matter", "inspection", "--matter-no", "1", "--purpose", "p", "--officer", "007")
    table = tmp_path / "checks.csv"
    done = run("check", "--from", tmp_path / "codes", *told, "--csv", table)
    assert (done.status, "check-1" in done.out) == (0, True)
    _headings, *lines = list(csv.reader(table.read_text("utf-8-sig").splitlines()))
    assert [(line[0], line[1], line[3]) for line in lines] == [(CODE, "sc peer stale: not known", "1")]
    assert run("check", CODE, *told, "--csv", table).status == 2
