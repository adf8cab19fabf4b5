"""`make demo`: a day between two nodes. Real processes, real keys, mTLS everywhere; invented firms only (演示数据).

It sets two nodes up in `demo/`, sends both sides' documents through their adapters, shows what the other side made of
them, follows one firm through a day on the border and a laboratory through its suspension, sends an alert downstream,
kills a node, restores another from an older copy, counts, and ends with an auditor's visit. Exit status 0 when every
claim that it prints was checked and held.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from tools.demo import alert, audit, border, checking, counting, documents, laboratory, outage
from tools.demo.stage import ClaimFailed, Stage, console
from tools.partner import generic_call, write_partner

ROOT = Path(__file__).resolve().parent.parent.parent


def leave_running(stage: Stage) -> None:
    """For partners: what they need to call, one call to copy, and how to stop."""
    partner = stage.folder / "partner"
    write_partner(partner, stage.pair.nodes["cq"].profile())
    pids = stage.folder / "pids"
    pids.write_text(" ".join(str(process.pid) for process in stage.pair.processes.values()) + "\n")
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
    stage = Stage(folder, keep=keep)
    try:
        documents.start(stage)
        documents.documents(stage)
        documents.recognised(stage)
        checking.check(stage)
        border.border(stage)
        laboratory.laboratory(stage)
        alert.alert(stage)
        outage.take_copy(stage)
        outage.outage(stage)
        outage.receipts(stage)
        outage.restored(stage)
        counting.count(stage)
        counting.verified(stage)
        audit.audit(stage)
    except ClaimFailed as failure:
        console.print(f"[red]✗ {failure}[/]")
        stage.pair.kill()
        return 1
    console.print(f"[bold green]演示完成 done[/] {datetime.now(UTC):%H:%M:%S}Z, {time.monotonic() - began:.0f} s")
    if keep:
        leave_running(stage)
    else:
        stage.pair.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
