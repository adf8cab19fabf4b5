"""``subject``: all that both regions state of a firm, today or on a past date."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import typer

from exchange.cli.calls.exchanged.records import RECORD_HEADINGS, view_cells
from exchange.cli.calls.shown import words
from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Output, as_dict, moment
from exchange.cli.texts import t, word
from exchange.flows.context import LOCAL_TIME
from exchange.v1.check_service_pb2 import GetSubjectRequest
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.credit_service_pb2 import Knowledge

_TABLES = (
    ("notices", "title.all_notices"),
    ("lists", "title.lists"),
    ("feedback", "title.feedback"),
    ("repairs", "title.repairs"),
    ("labs", "title.labs"),
    ("stations", "title.stations"),
    ("others", "title.others"),
    ("history", "title.history"),
)


def subject(
    uscc: Annotated[str, typer.Argument(help=t("option.uscc"))],
    profile: ProfileOption = None,
    *,
    as_of: Annotated[str, typer.Option("--as-of", help=t("option.as_of"))] = "",
    history: Annotated[bool, typer.Option("--history", help=t("option.history"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Show all that both regions state of a firm, today or on a past date."""
    out = Output(as_json)
    request = GetSubjectRequest(uscc=uscc, include_history=history)
    if as_of:
        request.as_of.FromDatetime(_end_of(as_of))
    with client(profile) as node:
        answer = node.call(node.checks.GetSubject, request)
    if out.as_json:
        out.value(as_dict(answer))
        return
    out.table(
        ("origin", "knowledge", "level"),
        [
            (
                region.origin,
                word("knowledge", Knowledge.Name(region.knowledge).removeprefix("KNOWLEDGE_")),
                word("level", CreditLevel.Name(region.decisive_level).removeprefix("CREDIT_LEVEL_"))
                if region.decisive_level
                else "",
            )
            for region in answer.credit
        ],
        title=t("title.credit"),
    )
    results = [view for region in answer.credit for view in region.results]
    if results:
        out.table(RECORD_HEADINGS, [view_cells(view) for view in results], title=t("title.results"))
    for field, title in _TABLES:
        views = getattr(answer, field)
        if views:
            out.table(RECORD_HEADINGS, [view_cells(view) for view in views], title=t(title))
    for name, left_out in (("message.not_granted", answer.not_granted), ("message.cut", answer.cut)):
        if left_out:
            out.say(t(name, kinds=", ".join(words.kind_word(kind) for kind in left_out)))
    out.table(
        ("peer", "lane", "complete_until", "stale"),
        [(f.peer, words.lane_word(f.lane), moment(f.complete_until), f.stale) for f in answer.freshness],
        title=t("title.freshness"),
    )


def _end_of(text: str) -> datetime:
    """The last instant of a date in the time of both regions, or now where the day is not over."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(t("message.date_wanted"), param_hint="--as-of") from None
    end = datetime.combine(day + timedelta(days=1), time(), LOCAL_TIME) - timedelta(microseconds=1)
    now = datetime.now(UTC)
    return min(end, now) if day <= now.astimezone(LOCAL_TIME).date() else end
