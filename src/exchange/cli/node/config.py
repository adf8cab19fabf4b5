"""``config``: what the node file says, and whether it can be run with."""

from __future__ import annotations

import typer

from exchange.cli.node.files import check_files
from exchange.cli.options import DEFAULT_NODE_FILE, JsonOption, NodeArgument, read_settings
from exchange.cli.output import Exit, Output, finish, problem_dicts
from exchange.cli.texts import t
from exchange.domain.problems import Problem
from exchange.settings import SettingsError, explain

app = typer.Typer(help=t("help.config"), no_args_is_help=True)


@app.command("show", help=t("help.config_show"))
def show(node: NodeArgument = DEFAULT_NODE_FILE, *, as_json: JsonOption = False) -> None:
    """Print each effective value, where it came from, and why a default is what it is."""
    out = Output(as_json)
    rows = explain(read_settings(node))
    if out.as_json:
        out.value([{"key": r.key, "value": r.value, "unit": r.unit, "source": r.source, "why": r.why} for r in rows])
    out.table(("key", "value", "unit", "source", "why"), [(r.key, r.value, r.unit, r.source, r.why) for r in rows])


@app.command("validate", help=t("help.config_validate"))
def validate(node: NodeArgument = DEFAULT_NODE_FILE, *, as_json: JsonOption = False) -> None:
    """Name every mistake of the node file and of the files that it names, each with its place."""
    out = Output(as_json)
    problems: tuple[Problem, ...]
    try:
        problems = check_files(read_settings(node))
    except SettingsError as error:
        problems = error.problems
    if out.as_json:
        out.value({"valid": not problems, "problems": problem_dicts(problems)})
    elif problems:
        out.problems(problems)
    else:
        out.say(t("message.no_mistakes"), style="green")
    finish(Exit.FINDING if problems else Exit.DONE)
