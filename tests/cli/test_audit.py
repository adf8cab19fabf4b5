"""``audit`` on a running node: what is asked, what is shown, how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.crypto.ed25519 import NoteSigner
from exchange.crypto.keys import generate_ed25519
from exchange.flows.audit.verify.claimed.heads import read_page
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.tree import EMPTY_ROOT
from exchange.v1 import audit_service_pb2 as audit
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.journal_pb2 import AdministratorAction, EpochOpened, JournalEntry
from exchange.v1.key_announcement_pb2 import Continues
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.record_pb2 import Record, Tombstone
from tests.cli.conftest import run
from tests.cli.fake_node import FakeNode

pytestmark = pytest.mark.usefixtures("profile")

JOURNAL = "cq.exchange.example/journal/1"


def test_logs_and_their_entries(node: FakeNode) -> None:
    """Logs by what they are for; a stretch of the journal by what happened, up to the limit."""
    node.answers["ListLogs"] = audit.ListLogsResponse(
        logs=[audit.Log(origin=JOURNAL, use=audit.LOG_USE_JOURNAL, size=9, cosigned_size=7)]
    )
    assert "留痕日志" in run("audit", "logs", lang="zh").out
    line = JournalEntry(administrator_action=AdministratorAction(action="lanes.pause", reason="维护"))
    raw = line.SerializeToString()
    node.answers["StreamEntries"] = [
        audit.StreamEntriesResponse(
            entries=[audit.Entry(index=n, entry=raw if n < 5 else b"\xff") for n in range(3, 6)]
        ),
        audit.StreamEntriesResponse(entries=[audit.Entry(index=6, entry=raw)]),
    ]
    shown = run("audit", "entries", JOURNAL, "--start", "3", "--limit", "3").out
    assert "lanes.pause" in shown
    assert "can not be read" in shown
    assert "administrator's action" in shown
    assert "管理操作" in run("audit", "entries", JOURNAL, lang="zh").out
    opened = JournalEntry(opened=EpochOpened(continues=Continues(origin="o")))
    node.answers["StreamEntries"] = [
        audit.StreamEntriesResponse(entries=[audit.Entry(index=0, entry=opened.SerializeToString())])
    ]
    assert 'continues={"origin": "o"}' in run("audit", "entries", JOURNAL).out
    node.answers["StreamEntries"] = [audit.StreamEntriesResponse(entries=[audit.Entry(index=n) for n in range(4)])]
    assert node.asked("StreamEntries")[0].start == 3
    lines = run("audit", "entries", JOURNAL, "--json").out.splitlines()
    assert len(lines) == 4


def test_checkpoints_and_proofs_are_printed_as_they_are(node: FakeNode, tmp_path: Path) -> None:
    """To standard output or a file; a size without cosignature has no receipt: exit status 3."""
    node.answers["GetCheckpoint"] = audit.GetCheckpointResponse(checkpoint="o\n3\nroot\n\n— line\n")
    assert run("audit", "checkpoint", "o", "--size", "2").out == "o\n3\nroot\n\n— line\n"
    assert node.asked("GetCheckpoint")[0].size == 2
    node.answers["GetInclusionProof"] = audit.GetInclusionProofResponse(size=3, receipt="c2sp.org/tlog-proof@v1\n")
    kept = tmp_path / "proof"
    assert run("audit", "proof", "o", "1", "-o", str(kept)).status == 0
    assert kept.read_text() == "c2sp.org/tlog-proof@v1\n"
    node.answers["GetInclusionProof"] = audit.GetInclusionProofResponse(size=3, hashes=[b"1"])
    assert run("audit", "proof", "o", "1").status == 3


def test_a_history_is_listed_whole(node: FakeNode) -> None:
    """Each record with its places and decisions."""
    made = audit.HistoryDecision(node="sc", log="sc-log", index=4, outcome=Outcome.OUTCOME_FULL)
    row = audit.SubjectHistoryRow(
        ref=RecordRef(origin="cq", record_id="id-1", revision=1),
        kind=Kind.KIND_CREDIT_RESULT,
        newest=True,
        entries=[audit.HistoryEntry(log="cq-log", index=3, decisions=[made])],
    )
    node.answers["GetSubjectHistory"] = audit.GetSubjectHistoryResponse(records=[row])
    shown = run("audit", "history", "91509901MA0002221K").out
    assert "cq-log#3" in shown
    assert "sc-log#4" in shown
    assert run("audit", "history", "91509901MA0002221K", "--json").json["records"][0]["kind"] == "KIND_CREDIT_RESULT"


def test_a_body_needs_a_reason(node: FakeNode, tmp_path: Path) -> None:
    """Without one the command is not made; the file has the exact bytes."""
    record = Record()
    record.penalty_notice.decision_no = "演环罚〔2026〕9号"
    node.answers["ReadBody"] = audit.ReadBodyResponse(
        ref=RecordRef(record_id="id-1"),
        body=record.SerializeToString(),
        salt=b"\x07" * 32,
        tombstone=Tombstone(reason="REPAIRED", since="2026-02-01"),
        journal=JOURNAL,
        journal_index=12,
    )
    assert run("audit", "body", "id-1").status == 2
    assert node.asked("ReadBody") == []
    shown = run("audit", "body", "id-1", "-r", "专项审计").out
    assert all(part in shown for part in ("演环罚〔2026〕9号", "REPAIRED", "07" * 32, f"{JOURNAL}#12"))
    kept = tmp_path / "body"
    run("audit", "body", "id-1", "-r", "专项审计", "-o", str(kept))
    assert kept.read_bytes() == record.SerializeToString()
    assert {request.reason for request in node.asked("ReadBody")} == {"专项审计"}


def test_heads_of_a_node_are_a_page_for_whoever_verifies_the_other_side(node: FakeNode, tmp_path: Path) -> None:
    """Every log with a cosigned checkpoint, and what it witnesses, in one file that is read back as it was."""
    notes = {}
    for origin in (JOURNAL, "sc.exchange.example/journal/1"):
        signer = NoteSigner(origin, generate_ed25519())
        notes[origin] = signer.sign_checkpoint(Checkpoint(origin, 0, EMPTY_ROOT))
    node.answers["ListLogs"] = audit.ListLogsResponse(
        logs=[
            audit.Log(origin=JOURNAL, use=audit.LOG_USE_JOURNAL, size=9, cosigned_size=7),
            audit.Log(origin="cq.exchange.example/local/1", use=audit.LOG_USE_LOCAL),
        ],
        witnessed=[audit.WitnessedHead(origin="sc.exchange.example/journal/1", peer="sc", size=3)],
    )
    node.answers["GetCheckpoint"] = lambda asked: audit.GetCheckpointResponse(checkpoint=notes[asked.origin].decode())
    page = tmp_path / "page"
    assert run("audit", "heads", "-o", page).status == 0
    assert [(head.origin, head.note) for head in read_page(page.read_bytes(), "page")] == list(notes.items())
