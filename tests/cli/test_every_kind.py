"""Typed records of every kind by the command line: submitted as JSON, listed with what they say in a cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict

from exchange.domain import kinds
from exchange.v1 import record_service_pb2 as records
from exchange.v1 import submission_service_pb2 as submissions
from exchange.v1.common_pb2 import RecordRef
from tests.cli.conftest import run
from tests.cli.fake_node import FakeNode
from tests.domain.records import OTHER_RECORD_ID, SOUND

pytestmark = pytest.mark.usefixtures("profile")

GISTS = {
    "not_evaluated": "未参评",
    "list_entry": "演示危险废物跨省市转移白名单",
    "lab": "222212050001",
    "feedback": "资金〔2026〕8号 B1",
    "repair": "演环修〔2026〕2号",
    "revocation": "演府复〔2026〕4号",
    "correction": "credit_result.score",
    "referral": "演环案移〔2026〕5号",
    "inspection": "演联检〔2026〕1号",
    "alert": "CQ-20260301-001 #1 演练",
    "equivalence": "DB50/000-2020 DB51/000-2016",
    "answer": "CONFIRMED KEY_ACCEPTED",
}


def test_a_file_of_every_kind_reaches_the_node_as_it_was_written(node: FakeNode, tmp_path: Path) -> None:
    """One JSON record a line, whatever its kind."""
    submitted = [make() for make in SOUND.values()]
    path = tmp_path / "every.record.jsonl"
    path.write_text(
        "\n".join(
            json.dumps(MessageToDict(record, preserving_proto_field_name=True), ensure_ascii=False)
            for record in submitted
        ),
        "utf-8",
    )

    def taken(request: submissions.BatchSubmitRecordsRequest) -> submissions.BatchSubmitRecordsResponse:
        answer = submissions.BatchSubmitRecordsResponse()
        for _ in request.submissions:
            answer.submitted.add(result=submissions.SUBMIT_RESULT_ACCEPTED)
        return answer

    node.answers["BatchSubmitRecords"] = taken
    assert run("submit", path, "--no-answers").status == 0
    arrived = [item.record for request in node.asked("BatchSubmitRecords") for item in request.submissions]
    assert arrived == submitted


def test_what_was_said_about_a_record_is_asked_for_and_shown(node: FakeNode) -> None:
    """The list says of each kind what an officer looks for."""
    answer = records.ListRecordsResponse()
    for name in GISTS:
        record = SOUND[name]()
        view = answer.records.add(kind=kinds.kind_of(record), standing=records.STANDING_ORIGIN)
        view.record.CopyFrom(record)
    node.answers["ListRecords"] = answer
    shown = run("records", "list", "--about", OTHER_RECORD_ID, "--about-origin", "cq", lang="zh").out
    (asked,) = node.asked("ListRecords")
    assert asked.about == RecordRef(origin="cq", record_id=OTHER_RECORD_ID)
    told = "".join(shown.split())
    assert [gist for gist in GISTS.values() if gist.replace(" ", "") not in told] == []
