"""The evening: the counting rule of the contract, and both databases checked from their bytes."""

from __future__ import annotations

from rich.table import Table

from exchange.storage.logs.verify import verify
from exchange.v1.kind_pb2 import Kind
from tools.demo.stage import NAMES, RESULTS, Stage, claim, console


def count(stage: Stage) -> None:
    """The counting rule of the contract, from the databases themselves."""
    console.rule("11 · 清点 The count")
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
        name: next(each for each in stage.status(name).counts if each.kind == Kind.KIND_UNSPECIFIED) for name in NAMES
    }
    for name, row in rows.items():
        totals = stage.totals[name]
        answered = (row.recognised, row.conditional, row.deferred, row.not_recognised, row.unanswered)
        counted = (totals["rows"], *(totals[each] for each in RESULTS), row.delivered, row.pending, *answered)
        table.add_row(NAMES[name], *map(str, counted))
    console.print(table)
    for name, row in rows.items():
        totals = stage.totals[name]
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


def verified(stage: Stage) -> None:
    """Both databases, checked from their bytes."""
    for name, shown in NAMES.items():
        findings = list(verify(stage.url(name)))
        claim(not findings, f"{shown}: 数据库逐字节核对 db verify finds nothing wrong {findings[:1] or ''}")
