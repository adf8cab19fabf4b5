"""`make demo`: a day between two nodes. Real processes, real keys, mTLS everywhere; invented firms only (演示数据).

It sets two nodes up in `demo/`, sends both sides' documents through their adapters, shows what the other side made
of them, kills a node, restores another from an older copy, and counts at the end. Exit status 0 when every claim
that it prints was checked and held.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from exchange.app.adapters import find_adapters
from exchange.crypto.node_card import KeyRole
from exchange.crypto.receipts import verify_receipt
from exchange.crypto.trust import TrustSet
from exchange.domain.adapter import Adapter
from exchange.domain.recognition import RuleSet
from exchange.domain.tables import Tables, load
from exchange.rpc.failure import CallFailed
from exchange.settings.trust_folder import read_peer
from exchange.storage.maintenance import backup, restore
from exchange.storage.verify import verify
from exchange.tables import read_all
from exchange.v1.check_service_pb2 import CheckSubjectRequest
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.credit_service_pb2 import Knowledge, ListCreditResultsRequest
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.operation_service_pb2 import (
    AcknowledgeAlarmRequest,
    Alarm,
    GetStatusRequest,
    GetStatusResponse,
    ListAlarmsRequest,
    NodeState,
)
from exchange.v1.submission_pb2 import SubmissionState
from exchange.v1.submission_service_pb2 import (
    BatchSubmitRecordsRequest,
    GetReceiptRequest,
    ListSubmissionsRequest,
    RecordSubmission,
    SubmitDocumentRequest,
    SubmitResult,
)
from tests.domain.records import credit, make_uscc
from tests.rigs.pair import AUTHORITIES, Pair
from tools.partner import generic_call, write_partner

ROOT = Path(__file__).resolve().parent.parent
OUTAGE_RECORDS = 2_000
"""Records that Chongqing accepts while Sichuan's node is dead."""

BATCH = 250
NAMES = {"cq": "重庆 Chongqing", "sc": "四川 Sichuan"}
SIDES = {"cq": "chongqing", "sc": "sichuan"}
RESULTS = ("ACCEPTED", "REVISED", "UNCHANGED", "QUARANTINED", "REFUSED")
KINDS = {
    Kind.KIND_CREDIT_RESULT: "信用评价结果 credit results",
    Kind.KIND_PENALTY_NOTICE: "处罚通知 penalty notices",
    Kind.KIND_MONITORING_BATCH: "监测数据批 monitoring batches",
}

console = Console(width=118)


class ClaimFailed(Exception):
    """Something that the demo claims did not hold."""


def claim(holds: object, text: str) -> None:
    """Check a claim and say so."""
    if not holds:
        raise ClaimFailed(text)
    console.print(f"  [green]✓[/] {text}")


class Demo:
    """The day, hour by hour."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self.folder = folder
        self.tables: Tables = load(read_all())
        self.adapters: dict[str, Adapter] = find_adapters(self.tables, {})
        self.rules = RuleSet.load(read_all()["rules/recognition.toml"])
        self.pair = Pair(folder, outlive=keep)
        self.totals = {name: Counter[str]() for name in NAMES}

    # -- 1 ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Two nodes, and one agency on each side that may do everything."""
        console.rule("1 · 两个节点 Two nodes")
        self.pair.start()
        table = Table("节点 node", "单位门 agencies", "节点门 peers", "数据库 database", "进程 pid")
        for name, node in self.pair.nodes.items():
            self.pair.grant(name)
            table.add_row(
                NAMES[name],
                f"127.0.0.1:{node.agencies_port}",
                f"127.0.0.1:{node.peers_port}",
                str(node.database.relative_to(ROOT)) if node.database.is_relative_to(ROOT) else node.database.name,
                str(self.pair.processes[name].pid),
            )
        console.print(table)
        console.print(
            f"  演示数据：企业名称与代码均为虚构。规则版本 {self.rules.edition}"
            "（[yellow]规则待两地批准[/] rules await approval）"
        )

    # -- 2 ---------------------------------------------------------------------------------------------------

    def documents(self) -> None:
        """Each side's documents, in the form that it really uses."""
        console.rule("2 · 双方文件入库 Documents of both sides")
        table = Table(
            "节点 node", "文件 document", "行 rows", *(f"{each.lower()}" for each in RESULTS), "弃读数 left out"
        )
        jobs = [(name, sample) for name, side in SIDES.items() for sample in self.adapters[side].samples()]
        with progress("提交文件 documents", len(jobs)) as advance:
            for name, sample in jobs:
                self._document(name, sample.document.file_name, sample.document.content, sample.name, table)
                advance(1)
        console.print(table)

    def _document(self, name: str, file_name: str, content: bytes, title: str, table: Table) -> None:
        request = SubmitDocumentRequest(
            idempotency_key=f"demo {title}"[:48].encode("ascii", "replace").decode(),
            file_name=file_name,
            content=content,
            adapter=SIDES[name],
            purpose="成渝两地互认演示",
        )
        request.authority.uscc = AUTHORITIES[name]
        request.authority.name = f"演示{name}生态环境局"
        with self.pair.nodes[name].client() as client:
            try:
                answer = client.call(client.submissions.SubmitDocument, request)
            except CallFailed as refused:
                table.add_row(NAMES[name], title, "–", *["–"] * 5, f"[red]整件拒收 {refused.reason}[/]")
                self.totals[name]["documents refused"] += 1
                return
        counts = Counter(SubmitResult.Name(row.submitted.result).removeprefix("SUBMIT_RESULT_") for row in answer.rows)
        self.totals[name].update(counts)
        self.totals[name]["rows"] += len(answer.rows)
        left_out = sum(len(row.left_out) for row in answer.rows)
        table.add_row(
            NAMES[name],
            title,
            str(len(answer.rows)),
            *(str(counts[each] or "·") for each in RESULTS),
            str(left_out or "·"),
        )

    # -- 3 ---------------------------------------------------------------------------------------------------

    def recognised(self) -> None:
        """What came out on the other side."""
        console.rule("3 · 对方互认 What the other side made of them")
        self.wait_answered("cq", "sc")
        table = Table(
            "来源 origin", "种类 kind", "送达", "完全互认", "有条件", "暂缓", "不予互认", "主要理由 main reasons"
        )
        for name, shown in NAMES.items():
            for row in self.status(name).counts:
                if row.kind == Kind.KIND_UNSPECIFIED or not row.submitted:
                    continue
                table.add_row(
                    shown,
                    KINDS.get(row.kind, Kind.Name(row.kind)),
                    *(
                        str(n or "·")
                        for n in (row.delivered, row.recognised, row.conditional, row.deferred, row.not_recognised)
                    ),
                    self._reasons(name, row.kind),
                )
        console.print(table)

    def _reasons(self, name: str, kind: Kind.ValueType) -> str:
        found: Counter[str] = Counter()
        with self.pair.nodes[name].client() as client:
            answer = client.call(client.submissions.ListSubmissions, ListSubmissionsRequest(page_size=500, kind=kind))
        for submission in answer.submissions:
            for addressee in submission.addressees:
                found.update(reason.reason for reason in addressee.reasons)
        return ", ".join(
            f"{self.tables.reasons.text(code, 'zh').message[:14]} {code}×{n}" for code, n in found.most_common(2)
        )

    # -- 4 ---------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """逢办必查: a firm is looked up while a permit is handled, and the question is traced."""
        console.rule("4 · 逢办必查 A check during a permit matter")
        uscc = self._firm_with_something_to_show()
        request = CheckSubjectRequest(
            uscc=uscc,
            matter_kind=MatterKind.MATTER_KIND_PERMIT,
            matter_no="渝环准〔2026〕演示001号",
            purpose="排污许可审批",
            officer_ref="staff-0042",
            area_code="510100",
        )
        with self.pair.nodes["sc"].client() as client:
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
        claim(
            answer.journal_index >= 0 and answer.check_id, f"触发留痕 traced: {answer.journal} #{answer.journal_index}"
        )
        claim(reason, f"无事项编号即拒绝 a check without a matter number is refused: {reason}")

    def _firm_with_something_to_show(self) -> str:
        with self.pair.nodes["sc"].client() as client:
            found = client.call(client.credit.ListCreditResults, ListCreditResultsRequest(origin="cq", page_size=500))
        conditional = [each for each in found.results if each.outcome == Outcome.OUTCOME_CONDITIONAL]
        chosen = (conditional or list(found.results))[0]
        return chosen.record.credit_result.subject.uscc

    # -- 5 ---------------------------------------------------------------------------------------------------

    def outage(self) -> None:
        """Sichuan's node is killed; Chongqing keeps accepting; everything arrives when it is back."""
        console.rule("5 · 断电 Sichuan's node is killed (SIGKILL)")
        self.pair.kill("sc")
        claim(not self.pair.processes["sc"].running, "四川节点已被杀死 sc is dead")
        with progress("重庆继续受理 accepting", OUTAGE_RECORDS) as advance, self.pair.nodes["cq"].client() as client:
            for start in range(0, OUTAGE_RECORDS, BATCH):
                batch = BatchSubmitRecordsRequest(submissions=[_generated(start + i) for i in range(BATCH)])
                answer = client.call(client.submissions.BatchSubmitRecords, batch)
                accepted = sum(each.result == SubmitResult.SUBMIT_RESULT_ACCEPTED for each in answer.submitted)
                self.totals["cq"].update({"ACCEPTED": accepted, "rows": len(answer.submitted)})
                advance(BATCH)
        backlog = self.backlog("cq")
        claim(backlog >= OUTAGE_RECORDS, f"积压 backlog: {backlog} 条，均已落盘 all on disk")
        self.pair.start("sc")
        with progress("排空 draining", backlog) as advance:
            left = backlog
            while left:
                time.sleep(0.1)
                now = self.backlog("cq")
                advance(left - now)
                left = now
        claim(self.backlog("cq") == 0, "积压已清 nothing is left behind")
        self.wait_answered("cq", "sc")

    # -- 6 ---------------------------------------------------------------------------------------------------

    def receipts(self) -> None:
        """Every receipt, verified with the keys of the cards alone."""
        console.rule("6 · 回执逐一验证 Every receipt verified")
        cards = {
            name: TrustSet.load(read_peer(self.pair.nodes[other].folder / "trust", name)).card
            for name, other in (("cq", "sc"), ("sc", "cq"))
        }
        for name, shown in NAMES.items():
            other = "sc" if name == "cq" else "cq"
            log_keys = cards[name].keys_of(KeyRole.LOG)
            cosigners = cards[other].keys_of(KeyRole.MIRROR)
            ids = self.submissions(name)
            with (
                progress(f"{shown} 回执 receipts", len(ids)) as advance,
                self.pair.nodes[name].client() as client,
            ):
                for record_id, revision in ids:
                    answer = client.call(
                        client.submissions.GetReceipt, GetReceiptRequest(record_id=record_id, revision=revision)
                    )
                    verify_receipt(answer.receipt.encode(), log_keys, cosigners, answer.entry)
                    advance(1)
            claim(ids, f"{shown}: {len(ids)} 份回执全部验证 all receipts verify")

    # -- 7 ---------------------------------------------------------------------------------------------------

    def backup(self) -> None:
        """A copy of Chongqing's database, kept for later."""
        self.copy = self.folder / "cq-older-copy.db"
        backup(self.url("cq"), self.copy)

    def restored(self) -> None:
        """Chongqing's database is replaced by the older copy and heals from Sichuan's mirror."""
        console.rule("7 · 恢复旧备份 Chongqing's database replaced by an older copy")
        before = len(self.submissions("cq"))
        self.pair.stop("cq")
        restore(self.copy, self.url("cq"))
        self.pair.start("cq")
        wait("healed", lambda: self.status("cq").state == NodeState.NODE_STATE_AWAITING_ACKNOWLEDGEMENT, 60)
        console.print(
            "  已从四川的镜像取回 fetched back from Sichuan's mirror; 等待安全管理员确认 the security officer confirms"
        )
        wait("alarm RESTORED", lambda: bool(self.alarms("cq", "RESTORED")), 10)
        alarm = self.alarms("cq", "RESTORED")[0]
        with self.pair.nodes["cq"].client("security") as client:
            client.call(client.operation.AcknowledgeAlarm, AcknowledgeAlarmRequest(id=alarm.id, reason="演示 demo"))
        wait("serving", lambda: self.status("cq").state == NodeState.NODE_STATE_SERVING, 60)
        self.wait_answered("cq", "sc")
        delivered = next(row for row in self.status("cq").counts if row.kind == Kind.KIND_UNSPECIFIED)
        claim(delivered.submitted == before, f"{before} 条提交一条不少 no submission is missing after the restore")

    # -- 8 ---------------------------------------------------------------------------------------------------

    def count(self) -> None:
        """The counting rule of the contract, from the databases themselves."""
        console.rule("8 · 清点 The count")
        table = Table(
            "节点 node",
            "行 rows",
            *(each.lower() for each in RESULTS),
            "送达 delivered",
            "待送 pending",
            "互认",
            "有条件",
            "暂缓",
            "不予",
            "未答",
        )
        rows = {
            name: next(each for each in self.status(name).counts if each.kind == Kind.KIND_UNSPECIFIED)
            for name in NAMES
        }
        for name, row in rows.items():
            totals = self.totals[name]
            answered = (row.recognised, row.conditional, row.deferred, row.not_recognised, row.unanswered)
            counted = (totals["rows"], *(totals[each] for each in RESULTS), row.delivered, row.pending, *answered)
            table.add_row(NAMES[name], *map(str, counted))
        console.print(table)
        for name, row in rows.items():
            totals = self.totals[name]
            stored = totals["ACCEPTED"] + totals["REVISED"]
            answered = (row.recognised, row.conditional, row.deferred, row.not_recognised, row.unanswered)
            claim(
                totals["rows"] == sum(totals[each] for each in RESULTS),
                f"{NAMES[name]}: rows = accepted + revised + unchanged + quarantined + refused",
            )
            claim(stored == row.delivered + row.pending, f"{NAMES[name]}: accepted + revised = delivered + pending")
            claim(
                row.delivered == sum(answered),
                f"{NAMES[name]}: delivered = unanswered + recognised + conditional + deferred + not recognised",
            )

    def verified(self) -> None:
        """Both databases, checked from their bytes."""
        for name, shown in NAMES.items():
            findings = list(verify(self.url(name)))
            claim(not findings, f"{shown}: 数据库逐字节核对 db verify finds nothing wrong {findings[:1] or ''}")

    # -- helpers of the day ----------------------------------------------------------------------------------

    def url(self, name: str) -> str:
        """Database URL of a node."""
        return f"sqlite:///{self.pair.nodes[name].database}"

    def status(self, name: str) -> GetStatusResponse:
        """A node's state."""
        with self.pair.nodes[name].client("operator") as client:
            return client.call(client.operation.GetStatus, GetStatusRequest())

    def alarms(self, name: str, code: str) -> list[Alarm]:
        """Open alarms of one code."""
        with self.pair.nodes[name].client("operator") as client:
            found = client.call(client.operation.ListAlarms, ListAlarmsRequest()).alarms
        return [each for each in found if each.code == code]

    def backlog(self, name: str) -> int:
        """Entries that the peer has not cosigned."""
        return sum(lane.size - lane.delivered for lane in self.status(name).lanes)

    def wait_answered(self, *names: str) -> None:
        """Until everything is delivered and answered."""
        for name in names:
            wait(
                f"{name} answered",
                lambda name=name: all(row.pending == 0 and row.unanswered == 0 for row in self.status(name).counts),  # type: ignore[misc]
                60,
            )

    def submissions(self, name: str) -> list[tuple[str, int]]:
        """Every submission that was delivered."""
        found = []
        token = ""
        with self.pair.nodes[name].client() as client:
            while True:
                answer = client.call(
                    client.submissions.ListSubmissions, ListSubmissionsRequest(page_size=500, page_token=token)
                )
                found += [
                    (each.record_id, each.revision)
                    for each in answer.submissions
                    if each.addressees and each.addressees[0].state >= SubmissionState.SUBMISSION_STATE_DELIVERED
                ]
                token = answer.next_page_token
                if not token:
                    return found


def _generated(number: int) -> RecordSubmission:
    record = credit()
    uscc = make_uscc(10_000 + number)
    record.credit_result.subject.uscc = uscc
    record.credit_result.subject.name = f"演示企业{number:05d}有限公司"
    record.credit_result.subject.permit_code = f"{uscc}001P"
    return RecordSubmission(idempotency_key=f"outage-{number}", record=record)


class progress:  # noqa: N801 - reads as a statement
    """A progress bar as a context: gives a function that advances it."""

    def __init__(self, text: str, total: int) -> None:
        self._bar = Progress(
            TextColumn(f"  {text}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task(text, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self._bar.start()
        return lambda n: self._bar.advance(self._task, n)

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()


def wait(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except CallFailed:
            pass
        if time.monotonic() > deadline:
            raise ClaimFailed(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)


def leave_running(demo: Demo) -> None:
    """For partners: what they need to call, one call to copy, and how to stop."""
    partner = demo.folder / "partner"
    write_partner(partner, demo.pair.nodes["cq"].profile())
    pids = demo.folder / "pids"
    pids.write_text(" ".join(str(process.pid) for process in demo.pair.processes.values()) + "\n")
    console.print("两个节点继续运行 both nodes are running. 试一次调用 one call with a generic tool:")
    print("  " + shlex.join(generic_call(partner.relative_to(ROOT), ".venv/bin/buf")))
    console.print(f"停止 to stop: kill $(cat {pids.relative_to(ROOT)})")


def main() -> int:
    """The whole day; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave both nodes running")
    keep = parser.parse_args().keep
    folder = ROOT / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.monotonic()
    demo = Demo(folder, keep=keep)
    try:
        demo.start()
        demo.documents()
        demo.recognised()
        demo.check()
        demo.backup()
        demo.outage()
        demo.receipts()
        demo.restored()
        demo.count()
        demo.verified()
    except ClaimFailed as failure:
        console.print(f"[red]✗ {failure}[/]")
        demo.pair.kill()
        return 1
    console.print(f"[bold green]演示完成 done[/] {datetime.now(UTC):%H:%M:%S}Z, {time.monotonic() - began:.0f} s")
    if keep:
        leave_running(demo)
    else:
        demo.pair.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
