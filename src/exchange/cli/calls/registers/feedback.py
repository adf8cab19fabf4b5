"""``feedback``: what became of measures that checks showed (奖惩到位). It is given by submitting MeasureFeedback."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.pages import walk
from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Exit, Output, finish
from exchange.cli.texts import t, word
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.penalty_service_pb2 import (
    DueFeedback,
    ListDueFeedbackRequest,
    ListUnconfirmedEffectsRequest,
    UnconfirmedEffects,
)

app = typer.Typer(help=t("help.feedback"), no_args_is_help=True)

_EFFECT_HEADINGS = ("due_by", "computed_due_by", "overdue", "kind", "act", "notice", "effects")
_EFFECT_HEADINGS = ("due_by", "computed_due_by", "overdue", "kind", "act", "notice", "effects")
_HEADINGS = ("due_on", "overdue", "code", "measure", "kind", "record_id", "matter", "matter_no", "given")


@app.command("due", help=t("help.feedback_due"))
def due(
    profile: ProfileOption = None,
    *,
    overdue: Annotated[bool, typer.Option("--overdue", help=t("option.overdue"))] = False,
    given: Annotated[bool, typer.Option("--given", help=t("option.given"))] = False,
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what the caller owes; exit status 1 when something is overdue."""
    request = ListDueFeedbackRequest(overdue_only=overdue, include_given=given)
    out = Output(as_json)
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.penalties.ListDueFeedback, request, "feedback", files.limit(limit))
        found = files.show(out, "feedback", _HEADINGS, rows, _cells, lambda row: row.overdue)
    finish(Exit.FINDING if found else Exit.DONE)


@app.command("effects", help=t("help.feedback_effects"))
def effects(
    profile: ProfileOption = None,
    *,
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List repairs and revocations that the caller is asked to confirm; exit status 1 when there are some."""
    out = Output(as_json)
    files = Files(csv, xlsx)
    with client(profile) as node:
        request = ListUnconfirmedEffectsRequest()
        rows = walk(node, node.penalties.ListUnconfirmedEffects, request, "effects", files.limit(limit))
        found = files.show(out, "effects", _EFFECT_HEADINGS, rows, _effect_cells, lambda _row: True)
    finish(Exit.FINDING if found else Exit.DONE)


def _effect_cells(row: UnconfirmedEffects) -> tuple[object, ...]:
    return (
        row.due_by,
        row.computed_due_by or "CALENDAR_MISSING",
        row.overdue,
        words.kind_word(row.kind),
        f"{row.act.origin} {row.act.record_id}",
        f"{row.notice.origin} {row.notice.record_id}",
        "\n".join(word("repair_effect", effect) for effect in row.effects),
    )


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
