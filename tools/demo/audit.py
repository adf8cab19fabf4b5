"""An auditor's visit: both nodes' logs on a disk, verified by what the auditor holds, and laid beside each other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from exchange.crypto.x509.pki import issue_crl
from exchange.flows.audit.verify.claims import CLAIMS, Outcome
from exchange.v1.audit_service_pb2 import ListLogsRequest, LogUse
from tests.rigs.pair import certificate_profile
from tools.demo.documents import ROOT, SIDES
from tools.demo.stage import NAMES, ClaimFailed, Stage, claim, console, wait

RESTORED, OTHER = "cq", "sc"
"""Chongqing was restored from an older copy; Sichuan had witnessed what its journal lost by that."""

OWN_LIST = ROOT / "adapters" / f"exchange_{SIDES[OTHER]}" / "samples" / "penalties.json"
"""What Sichuan's own system lists as its penalties."""


def audit(stage: Stage) -> None:
    """Export, verify, reconcile, report: with the commands that an auditor types."""
    console.rule("12 · 审计 The audit, offline")
    place = stage.folder / "audit"
    place.mkdir()
    for name in NAMES:
        wait(f"{name}'s journal is witnessed", partial(_is_witnessed, stage, name), 90)
    stage.pair.stop()  # what is withheld leaves a node only while it stands still, and its journal says why
    for name in NAMES:
        node = stage.pair.nodes[name].folder / "node.toml"
        _exchange("audit", "export", place / name, "--node", node, "--withheld", "--reason", "演示审计 demo audit")
        _exchange("audit", "heads", "--node", node, "-o", place / f"{name}.heads")
        authority = stage.pair.nodes[name].authorities["signing"]
        revoked = issue_crl(certificate_profile(), authority, [], number=1, now=datetime.now(UTC))
        (place / f"{name}-signing-crl.pem").write_bytes(revoked)
    stage.pair.start()
    told = {name: _verified(stage, place, name) for name in NAMES}
    table = Table("论断 claim", *(NAMES[name] for name in NAMES))
    for number in CLAIMS:
        outcomes = [next(each for each in told[name]["claims"] if each["no"] == number) for name in NAMES]
        table.add_row(f"({number}) {outcomes[0]['name']}", *(each["outcome"] for each in outcomes))
    console.print(table)
    claim(not told[OTHER]["findings"], f"{NAMES[OTHER]}: 没有发现问题 nothing speaks against it")
    proven = [each["no"] for each in told[OTHER]["claims"] if each["outcome"] == Outcome.PROVEN]
    claim(proven == list(CLAIMS), f"{NAMES[OTHER]}: 九项论断全部证实 all nine claims are proven")
    lost = [(each["code"], each["log"].split("/", 1)[1]) for each in told[RESTORED]["findings"]]
    if lost:  # what nobody had witnessed when the copy was put back, nobody can miss
        claim(
            lost == [("LOG_CUT", "journal/1")],
            f"{NAMES[RESTORED]}: 恢复时丢失的留痕被查出，对方曾作见证 what its journal lost in the restore is found: "
            f"{NAMES[OTHER]} had witnessed it",
        )
    sides = (place / name for name in NAMES)
    agreed = json.loads(_exchange("audit", "reconcile", *sides, *_cards(stage, place), "--json"))
    claim(agreed["verdict"] == Outcome.PROVEN, "两地日志逐条对上 both sides' logs agree, entry by entry")
    page = place / "report.html"
    _exchange(
        "--lang", "zh", "audit", "report", place / OTHER, *_believed(stage, place, OTHER), "-o", page, status=(0, 3)
    )
    claim(page.stat().st_size > 0, f"核验报告 the report: {page.relative_to(stage.folder.parent)}")


def _is_witnessed(stage: Stage, name: str) -> bool:
    """Whether the peer has witnessed the node's journal, all of it, that of a new epoch too."""
    with stage.pair.nodes[name].client("auditor") as client:
        logs = client.call(client.audit.ListLogs, ListLogsRequest()).logs
    journals = [log for log in logs if log.use == LogUse.LOG_USE_JOURNAL]
    return all(log.cosigned_size and (log.retired or log.cosigned_size == log.size) for log in journals)


def _verified(stage: Stage, place: Path, name: str) -> dict[str, Any]:
    arguments = ("audit", "verify", place / name, *_believed(stage, place, name), "--json")
    found: dict[str, Any] = json.loads(_exchange(*arguments, status=(0, 1, 3)))
    return found


def _believed(stage: Stage, place: Path, about: str) -> Sequence[object]:
    """Cards, revocation lists, and the other side's heads; of one side its own list, too."""
    found: list[object] = ["--registers", *_cards(stage, place)]
    if about == OTHER:
        found += ["--list", OWN_LIST, "--key", "decision_no"]
    for name in NAMES:
        found += ["--crl", place / f"{name}-signing-crl.pem"]
        if name != about:
            found += ["--head", place / f"{name}.heads"]
    return found


def _cards(stage: Stage, place: Path) -> Sequence[object]:
    """Both cards, with the fingerprints that their duty desks told."""
    found: list[object] = []
    for name in NAMES:
        card, file = stage.pair.nodes[name].card, place / f"{name}.card"
        file.write_text(card.to_text(), "utf-8")
        found += ["--card", file, "--fingerprint", card.fingerprint()]
    return found


def _exchange(*arguments: object, status: Sequence[int] = (0,)) -> str:
    """Run the command line."""
    command = [str(Path(sys.executable).with_name("exchange")), *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, check=False, text=True)
    if ran.returncode not in status:
        raise ClaimFailed(f"{' '.join(command[1:4])}: {ran.returncode} {ran.stdout[-300:]} {ran.stderr[-500:]}")
    return ran.stdout
