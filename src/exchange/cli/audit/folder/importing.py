"""``audit import``: a node's exported logs into an empty database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.app.folder_lock import one_process
from exchange.cli.adapter_set import domain_tables
from exchange.cli.audit.folder.found import finding_dicts, print_findings, verdict
from exchange.cli.audit.folder.material import MaterialArgument, opened
from exchange.cli.options import JsonOption, read_settings
from exchange.cli.output import Output, finish
from exchange.cli.texts import t
from exchange.flows.audit.replay.importing import Imported, import_logs


def import_material(
    material: MaterialArgument,
    *,
    node: Annotated[
        Path | None, typer.Option("--node", "-n", help=t("option.import_node"), dir_okay=False, show_default=False)
    ] = None,
    database: Annotated[str, typer.Option("--database", help=t("option.import_database"))] = "",
    as_json: JsonOption = False,
) -> None:
    """Restore a node's logs, and the registers that follow from them. Nothing else of a node is in an export."""
    out = Output(as_json)
    if (node is None) == (not database):
        raise typer.BadParameter(t("message.import_where"))
    with opened(material) as source:
        if node is None:
            done = import_logs(source, database, domain_tables())
        else:
            settings = read_settings(node)
            if (settings.node.name, settings.node.domain) != (source.node, source.domain):
                raise typer.BadParameter(t("message.import_other_node", name=f"{source.node}.{source.domain}"))
            settings.node.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            with one_process(settings.node.data):
                done = import_logs(source, settings.database.url, domain_tables())
    _print(out, done)
    finish(verdict(done.findings))


def _print(out: Output, done: Imported) -> None:
    if out.as_json:
        out.value(
            {
                "logs": done.logs,
                "entries": done.entries,
                "steps": done.steps,
                "findings": finding_dicts(done.findings),
            }
        )
        return
    out.say(t("message.imported", logs=done.logs, entries=done.entries, steps=done.steps))
    print_findings(out, done.findings)
