"""``feedback``: what became of measures that checks showed (奖惩到位). It is given by submitting MeasureFeedback."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.calls import words
from exchange.cli.calls.pages import show, walk
from exchange.cli.options import DEFAULT_LIMIT, JsonOption, LimitOption, ProfileOption, client
from exchange.cli.output import Exit, Output, finish
from exchange.cli.texts import t, word
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.penalty_service_pb2 import DueFeedback, ListDueFeedbackRequest

app = typer.Typer(help=t("help.feedback"), no_args_is_help=True)

_HEADINGS = ("due_on", "overdue", "code", "measure", "kind", "record_id", "matter", "matter_no", "given")


@app.callback()
def _noun() -> None:
    """A noun keeps its verbs, also while it has only one."""


@app.command("due", help=t("help.feedback_due"))
def due(
    profile: ProfileOption = None,
    *,
    overdue: Annotated[bool, typer.Option("--overdue", help=t("option.overdue"))] = False,
    given: Annotated[bool, typer.Option("--given", help=t("option.given"))] = False,
    limit: LimitOption = DEFAULT_LIMIT,
    as_json: JsonOption = False,
) -> None:
    """List what the caller owes; exit status 1 when something is overdue."""
    request = ListDueFeedbackRequest(overdue_only=overdue, include_given=given)
    out = Output(as_json)
    with client(profile) as node:
        rows = list(walk(node, node.penalties.ListDueFeedback, request, "feedback", limit))
    show(out, "feedback", rows, _HEADINGS, _cells)
    finish(Exit.FINDING if any(row.overdue for row in rows) else Exit.DONE)


def _cells(row: DueFeedback) -> tuple[object, ...]:
    return (
        row.due_on,
        row.overdue,
        row.code,
        row.name,
        words.kind_word(row.source_kind),
        f"{row.source.origin} {row.source.record_id}",
        word("matter_kind", MatterKind.Name(row.matter_kind).removeprefix("MATTER_KIND_")),
        row.matter_no,
        row.feedback.record_id,
    )
