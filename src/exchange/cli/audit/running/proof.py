"""``audit proof``: that an entry is in a log, as a proof that holds by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.audit.running.checkpoint import OutputOption
from exchange.cli.audit.running.entries import OriginArgument
from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Output, Undecidable, as_dict
from exchange.cli.texts import t
from exchange.v1.audit_service_pb2 import GetInclusionProofRequest


def show_proof(
    origin: OriginArgument,
    index: Annotated[int, typer.Argument(help=t("option.entry_index"), min=0)],
    profile: ProfileOption = None,
    *,
    size: Annotated[int, typer.Option("--size", help=t("option.tree_size"), min=0)] = 0,
    output: OutputOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a C2SP tlog-proof of one entry; ``exchange verify`` and other tools check it."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(
            node.audit.GetInclusionProof, GetInclusionProofRequest(origin=origin, index=index, size=size)
        )
    if output is not None and answer.receipt:
        output.write_text(answer.receipt, "utf-8")
        out.say(t("message.written", file=output))
    if out.as_json:
        out.value(as_dict(answer))
    elif not answer.receipt:
        # A size that nobody cosigned has hashes and no receipt.
        raise Undecidable("RECEIPT_PENDING", origin, str(answer.size))
    elif output is None:
        typer.echo(answer.receipt, nl=False)
