"""``audit export``: a node's logs into a folder, for an audit without the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeOption, read_settings
from exchange.cli.output import Output
from exchange.cli.texts import t
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.storage.database import Database
from exchange.storage.migrate import require_newest


def export_folder(
    folder: Annotated[Path, typer.Argument(help=t("option.export_folder"), file_okay=False)],
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write the folder; what an earlier run wrote is compared and stays where it is the same."""
    out = Output(as_json)
    settings = read_settings(node)
    database = Database(settings.database.url)
    try:
        require_newest(database)
        export = Export(database, settings.node.name, settings.federation, folder, Scope())
        logs = export.plan()
        with _progress(sum(log.head.size for log in logs), shown=not as_json) as seen:
            done = export.write(logs, datetime.now(UTC), seen)
    finally:
        database.dispose()
    if out.as_json:
        out.value({"folder": str(folder), **asdict(done)})
        return
    out.say(t("message.exported_folder", entries=done.entries, logs=done.logs, files=done.files, size=done.size))
    if done.promised:
        out.say(t("message.exported_promised", count=done.promised), style="yellow")
    out.say(f"MANIFEST SHA-256 {done.manifest}")


@contextmanager
def _progress(total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A bar over entries on standard error, where somebody looks."""
    console = Console(stderr=True)
    if not shown or not console.is_terminal:
        yield lambda _count: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(t("message.exporting"), total=total)
        yield lambda count: bar.advance(task, count)
