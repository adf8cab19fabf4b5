"""``audit export``: a node's logs into a folder, for an audit without the node."""

from __future__ import annotations

import getpass
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Final

import typer

from exchange.app.folder_lock import one_process
from exchange.cli.audit.firm import firm_code
from exchange.cli.audit.watched import watched
from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeOption, read_settings
from exchange.cli.output import Output
from exchange.cli.texts import t
from exchange.flows.audit.export.disclosure import disclose
from exchange.flows.audit.export.run import Beside, Export, Exported
from exchange.flows.audit.export.scope import Scope
from exchange.settings.model import NodeSettings
from exchange.settings.trust_folder import peer_names, read_own_files, read_peer
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import require_newest

_CHINA: Final = timezone(timedelta(hours=8))
"""Days are those of the officers."""


def export_folder(
    folder: Annotated[Path, typer.Argument(help=t("option.export_folder"), file_okay=False)],
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    log: Annotated[str, typer.Option("--log", help=t("option.export_log"))] = "",
    start: Annotated[int, typer.Option("--start", help=t("option.start"), min=0)] = 0,
    end: Annotated[int | None, typer.Option("--end", help=t("option.export_end"), min=1)] = None,
    since: Annotated[str, typer.Option("--since", help=t("option.export_since"))] = "",
    until: Annotated[str, typer.Option("--until", help=t("option.export_until"))] = "",
    subject: Annotated[str, typer.Option("--subject", help=t("option.export_subject"))] = "",
    withheld: Annotated[bool, typer.Option("--withheld", help=t("option.export_withheld"))] = False,
    reason: Annotated[str, typer.Option("--reason", "-r", help=t("option.reason"))] = "",
    attachments: Annotated[bool, typer.Option("--attachments", help=t("option.export_attachments"))] = False,
    registers: Annotated[bool, typer.Option("--registers/--no-registers", help=t("option.export_registers"))] = True,
    as_json: JsonOption = False,
) -> None:
    """Write the folder; what an earlier run wrote is compared and stays where it is the same."""
    out = Output(as_json)
    if sum((bool(log), bool(since or until), bool(subject))) > 1:
        raise typer.BadParameter(t("message.export_one_scope"))
    first, last = _instant(since), _instant(until)
    if first is not None and last is not None and last <= first:
        raise typer.BadParameter(t("message.export_order"))
    scope = Scope(
        origin=log,
        start=start,
        end=end,
        since=first,
        until=last,
        subject=firm_code(subject) if subject else "",
        withheld=withheld,
    )
    settings = read_settings(node)
    # Withheld bodies are journaled, and a journal has one writer: the node, or a command while it stands still.
    with one_process(settings.node.data) if withheld else nullcontext():
        done = _export(settings, folder, scope, reason, attachments=attachments, registers=registers)
    if out.as_json:
        out.value({"folder": str(folder), **asdict(done)})
    _tell(out, done)


def _export(
    settings: NodeSettings,
    folder: Path,
    scope: Scope,
    reason: str,
    *,
    attachments: bool,
    registers: bool,
) -> Exported:
    now = datetime.now(UTC)
    beside = Beside(trust=_trust(settings.trust.folder), registers=registers, attachments=attachments)
    database = Database(settings.database.url)
    try:
        require_newest(database)
        if scope.withheld:
            disclose(database, f"user:{getpass.getuser()}", scope, reason, now)
        export = Export(database, settings.node.name, settings.federation, folder, scope, beside)
        logs = export.plan()
        with watched() as watch:
            return export.write(logs, now, watch)
    finally:
        database.dispose()


def _trust(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        return {}
    found = {f"own/{name}": content for name, content in read_own_files(folder).items()}
    for peer in peer_names(folder):
        found |= {f"peers/{peer}/{name}": content for name, content in read_peer(folder, peer).items()}
    return found


def _instant(text: str) -> datetime | None:
    """A day, or an instant with its zone; None for the empty text."""
    if not text:
        return None
    try:
        if len(text) == len("2026-01-02"):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), _CHINA)
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(t("message.export_instant", text=text)) from None
    if at.tzinfo is None:
        raise typer.BadParameter(t("message.export_instant", text=text))
    return at


def _tell(out: Output, done: Exported) -> None:
    out.say(t("message.exported_folder", entries=done.entries, logs=done.logs, files=done.files, size=done.size))
    if done.promised:
        out.say(t("message.exported_promised", count=done.promised), style="yellow")
    if done.withheld:
        out.say(t("message.exported_withheld", count=done.withheld), style="yellow")
    out.say(f"MANIFEST SHA-256 {done.manifest}")
