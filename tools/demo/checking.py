"""逢办必查: a firm is looked up while a permit is handled."""

from __future__ import annotations

from rich.table import Table

from exchange.rpc.failure import CallFailed
from exchange.v1.check_service_pb2 import CheckSubjectRequest
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.credit_service_pb2 import Knowledge, ListCreditResultsRequest
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.matter_pb2 import MatterKind
from tools.demo.stage import NAMES, ClaimFailed, Stage, claim, console


def check(stage: Stage) -> None:
    """逢办必查: a firm is looked up while a permit is handled, and the question is traced."""
    console.rule("4 · 逢办必查 A check during a permit matter")
    uscc = _firm_with_something_to_show(stage)
    request = CheckSubjectRequest(
        uscc=uscc,
        matter_kind=MatterKind.MATTER_KIND_PERMIT,
        matter_no="渝环准〔2026〕演示001号",
        purpose="排污许可审批",
        officer_ref="staff-0042",
        area_code="510100",
    )
    with stage.pair.nodes["sc"].client() as client:
        answer = client.call(client.checks.CheckSubject, request)
        refused = CheckSubjectRequest()
        refused.CopyFrom(request)
        refused.matter_no = ""
        try:
            client.call(client.checks.CheckSubject, refused)
        except CallFailed as error:
            reason = error.reason
        else:
            raise ClaimFailed("a check without a matter number was answered")
    table = Table("地区 region", "已知情况 knowledge", "决定性等级 level", "结果 results", "互认 recognition")
    for region in answer.credit:
        table.add_row(
            NAMES[region.origin],
            Knowledge.Name(region.knowledge).removeprefix("KNOWLEDGE_"),
            CreditLevel.Name(region.decisive_level).removeprefix("CREDIT_LEVEL_") if region.decisive_level else "–",
            ", ".join(view.record.credit_result.source_level_text for view in region.results) or "–",
            ", ".join(Outcome.Name(view.outcome).removeprefix("OUTCOME_") for view in region.results) or "–",
        )
    console.print(table)
    claim(answer.journal_index >= 0 and answer.check_id, f"触发留痕 traced: {answer.journal} #{answer.journal_index}")
    claim(reason, f"无事项编号即拒绝 a check without a matter number is refused: {reason}")


def _firm_with_something_to_show(stage: Stage) -> str:
    with stage.pair.nodes["sc"].client() as client:
        found = client.call(client.credit.ListCreditResults, ListCreditResultsRequest(origin="cq", page_size=500))
    conditional = [each for each in found.results if each.outcome == Outcome.OUTCOME_CONDITIONAL]
    chosen = (conditional or list(found.results))[0]
    return chosen.record.credit_result.subject.uscc
