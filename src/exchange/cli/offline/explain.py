"""``explain``: what a reason code says and what to do about it."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.options import JsonOption
from exchange.cli.output import Exit, Output, finish
from exchange.cli.texts import CHINESE, ENGLISH, reasons, t


def explain(
    codes: Annotated[list[str], typer.Argument(help=t("option.reason_code"), metavar="REASON…")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Explain reason codes in both languages; exit status 1 when one is not known."""
    out = Output(as_json)
    table = reasons()
    known = [code for code in codes if code in table.codes]
    unknown = [code for code in codes if code not in table.codes]
    if out.as_json:
        out.value(
            [
                {
                    "reason": code,
                    **{
                        lang: {"message": table.text(code, lang).message, "remedy": table.text(code, lang).remedy}
                        for lang in (CHINESE, ENGLISH)
                    },
                }
                for code in known
            ]
        )
    for code in known:
        zh, en = table.text(code, CHINESE), table.text(code, ENGLISH)
        out.say(code, style="bold")
        for line in (zh.message, f"→ {zh.remedy}", en.message, f"→ {en.remedy}"):
            out.say(f"  {line}")
    for code in unknown:
        out.say(t("message.unknown_reason", code=code), style="bold red")
    finish(Exit.FINDING if unknown else Exit.DONE)
