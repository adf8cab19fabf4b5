"""``audit extract``: one record's evidence as files that openssl and sha256sum check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.envelope_file import write_envelope
from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeOption, read_settings
from exchange.cli.output import Output
from exchange.cli.texts import t
from exchange.flows.audit.export.extract import Extract, extract
from exchange.flows.audit.export.extract_exported import extract_exported
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import require_newest


def extract_record(
    record: Annotated[str, typer.Argument(help=t("option.record"))],
    output: Annotated[Path, typer.Option("--output", "-o", help=t("option.extract_folder"), file_okay=False)],
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    folder: Annotated[
        Path | None, typer.Option("--folder", help=t("option.extract_from"), exists=True, file_okay=False)
    ] = None,
    origin: Annotated[str, typer.Option("--origin", help=t("option.origin_own"))] = "",
    revision: Annotated[int, typer.Option("--revision", help=t("option.revision"), min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write the files; where a repair, revocation or erasure stands for the record, all but its body."""
    out = Output(as_json)
    if output.exists() and any(output.iterdir()):
        raise typer.BadParameter(t("message.extract_not_empty", folder=output))
    found = extract_exported(folder, origin, record, revision) if folder else _from_node(node, origin, record, revision)
    files = found.files() | {"envelope.json": write_envelope(found.answer).encode("utf-8")}
    output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (output / name).write_bytes(content)
    if out.as_json:
        out.value({"folder": str(output), "files": sorted(files), "log": found.answer.log, "index": found.answer.index})
    for name in sorted(files):
        out.say(str(output / name))
    if found.receipt is None:
        out.say(t("message.extract_no_receipt"), style="yellow")


def _from_node(node: Path, origin: str, record: str, revision: int) -> Extract:
    settings = read_settings(node)
    database = Database(settings.database.url)
    try:
        require_newest(database)
        return extract(database, origin or settings.node.name, record, revision)
    finally:
        database.dispose()
