"""``watch``: follow what I sent, or what arrived for me; a cursor file lets the next run go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from exchange.cli.calls.exchanged.records import RECORD_HEADINGS, view_cells
from exchange.cli.calls.exchanged.submissions import SUBMISSION_HEADINGS, submission_rows
from exchange.cli.options import JsonOption, ProfileOption, client, read_kind
from exchange.cli.output import Output, as_dict, moment
from exchange.cli.texts import t
from exchange.rpc.failure import CallFailed
from exchange.v1.record_service_pb2 import WatchRecordsRequest
from exchange.v1.submission_service_pb2 import WatchSubmissionsRequest

if TYPE_CHECKING:
    from exchange.rpc.client import Client

RECONNECT_S: Final = 2.0
"""Seconds between attempts when the node goes away: an operator's restart takes about as long."""

MAX_CURSOR_BYTES: Final = 4_096
"""Bytes of a cursor file: a cursor is some dozens of characters."""


def watch(
    what: Annotated[str, typer.Argument(help=t("option.watched"), metavar="submissions|records")],
    profile: ProfileOption = None,
    *,
    cursor: Annotated[Path | None, typer.Option("--cursor", help=t("option.cursor"), dir_okay=False)] = None,
    from_start: Annotated[bool, typer.Option("--from-start", help=t("option.from_start"))] = False,
    kinds: Annotated[list[str] | None, typer.Option("--kind", "-k", help=t("option.kind"))] = None,
    until_caught_up: Annotated[bool, typer.Option("--until-caught-up", help=t("option.until_caught_up"))] = False,
    as_json: JsonOption = False,
) -> None:
    """Follow submissions or records, at least once each and in lane order."""
    if what not in ("submissions", "records"):
        raise typer.BadParameter(t("message.unknown_choice", name=what, known="submissions, records"))
    out = Output(as_json)
    wanted = [read_kind(kind) for kind in kinds or []]
    place = _Cursor(cursor)
    headings = SUBMISSION_HEADINGS if what == "submissions" else RECORD_HEADINGS
    out.say(" │ ".join(t(f"heading.{heading}") for heading in headings), style="bold")
    try:
        with client(profile) as node:
            while True:
                try:
                    for message in _stream(node, what, place.text, from_start=from_start, kinds=wanted):
                        caught_up = _show(out, message)
                        # Kept only after it was shown: a crash between the two shows it again, never skips it.
                        place.keep(message.cursor)
                        if caught_up and until_caught_up:
                            return
                except CallFailed as failure:
                    if not failure.away or until_caught_up:
                        raise
                    sys.stderr.write(t("message.node_away", seconds=f"{RECONNECT_S:g}") + "\n")
                time.sleep(RECONNECT_S)
    except KeyboardInterrupt:
        return


def _stream(node: Client, what: str, cursor: str, *, from_start: bool, kinds: list[Any]) -> Iterator[Any]:

    if what == "submissions":
        request = WatchSubmissionsRequest(cursor=cursor, from_start=from_start and not cursor)
        return node.stream(node.submissions.WatchSubmissions, request)
    return node.stream(
        node.records.WatchRecords, WatchRecordsRequest(cursor=cursor, from_start=from_start and not cursor, kinds=kinds)
    )


def _show(out: Output, message: Any) -> bool:
    """Print a message; True when it says that everything up to now has been sent."""
    event = message.WhichOneof("event")
    if out.as_json:
        if event != "heartbeat":
            out.line(as_dict(message), now=True)
    elif event == "submission":
        _lines(out, submission_rows, message.submission)
    elif event == "record":
        _lines(out, lambda view: [view_cells(view)], message.record)
    elif event == "caught_up":
        out.say(t("message.caught_up", at=moment(message.caught_up.at)), style="dim")
    return bool(event == "caught_up")


def _lines(out: Output, rows: Callable[[Any], list[tuple[object, ...]]], item: Any) -> None:
    # One line each: a table would have to be held back until the stream ends.
    for row in rows(item):
        out.say(" │ ".join(str(cell if cell is not None else "").replace("\n", "; ") for cell in row))


class _Cursor:
    """Where the stream stands, in memory or in a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.text = ""
        if path is not None and path.exists():
            if path.stat().st_size > MAX_CURSOR_BYTES:
                raise typer.BadParameter(t("message.bad_cursor", file=path))
            try:
                self.text = path.read_text("utf-8").strip()
            except UnicodeDecodeError:
                raise typer.BadParameter(t("message.bad_cursor", file=path)) from None

    def keep(self, cursor: str) -> None:
        """Remember a cursor; on disk, when there is a file, before the next message is shown."""
        if not cursor or cursor == self.text:
            return
        self.text = cursor
        if self._path is not None:
            made = self._path.with_name(f".{self._path.name}.new")
            made.write_text(cursor + "\n", "utf-8")
            made.replace(self._path)
