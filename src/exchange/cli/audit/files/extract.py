"""``audit extract``: one record's evidence as files that openssl and sha256sum check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.envelope_file import write_envelope
from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeOption, read_settings
from exchange.cli.output import Output
from exchange.cli.texts import t
from exchange.flows.audit.export.extract import extract
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import require_newest


def extract_record(
    record: Annotated[str, typer.Argument(help=t("option.record"))],
    folder: Annotated[Path, typer.Option("--output", "-o", help=t("option.extract_folder"), file_okay=False)],
    node: NodeOption = DEFAULT_NODE_FILE,
    *,
    origin: Annotated[str, typer.Option("--origin", help=t("option.origin_own"))] = "",
    revision: Annotated[int, typer.Option("--revision", help=t("option.revision"), min=0)] = 0,
    as_json: JsonOption = False,
) -> None:
    """Write the files; where a repair, revocation or erasure stands for the record, all but its body."""
    out = Output(as_json)
    if folder.exists() and any(folder.iterdir()):
        raise typer.BadParameter(t("message.extract_not_empty", folder=folder))
    settings = read_settings(node)
    database = Database(settings.database.url)
    try:
        require_newest(database)
        found = extract(database, origin or settings.node.name, record, revision)
    finally:
        database.dispose()
    files = found.files() | {"envelope.json": write_envelope(found.answer).encode("utf-8")}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if out.as_json:
        out.value({"folder": str(folder), "files": sorted(files), "log": found.answer.log, "index": found.answer.index})
    for name in sorted(files):
        out.say(str(folder / name))
    if found.receipt is None:
        out.say(t("message.extract_no_receipt"), style="yellow")
