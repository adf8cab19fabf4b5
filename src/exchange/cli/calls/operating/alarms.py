"""``alarms``: conditions that somebody has to look at."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.calls.operating.status import ALARM_HEADINGS, alarm_cells
from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.pages import walk
from exchange.cli.options import JsonOption, ProfileOption, ReasonOption, client
from exchange.cli.output import Output, as_dict
from exchange.cli.texts import t
from exchange.v1.operation_service_pb2 import AcknowledgeAlarmRequest, ListAlarmsRequest

app = typer.Typer(help=t("help.alarms"), no_args_is_help=True)


@app.command("list", help=t("help.alarms_list"))
def list_alarms(
    profile: ProfileOption = None,
    *,
    cleared: Annotated[bool, typer.Option("--cleared", help=t("option.cleared"))] = False,
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List alarms."""
    out = Output(as_json)
    files = Files(csv, xlsx)
    with client(profile) as node:
        request = ListAlarmsRequest(include_cleared=cleared)
        rows = walk(node, node.operation.ListAlarms, request, "alarms", files.limit(limit))
        files.show(out, "alarms", ALARM_HEADINGS, rows, alarm_cells)


@app.command("ack", help=t("help.alarms_ack"))
def acknowledge(
    alarm: Annotated[int, typer.Argument(help=t("option.alarm"), min=1)],
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Acknowledge an alarm."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.operation.AcknowledgeAlarm, AcknowledgeAlarmRequest(id=alarm, reason=reason))
    if out.as_json:
        out.value(as_dict(answer.alarm))
    out.table(ALARM_HEADINGS, [alarm_cells(answer.alarm)])
