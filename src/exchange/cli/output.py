"""What a command prints: JSON that is never translated, or tables for people."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from exchange.cli.details import told
from exchange.cli.texts import detail_of, reason_text, t
from exchange.domain.problems import ExchangeError, Problem

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

WIDTH_WHEN_PIPED: Final = 160
"""Columns of a table that does not go to a terminal: wide enough that no cell of ours is folded."""


WHOLE: Final = frozenset({"record_id", "quarantine_id"})
"""Columns that are never folded: people copy them."""


_STEERING: Final = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Controls beyond those that JSON escapes, what changes the direction of text or hides, and lone surrogates."""


_AUDITED = frozenset({"AUDIT_FOLDER_FORM", "HEADS_UNREADABLE"})
"""Reasons whose details are told in both languages."""


class Exit(IntEnum):
    """Exit status, the same for every command."""

    DONE = 0
    FINDING = 1
    USAGE = 2
    UNDECIDABLE = 3


class Undecidable(ExchangeError):
    """The question could not be answered: material is missing. Exit status 3."""

    undecidable = True

    def __init__(self, reason: str, place: str, detail: str = "") -> None:
        super().__init__(f"{place} {detail}".strip())
        self.reason = reason
        self.problems = (Problem(reason, place, detail),)


@dataclass(frozen=True, slots=True)
class Output:
    """Where the results of one command go.

    Attributes:
        as_json: One JSON value on standard output instead of tables.
    """

    as_json: bool

    def value(self, value: object) -> None:
        """Print a JSON value."""
        sys.stdout.write(_json(value, indent=2) + "\n")

    def line(self, value: object, *, now: bool = False) -> None:
        """Print a JSON value on one line.

        Args:
            value: The value.
            now: Let whoever reads a pipe see it at once; for streams that wait.
        """
        sys.stdout.write(_json(value) + "\n")
        if now:
            sys.stdout.flush()

    def say(self, text: str, *, style: str = "") -> None:
        """Print one line for people; nothing with ``--json``."""
        if not self.as_json:
            console().print(Text(clean(text), style=style), soft_wrap=True)

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
        """Print a table for people; nothing with ``--json``.

        Args:
            headings: Names in the group ``heading`` of the table of texts.
            rows: Cells; None is shown as nothing.
            title: Above the table.
        """
        if self.as_json:
            return

        table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in headings:
            table.add_column(t(f"heading.{heading}"), overflow="fold", no_wrap=heading in WHOLE)
        for row in rows:
            table.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
        console().print(table)

    def facts(self, pairs: Iterable[tuple[str, object]], *, title: str = "") -> None:
        """Print names and values under one another; empty values are left out."""
        self.table(
            ("name", "value"),
            [(t(f"heading.{name}"), value) for name, value in pairs if value not in (None, "")],
            title=title,
        )

    def problems(self, problems: Iterable[Problem]) -> None:
        """Print broken rules with what to do about each."""
        self.table(
            ("reason", "place", "meaning", "remedy"),
            [
                (
                    p.reason,
                    p.place,
                    "\n".join(filter(None, (reason_text(p.reason).message, p.detail))),
                    reason_text(p.reason).remedy,
                )
                for p in problems
            ],
        )


def _json(value: object, indent: int | None = None) -> str:
    """JSON in which whatever steers a terminal, or is no UTF-8, is escaped: it stands in strings only."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _STEERING.sub(lambda found: json.dumps(found[0])[1:-1], text)


class _Console(Console):
    """A console whose reader may go away: rich would end the process by status 1, which is a finding's."""

    def on_broken_pipe(self) -> None:
        """Leave it to the root of the command line."""
        raise BrokenPipeError


def console() -> Console:
    """Where tables go. Made anew each time, so that a redirected standard output is honoured."""
    width = None if sys.stdout.isatty() else WIDTH_WHEN_PIPED
    return _Console(highlight=False, markup=False, width=width)


def clean(value: object) -> str:
    """A cell's text without control characters: what others wrote must not steer the officer's terminal."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return t("word.yes") if value else t("word.no")
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return "".join(c if c == "\n" or unicodedata.category(c)[0] != "C" else "�" for c in str(value))


def moment(at: Timestamp) -> datetime | None:
    """The instant of a protobuf timestamp; None where it is not set."""
    return at.ToDatetime(UTC) if at.seconds or at.nanos else None


def as_dict(message: Message) -> dict[str, Any]:
    """A message as protobuf's own JSON, with the schema's field names."""
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415  (not needed for --help)

    return MessageToDict(message, preserving_proto_field_name=True)


def problem_dicts(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Problems for ``--json``."""
    return [{"reason": p.reason, "place": p.place, "detail": p.detail} for p in problems]


def finish(status: Exit) -> NoReturn:
    """End the command with an exit status."""
    raise typer.Exit(int(status))


def report_failure(error: ExchangeError, *, as_json: bool) -> Exit:
    """Print why a command failed, and give its exit status."""
    named: tuple[Problem, ...] = getattr(error, "problems", ())
    problems = tuple(Problem(p.reason, p.place, detail_of(p.reason, p.detail)) for p in named)
    away = bool(getattr(error, "away", False)) or bool(getattr(error, "undecidable", False))
    retry_after = getattr(error, "retry_after", None)
    if as_json:
        body: dict[str, object] = {
            "reason": error.reason,
            "message": str(error),
            "problems": problem_dicts(problems),
        }
        if retry_after is not None:
            body["retry_after_seconds"] = retry_after
        Output(as_json=True).value({"error": body})
    else:
        _tell(error, problems, retry_after)
    if error.reason == "PROFILE_INVALID":
        return Exit.USAGE
    return Exit.UNDECIDABLE if away else Exit.FINDING


def _tell(error: ExchangeError, problems: Sequence[Problem], retry_after: float | None) -> None:

    stream = Console(stderr=True, highlight=False, markup=False)
    shown = problems or [Problem(error.reason, "", detail_of(error.reason, str(error)))]
    for problem in shown:
        text = reason_text(problem.reason)
        head = " ".join(filter(None, (problem.reason, clean(problem.place))))
        stream.print(Text(head, style="bold red"), soft_wrap=True)
        detail = told(problem.detail) if problem.reason in _AUDITED else problem.detail
        for line in (text.message, clean(detail), f"→ {text.remedy}" if text.remedy else ""):
            if line and line != problem.reason:
                stream.print(Text(f"  {line}"), soft_wrap=True)
    if retry_after is not None:
        stream.print(t("message.retry_after", seconds=f"{retry_after:g}"), soft_wrap=True)
