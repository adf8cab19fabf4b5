"""``audit checkpoint``: a stored checkpoint, as it was signed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.audit.running.entries import OriginArgument
from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Output, as_dict
from exchange.cli.texts import t
from exchange.v1.audit_service_pb2 import GetCheckpointRequest

OutputOption = Annotated[Path | None, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)]


def show_checkpoint(
    origin: OriginArgument,
    profile: ProfileOption = None,
    *,
    size: Annotated[int, typer.Option("--size", help=t("option.checkpoint_size"), min=0)] = 0,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the newest cosigned checkpoint of a log, or the first that covers a size."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.audit.GetCheckpoint, GetCheckpointRequest(origin=origin, size=size))
    if output is not None:
        output.write_text(answer.checkpoint, "utf-8")
        out.say(t("message.written", file=output))
    if out.as_json:
        out.value(as_dict(answer))
    elif output is None:
        typer.echo(answer.checkpoint, nl=False)
