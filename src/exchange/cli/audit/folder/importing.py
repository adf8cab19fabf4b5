"""``audit import``: a node's exported logs into an empty database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from exchange.app.folder_lock import one_process
from exchange.app.passphrase import key_lock
from exchange.app.startup import read_log_seed
from exchange.cli.adapter_set import domain_tables
from exchange.cli.audit.folder.found import finding_dicts, print_findings, verdict
from exchange.cli.audit.folder.material import MaterialArgument, opened
from exchange.cli.audit.watched import watched
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
    """Restore a node's logs, the registers that follow from them, and what they say of what stands beside them."""
    out = Output(as_json)
    if (node is None) == (not database):
        raise typer.BadParameter(t("message.import_where"))
    with opened(material) as source, watched() as watch:
        if node is None:
            done = import_logs(source, database, domain_tables(), watch)
        else:
            settings = read_settings(node)
            if (settings.node.name, settings.node.domain) != (source.node, source.domain):
                raise typer.BadParameter(t("message.import_other_node", name=f"{source.node}.{source.domain}"))
            settings.node.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            with one_process(settings.node.data):
                seed = read_log_seed(settings, key_lock(settings))
                stamping = settings.timestamps.roots
                roots = stamping.read_bytes() if stamping is not None else b""
                done = import_logs(source, settings.database.url, domain_tables(), watch, seed=seed, tsa_roots=roots)
    _print(out, done)
    finish(verdict(done.findings))


def _print(out: Output, done: Imported) -> None:
    if out.as_json:
        out.value(
            {
                "logs": done.logs,
                "entries": done.entries,
                "steps": done.steps,
                "submissions": done.beside.submissions,
                "quarantined": done.beside.quarantined,
                "alarms": done.beside.alarms,
                "lanes": done.beside.lanes,
                "timestamps": done.beside.timestamps,
                "attachments": done.beside.attachments,
                "not_restored": [name for name, _ in _missing(done)],
                "findings": finding_dicts(done.findings),
            }
        )
        return
    out.say(t("message.imported", logs=done.logs, entries=done.entries, steps=done.steps))
    beside = done.beside
    out.say(t("message.import_beside", quarantined=beside.quarantined, alarms=beside.alarms, lanes=beside.lanes))
    if beside.timestamps:
        out.say(t("message.import_timestamps", count=beside.timestamps))
    if done.beside.submissions is not None:
        out.say(t("message.import_submissions", count=done.beside.submissions))
    out.say(t("message.import_missing"))
    for _, text in _missing(done):
        out.say(f"- {text}")
    print_findings(out, done.findings)


def _missing(done: Imported) -> Iterator[tuple[str, str]]:
    """What no export brings back: name and words."""
    if done.beside.submissions is None:
        yield "submissions", t("message.import_no_seed")
    yield "documents", t("message.import_no_documents", count=done.beside.documents)
    if done.beside.attachments_missing:
        yield "attachments", t("message.import_no_attachments", count=done.beside.attachments_missing)
    if done.beside.timestamps_left:
        yield "timestamps", t("message.import_no_timestamps", count=done.beside.timestamps_left)
    yield "witnessed", t("message.import_no_witnessed")
    yield "revocation_lists", t("message.import_no_lists")
    yield "calls", t("message.import_no_calls")
