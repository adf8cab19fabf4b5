"""`python -m tools.bench --audit N`: N entries of a node as an auditor gets them: exported, verified, replayed.

The first are submitted to a running node, delivered, cosigned and answered, with all that the journal has of it. Both
nodes then stand still, and the rest is signed and cosigned into the logs without them (``bench_append``): a replay
reads it, and finds no steps for it. What is measured are the commands as an auditor types them, all their processes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table

from exchange.crypto.x509.pki import issue_crl
from exchange.storage.engine.database import Database
from exchange.storage.logs import log_store
from tests.rigs.pair import Pair, certificate_profile
from tools.bench_append import append
from tools.bench_meter import tree_bytes

MIX = {"penalty": 0.45, "monitoring": 0.5, "checks": 0.05}
"""Of the entries: notices of 1 KiB and batches of 4 factors by 4 hours, each with a signature of its own; checks, each
a line of the journal. Decisions (one signature for up to 256 records) and steps come on top."""

WALKED = 50_000
"""Entries that go the whole way through both nodes."""

LOOK_S = 0.25
"""Between two looks at the memory of a command."""

WITNESSED_S = 120.0

AIM_SECONDS, AIM_MIB = 120.0, 300.0
"""Of a million entries verified."""

AIM_REPLAY = 8_000
"""Entries replayed in a second."""

MILLION = 1_000_000

Order = Callable[..., dict[str, Any]]
"""Lets a client do something: task, count, kind."""


def walk(order: Order, entries: int) -> None:
    """Let records of each kind go the whole way."""
    begin = order("flow", int(entries * MIX["penalty"]))["first"]
    order("flow", int(entries * MIX["monitoring"]), kind="monitoring")
    order("checks", max(1, int(entries * MIX["checks"])), first=begin)


def fill(order: Order, pair: Pair, entries: int) -> None:
    """Let a node have so many entries, and stop both.

    Args:
        order: At a client.
        pair: Two running nodes.
        entries: How many.
    """
    walk(order, min(entries, WALKED))
    _witnessed(pair.nodes["cq"].database)
    pair.stop()
    if rest := entries - WALKED if entries > WALKED else 0:
        signed = MIX["penalty"] + MIX["monitoring"]
        counts = {kind: int(rest * MIX[kind] / signed) for kind in ("penalty", "monitoring")}
        append(pair.nodes["cq"], pair.nodes["sc"], counts, os.cpu_count() or 1)


def audit(pair: Pair, folder: Path) -> dict[str, Any]:
    """Export a node that is no longer used, verify the export and replay it.

    Args:
        pair: Two nodes that do not run.
        folder: Where the export goes.
    """
    node, other = pair.nodes["cq"], pair.nodes["sc"]
    exported, heads = folder / "export", folder / "sc.heads"
    load = os.getloadavg()[0]
    export = _measured("audit", "export", str(exported), "--node", str(node.node_file), "--json")
    _measured("audit", "heads", "-o", str(heads), "--node", str(other.node_file), "--json")
    given = ["--head", str(heads)]
    for each in (node, other):
        card, crl = folder / f"{each.name}.card", folder / f"{each.name}.crl"
        card.write_text(each.card.to_text(), "utf-8")
        now = datetime.now(UTC) + timedelta(seconds=2)
        crl.write_bytes(issue_crl(certificate_profile(), each.authorities["signing"], [], number=1, now=now))
        given += ["--card", str(card), "--fingerprint", each.card.fingerprint(), "--crl", str(crl)]
    verify = _measured("audit", "verify", str(exported), *given, "--json", allowed=(3,))
    replay = _measured("audit", "replay", str(exported), "--json")
    claims = {claim["name"]: claim["outcome"] for claim in verify["answer"]["claims"]}
    logs = verify["answer"]["logs"]
    entries = sum(log["size"] for log in logs)
    return {
        "entries": entries,
        "signed": sum(log.get("signed", 0) for log in logs),
        "journal": sum(log["size"] for log in logs if log["use"] == "journal"),
        "bytes": export["answer"]["size"],
        "files": export["answer"]["files"],
        "claims": claims,
        "findings": len(verify["answer"]["findings"]),
        "load": (load, os.getloadavg()[0]),
        "commands": {
            name: {key: value for key, value in taken.items() if key != "answer"}
            for name, taken in (("export", export), ("verify", verify), ("replay", replay))
        },
    }


def _witnessed(database: Path) -> None:
    """Wait until the other node has witnessed the journal as far as it got."""
    deadline = time.monotonic() + WITNESSED_S
    stored = Database(f"sqlite:///{database}")
    try:
        while time.monotonic() < deadline:
            with stored.read() as connection:
                heads = [head for head in log_store.heads(connection) if head.use == "journal"]
                last = [log_store.last_checkpoint(connection, head.id) for head in heads]
            if all(each is not None and each.size == head.size for each, head in zip(last, heads, strict=True)):
                return
            time.sleep(1.0)
    finally:
        stored.dispose()
    raise TimeoutError("the journal is not witnessed")


def _measured(*arguments: str, allowed: Sequence[int] = ()) -> dict[str, Any]:
    """Run a command: its answer, its seconds, and the most memory that it and its processes had at once."""
    call = "from exchange.cli.main import main; main()"
    with tempfile.TemporaryFile() as answer:
        begin = time.perf_counter()
        command = subprocess.Popen([sys.executable, "-c", call, *arguments], stdout=answer)
        peak, status, usage = 0, 0, None
        while usage is None:
            peak = max(peak, tree_bytes(command.pid))
            time.sleep(LOOK_S)
            ended, status, used = os.wait4(command.pid, os.WNOHANG)
            usage = used if ended else None
        seconds = time.perf_counter() - begin
        command.returncode = os.waitstatus_to_exitcode(status)
        answer.seek(0)
        told = answer.read()
    if command.returncode not in (0, *allowed):
        raise SystemExit(f"{' '.join(arguments[:2])} ended with status {command.returncode}: {told[:2000]!r}")
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_bytes": peak,
        "answer": json.loads(told) if told.strip() else {},
    }


def show(figures: dict[str, Any]) -> Table:
    """The table."""
    entries = figures["entries"]
    table = Table(
        title=f"audit of {entries:,} entries, {figures['signed']:,} of them with a signature of their own,"
        f" {figures['journal']:,} of the journal; {figures['files']:,} files, {figures['bytes'] / 2**20:,.0f} MiB",
        caption=f"load {figures['load'][0]:.1f} before, {figures['load'][1]:.1f} after;"
        f" {figures['findings']} findings; "
        + ", ".join(f"{name} {outcome}" for name, outcome in figures["claims"].items()),
        title_justify="left",
        caption_justify="left",
    )
    for heading in ("command", "entries/s", "seconds", "processor seconds", "µs an entry", "most memory"):
        table.add_column(heading, justify="left" if heading == "command" else "right")
    for name, taken in figures["commands"].items():
        table.add_row(
            name,
            f"{entries / taken['seconds']:,.0f}",
            f"{taken['seconds']:,.1f}",
            f"{taken['cpu_seconds']:,.1f}",
            f"{taken['cpu_seconds'] / entries * 1e6:,.0f}",
            f"{taken['peak_bytes'] / 2**20:,.0f} MiB",
        )
    table.add_section()
    table.add_row("aim of verify", "", f"{AIM_SECONDS * entries / MILLION:,.1f}", "", "", f"{AIM_MIB:,.0f} MiB")
    table.add_row("aim of replay", f"{AIM_REPLAY:,}", f"{entries / AIM_REPLAY:,.1f}", "", "", "")
    return table
