"""``alerts``: emergencies of the other side, and the duty desk's word that they were received."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.pages import walk
from exchange.cli.calls.shown.replies import (
    AnswerAreaOption,
    AnsweredOption,
    AreaOption,
    DeskOption,
    KeyOption,
    OriginOption,
    OursOption,
    RecordArgument,
    answer_to,
    find,
    print_one,
    print_sent,
    said,
)
from exchange.cli.options import JsonOption, ProfileOption, client, read_choice
from exchange.cli.output import Exit, Output, finish, moment
from exchange.cli.texts import t, word
from exchange.v1.alert_pb2 import AlertKind, AlertLevel, ReportKind
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.request_service_pb2 import ExerciseFilter, ListAlertsRequest

if TYPE_CHECKING:
    from exchange.v1.request_service_pb2 import Request

app = typer.Typer(help=t("help.alerts"), no_args_is_help=True)

_HEADINGS = (
    "record_id",
    "origin",
    "event",
    "exercise",
    "event_kind",
    "report",
    "alert_level",
    "area",
    "answer_by",
    "late",
    "replies",
)


@app.command("list", help=t("help.alerts_list"))
def list_alerts(
    profile: ProfileOption = None,
    *,
    area: AreaOption = "",
    ours: OursOption = False,
    answered: AnsweredOption = False,
    alert_kind: Annotated[str, typer.Option("--event-kind", help=t("option.event_kind"))] = "",
    exercise: Annotated[
        bool | None, typer.Option("--exercise/--no-exercise", help=t("option.exercise"), show_default=False)
    ] = None,
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List alerts that wait for an answer; exit status 1 when there is one."""
    out = Output(as_json)
    request = ListAlertsRequest(area=area, ours=ours, include_answered=answered)
    request.alert_kind = AlertKind.ValueType(read_choice(alert_kind, dict(AlertKind.items()), "ALERT_KIND_"))
    if exercise is not None:
        request.exercise = ExerciseFilter.EXERCISE_FILTER_ONLY if exercise else ExerciseFilter.EXERCISE_FILTER_NONE
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.requests.ListAlerts, request, "alerts", files.limit(limit))
        found = files.show(out, "alerts", _HEADINGS, rows, _cells, lambda row: row.open)
    finish(Exit.FINDING if found else Exit.DONE)


@app.command("show", help=t("help.alerts_show"))
def show_alert(
    record: RecordArgument, profile: ProfileOption = None, *, origin: OriginOption = "", as_json: JsonOption = False
) -> None:
    """Show one report with its answers; exit status 1 while it waits for one."""
    out = Output(as_json)
    with client(profile) as node:
        found = find(node, record, origin)
    print_one(out, found, tuple(zip(_HEADINGS, _cells(found), strict=True)))
    finish(Exit.FINDING if found.open else Exit.DONE)


@app.command("ack", help=t("help.alerts_ack"))
def acknowledge(
    record: RecordArgument,
    desk: DeskOption,
    area: AnswerAreaOption,
    profile: ProfileOption = None,
    *,
    origin: OriginOption = "",
    confirmed: Annotated[bool, typer.Option("--confirmed", help=t("option.confirmed"))] = False,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Answer an alert for a duty desk."""
    verb = AnswerVerb.ANSWER_VERB_CONFIRMED if confirmed else AnswerVerb.ANSWER_VERB_ACKNOWLEDGED
    out = Output(as_json)
    with client(profile) as node:
        sent = answer_to(node, find(node, record, origin), verb, desk, (), area, key)
    print_sent(out, sent)


def _cells(row: Request) -> tuple[object, ...]:
    alert = row.record.record.alert
    return (
        row.record.ref.record_id,
        row.record.ref.origin,
        f"{alert.event_id}/{alert.sequence}",
        alert.is_exercise,
        word("alert_kind", AlertKind.Name(alert.alert_kind).removeprefix("ALERT_KIND_")),
        word("report_kind", ReportKind.Name(alert.report_kind).removeprefix("REPORT_KIND_")),
        word("alert_level", AlertLevel.Name(alert.level).removeprefix("ALERT_LEVEL_")),
        alert.location.area_code,
        moment(row.answer_by) if row.HasField("answer_by") else "",
        row.late,
        said(row.replies),
    )
