"""``audit heads``: a node's newest cosigned checkpoints on one page, for whoever verifies the other side's folder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.options import JsonOption, ProfileOption, client, read_settings
from exchange.cli.output import Output
from exchange.cli.texts import t
from exchange.flows.audit.reading.heads import newest_heads
from exchange.flows.audit.verify.claimed.heads import write_page
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import require_newest
from exchange.tlog.checkpoint import parse_note
from exchange.tlog.cosignature import parse
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_V1, SignedNote
from exchange.v1.audit_service_pb2 import GetCheckpointRequest, ListLogsRequest


def show_heads(
    profile: ProfileOption = None,
    node: Annotated[
        Path | None, typer.Option("--node", "-n", help=t("option.heads_node"), dir_okay=False, show_default=False)
    ] = None,
    *,
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the newest cosigned checkpoint of every log that the node keeps, mirrors or witnesses."""
    out = Output(as_json)
    notes = _of_files(node) if node is not None else _of_service(profile)
    if output is not None:
        output.write_bytes(write_page(notes))
        out.say(t("message.written", file=output))
    shown = [(note, *parse_note(note)) for note in notes]
    if out.as_json:
        out.value({"heads": [{"origin": c.origin, "size": c.size, "note": note.decode()} for note, _, c in shown]})
    elif output is None:
        typer.echo(write_page(notes).decode(), nl=False)
    else:
        out.table(
            ("log", "size", "cosigned", "root"),
            [(c.origin, c.size, _cosigned(signed), c.root.hex()) for _, signed, c in shown],
        )


def _of_files(node: Path) -> list[bytes]:
    database = Database(read_settings(node).database.url)
    try:
        require_newest(database)
        return newest_heads(database)
    finally:
        database.dispose()


def _of_service(profile: Path | None) -> list[bytes]:
    with client(profile) as node:
        logs = node.call(node.audit.ListLogs, ListLogsRequest())
        origins = [log.origin for log in logs.logs if log.cosigned_size]
        origins += [head.origin for head in logs.witnessed]
        asked = [GetCheckpointRequest(origin=origin) for origin in origins]
        return [node.call(node.audit.GetCheckpoint, request).checkpoint.encode() for request in asked]


def _cosigned(signed: SignedNote) -> datetime | None:
    """When it was cosigned by its own word; nothing is verified here."""
    times = []
    for line in signed.signatures[1:]:
        try:
            times.append(parse(line.signature, COSIGNATURE_V1).time)
        except LogFormatError:
            continue
    return datetime.fromtimestamp(min(times), UTC) if times else None
