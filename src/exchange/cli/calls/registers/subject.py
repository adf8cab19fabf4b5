"""``subject``: all that both regions state of a firm, today or on a past date."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.calls.exchanged.records import RECORD_HEADINGS, view_cells
from exchange.cli.calls.shown import words
from exchange.cli.calls.shown.export import CsvOption, Files, XlsxOption
from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Output, as_dict, moment
from exchange.cli.texts import t, word
from exchange.flows.context import LOCAL_TIME
from exchange.v1.check_service_pb2 import GetSubjectRequest
from exchange.v1.credit_result_pb2 import CreditLevel
from exchange.v1.credit_service_pb2 import Knowledge

if TYPE_CHECKING:
    from exchange.v1.check_service_pb2 import GetSubjectResponse
    from exchange.v1.record_service_pb2 import RecordView

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
    csv: CsvOption = None,
    xlsx: XlsxOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all that both regions state of a firm, today or on a past date."""
    out = Output(as_json)
    files = Files(csv, xlsx)
    request = GetSubjectRequest(uscc=uscc, include_history=history)
    if as_of:
        request.as_of.FromDatetime(_end_of(as_of))
    with client(profile) as node:
        answer = node.call(node.checks.GetSubject, request)
    if files.wanted:
        files.write(out, "subject", ("part", *RECORD_HEADINGS), _lines(answer))
    if out.as_json:
        out.value(as_dict(answer))
        return
    if not files.wanted:
        out.table(("origin", "knowledge", "level"), _standings(answer), title=t("title.credit"))
        for title, views in _parts(answer):
            out.table(RECORD_HEADINGS, [view_cells(view) for view in views], title=title)
    for told in _left_out(answer):
        out.say(told)
    out.table(
        ("peer", "lane", "complete_until", "stale"),
        [(f.peer, words.lane_word(f.lane), moment(f.complete_until), f.stale) for f in answer.freshness],
        title=t("title.freshness"),
    )


def _standings(answer: GetSubjectResponse) -> list[tuple[str, str, str]]:
    """What is known of the firm's credit, by region."""
    return [
        (
            region.origin,
            word("knowledge", Knowledge.Name(region.knowledge).removeprefix("KNOWLEDGE_")),
            word("level", CreditLevel.Name(region.decisive_level).removeprefix("CREDIT_LEVEL_"))
            if region.decisive_level
            else "",
        )
        for region in answer.credit
    ]


def _parts(answer: GetSubjectResponse) -> Iterator[tuple[str, Sequence[RecordView]]]:
    """The parts that hold something, each with its title."""
    results = [view for region in answer.credit for view in region.results]
    for title, views in (("title.results", results), *((title, getattr(answer, field)) for field, title in _TABLES)):
        if views:
            yield t(title), views


def _left_out(answer: GetSubjectResponse) -> Iterator[str]:
    """What the answer does not hold, and why."""
    for name, left_out in (("message.not_granted", answer.not_granted), ("message.cut", answer.cut)):
        if left_out:
            yield t(name, kinds=", ".join(words.kind_word(kind) for kind in left_out))


def _lines(answer: GetSubjectResponse) -> Iterator[tuple[object, ...]]:
    """The whole answer as lines of one table: who has only the file must see, too, what is not in it."""
    for origin, knowledge, level in _standings(answer):
        yield t("title.credit"), "", "", origin, "", "", f"{knowledge} {level}".strip(), "", "", ""
    for title, views in _parts(answer):
        for view in views:
            yield title, *view_cells(view)
    for told in _left_out(answer):
        yield t("title.left_out"), "", "", "", "", "", told, "", "", ""


def _end_of(text: str) -> datetime:
    """The last instant of a date in the time of both regions, or now where the day is not over."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(t("message.date_wanted"), param_hint="--as-of") from None
    end = datetime.combine(day + timedelta(days=1), time(), LOCAL_TIME) - timedelta(microseconds=1)
    now = datetime.now(UTC)
    return min(end, now) if day <= now.astimezone(LOCAL_TIME).date() else end
