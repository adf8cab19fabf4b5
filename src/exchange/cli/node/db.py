"""``db``: the database while the node stands still (backup and verify: also while it runs)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.app.folder_lock import one_process
from exchange.cli.adapter_set import domain_tables
from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeOption, read_settings
from exchange.cli.output import Exit, Output, finish, problem_dicts
from exchange.cli.texts import t
from exchange.domain.problems import Problem
from exchange.flows.audit.replay.run import TRIES, ReplayRun
from exchange.flows.audit.sources.stored import StoredLogs, StoredRegisters
from exchange.settings import NodeSettings
from exchange.storage.engine.database import Database
from exchange.storage.engine.maintenance import backup as copy
from exchange.storage.engine.maintenance import restore as put_back
from exchange.storage.engine.migrate import migrate as bring_up
from exchange.storage.logs.verify import verify as check

app = typer.Typer(help=t("help.db"), no_args_is_help=True)


@app.command("migrate", help=t("help.db_migrate"))
def migrate(node: NodeOption = DEFAULT_NODE_FILE, *, as_json: JsonOption = False) -> None:
    """Bring the tables to what this program expects; makes a new database where there is none."""
    out = Output(as_json)
    settings = read_settings(node)
    settings.node.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with one_process(settings.node.data):
        done = bring_up(settings.database.url)
    if out.as_json:
        out.value({"before": done.before, "after": done.after})
    out.say(t("message.migrated", before=done.before or "-", after=done.after))


@app.command("backup", help=t("help.db_backup"))
def backup(
    destination: Annotated[Path, typer.Argument(help=t("option.backup_to"), dir_okay=False)],
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    as_json: JsonOption = False,
) -> None:
    """Copy the database as of one moment into a new file, while the node runs."""
    out = Output(as_json)
    copy(read_settings(node).database.url, destination)
    size = destination.stat().st_size
    if out.as_json:
        out.value({"file": str(destination), "bytes": size})
    out.say(t("message.backed_up", file=destination, size=size))


@app.command("restore", help=t("help.db_restore"))
def restore(
    source: Annotated[Path, typer.Argument(help=t("option.backup_from"), exists=True, dir_okay=False)],
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help=t("option.yes"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in place of the database; the node starts by fetching back what its peers mirrored."""
    out = Output(as_json)
    settings = read_settings(node)
    if not yes:
        typer.confirm(t("message.confirm_restore", file=source), abort=True, err=True)
    settings.node.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Held until the end, so that the node is not started in the midst of it either.
    with one_process(settings.node.data):
        put_back(source, settings.database.url)
    if out.as_json:
        out.value({"restored": str(source)})
    out.say(t("message.restored"))


@app.command("verify", help=t("help.db_verify"))
def verify(
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    registers: Annotated[bool, typer.Option("--registers", help=t("option.verify_registers"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Compute again what every table says; exit status 1 when something does not hold."""
    out = Output(as_json)
    settings = read_settings(node)
    findings = [Problem(f.reason, f.place, f.detail) for f in check(settings.database.url)]
    if registers:
        findings += _replayed(settings)
    if out.as_json:
        out.value({"findings": problem_dicts(findings)})
    elif findings:
        out.problems(findings)
    else:
        out.say(t("message.database_holds"), style="green")
    finish(Exit.FINDING if findings else Exit.DONE)


def _replayed(settings: NodeSettings) -> list[Problem]:
    """What the logs give otherwise than the registers have it."""
    database = Database(settings.database.url)
    try:
        source = StoredLogs(settings.node.name, settings.node.domain, database)
        with ReplayRun(source, domain_tables(), folder=settings.node.data) as run:
            found = list(run.go())
            for _ in range(TRIES):
                differing = list(run.compare(StoredRegisters(database)))
                if all(each.proven for each in differing):
                    break
                found += run.go()  # the node went on meanwhile
            found += differing
    finally:
        database.dispose()
    return [
        Problem(each.code, f"{each.log}#{each.index}" if each.index is not None else each.log, each.detail)
        for each in found
    ]
