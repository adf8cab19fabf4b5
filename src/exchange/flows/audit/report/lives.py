"""The life of each log: what was logged and seen by the other side when, how long it waited, what it was answered.

Everything here is read off the folder and believed as it lies there: what is proven, ``verify`` says. Memory is a few
bytes for each entry; bodies pass by one at a time.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from google.protobuf.message import DecodeError

from exchange.domain.record_index import is_recognised_kind
from exchange.flows.audit.enum_names import as_byte
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.reading import Folder, LogFolder
from exchange.flows.audit.skips import Skips
from exchange.flows.instants import is_instant
from exchange.tlog import cosignature, note, tiles
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_V1
from exchange.v1.kind_pb2 import Kind, Outcome
from exchange.v1.recognition_pb2 import Recognition
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

OUTAGE_SECONDS = 300
"""An entry that waits longer for the other side is an outage: several times what a busy lane needs."""

MAX_OUTAGES = 200
"""Outages of one log that are told apart; the longest ones."""

COSIGNATURE_BYTES = 8 + cosignature.SIGNATURE_SIZES[COSIGNATURE_V1]


@dataclass(frozen=True, slots=True)
class Outage:
    """Entries that waited for the other side.

    Attributes:
        begin: When the first of them was logged, Unix seconds.
        end: When the other side had seen them.
        entries: How many.
    """

    begin: int
    end: int
    entries: int


@dataclass(slots=True)
class Life:
    """One log.

    Attributes:
        logged: When each entry was logged, Unix seconds, by the owner's clock.
        seen: (size, Unix seconds) of each cosigned note, by the other side's clock.
        kinds: Kind of each entry; 0 where it can not be read.
        decisions: Recognitions that stand in it.
        problems: Files that could not be read.
    """

    origin: str
    use: str
    peer: str
    lane: int
    size: int
    promised: int
    logged: array[int] = field(default_factory=lambda: array("q"))
    seen: list[tuple[int, int]] = field(default_factory=list)
    kinds: bytearray = field(default_factory=bytearray)
    decisions: list[Recognition] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def seen_at(self, index: int) -> int | None:
        """When the first note that covers an entry was cosigned."""
        at = bisect_right(self.seen, (index, 1 << 62))
        return self.seen[at][1] if at < len(self.seen) else None

    def lags(self, kind: int) -> list[int]:
        """Seconds from logging to the other side's cosignature, rising, of entries of a kind."""
        found = []
        at = 0
        for index, logged in enumerate(self.logged):
            while at < len(self.seen) and self.seen[at][0] <= index:
                at += 1
            if at < len(self.seen) and self.kinds[index] == kind:
                found.append(max(0, self.seen[at][1] - logged))
        return sorted(found)

    def outages(self) -> list[Outage]:
        """Stretches in which entries waited longer than ``OUTAGE_SECONDS``, oldest first."""
        found = []
        first = 0
        for size, at in self.seen:
            if size > first:
                begin = min(self.logged[first:size], default=at)
                if at - begin > OUTAGE_SECONDS:
                    found.append(Outage(begin, at, size - first))
                first = size
        longest = sorted(found, key=lambda each: each.end - each.begin, reverse=True)[:MAX_OUTAGES]
        return sorted(longest, key=lambda each: each.begin)


Counted = Mapping[tuple[int, int], int]
"""How many entries by (kind, outcome); outcome 0 for those that nothing answered yet."""


def lives(folder: Folder) -> Iterator[Life]:
    """Each log of records, as it is read; the journal has no life of this sort."""
    for log in folder.logs:
        if log.about.is_journal or not log.about.size:
            continue
        about = log.about
        life = Life(about.origin, about.use, about.peer, about.lane, about.size, about.promised)
        _notes(log, life)
        _entries(log, life)
        yield life


def _notes(log: LogFolder, life: Life) -> None:
    found: dict[int, int] = {}
    try:
        for size, signed in log.notes():
            at = _cosigned(signed)
            if at is not None:
                found[size] = at
    except FolderUnreadable as error:
        life.problems.append(f"{error.file}: {error.detail}")
    head = log.checkpoint()
    at = _cosigned(head) if head is not None else None
    if at is not None:
        found.setdefault(log.about.size, at)
    earlier = None
    for size in sorted(found, reverse=True):  # whoever saw a larger tree by then had seen the smaller one
        earlier = found[size] if earlier is None else min(earlier, found[size])
        life.seen.append((size, earlier))
    life.seen.reverse()


def _cosigned(signed: bytes) -> int | None:
    """Time of the earliest cosignature of a note: its line carries eight bytes of time before 64 of signature."""
    try:
        lines = note.parse(signed).signatures
    except LogFormatError:
        return None
    payloads = [line.signature for line in lines if len(line.signature) == COSIGNATURE_BYTES]
    try:
        times = [cosignature.parse(payload).time for payload in payloads]
    except LogFormatError:
        return None
    return min(times, default=None)


def _entries(log: LogFolder, life: Life) -> None:
    for run in tiles.runs(log.about.size):
        wanted: dict[int, int] = {}
        try:
            bundle = log.bundle(run) or [b""] * run.width
        except FolderUnreadable as error:
            life.problems.append(f"{error.file}: {error.detail}")
            bundle = [b""] * run.width
        for index, raw in enumerate(bundle, run.first):
            logged, kind = _read(raw)
            life.logged.append(logged or (life.logged[-1] if life.logged else 0))
            life.kinds.append(kind if 0 <= kind < 256 else 0)
            if kind == Kind.KIND_RECOGNITION:
                wanted[index] = kind
        if wanted:
            _decisions(log, run, wanted, life)


def _read(raw: bytes) -> tuple[int, int]:
    try:
        entry = LogEntry.FromString(raw)
        said = Statement.FromString(Envelope.FromString(entry.envelope).payload)
    except DecodeError:
        return 0, 0
    return entry.logged_at.seconds if is_instant(entry.logged_at) else 0, said.kind


def _decisions(log: LogFolder, run: tiles.Run, wanted: Mapping[int, int], life: Life) -> None:
    try:
        with log.bodies(run) as archive:
            for body in archive.bodies() if archive is not None else ():
                if body.index in wanted:
                    life.decisions.append(Record.FromString(body.body).recognition)
    except (FolderUnreadable, DecodeError) as error:
        life.problems.append(f"{log.bodies_path(run)}: {error}")


def outcomes(all_lives: Sequence[Life]) -> dict[str, bytearray]:
    """For each log, the outcome of each entry by the decisions that lie in any other log; 0 where there is none."""
    by_origin = {life.origin: life for life in all_lives}
    answers = {life.origin: bytearray(len(life.kinds)) for life in all_lives}
    revised: dict[tuple[str, int], int] = {}
    skips = {life.origin: Skips(len(life.kinds)) for life in all_lives}
    for life in all_lives:
        for decision in life.decisions:
            answered = answers.get(decision.answered_log)
            if answered is None:
                continue
            kinds, skip = by_origin[decision.answered_log].kinds, skips[decision.answered_log]
            for index in skip.fresh(decision.first, decision.end) if decision.default_outcome else ():
                if is_recognised_kind(kinds[index]) and not answered[index]:  # type: ignore[arg-type]
                    answered[index] = as_byte(decision.default_outcome)
            for item in decision.items:
                key = (decision.answered_log, item.index)
                if not item.part and 0 <= item.index < len(answered) and item.decision_revision >= revised.get(key, 0):
                    revised[key] = item.decision_revision
                    answered[item.index] = as_byte(item.outcome)
    return answers


def counted(life: Life, answered: bytearray) -> Counted:
    """How many entries of a log by kind and outcome."""
    found: dict[tuple[int, int], int] = {}
    for kind, outcome in zip(life.kinds, answered, strict=True):
        found[kind, outcome] = found.get((kind, outcome), 0) + 1
    return found


def moment(seconds: int) -> datetime:
    """An instant."""
    return datetime.fromtimestamp(seconds, UTC)


OUTCOMES = tuple(number for number in Outcome.values() if number)
"""Outcomes in their order."""
