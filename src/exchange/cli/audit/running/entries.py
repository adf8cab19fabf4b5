"""``audit entries``: a stretch of one log, by what each entry is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from google.protobuf.message import DecodeError

from exchange.cli.calls.shown import words
from exchange.cli.options import DEFAULT_LIMIT, JsonOption, LimitOption, ProfileOption, client
from exchange.cli.output import Output, as_dict, moment
from exchange.cli.texts import t, word
from exchange.tlog.errors import LogFormatError
from exchange.tlog.origin import LogName, OriginUse
from exchange.v1.audit_service_pb2 import Entry, StreamEntriesRequest
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

if TYPE_CHECKING:
    from exchange.rpc.client import Client

OriginArgument = Annotated[str, typer.Argument(help=t("option.log_origin"))]


def list_entries(
    origin: OriginArgument,
    profile: ProfileOption = None,
    *,
    start: Annotated[int, typer.Option("--start", help=t("option.start"), min=0)] = 0,
    limit: LimitOption = DEFAULT_LIMIT,
    as_json: JsonOption = False,
) -> None:
    """Show entries from an index on; with ``--json`` one on each line, with the exact bytes in base64."""
    out = Output(as_json)
    with client(profile) as node:
        found = _entries(node, origin, start, limit)
        if out.as_json:
            for entry in found:
                out.line(as_dict(entry))
            return
        journal = _is_journal(origin)
        out.table(("index", "at", "kind", "content"), [_cells(entry, journal=journal) for entry in found])


def _entries(node: Client, origin: str, start: int, limit: int) -> Iterator[Entry]:
    left = limit
    request = StreamEntriesRequest(origin=origin, start=start)
    for message in node.stream(node.audit.StreamEntries, request):
        yield from message.entries[:left]
        left -= len(message.entries)
        if left <= 0:
            return


def _is_journal(origin: str) -> bool:
    try:
        return LogName.parse(origin).use is OriginUse.JOURNAL
    except LogFormatError:
        return False


def _cells(entry: Entry, *, journal: bool) -> tuple[int, datetime | None, str, str]:
    try:
        if journal:
            line = JournalEntry.FromString(entry.entry)
            event = line.WhichOneof("event") or ""
            return entry.index, moment(line.at), word("journal_line", event), _gist(line, event)
        logged = LogEntry.FromString(entry.entry)
        statement = Statement.FromString(Envelope.FromString(logged.envelope).payload)
    except DecodeError:
        return entry.index, None, "", t("message.unreadable")
    said = f"{statement.record_id} #{statement.revision}"
    return entry.index, moment(logged.logged_at), words.kind_word(statement.kind), said


MAX_GIST = 300
"""Characters of a journal line in a table; ``--json`` has all of it."""


def _gist(line: JournalEntry, event: str) -> str:
    if not event:
        return ""
    told = as_dict(getattr(line, event))
    return " ".join(f"{name}={_shown(value)}" for name, value in told.items())[:MAX_GIST]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
