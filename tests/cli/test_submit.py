"""Submitting: which files, under which keys, what is counted, what comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.sending.plan import Item, Wishes, batches, document_calls, find_files, record_items
from exchange.domain.problems import Refused
from exchange.v1 import submission_service_pb2 as submissions
from exchange_hj212 import frame_bytes
from exchange_sheets import open_book
from tests.cli.conftest import run
from tests.cli.fake_node import Abort, FakeNode

ACCEPTED = submissions.SUBMIT_RESULT_ACCEPTED
QUARANTINED = submissions.SUBMIT_RESULT_QUARANTINED


def document(*results: int, places: tuple[str, ...] = ()) -> submissions.SubmitDocumentResponse:
    """An answer with a row for each result."""
    made = submissions.SubmitDocumentResponse(document_id="d-1", adapter="chongqing", dialect="x")
    for number, result in enumerate(results, start=1):
        row = made.rows.add(row=number, place=places[number - 1] if places else f"line {number + 1}")
        row.submitted.result = submissions.SubmitResult.ValueType(result)
        if result == ACCEPTED:
            row.submitted.record_id = f"id-{number}"
        else:
            row.submitted.problems.add(reason="LEVEL_UNMAPPED", place=f"J{number + 1}", message="黑牌")
    return made


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    """A CSV of two rows."""
    path = tmp_path / "credit.csv"
    path.write_bytes("企业名称,等级\n演示甲,绿牌\n演示乙,黑牌\n".encode())
    return path


@pytest.mark.usefixtures("profile")
def test_rows_are_counted_by_the_rule_and_a_bad_row_is_a_finding(node: FakeNode, sheet: Path) -> None:
    """Rows = accepted + revised + unchanged + quarantined + refused; exit status 1 when a row did not go through."""
    node.answers["SubmitDocument"] = document(ACCEPTED, QUARANTINED)
    done = run("submit", sheet, "--json", "--purpose", "演示", "-a", "sc", "--kind", "CreditResult")
    assert done.status == 1
    counts = done.json["total"]
    assert (counts["ROWS"], counts["ACCEPTED"], counts["QUARANTINED"]) == (2, 1, 1)
    (asked,) = node.asked("SubmitDocument")
    assert (asked.file_name, asked.content, asked.purpose) == ("credit.csv", sheet.read_bytes(), "演示")
    assert list(asked.addressees) == ["sc"]
    node.answers["SubmitDocument"] = document(ACCEPTED, ACCEPTED)
    assert run("submit", sheet).status == 0


@pytest.mark.usefixtures("profile")
def test_the_callers_own_file_comes_back_with_the_answers(node: FakeNode, sheet: Path, tmp_path: Path) -> None:
    """Same file, three more columns: result, reason with remedy, record id; the original stays as it was."""
    before = sheet.read_bytes()
    node.answers["SubmitDocument"] = document(ACCEPTED, QUARANTINED)
    run("submit", sheet, lang="zh")
    answered = open_book((tmp_path / "credit.answer.csv").read_bytes()).sheets[0]
    rows = [[cell.text for _, cell in sorted(row.cells.items())] for row in answered.rows]
    assert rows[0][2:] == ["处理结果", "原因", "记录编号"]
    assert rows[1][2:] == ["受理", "id-1"]
    assert rows[2][2] == "隔离"
    assert "LEVEL_UNMAPPED" in rows[2][3]
    assert "黑牌" in rows[2][3] or "等级名称" in rows[2][3]
    assert sheet.read_bytes() == before


@pytest.mark.usefixtures("profile")
def test_dry_run_stores_and_writes_nothing(node: FakeNode, sheet: Path, tmp_path: Path) -> None:
    """validate_only is set, and no answer file appears."""
    node.answers["SubmitDocument"] = document(submissions.SUBMIT_RESULT_VALID, QUARANTINED)
    done = run("submit", sheet, "--dry-run")
    assert done.status == 1
    assert node.asked("SubmitDocument")[0].validate_only
    assert sorted(path.name for path in tmp_path.glob("*.csv")) == ["credit.csv"]


@pytest.mark.usefixtures("profile")
def test_a_refused_file_does_not_stop_the_others(node: FakeNode, sheet: Path, tmp_path: Path) -> None:
    """Each file has an outcome of its own."""
    (tmp_path / "a.xls").write_bytes(b"\xd0\xcf")

    def answer(request: Any) -> Any:
        if request.file_name == "a.xls":
            raise Abort("INVALID_ARGUMENT", "FILE_TYPE", (("FILE_TYPE", "a.xls", "文件类型不支持。"),))
        return document(ACCEPTED)

    node.answers["SubmitDocument"] = answer
    done = run("submit", tmp_path / "a.xls", sheet, "--json", "--no-answers")
    assert done.status == 1
    refused, accepted = done.json["files"]
    assert [problem["reason"] for problem in refused["refused"]] == ["FILE_TYPE"]
    assert accepted["counts"]["ACCEPTED"] == 1


@pytest.mark.usefixtures("profile")
def test_after_a_lost_answer_the_same_call_is_made_again(
    node: FakeNode, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same key, same bytes, until the node answers; then nothing is lost and nothing is twice."""
    monkeypatch.setattr("exchange.cli.sending.send.FIRST_PAUSE_S", 0.01)
    left = [Abort("RESOURCE_EXHAUSTED", "TRY_AGAIN", retry_s=0.01), Abort("RESOURCE_EXHAUSTED", "TRY_AGAIN", retry_s=0)]

    def answer(_request: Any) -> Any:
        return left.pop() if left else document(ACCEPTED)

    node.answers["SubmitDocument"] = answer
    assert run("submit", sheet, "--no-answers").status == 0
    first, second, third = node.asked("SubmitDocument")
    assert first == second == third


@pytest.mark.usefixtures("node")
def test_a_node_that_stays_away_leaves_the_outcome_open(profile: Path, sheet: Path) -> None:
    """Exit status 3, and the file is named with what to do."""
    profile.write_text(
        profile.read_text().replace("localhost:", "localhost:1#").split("#")[0]
        + '"\n'
        + "\n".join(profile.read_text().splitlines()[1:])
    )
    done = run("submit", sheet, "--patience", 0)
    assert done.status == 3
    assert "not known" in done.out


def test_keys_follow_content_and_wishes(sheet: Path) -> None:
    """The same file and wishes give the same key for ever; anything else gives another one."""

    def key(wishes: Wishes, content: bytes = b"x") -> str:
        return next(document_calls(sheet, content, wishes)).idempotency_key

    assert key(Wishes()) == key(Wishes())
    others = {
        key(Wishes(purpose="a")),
        key(Wishes(addressees=("sc",))),
        key(Wishes(local_only=True)),
        key(Wishes(), b"y"),
    }
    assert len(others | {key(Wishes())}) == 5
    assert len(key(Wishes())) <= 64 - len("/100000")
    assert key(Wishes(key="mine")) == "mine"


def packets(count: int) -> bytes:
    """A recording of that many packets."""
    head = "QN=20260301081000001;ST=32;CN=2051;PW=123456;MN=01000001000A000000000A01;Flag=4;"
    body = head + "CP=&&DataTime={};w01018-Avg=1&&"
    times = (
        f"202603{day:02d}{hour:02d}{minute:02d}00" for day in range(1, 29) for hour in range(24) for minute in range(60)
    )
    return b"".join(frame_bytes(body.format(next(times)).encode()) for _ in range(count))


def test_a_big_recording_is_cut_at_frames(tmp_path: Path) -> None:
    """Parts of at most 3 MiB that join to the whole, each with a key and a first row of its own."""
    content = packets(30_000)
    assert len(content) > 3 * 2**20
    calls = list(document_calls(tmp_path / "x.txt", content, Wishes()))
    assert len(calls) > 1
    assert b"".join(call.content for call in calls) == content
    assert all(len(call.content) <= 3 * 2**20 and call.content.startswith(b"##") for call in calls)
    assert len({call.idempotency_key for call in calls}) == len(calls)
    assert [call.first_row for call in calls] == sorted({call.first_row for call in calls})


def test_a_big_document_of_another_sort_is_refused(tmp_path: Path) -> None:
    """Nobody knows where a workbook could be cut."""
    with pytest.raises(Refused) as caught:
        list(document_calls(tmp_path / "x.xlsx", b"PK" + bytes(3 * 2**20), Wishes()))
    assert caught.value.reason == "DOCUMENT_TOO_LARGE"


def test_files_folders_and_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders and patterns leave out answers and hidden files; what is named is taken; what is missing is said."""
    for name in ("b.csv", "a.csv", "a.answer.csv", ".hidden.csv", "c.txt"):
        (tmp_path / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    assert [path.name for path in find_files([str(tmp_path)])] == ["a.csv", "b.csv", "c.txt"]
    assert [path.name for path in find_files(["*.csv"])] == ["a.csv", "b.csv"]
    assert [path.name for path in find_files([f"{tmp_path}/*.csv", "a.csv"])] == ["a.csv", "b.csv"]
    assert [path.name for path in find_files(["a.answer.csv"])] == ["a.answer.csv"]
    with pytest.raises(Refused) as caught:
        find_files(["nope", "*.nope"])
    assert [problem.place for problem in caught.value.problems] == ["nope", "*.nope"]


RECORD = {"header": {"purpose": "x"}, "credit_result": {"evaluation_year": 2024}}


@pytest.mark.usefixtures("profile")
def test_typed_records_go_in_batches_with_an_answer_each(node: FakeNode, tmp_path: Path) -> None:
    """Protobuf JSON, one record a line; a line that is none is refused here and does not stop the rest."""
    path = tmp_path / "many.record.jsonl"
    lines = [json.dumps({**RECORD, "credit_result": {"evaluation_year": 2000 + n}}) for n in range(1500)]
    path.write_text("\n".join([*lines[:3], "not json", '{"nope": 1}', "", *lines[3:]]))

    def answer(request: Any) -> Any:
        made = submissions.BatchSubmitRecordsResponse()
        for each in request.submissions:
            made.submitted.add(result=ACCEPTED, record_id=each.idempotency_key)
        return made

    node.answers["BatchSubmitRecords"] = answer
    done = run("submit", path, "--json", "--no-answers")
    (result,) = done.json["files"]
    assert done.status == 1
    assert result["counts"] == {"ACCEPTED": 1500, "REFUSED": 2, "ROWS": 1502, "LEFT_OUT": 0}
    assert [row["place"] for row in result["rows"] if row["result"] == "REFUSED"] == [
        f"{path.name}:4",
        f"{path.name}:5",
    ]
    assert all(row["record_id"] == row["idempotency_key"] for row in result["rows"] if row["result"] == "ACCEPTED")
    assert max(len(request.submissions) for request in node.asked("BatchSubmitRecords")) <= 1000


def test_batches_stay_below_the_limits(tmp_path: Path) -> None:
    """No batch has more than 1,000 records or 4 MiB."""
    path = tmp_path / "big.record.json"
    big = {**RECORD, "penalty_notice": {"violation_facts": "事" * 20_000}}
    del big["credit_result"]
    path.write_text(json.dumps([big] * 150))
    made = list(batches(record_items(path, Wishes())))
    assert sum(map(len, made)) == 150
    assert len(made) > 1
    sizes = [sum(item.submission.ByteSize() for item in batch if item.submission) for batch in made]
    assert max(sizes) < 4 * 2**20
    assert [len(batch) for batch in batches(Item(place=str(n)) for n in range(1001))] == [1000, 1]


@pytest.mark.usefixtures("profile")
def test_contradicting_wishes_are_usage(node: FakeNode, sheet: Path, tmp_path: Path) -> None:
    """One key for two files, or local-only with an addressee, is named before anything is sent."""
    other = tmp_path / "other.csv"
    other.write_bytes(sheet.read_bytes())
    assert run("submit", sheet, other, "--key", "k").status == 2
    assert run("submit", sheet, "--local-only", "-a", "sc").status == 2
    assert run("submit", sheet, "--kind", "Nope").status == 2
    assert run("submit", tmp_path / "nope.csv").status == 1
    assert node.requests == []


@pytest.mark.usefixtures("profile")
def test_files_are_attached_to_one_typed_record_and_no_other(node: FakeNode, sheet: Path, tmp_path: Path) -> None:
    """Whatever else is named is usage, and a file that is not taken is refused before anything is sent."""
    decision, page = tmp_path / "a.pdf", tmp_path / "a.html"
    decision.write_bytes(b"%PDF-1.7\n")
    page.write_text("<html>")
    one, two = tmp_path / "one.record.json", tmp_path / "two.record.json"
    one.write_text(json.dumps(RECORD))
    two.write_text(json.dumps([RECORD, RECORD]))
    for names in ([sheet], [two], [one, two]):
        assert run("submit", *names, "--attach", decision).status == 2
    refused = run("submit", one, "--attach", page, "--json")
    assert (refused.status, refused.json["error"]["reason"]) == (1, "ATTACHMENT_TYPE")
    assert node.asked("UploadAttachment") == node.asked("BatchSubmitRecords") == []
