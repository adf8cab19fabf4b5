"""``inspect``: what a USCC, permit code, CMA number or area code is, and whether it is valid."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.adapter_set import domain_tables
from exchange.cli.options import JsonOption
from exchange.cli.output import Exit, Output, finish
from exchange.cli.texts import reason_text, t, word
from exchange.domain.codes import inspect as look


def inspect(
    codes: Annotated[list[str], typer.Argument(help=t("option.codes"), metavar="CODE…")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Say what codes are; exit status 1 when one is not valid."""
    out = Output(as_json)
    # The shell passes bytes that are no text on as surrogates, which nothing could print.
    printable = [code.encode("utf-8", "replace").decode() for code in codes]
    verdicts = [look(code, domain_tables()) for code in printable]
    if out.as_json:
        for verdict in verdicts:
            out.line(
                {
                    "code": verdict.code,
                    "kind": verdict.kind.value,
                    "valid": verdict.valid,
                    "reasons": list(verdict.reasons),
                }
            )
    out.table(
        ("code", "kind", "valid", "reason", "meaning"),
        [
            (
                verdict.code,
                word("code_kind", verdict.kind.value),
                verdict.valid,
                "\n".join(verdict.reasons),
                "\n".join(reason_text(reason).message for reason in verdict.reasons),
            )
            for verdict in verdicts
        ],
    )
    finish(Exit.DONE if all(verdict.valid for verdict in verdicts) else Exit.FINDING)
