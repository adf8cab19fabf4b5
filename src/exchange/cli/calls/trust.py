"""``trust``: whom the running node believes. For security officers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Exit, Output, as_dict, finish
from exchange.cli.texts import t
from exchange.v1.security_service_pb2 import ReloadResult, ReloadTrustRequest, ReloadTrustResponse

if TYPE_CHECKING:
    from exchange.rpc.client import Client

app = typer.Typer(help=t("help.trust"), no_args_is_help=True)


@app.command("reload", help=t("help.trust_reload"))
def reload(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """Take changed sets and TLS key files now; exit status 1 when one of them was refused."""
    out = Output(as_json)
    with client(profile) as node:
        answer = ask(node)
    if out.as_json:
        out.value(as_dict(answer))
    tell(out, answer)
    refused = any(each.result == ReloadResult.RELOAD_RESULT_REFUSED for each in answer.sets)
    finish(Exit.FINDING if refused else Exit.DONE)


def ask(node: Client) -> ReloadTrustResponse:
    """Have the node look."""
    return node.call(node.security.ReloadTrust, ReloadTrustRequest())


def reload_by(profile: Path, out: Output) -> None:
    """What ``peers add`` does on a running node: have it look, and tell."""
    with client(profile) as node:
        tell(out, ask(node))


def tell(out: Output, answer: ReloadTrustResponse) -> None:
    """What became of each set."""
    rows = []
    for each in answer.sets:
        problems = "\n".join(" ".join(filter(None, (p.reason, p.place, p.detail))) for p in each.problems)
        result = ReloadResult.Name(each.result).removeprefix("RELOAD_RESULT_")
        rows.append((each.name, t(f"reload_result.{result}"), each.digest[:16], problems))
    out.table(("trust_set", "result", "digest", "reason"), rows)
