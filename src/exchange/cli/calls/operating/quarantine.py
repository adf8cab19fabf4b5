"""``quarantine``: rows of documents that could not be mapped. There is no override."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.calls.security.actions import print_waiting
from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.pages import walk
from exchange.cli.options import JsonOption, ProfileOption, ReasonOption, client
from exchange.cli.output import Exit, Output, Undecidable, as_dict, finish, moment
from exchange.cli.texts import t, word
from exchange.v1.operation_service_pb2 import (
    DiscardQuarantineRequest,
    ListQuarantineRequest,
    QuarantinedRow,
    RetryQuarantineRequest,
)

app = typer.Typer(help=t("help.quarantine"), no_args_is_help=True)

IdsArgument = Annotated[list[str], typer.Argument(help=t("option.quarantine_ids"))]
_HEADINGS = ("quarantine_id", "agency", "file", "row", "place", "reasons", "since", "state", "content")

LISTED_CONTENT = 40
"""Characters of a row's content in a list; ``show`` has it whole."""


@app.command("list", help=t("help.quarantine_list"))
def list_rows(
    profile: ProfileOption = None,
    *,
    document: Annotated[str, typer.Option("--document", help=t("option.document"))] = "",
    code: Annotated[str, typer.Option("--code", help=t("option.code"))] = "",
    closed: Annotated[bool, typer.Option("--closed", help=t("option.closed"))] = False,
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List rows in quarantine."""
    out = Output(as_json)
    request = ListQuarantineRequest(document_id=document, reason=code, include_closed=closed)
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.operation.ListQuarantine, request, "rows", files.limit(limit))
        files.show(out, "rows", _HEADINGS, rows, _cells)


@app.command("show", help=t("help.quarantine_show"))
def show_row(
    quarantine_id: Annotated[str, typer.Argument(help=t("option.quarantine_ids"))],
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show one row with what was wrong and what to do."""
    out = Output(as_json)
    request = ListQuarantineRequest(include_closed=True)
    with client(profile) as node:
        rows = walk(node, node.operation.ListQuarantine, request, "rows", 1_000_000)
        found = next((row for row in rows if row.quarantine_id == quarantine_id), None)
    if found is None:
        raise Undecidable("NOT_FOUND", quarantine_id)
    if out.as_json:
        out.value(as_dict(found))
        return
    out.facts(list(zip(_HEADINGS, _cells(found, whole=True), strict=True)))
    out.problems([words.problem_of(problem) for problem in found.problems])


@app.command("retry", help=t("help.quarantine_retry"))
def retry(ids: IdsArgument, profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """Map rows again with the tables of now; exit status 1 when some still can not be mapped."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.operation.RetryQuarantine, RetryQuarantineRequest(quarantine_ids=ids))
    if out.as_json:
        out.value(as_dict(answer))
    out.say(t("message.resolved", count=answer.resolved, left=len(answer.remaining)))
    if answer.remaining:
        out.table(_HEADINGS, [_cells(row) for row in answer.remaining])
        finish(Exit.FINDING)


@app.command("discard", help=t("help.quarantine_discard"))
def discard(
    ids: IdsArgument, reason: ReasonOption, profile: ProfileOption = None, *, as_json: JsonOption = False
) -> None:
    """Ask for discarding rows, with a reason; a security officer confirms."""
    out = Output(as_json)
    with client(profile) as node:
        request = DiscardQuarantineRequest(quarantine_ids=ids, reason=reason)
        answer = node.call(node.operation.DiscardQuarantine, request)
    print_waiting(out, answer.action)


def _cells(row: QuarantinedRow, *, whole: bool = False) -> tuple[object, ...]:
    return (
        row.quarantine_id,
        row.agency,
        row.file_name,
        row.row,
        row.place,
        words.reason_words(row.problems),
        moment(row.since),
        word("quarantine_state", row.state),
        row.content if whole or len(row.content) <= LISTED_CONTENT else row.content[:LISTED_CONTENT] + "…",
    )
