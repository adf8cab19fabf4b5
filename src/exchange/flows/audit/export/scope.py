"""What an export is narrowed to, and which entries that leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError

from exchange.flows.audit.folder import about
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs.log_store import StoredEntry
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.statement_pb2 import LogEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an export is narrowed to; nothing given is the whole node.

    Attributes:
        origin: One log, from ``start`` up to, not including, ``end``.
        since: Entries from this instant on, by the time that they carry.
        until: Entries before this instant.
        subject: Entries of one firm's records.
        withheld: Show bodies, too, that a repair, revocation or withdrawal withholds.
    """

    origin: str = ""
    start: int = 0
    end: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    subject: str = ""
    withheld: bool = False

    @property
    def kind(self) -> str:
        """``whole``, ``range``, ``dates`` or ``subject``."""
        if self.origin:
            return about.RANGE
        if self.subject:
            return about.SUBJECT
        return about.DATES if self.since or self.until else about.WHOLE

    def to_json(self) -> dict[str, Any]:
        """As it stands in export.json."""
        told: Mapping[str, Any] = {
            "kind": self.kind,
            "origin": self.origin,
            "from": self.start if self.origin else None,
            "to": self.end,
            "since": about.write_instant(self.since) if self.since else None,
            "until": about.write_instant(self.until) if self.until else None,
            "subject": self.subject,
            "withheld": self.withheld,
        }
        return {name: value for name, value in told.items() if value not in (None, "")}

    def takes(self, log: LogHead) -> bool:
        """Whether the log is in the folder at all: its hashes always are, in full."""
        return not self.origin or log.origin == self.origin

    def chooses(self, log: LogHead) -> Callable[[Sequence[StoredEntry]], bool] | None:
        """What tells whether a bundle is in the folder; None where all of them are.

        For a subject nothing is told here: whose record an entry is, only the registers know.
        """
        if self.origin:
            end = log.size if self.end is None else self.end
            return lambda entries: entries[0].index < end and entries[-1].index >= self.start
        if self.since or self.until:
            times = _journal_time if log.use == "journal" else _logged_time
            return lambda entries: any(self._is_between(times(each.entry)) for each in entries)
        return None

    def _is_between(self, at: datetime | None) -> bool:
        if at is None:
            return True
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)


def _logged_time(entry: bytes) -> datetime | None:
    try:
        return LogEntry.FromString(entry).logged_at.ToDatetime(UTC)
    except (DecodeError, ValueError):
        return None


def _journal_time(entry: bytes) -> datetime | None:
    try:
        return JournalEntry.FromString(entry).at.ToDatetime(UTC)
    except (DecodeError, ValueError):
        return None
