"""``requests``: what the other side asks for: corrections, referrals, inspections, equivalences; and the answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.calls.shown import words
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
from exchange.cli.options import (
    JsonOption,
    KindOption,
    ProfileOption,
    client,
    read_choice,
    read_kind,
)
from exchange.cli.output import Exit, Output, finish
from exchange.cli.texts import t
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.request_service_pb2 import ListRequestsRequest

if TYPE_CHECKING:
    from exchange.v1.record_pb2 import Record
    from exchange.v1.request_service_pb2 import Request

app = typer.Typer(help=t("help.requests"), no_args_is_help=True)

_HEADINGS = ("record_id", "origin", "kind", "content", "age_days", "due_by", "late", "waits", "replies")


@app.command("list", help=t("help.requests_list"))
def list_requests(
    profile: ProfileOption = None,
    *,
    kind: KindOption = "",
    area: AreaOption = "",
    ours: OursOption = False,
    answered: AnsweredOption = False,
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List requests that wait for an answer; exit status 1 when one is late."""
    out = Output(as_json)
    request = ListRequestsRequest(kind=read_kind(kind), area=area, ours=ours, include_answered=answered)
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.requests.ListRequests, request, "requests", files.limit(limit))
        found = files.show(out, "requests", _HEADINGS, rows, _cells, lambda row: row.late)
    finish(Exit.FINDING if found else Exit.DONE)


@app.command("show", help=t("help.requests_show"))
def show_request(
    record: RecordArgument, profile: ProfileOption = None, *, origin: OriginOption = "", as_json: JsonOption = False
) -> None:
    """Show one request with its answers."""
    out = Output(as_json)
    with client(profile) as node:
        found = find(node, record, origin)
    print_one(out, found, tuple(zip(_HEADINGS, _cells(found), strict=True)))


@app.command("answer", help=t("help.requests_answer"))
def answer(
    record: RecordArgument,
    verb: Annotated[str, typer.Argument(help=t("option.verb"))],
    desk: DeskOption,
    area: AnswerAreaOption,
    profile: ProfileOption = None,
    *,
    origin: OriginOption = "",
    reasons: Annotated[list[str] | None, typer.Option("--reason", "-r", help=t("option.answer_reason"))] = None,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Answer a request."""
    chosen = AnswerVerb.ValueType(read_choice(verb, dict(AnswerVerb.items()), "ANSWER_VERB_"))
    out = Output(as_json)
    with client(profile) as node:
        sent = answer_to(node, find(node, record, origin), chosen, desk, reasons or (), area, key)
    print_sent(out, sent)


def _cells(row: Request) -> tuple[object, ...]:
    ref = row.record.ref
    age = datetime.now(UTC) - row.arrived_at.ToDatetime(UTC)
    return (
        ref.record_id,
        ref.origin,
        words.kind_word(row.record.kind),
        _content(row.record.record),
        age.days,
        row.due_by,
        row.late,
        row.open,
        said(row.replies),
    )


def _content(record: Record) -> str:
    """What is asked for, in one line."""
    if record.HasField("correction_request"):
        asked = record.correction_request
        return f"{asked.record.record_id} {', '.join(item.field or '*' for item in asked.items)}"
    if record.HasField("case_referral"):
        return f"{record.case_referral.case_no} {record.case_referral.subject.uscc}".strip()
    if record.HasField("inspection_task"):
        return f"{record.inspection_task.task_no} {record.inspection_task.topic}".strip()
    left, right = record.standards_equivalence.left, record.standards_equivalence.right
    return f"{left.standard_no} {left.code} – {right.standard_no} {right.code}" if left.node else ""
