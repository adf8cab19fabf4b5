"""The morning: two nodes, both sides' documents, and what the other side made of them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

from rich.table import Table

import exchange_chongqing.build_samples
import exchange_sichuan.build_samples
from exchange.app.adapters import find_adapters
from exchange.domain.recognising.recognition import RuleSet
from exchange.flows.context import LOCAL_TIME
from exchange.rpc.failure import CallFailed
from exchange.tables import read_all
from exchange.v1.kind_pb2 import Kind
from exchange.v1.submission_service_pb2 import ListSubmissionsRequest, SubmitDocumentRequest, SubmitResult
from tests.rigs.pair import AUTHORITIES
from tools.demo.stage import NAMES, RESULTS, Stage, claim, console, progress

ROOT = Path(__file__).resolve().parent.parent.parent
SIDES = {"cq": "chongqing", "sc": "sichuan"}
KINDS = {
    Kind.KIND_CREDIT_RESULT: "信用评价结果 credit results",
    Kind.KIND_PENALTY_NOTICE: "处罚通知 penalty notices",
    Kind.KIND_MONITORING_BATCH: "监测数据批 monitoring batches",
}
BUILDERS = {"cq": exchange_chongqing.build_samples.build, "sc": exchange_sichuan.build_samples.build}
AGEING = (Kind.KIND_CREDIT_RESULT, Kind.KIND_LIST_ENTRY)


def start(stage: Stage) -> None:
    """Two nodes, and one agency on each side that may do everything."""
    console.rule("1 · 两个节点 Two nodes")
    stage.pair.start()
    table = Table("节点 node", "单位门 agencies", "节点门 peers", "数据库 database", "进程 pid")
    for name, node in stage.pair.nodes.items():
        stage.pair.grant(name)
        table.add_row(
            NAMES[name],
            f"127.0.0.1:{node.agencies_port}",
            f"127.0.0.1:{node.peers_port}",
            str(node.database.relative_to(ROOT)) if node.database.is_relative_to(ROOT) else node.database.name,
            str(stage.pair.processes[name].pid),
        )
    rules = RuleSet.load(read_all()["rules/recognition.toml"])
    console.print(table)
    console.print(
        f"  演示数据：企业名称与代码均为虚构。规则版本 {rules.edition}"
        "（[yellow]规则待两地批准[/] rules await approval）"
    )


def documents(stage: Stage) -> None:
    """Each side's documents, in the form that it really uses."""
    console.rule("2 · 双方文件入库 Documents of both sides")
    table = Table("节点 node", "文件 document", "行 rows", *(f"{each.lower()}" for each in RESULTS), "弃读数 left out")
    adapters = find_adapters(stage.tables, {})
    jobs = [(name, sample) for name, side in SIDES.items() for sample in adapters[side].samples()]
    made = {name: build(_last_round()) for name, build in BUILDERS.items()}
    files = {name: {title: file for title, file, *_ in samples.listed} for name, samples in made.items()}
    with progress("提交文件 documents", len(jobs)) as advance:
        for name, sample in jobs:
            file = files[name].get(sample.name, sample.document.file_name)
            content = made[name].files.get(file, sample.document.content)
            _document(stage, name, file, content, sample.name, table)
            advance(1)
    console.print(table)


def _last_round() -> int:
    """The newest evaluation year that both sides have published: that of the committed samples grows too old."""
    return datetime.now(LOCAL_TIME).year - 2


def _document(stage: Stage, name: str, file_name: str, content: bytes, title: str, table: Table) -> None:
    request = SubmitDocumentRequest(
        idempotency_key=f"demo {title}"[:48].encode("ascii", "replace").decode(),
        file_name=file_name,
        content=content,
        adapter=SIDES[name],
        purpose="成渝两地互认演示",
    )
    request.authority.uscc = AUTHORITIES[name]
    request.authority.name = f"演示{name}生态环境局"
    with stage.pair.nodes[name].client() as client:
        try:
            answer = client.call(client.submissions.SubmitDocument, request)
        except CallFailed as refused:
            table.add_row(NAMES[name], title, "–", *["–"] * 5, f"[red]整件拒收 {refused.reason}[/]")
            stage.totals[name]["documents refused"] += 1
            return
    counts = Counter(SubmitResult.Name(row.submitted.result).removeprefix("SUBMIT_RESULT_") for row in answer.rows)
    stage.totals[name].update(counts)
    stage.totals[name]["rows"] += len(answer.rows)
    left_out = sum(len(row.left_out) for row in answer.rows)
    table.add_row(
        NAMES[name],
        title,
        str(len(answer.rows)),
        *(str(counts[each] or "·") for each in RESULTS),
        str(left_out or "·"),
    )


def recognised(stage: Stage) -> None:
    """What came out on the other side."""
    console.rule("3 · 对方互认 What the other side made of them")
    stage.wait_answered("cq", "sc")
    table = Table("来源 origin", "种类 kind", "送达", "完全互认", "有条件", "暂缓", "不予互认", "主要理由 main reasons")
    current = True
    for name, shown in NAMES.items():
        for row in stage.status(name).counts:
            if row.kind == Kind.KIND_UNSPECIFIED or not row.submitted:
                continue
            table.add_row(
                shown,
                KINDS.get(row.kind, Kind.Name(row.kind)),
                *(
                    str(n or "·")
                    for n in (row.delivered, row.recognised, row.conditional, row.deferred, row.not_recognised)
                ),
                _reasons(stage, name, row.kind),
            )
            current &= row.kind not in AGEING or row.recognised > row.not_recognised
    console.print(table)
    claim(current, "评价结果和名单在有效期内，多数获互认 results and list entries are current: most are recognised")


def _reasons(stage: Stage, name: str, kind: Kind.ValueType) -> str:
    found: Counter[str] = Counter()
    with stage.pair.nodes[name].client() as client:
        answer = client.call(client.submissions.ListSubmissions, ListSubmissionsRequest(page_size=500, kind=kind))
    for submission in answer.submissions:
        for addressee in submission.addressees:
            found.update(reason.reason for reason in addressee.reasons)
    return ", ".join(
        f"{stage.tables.reasons.text(code, 'zh').message[:14]} {code}×{n}" for code, n in found.most_common(2)
    )
