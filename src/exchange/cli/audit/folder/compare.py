"""``audit compare``: a unit's own list beside the logs of its exported folder, row by row."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.audit.folder.asking import FolderArgument, JobsOption, usage
from exchange.cli.audit.folder.own_list import AdapterOption, KeyOption, read_list
from exchange.cli.options import JsonOption
from exchange.cli.output import Exit, Output, finish
from exchange.cli.texts import t, word
from exchange.flows.audit.verify.claimed.own_list import Comparison, ListedRow, OwnList, compare
from exchange.flows.audit.verify.crew import Crew
from exchange.flows.audit.verify.material.disk import Material


def compare_list(
    folder: FolderArgument,
    listed: Annotated[
        Path, typer.Argument(help=t("option.own_list"), exists=True, dir_okay=False, metavar="LIST", show_default=False)
    ],
    *,
    key: KeyOption = "decision_no",
    adapter: AdapterOption = "",
    jobs: JobsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Look each row up in the logs. Exit status 1: a row is missing or differs; 3: some can not be decided."""
    out = Output(as_json)
    with usage(as_json=as_json):
        material = Material(folder)
        material.check_extent()
        own = read_list(listed, key, material.node, adapter)
    with Crew(jobs or os.cpu_count() or 1) as crew:
        compared = compare(material, folder, own, crew)
    _print(out, compared, own)
    # What may be a body that is not here, or stands in a tail, is open; so is a row by which nothing can be found.
    missing = [row for row in compared.missing if row.key and not row.promised]
    if compared.differing or (missing and not compared.absent):
        finish(Exit.FINDING)
    finish(Exit.UNDECIDABLE if compared.missing or own.unreadable else Exit.DONE)


def _print(out: Output, compared: Comparison, own: OwnList) -> None:
    if out.as_json:
        out.value(
            {
                "rows": [asdict(row) | {"result": _result(row)} for row in compared.rows],
                "unreadable": list(own.unreadable),
                "bodies_absent": compared.absent,
            }
        )
        return
    rows: list[tuple[object, ...]] = []
    for row in compared.rows:
        where = f"{row.log}#{row.index}" if row.log else ""
        differing = "\n".join(f"{each.field}: {each.listed} | {each.logged}" for each in row.differences)
        rows.append((row.place, row.key, word("list_result", _result(row)), where, differing))
    rows += [(place, "", word("list_result", "UNREADABLE"), "", "") for place in own.unreadable]
    out.table(("place", "key", "result", "log", "difference"), rows)
    if compared.missing and compared.absent:
        out.say(t("message.list_absent", count=compared.absent), style="yellow")


def _result(row: ListedRow) -> str:
    if not row.log:
        return "MISSING"
    return "DIFFERS" if row.differences else "FOUND"
