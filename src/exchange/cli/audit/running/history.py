"""``audit history``: everything that the logs hold about one subject."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.pages import walk
from exchange.cli.options import DEFAULT_LIMIT, JsonOption, LimitOption, ProfileOption, client
from exchange.cli.output import Output, as_dict, clean, moment
from exchange.cli.texts import t, word
from exchange.v1.audit_service_pb2 import GetSubjectHistoryRequest, HistoryDecision, SubjectHistoryRow
from exchange.v1.kind_pb2 import Outcome


def show_history(
    uscc: Annotated[str, typer.Argument(help=t("option.uscc"))],
    profile: ProfileOption = None,
    *,
    limit: LimitOption = DEFAULT_LIMIT,
    as_json: JsonOption = False,
) -> None:
    """List each record about a firm: where it stands, when it was cosigned, what was decided. No text of it."""
    out = Output(as_json)
    request = GetSubjectHistoryRequest(uscc=uscc)
    with client(profile) as node:
        found = list(walk(node, node.audit.GetSubjectHistory, request, "records", limit))
    if out.as_json:
        out.value({"records": [as_dict(each) for each in found]})
        return
    out.table(
        ("record_id", "revision", "origin", "kind", "date", "tombstone", "place", "cosigned", "decisions", "readers"),
        [_cells(each) for each in found],
    )


def _cells(row: SubjectHistoryRow) -> tuple[object, ...]:
    return (
        row.ref.record_id,
        row.ref.revision,
        row.ref.origin,
        words.kind_word(row.kind),
        row.date,
        f"{row.tombstone.reason} {row.tombstone.since}".strip() or ("" if row.newest else t("message.replaced")),
        "\n".join(f"{each.log}#{each.index}" for each in row.entries),
        "\n".join(clean(moment(each.cosigned_at)) or "-" for each in row.entries),
        "\n".join(_decision(each) for entry in row.entries for each in entry.decisions),
        row.readers,
    )


def _decision(made: HistoryDecision) -> str:
    outcome = word("outcome", Outcome.Name(made.outcome).removeprefix("OUTCOME_"))
    return f"{made.node} {outcome} {', '.join(made.reasons)} {made.log}#{made.index}".replace("  ", " ")
