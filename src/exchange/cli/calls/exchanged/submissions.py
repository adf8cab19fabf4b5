"""``submissions``: what I sent and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.export import CsvOption, FileLimitOption, Files, XlsxOption
from exchange.cli.calls.shown.pages import walk
from exchange.cli.options import (
    JsonOption,
    KindOption,
    ProfileOption,
    client,
    read_choice,
    read_kind,
)
from exchange.cli.output import Output, as_dict, moment
from exchange.cli.texts import t
from exchange.v1.submission_pb2 import AddresseeStatus, Submission, SubmissionState
from exchange.v1.submission_service_pb2 import GetReceiptRequest, GetSubmissionRequest, ListSubmissionsRequest

app = typer.Typer(help=t("help.submissions"), no_args_is_help=True)

SUBMISSION_HEADINGS = ("record_id", "revision", "kind", "accepted", "addressee", "state", "reasons", "key")
"""Columns of submissions: one line for each addressee."""


@app.command("list", help=t("help.submissions_list"))
def list_submissions(
    profile: ProfileOption = None,
    *,
    kind: KindOption = "",
    state: Annotated[str, typer.Option("--state", help=t("option.state"))] = "",
    document: Annotated[str, typer.Option("--document", help=t("option.document"))] = "",
    limit: FileLimitOption = None,
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """List my submissions, newest first."""
    out = Output(as_json)
    request = ListSubmissionsRequest(kind=read_kind(kind), document_id=document)
    request.state = SubmissionState.ValueType(read_choice(state, dict(SubmissionState.items()), "SUBMISSION_STATE_"))
    files = Files(csv, xlsx)
    with client(profile) as node:
        rows = walk(node, node.submissions.ListSubmissions, request, "submissions", files.limit(limit))
        files.show(out, "submissions", SUBMISSION_HEADINGS, rows, submission_rows)


@app.command("show", help=t("help.submissions_show"))
def show_submission(
    record: Annotated[str, typer.Argument(help=t("option.record_or_key"))],
    profile: ProfileOption = None,
    *,
    by_key: Annotated[bool, typer.Option("--key", help=t("option.by_key"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one submission, by record id or idempotency key."""
    out = Output(as_json)
    request = GetSubmissionRequest(idempotency_key=record) if by_key else GetSubmissionRequest(record_id=record)
    with client(profile) as node:
        found = node.call(node.submissions.GetSubmission, request).submission
    if out.as_json:
        out.value(as_dict(found))
        return
    out.facts(
        (
            ("record_id", found.record_id),
            ("revision", found.revision),
            ("kind", words.kind_word(found.kind)),
            ("agency", found.agency),
            ("key", found.idempotency_key),
            ("accepted", moment(found.accepted_at)),
            ("document", found.document_id),
            ("row", found.row or None),
        )
    )
    for status in found.addressees:
        out.facts(_timeline(status), title=t("title.addressee", name=status.addressee))


@app.command("receipt", help=t("help.submissions_receipt"))
def receipt(
    record: Annotated[str, typer.Argument(help=t("option.record"))],
    profile: ProfileOption = None,
    *,
    addressee: Annotated[str, typer.Option("--addressee", "-a", help=t("option.receipt_addressee"))] = "",
    revision: Annotated[int, typer.Option("--revision", help=t("option.revision"), min=0)] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help=t("option.output"), dir_okay=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Fetch the receipt of a delivered submission; ``verify`` checks it offline."""
    out = Output(as_json)
    with client(profile) as node:
        request = GetReceiptRequest(record_id=record, revision=revision, addressee=addressee)
        answer = node.call(node.submissions.GetReceipt, request)
    if out.as_json:
        out.value(as_dict(answer))
        return
    if output is None:
        typer.echo(answer.receipt, nl=False)
    else:
        output.write_text(answer.receipt, "utf-8")
        out.say(t("message.written", file=output))


def submission_rows(submission: Submission) -> list[tuple[object, ...]]:
    """One line for each addressee; one without for a submission into the local log."""
    head = (
        submission.record_id,
        submission.revision,
        words.kind_word(submission.kind),
        moment(submission.accepted_at),
    )
    if not submission.addressees:
        return [(*head, "", words.submission_state_word(SubmissionState.SUBMISSION_STATE_ACCEPTED), "", "")]
    return [
        (
            *head,
            status.addressee,
            words.submission_state_word(status.state),
            words.reason_words(status.reasons),
            submission.idempotency_key,
        )
        for status in submission.addressees
    ]


def _timeline(status: AddresseeStatus) -> list[tuple[str, object]]:
    return [
        ("state", words.submission_state_word(status.state)),
        ("log", status.log),
        ("index", status.index),
        ("logged", moment(status.logged_at)),
        ("delivered", moment(status.delivered_at)),
        ("outcome", words.outcome_word(status.outcome)),
        ("reasons", words.reason_words(status.reasons)),
        ("conditions", words.condition_words(status.conditions)),
        ("waits_for", ", ".join(status.waits_for)),
        ("decision", status.decision),
        ("decision_revision", status.decision_revision or None),
        ("rule_edition", status.rule_edition),
    ]
