"""The afternoon: a node is killed, receipts are verified, another node is restored from an older copy."""

from __future__ import annotations

import time
from pathlib import Path

from exchange.crypto.receipts import verify_receipt
from exchange.crypto.trusted.node_card import KeyRole
from exchange.crypto.trusted.trust import TrustSet
from exchange.settings.trust_folder import read_peer
from exchange.storage.engine.maintenance import backup, restore
from exchange.v1.kind_pb2 import Kind
from exchange.v1.operation_service_pb2 import AcknowledgeAlarmRequest, NodeState
from exchange.v1.submission_service_pb2 import (
    BatchSubmitRecordsRequest,
    GetReceiptRequest,
    RecordSubmission,
    SubmitResult,
)
from tests.domain.records import credit, make_uscc
from tools.demo.stage import NAMES, Stage, claim, console, progress, wait

OUTAGE_RECORDS = 2_000
"""Records that Chongqing accepts while Sichuan's node is dead."""

BATCH = 250


def outage(stage: Stage) -> None:
    """Sichuan's node is killed; Chongqing keeps accepting; everything arrives when it is back."""
    console.rule("8 · 断电 Sichuan's node is killed (SIGKILL)")
    stage.pair.kill("sc")
    claim(not stage.pair.processes["sc"].running, "四川节点已被杀死 sc is dead")
    with progress("重庆继续受理 accepting", OUTAGE_RECORDS) as advance, stage.pair.nodes["cq"].client() as client:
        for start in range(0, OUTAGE_RECORDS, BATCH):
            batch = BatchSubmitRecordsRequest(submissions=[_generated(start + i) for i in range(BATCH)])
            answer = client.call(client.submissions.BatchSubmitRecords, batch)
            accepted = sum(each.result == SubmitResult.SUBMIT_RESULT_ACCEPTED for each in answer.submitted)
            stage.totals["cq"].update({"ACCEPTED": accepted, "rows": len(answer.submitted)})
            advance(BATCH)
    backlog = stage.backlog("cq")
    claim(backlog >= OUTAGE_RECORDS, f"积压 backlog: {backlog} 条，均已落盘 all on disk")
    stage.pair.start("sc")
    with progress("排空 draining", backlog) as advance:
        left = backlog
        while left:
            time.sleep(0.1)
            now = stage.backlog("cq")
            advance(left - now)
            left = now
    claim(stage.backlog("cq") == 0, "积压已清 nothing is left behind")
    stage.wait_answered("cq", "sc")


def _generated(number: int) -> RecordSubmission:
    record = credit()
    uscc = make_uscc(10_000 + number)
    record.credit_result.subject.uscc = uscc
    record.credit_result.subject.name = f"演示企业{number:05d}有限公司"
    record.credit_result.subject.permit_code = f"{uscc}001P"
    return RecordSubmission(idempotency_key=f"outage-{number}", record=record)


def receipts(stage: Stage) -> None:
    """Every receipt, verified with the keys of the cards alone."""
    console.rule("9 · 回执逐一验证 Every receipt verified")
    cards = {
        name: TrustSet.load(read_peer(stage.pair.nodes[other].folder / "trust", name)).card
        for name, other in (("cq", "sc"), ("sc", "cq"))
    }
    for name, shown in NAMES.items():
        other = "sc" if name == "cq" else "cq"
        log_keys = cards[name].keys_of(KeyRole.LOG)
        cosigners = cards[other].keys_of(KeyRole.MIRROR)
        ids = stage.submissions(name)
        with (
            progress(f"{shown} 回执 receipts", len(ids)) as advance,
            stage.pair.nodes[name].client() as client,
        ):
            for record_id, revision in ids:
                answer = client.call(
                    client.submissions.GetReceipt, GetReceiptRequest(record_id=record_id, revision=revision)
                )
                verify_receipt(answer.receipt.encode(), log_keys, cosigners, answer.entry)
                advance(1)
        claim(ids, f"{shown}: {len(ids)} 份回执全部验证 all receipts verify")


def _copy(stage: Stage) -> Path:
    return stage.folder / "cq-older-copy.db"


def take_copy(stage: Stage) -> None:
    """A copy of Chongqing's database, kept for later."""
    backup(stage.url("cq"), _copy(stage))


def restored(stage: Stage) -> None:
    """Chongqing's database is replaced by the older copy and heals from Sichuan's mirror."""
    console.rule("10 · 恢复旧备份 Chongqing's database replaced by an older copy")
    before = len(stage.submissions("cq"))
    stage.pair.stop("cq")
    restore(_copy(stage), stage.url("cq"))
    stage.pair.start("cq")
    wait("healed", lambda: stage.status("cq").state == NodeState.NODE_STATE_AWAITING_ACKNOWLEDGEMENT, 60)
    console.print(
        "  已从四川的镜像取回 fetched back from Sichuan's mirror; 等待安全管理员确认 the security officer confirms"
    )
    wait("alarm RESTORED", lambda: bool(stage.alarms("cq", "RESTORED")), 10)
    alarm = stage.alarms("cq", "RESTORED")[0]
    with stage.pair.nodes["cq"].client("security") as client:
        client.call(client.operation.AcknowledgeAlarm, AcknowledgeAlarmRequest(id=alarm.id, reason="演示 demo"))
    wait("serving", lambda: stage.status("cq").state == NodeState.NODE_STATE_SERVING, 60)
    stage.wait_answered("cq", "sc")
    delivered = next(row for row in stage.status("cq").counts if row.kind == Kind.KIND_UNSPECIFIED)
    claim(delivered.submitted == before, f"{before} 条提交一条不少 no submission is missing after the restore")
