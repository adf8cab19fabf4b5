"""Workbooks, attachments and old files in a watched folder, against a real port and by the command line."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
import pytest

import exchange_chongqing
from exchange.domain.catalogues.tables import load
from exchange.tables import read_all
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import UploadAttachmentRequest
from tests.cli.conftest import run
from tests.domain.records import alert
from tests.flows.files import listed, made_file
from tests.rpc.doors import AgencyDoor
from tests.rpc.facts import credit_of, firm, penalty_of, submit, wait_settled
from tests.rpc.test_folder import names, profile_of, stated, watch_once

PURPOSE = "两地信用评价结果互认"


ADAPTER = exchange_chongqing.create(load(read_all()), {})


@pytest.fixture
def cq(doors: dict[str, AgencyDoor], monkeypatch: pytest.MonkeyPatch) -> AgencyDoor:
    """Chongqing's node, with an adapter of our own in the place of Chongqing's."""
    adapters = doors["cq"].runtime.node.adapters
    assert isinstance(adapters, dict)
    monkeypatch.setitem(adapters, ADAPTER.name, ADAPTER)
    return doors["cq"]


def workbook(records: list[Record]) -> bytes:
    """Credit results in Chongqing's layout."""
    return ADAPTER.write(records, kind=Kind.KIND_CREDIT_RESULT, form="xlsx").content


def rows_of(content: bytes) -> list[dict[str, str]]:
    """Rows of a workbook with one title row, by heading."""
    _, headings, *rows = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0].iter_rows(values_only=True)
    return [dict(zip(map(str, headings), (str(cell or "") for cell in row), strict=True)) for row in rows]


def test_a_dropped_workbook_comes_back_with_an_answer_beside_each_row(cq: AgencyDoor, tmp_path: Path) -> None:
    """Both rows are answered in the workbook that lies in results/; the bad one is corrected there and sent again."""
    profile = profile_of(tmp_path / "p", cq, "folder-workbook")
    watched = tmp_path / "w"
    (watched / "drop").mkdir(parents=True)
    book = openpyxl.load_workbook(io.BytesIO(workbook([credit_of(firm(860)), credit_of(firm(861))])))
    sheet = book.worksheets[0]
    level = next(cell.column for cell in sheet[2] if cell.value == "信用等级")
    right = sheet.cell(row=4, column=level).value
    sheet.cell(row=4, column=level).value = "看情况"
    book.save(watched / "drop" / "信用评价.xlsx")
    before = stated(cq)
    assert watch_once(watched, profile, "--purpose", PURPOSE).status == 0
    assert names(watched / "drop") == []
    answer, original = (watched / "results" / name for name in names(watched / "results"))
    assert answer.name.endswith(".answer.xlsx")
    assert original.name.startswith("信用评价.")
    rows = rows_of(answer.read_bytes())
    assert [bool(row["记录编号"]) for row in rows] == [True, False]
    assert [row["处理结果"] for row in rows] == ["accepted", "quarantined"]
    assert "LEVEL_UNMAPPED" in rows[1]["原因"]
    assert stated(cq) == before + 1

    book = openpyxl.load_workbook(answer)
    book.worksheets[0].cell(row=4, column=level).value = right
    book.save(watched / "drop" / "信用评价（改正）.xlsx")
    assert watch_once(watched, profile, "--purpose", PURPOSE).status == 0
    corrected = next(each for each in (watched / "results").glob("*改正*.answer.xlsx"))
    assert [row["处理结果"] for row in rows_of(corrected.read_bytes())] == ["unchanged", "accepted"]
    assert stated(cq) == before + 2


def test_attachments_of_arrivals_come_as_soon_as_the_node_has_them(
    doors: dict[str, AgencyDoor], tmp_path: Path
) -> None:
    """An arrival without its file is written, and says what it waits for; the file is fetched when it is there."""
    cq, profile = doors["cq"].agency("folder-file"), profile_of(tmp_path / "p", doors["sc"], "folder-reader")
    watched = tmp_path / "w"
    content = made_file(300_000)
    record = penalty_of(firm(862), "演环罚〔2025〕8062号")
    file = listed(content, name="..\\甲/处罚决定书.pdf")
    record.header.attachments.append(file)
    record_id = submit(cq, record, "folder-attached").record_id
    wait_settled(doors["cq"])
    assert watch_once(watched, profile).status == 0
    name = f"cq-{record_id}-r1.1.处罚决定书.pdf"
    assert not (watched / "arrivals" / name).exists()
    assert name in _status(watched)
    cq.call(cq.submission.UploadAttachment, UploadAttachmentRequest(attachment=file, content=content))
    doors["cq"].world.wait(doors["cq"].world.settled)

    def came() -> bool:
        assert watch_once(watched, profile).status == 0
        return (watched / "arrivals" / name).exists()

    doors["cq"].world.wait(came, what="the attachment")
    assert (watched / "arrivals" / name).read_bytes() == content
    assert name not in _status(watched)


def test_an_alert_goes_from_one_sides_form_into_the_others(
    cq: AgencyDoor, doors: dict[str, AgencyDoor], tmp_path: Path
) -> None:
    """A report dropped in Chongqing's layout is submitted in the urgent lane, and arrives in Sichuan's layout."""
    sender, reader = (
        profile_of(tmp_path / "p", cq, "folder-alert"),
        profile_of(tmp_path / "q", doors["sc"], "folder-desk"),
    )
    record = alert()
    record.alert.event_id = "CQ-20260301-8064"
    (tmp_path / "w" / "drop").mkdir(parents=True)
    written = ADAPTER.write([record], kind=Kind.KIND_ALERT, form="xlsx")
    (tmp_path / "w" / "drop" / "初报.xlsx").write_bytes(written.content)
    done = watch_once(tmp_path / "w", sender, "--purpose", record.header.purpose)
    assert done.status == 0, done.out
    (answer,) = (tmp_path / "w" / "results").glob("*.answer.xlsx")
    assert [row["处理结果"] for row in rows_of(answer.read_bytes())] == ["accepted", ""][
        : len(rows_of(answer.read_bytes()))
    ]
    wait_settled(cq)
    assert watch_once(tmp_path / "v", reader).status == 0
    arrived = [rows_of(path.read_bytes())[0] for path in (tmp_path / "v" / "arrivals").glob("*.Alert.xlsx")]
    mine = next(row for row in arrived if row["事件编码"] == record.alert.event_id)
    assert (mine["突发事件类别"], mine["受污染河流"], mine["污染物名称"]) == ("水污染事件", "演示河", "苯")


def _status(watched: Path) -> list[str]:
    found: list[str] = run("folder", "status", watched, "--json").json["attachments"]
    return found


class _Later(datetime):
    """A clock that is three days ahead."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        """Three days from now."""
        return datetime.now(UTC) + timedelta(days=3)


def test_old_answers_and_arrivals_go_only_where_that_is_asked(
    cq: AgencyDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default nothing goes; asked, what came longer ago goes, but not the reason why a file is still in drop/."""
    profile = profile_of(tmp_path / "p", cq, "folder-pruned")
    watched = tmp_path / "w"
    (watched / "drop").mkdir(parents=True)
    (watched / "drop" / "good.xlsx").write_bytes(workbook([credit_of(firm(863))]))
    (watched / "drop" / "bad.record.json").write_text("{")
    watch_once(watched, profile, "--purpose", PURPOSE)
    before = names(watched / "results")
    assert len(before) == 3
    (watched / "arrivals" / "kept").mkdir()
    monkeypatch.setattr("exchange.cli.folders.watcher.datetime", _Later)
    watch_once(watched, profile)
    watch_once(watched, profile, "--keep-days", 4)
    assert names(watched / "results") == before
    done = watch_once(watched, profile, "--keep-days", 2)
    assert {"event": "pruned"}.items() <= done.lines[0].items()
    assert names(watched / "results") == ["bad.record.json.refused.txt"]
    assert names(watched / "arrivals") == ["kept"]
