"""``records due`` and ``records erase-due``: what is kept no longer by the table of retention, and its erasing."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.calls.security.actions import print_waiting
from exchange.cli.calls.shown import words
from exchange.cli.options import JsonOption, ProfileOption, ReasonOption, client
from exchange.cli.output import Exit, Output, as_dict, finish
from exchange.cli.texts import t
from exchange.v1.security_service_pb2 import EraseDueRequest, ListRetentionDueRequest


def list_due(profile: ProfileOption = None, *, as_json: JsonOption = False) -> None:
    """List what is due, by rule and then oldest first."""
    out = Output(as_json)
    with client(profile) as node:
        answer = node.call(node.security.ListRetentionDue, ListRetentionDueRequest())
    if out.as_json:
        out.value(as_dict(answer))
    else:
        out.table(
            ("record_id", "kind", "counts_from", "rule", "legal_ground"),
            [
                (each.record.record_id, words.kind_word(each.kind), each.since, each.rule, each.legal_ground)
                for each in answer.records
            ],
        )
    finish(Exit.FINDING if answer.records else Exit.DONE)


def erase_due(
    ordered_by: Annotated[str, typer.Option("--ordered-by", help=t("option.ordered_by"))],
    reason: ReasonOption,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Ask for erasing up to 500 records that are due now; the very list is what the other officer confirms."""
    with client(profile) as node:
        answer = node.call(node.security.EraseDue, EraseDueRequest(ordered_by=ordered_by, reason=reason))
    print_waiting(Output(as_json), answer.action)
