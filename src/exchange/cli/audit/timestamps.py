"""``audit timestamps``: a third party's word for when the head of a log was there, and how long nobody gave one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from google.protobuf.timestamp_pb2 import Timestamp as Instant

from exchange.cli.options import JsonOption, ProfileOption, client
from exchange.cli.output import Output, as_dict, moment
from exchange.cli.texts import t
from exchange.v1.audit_service_pb2 import ListTimestampsRequest, Timestamp, Unstamped

if TYPE_CHECKING:
    from exchange.rpc.client import Client


def list_timestamps(
    origin: Annotated[str, typer.Argument(help=t("option.timestamp_origin"), show_default=False)] = "",
    profile: ProfileOption = None,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=t("option.timestamp_folder"), file_okay=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List time stamps with how long the oldest entry of each had waited, and the logs that wait now."""
    out = Output(as_json)
    waiting: list[Unstamped] = []
    with client(profile) as node:
        found = list(_all(node, origin, waiting))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        for each in found:
            name = str(each.size) if origin else f"{each.origin.replace('/', '_')}_{each.size}"
            (output / f"{name}.note").write_bytes(each.note)
            (output / f"{name}.tsr").write_bytes(each.token)
        out.say(t("message.written", file=output))
    if out.as_json:
        out.value({"timestamps": [as_dict(each) for each in found], "waiting": [as_dict(each) for each in waiting]})
        return
    out.table(
        ("log", "size", "stamped", "oldest_cosigned", "waited", "service"),
        [
            (
                each.origin,
                each.size,
                moment(each.stamped_at),
                moment(each.since),
                _between(each.since, each.stamped_at),
                each.service,
            )
            for each in found
        ],
    )
    if waiting:
        rows = [(each.origin, each.size, moment(each.since)) for each in waiting]
        out.table(("log", "size", "oldest_cosigned"), rows, title=t("title.unstamped"))


def _all(node: Client, origin: str, waiting: list[Unstamped]) -> Iterator[Timestamp]:
    request = ListTimestampsRequest(origin=origin)
    while True:
        answer = node.call(node.audit.ListTimestamps, request)
        waiting[:] = answer.waiting
        yield from answer.timestamps
        if not origin or not answer.timestamps:
            return
        request.above = answer.timestamps[-1].size


def _between(first: Instant, last: Instant) -> str:
    """Whole seconds, without a sign: both clocks may differ by some."""
    begin, end = moment(first), moment(last)
    if not isinstance(begin, datetime) or not isinstance(end, datetime):
        return ""
    return f"{max(0, round((end - begin).total_seconds()))} s"
