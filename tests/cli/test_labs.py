"""``labs``: what is asked of the node, and what an officer sees of laboratories."""

from __future__ import annotations

import pytest

from exchange.v1 import laboratory_service_pb2 as pb
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.lab_qualification_pb2 import LabStanding, LabState
from exchange.v1.record_service_pb2 import STANDING_DECIDED
from tests.cli.conftest import run
from tests.cli.fake_node import FakeNode
from tests.domain import records

pytestmark = pytest.mark.usefixtures("profile")


def view() -> pb.LaboratoryView:
    """A laboratory that was suspended on the day."""
    made = pb.LaboratoryView(on="2026-04-01", standing=LabStanding.LAB_STANDING_SUSPENDED)
    made.record.standing, made.record.outcome = STANDING_DECIDED, Outcome.OUTCOME_FULL
    made.record.ref.origin = "sc"
    made.record.record.CopyFrom(records.lab())
    body = made.record.record.lab_qualification
    body.suspensions.add(suspended_from="2026-03-30", ground="演示：能力验证不合格", document_no="演停〔2026〕2号")
    made.scope.append(body.scope[0])
    return made


def test_laboratories_are_listed_as_they_stood_on_a_day(node: FakeNode) -> None:
    """Every filter reaches the node; words are those of the officer's language."""
    node.answers["ListLaboratories"] = pb.ListLaboratoriesResponse(laboratories=[view()])
    shown = run(
        "labs", "list", "--on", "2026-04-01", "--area", "50", "--state", "listed", "--standing", "suspended",
        "--factor", "w01018", "--method", "HJ 828-2017", "--origin", "sc", "--uscc", records.FIRM, lang="zh",
    )  # fmt: skip
    assert shown.status == 0
    (asked,) = node.asked("ListLaboratories")
    assert asked == pb.ListLaboratoriesRequest(
        on="2026-04-01",
        area="50",
        state=LabState.LAB_STATE_LISTED,
        standing=LabStanding.LAB_STANDING_SUSPENDED,
        factor_code="w01018",
        method_standard="HJ 828-2017",
        origin="sc",
        uscc=records.FIRM,
        page_size=asked.page_size,
    )
    for words in ("222212050001", "暂停期内", "在名录", "完全互认"):
        assert words in shown.out.replace("\n", "").replace(" ", "")
    assert run("labs", "list", "--standing", "good").status == 2


def test_one_laboratory_is_shown_with_its_scope_and_suspensions(node: FakeNode) -> None:
    """The lines that held on the day, and every suspension with its ground."""
    answer = pb.GetLaboratoryResponse(laboratories=[view()], standing=LabStanding.LAB_STANDING_SUSPENDED)
    node.answers["GetLaboratory"] = answer
    shown = run("labs", "show", "222212050001", "--on", "2026-04-01")
    (asked,) = node.asked("GetLaboratory")
    assert asked == pb.GetLaboratoryRequest(cma_no="222212050001", on="2026-04-01")
    for words in ("suspended", "w01018", "HJ 828-2017", "2026-03-30", "演停〔2026〕2号"):
        assert words in shown.out
    assert "w21003" not in shown.out
    told = run("labs", "show", "222212050001", "--json").json
    assert told["standing"] == "LAB_STANDING_SUSPENDED"
    assert told["laboratories"][0]["on"] == "2026-04-01"
