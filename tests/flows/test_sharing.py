"""The door and the sharing catalogue: what it does not list, or not for that purpose, leaves no trace in any log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.domain.catalogues.tables import load
from exchange.flows.intake.submit import SubmitFlow
from exchange.tables import read_all
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitResult
from tests.domain.records import SOUND
from tests.flows.node import TestNode

_ONLY_CREDIT = """
edition = "2"
source = "s"
status = "s"
[[entry]]
kind = "CreditResult"
catalogue_no = "N-1"
title = "t"
summary = "s"
provider = "p"
share_class = "CONDITIONAL"
condition = "c"
frequency = "YEARLY"
uses = ["互认"]
"""


@pytest.mark.parametrize(
    ("name", "purpose", "reason"),
    [
        ("penalty", "行政处罚信息共享", "CATALOGUE_ROW_MISSING"),
        ("credit", "排污许可审批", "PURPOSE_OUT_OF_SCOPE"),
        ("credit", "两地信用评价结果互认", ""),
    ],
)
def test_what_the_catalogue_does_not_share_is_refused_at_the_door(
    running: TestNode, name: str, purpose: str, reason: str
) -> None:
    """With its reason, and nothing of it is in a log; what it does share is taken."""
    tables = load(read_all(), {"sharing_catalogue.toml": _ONLY_CREDIT.encode()})
    flow = SubmitFlow(replace(running.node, tables=tables))
    record = SOUND[name]()
    record.header.purpose = purpose
    record.header.record_id, record.header.revision = "", 0
    before = running.sizes()
    item = RecordSubmission(idempotency_key="k", record=record)
    answer = flow.submit("agency", [item], running.node.clock())[0]
    assert [problem.reason for problem in answer.problems] == ([reason] if reason else [])
    taken = answer.result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    assert taken is not bool(reason)
    assert (running.sizes() != before) is taken
