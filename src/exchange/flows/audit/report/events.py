"""What the journal tells besides its steps: alarms, rotations, editions, officers' actions, new epochs of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import DecodeError

from exchange.flows.audit.enum_names import enum_name
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.reading import Folder, LogFolder
from exchange.flows.instants import is_instant
from exchange.tlog import tiles
from exchange.v1.journal_pb2 import (
    Activated,
    AdministratorAction,
    AlarmChanged,
    EpochOpened,
    JournalEntry,
    TrustDecided,
)
from exchange.v1.rotation_pb2 import RotationStep, RotationStepped

MAX_EVENTS = 2_000
"""Events that are told one by one, the newest; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Told:
    """One event.

    Attributes:
        what: ALARM, ROTATION, EDITION, ACTION, TRUST or EPOCH.
        code: Alarm code, name of the key, kind of edition, or the action.
        change: What became of it, as in OPENED.
        detail: Facts in the journal's own words.
    """

    at: datetime
    log: str
    index: int
    what: str
    code: str
    change: str
    detail: str


@dataclass(slots=True)
class Journaled:
    """What journals tell.

    Attributes:
        events: Newest last.
        counts: How many lines of each sort there are, by the name of the event.
        further: Events beyond ``MAX_EVENTS``.
        problems: Files that could not be read.
    """

    events: list[Told] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    further: int = 0
    problems: list[str] = field(default_factory=list)


def read_journals(folder: Folder) -> Journaled:
    """Every journal of the folder up to its checkpoint."""
    found = Journaled()
    for log in folder.logs:
        if not log.about.is_journal:
            continue
        try:
            for index, entry in _entries(log):
                name = entry.WhichOneof("event") or ""
                found.counts[name] += 1
                if name in _READERS:
                    found.events += _told(log.about.origin, index, entry, name)
                    if len(found.events) > 2 * MAX_EVENTS:
                        found.further += len(found.events) - MAX_EVENTS
                        del found.events[:-MAX_EVENTS]
        except FolderUnreadable as error:
            found.problems.append(f"{error.file}: {error.detail}")
    if len(found.events) > MAX_EVENTS:
        found.further += len(found.events) - MAX_EVENTS
        del found.events[:-MAX_EVENTS]
    return found


def _entries(log: LogFolder) -> Iterator[tuple[int, JournalEntry]]:
    for run in tiles.runs(log.about.size):
        for index, raw in enumerate(log.bundle(run) or (), run.first):
            try:
                yield index, JournalEntry.FromString(raw)
            except DecodeError:
                continue  # verify tells of it


def _told(log: str, index: int, entry: JournalEntry, name: str) -> Iterator[Told]:
    what, code, change, *detail = _READERS[name](getattr(entry, name))
    if not is_instant(entry.at):
        return  # counted; no calendar has such a day
    at = datetime.fromtimestamp(entry.at.seconds, UTC)
    yield Told(at, log, index, what, code, change, " ".join(part for part in detail if part))


def _alarm(event: AlarmChanged) -> tuple[str, ...]:
    return "ALARM", event.code, event.change, event.object, event.detail, event.actor


def _rotation(event: RotationStepped) -> tuple[str, ...]:
    step = enum_name(RotationStep, event.step, "ROTATION_STEP_")
    return "ROTATION", event.key, step, event.old_fingerprint, event.actor, event.reason


def _edition(event: Activated) -> tuple[str, ...]:
    edition = event.edition
    return "EDITION", edition.what, "ACTIVATED", edition.name, edition.digest, event.actor


def _action(event: AdministratorAction) -> tuple[str, ...]:
    return "ACTION", event.action, "", event.object, event.actor, event.reason


def _trust(event: TrustDecided) -> tuple[str, ...]:
    decided = "ACCEPTED" if event.accepted else "REFUSED"
    return "TRUST", event.peer, decided, event.fingerprint, event.actor, event.reason


def _epoch(event: EpochOpened) -> tuple[str, ...]:
    return "EPOCH", event.continues.reason or "FIRST", "", event.continues.origin


_READERS: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "alarm_changed": _alarm,
    "rotation_stepped": _rotation,
    "activated": _edition,
    "administrator_action": _action,
    "trust_decided": _trust,
    "opened": _epoch,
}
"""How each event is told that is rare enough to be told one by one."""
