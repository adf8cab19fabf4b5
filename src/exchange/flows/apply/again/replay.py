"""Replay: walking a journal's steps over its logs gives its registers, byte for byte.

Each outcome is taken from the decision that the step recorded; nothing is decided again. What depends on an erased
body can not be computed: its digest leaves are taken as kept, and its row is what the statement alone gives, which
is what the Erasure later in the log leaves anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

from google.protobuf.message import DecodeError

from exchange.domain.journal_parts import join, pieces_of
from exchange.flows.apply.again.ahead import Ahead
from exchange.flows.apply.again.journaled import is_register_event
from exchange.flows.apply.again.recorded import Rulings, read_rulings, ruling_for
from exchange.flows.apply.again.revoked import decision_revision
from exchange.flows.apply.applier import Applier
from exchange.flows.apply.deciding.ruling import Ruling
from exchange.flows.apply.entry import ReadEntry
from exchange.flows.apply.loop import START_DIGEST
from exchange.flows.apply.steps import (
    INTERNAL,
    STEP_ENTRIES,
    Note,
    ReadRun,
    Redecide,
    StepPlan,
    digest_leaves,
    is_answer,
    is_run,
    plan,
)
from exchange.flows.instants import instant, micros_of
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead, Transaction
from exchange.storage.logs import log_store
from exchange.storage.registers import registers
from exchange.storage.registers.registers import SEQ_CURSOR, Change
from exchange.v1.journal_pb2 import EvidenceKept, JournalEntry, Step
from exchange.v1.record_pb2 import Record

PAGE = 256
"""Journal entries read at once."""


@dataclass(frozen=True, slots=True)
class ReplayedStep:
    """One step of the journal, computed again.

    Attributes:
        index: Of the step in its journal.
        event: Its line.
        digest: Running digest that follows from the one before it in the journal.
        agrees: Whether that is the one that the journal names.
        whole: Whether everything that the digest is made of was here: bodies, or the leaves kept for them.
    """

    journal: str
    index: int
    event: JournalEntry
    plan: StepPlan
    digest: bytes
    agrees: bool
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Position:
    """How far a journal was walked.

    Attributes:
        epoch: Epochs before this one were walked to where they hold; 0 before the first.
        next: Entries of it that were walked.
        digest: Running digest at that point, as the journal has it.
    """

    epoch: int = 0
    next: int = 0
    digest: bytes = START_DIGEST


class Views(Protocol):
    """What gives short consistent views of a database."""

    def read(self) -> AbstractContextManager[Connection]:
        """One view."""
        ...


class LineUnreadable(LookupError):
    """An entry of a journal that is none.

    Attributes:
        journal: Origin of the journal's epoch.
        index: Of the entry.
    """

    def __init__(self, journal: str, index: int) -> None:
        super().__init__(f"{journal}#{index}")
        self.journal, self.index = journal, index


Stop = Callable[[LogHead, int, JournalEntry], bool]
"""Says before a line whether the walk ends there."""


def nowhere(_book: LogHead, _index: int, _event: JournalEntry) -> bool:
    """Walk to the end."""
    return False


Write = Callable[[Sequence[Change], int, StepPlan | None], None]
"""Writes row changes, and the position that the plan reached, where the replay keeps its registers."""

TakeEvent = Callable[[LogHead, int, JournalEntry], None]
"""Carries out a line of a journal that changes registers by itself: the journal's epoch, the index, the line."""


def journals(connection: Connection) -> list[LogHead]:
    """Every epoch of the journal, oldest first."""
    found = [log for log in log_store.heads(connection) if log.use == "journal"]
    return sorted(found, key=lambda log: log.epoch)


def events(connection: Connection, book: LogHead, start: int, end: int) -> Iterator[tuple[int, JournalEntry]]:
    """Events of a journal, in order; one that is too large for an entry stands where its pieces are joined."""
    while start < end:
        page = log_store.entries(connection, book.id, start, min(end, start + PAGE), bodies=False)
        for raw in page:
            try:
                event = JournalEntry.FromString(raw.entry)
            except DecodeError:
                raise LineUnreadable(book.origin, raw.index) from None
            if pieces := pieces_of(event, raw.index):
                found = log_store.entries_at(connection, book.id, pieces)
                event = join(event, [found[index].entry for index in pieces])
            yield raw.index, event
        start += len(page)


def epochs(connection: Connection) -> list[tuple[LogHead, int]]:
    """Every epoch of the journal with the size up to which its steps hold."""
    books = journals(connection)
    held = {book.origin: book.size for book in books}
    for book in books:
        first = next((event for _, event in events(connection, book, 0, min(1, book.size))), None)
        if first is not None and first.HasField("opened") and first.opened.HasField("continues"):
            held[first.opened.continues.origin] = first.opened.continues.size
    return [(book, held[book.origin]) for book in books]


class Replay:
    """Computes every step of a journal again, in order, writing as it goes. Every read is a short one.

    Args:
        node: Tables and names.
        source: Where logs and journal lie.
        target: Where the registers that are being made are read: empty, or the source with its registers cleared.
        write: Writes them.
        take: Takes a line that changes registers by itself.
        ahead: Reads entries before their step's turn; None: they are read in turn.
    """

    def __init__(
        self,
        node: Applier,
        source: Views,
        target: Views,
        write: Write,
        take: TakeEvent,
        ahead: Ahead | None = None,
    ) -> None:
        self._node = node
        self._source = source
        self._target = target
        self._write = write
        self._take = take
        self._ahead = ahead
        self.position = Position()

    def steps(self, stop: Stop = nowhere) -> Iterator[ReplayedStep]:
        """Walk on from ``position`` to the sizes that the journal's epochs have when this begins.

        Raises:
            LookupError: A step reads a log, or takes a decision, that is not here; ``position`` stands before it.
        """
        with self._source.read() as logs, self._target.read() as state:
            held = epochs(logs)
            self._heads = {log.origin: log for log in log_store.heads(logs)}
            self._next_seq = registers.next_indices(state).get(SEQ_CURSOR, 1)
        self._origins = {log.id: log.origin for log in self._heads.values()}
        for book, end in held:
            if book.epoch < self.position.epoch:
                continue
            if book.epoch > self.position.epoch:
                self.position = replace(self.position, epoch=book.epoch, next=0)
            for begin in range(self.position.next, end, PAGE):
                # The notes of a page's last step stand behind it.
                with self._source.read() as logs:
                    page = list(events(logs, book, begin, min(book.size, begin + PAGE + STEP_ENTRIES)))
                for at, (index, event) in enumerate(page[: min(PAGE, end - begin)]):
                    if stop(book, index, event):
                        return
                    if is_register_event(event):
                        self._take(book, index, event)
                    step = self._step(book, index, event, page[at + 1 :]) if event.HasField("step") else None
                    digest = event.step.digest if step is not None else self.position.digest
                    self.position = Position(book.epoch, index + 1, digest)
                    if step is not None:
                        yield step

    def _step(
        self, book: LogHead, index: int, event: JournalEntry, behind: Sequence[tuple[int, JournalEntry]]
    ) -> ReplayedStep:
        with self._source.read() as logs, self._target.read() as state:
            read = None
            if self._ahead is not None:
                coming = (each.step for _, each in behind if each.HasField("step"))
                self._ahead.look(self._heads, chain((event.step,), coming), self._next_seq)
                read = self._ahead.take
            notes = _notes(behind, event)
            step = again(self._node, logs, state, self._heads, event, notes, self._next_seq, read)
            leaves, whole = self._leaves(logs, book, index, step)
        digest = registers.fold(self.position.digest, leaves)
        self._write(step.changes, step.next_seq, step)
        self._next_seq = step.next_seq
        return ReplayedStep(book.origin, index, event, step, digest, digest == event.step.digest, whole)

    def _leaves(self, logs: Connection, book: LogHead, index: int, step: StepPlan) -> tuple[list[bytes], bool]:
        """The step's leaves; those of entries whose bodies are erased are taken as kept, where they were."""
        computed = digest_leaves(step.changes, self._origins)
        kept = registers.leaves_of(logs, book.id, index) if step.erased_places else None
        if kept is None:
            return [leaf for _, leaf in computed], not step.erased_places
        return _merged(computed, registers.unpack_leaves(kept), step.erased_places), True


def _notes(behind: Sequence[tuple[int, JournalEntry]], step: JournalEntry) -> dict[int, EvidenceKept]:
    """The notes that a step made: they stand right behind it, about its own log and of its own instant."""
    found: dict[int, EvidenceKept] = {}
    for _, event in behind:
        own = event.at == step.at and event.evidence_kept.log == step.step.source_log
        if not event.HasField("evidence_kept") or not own:
            break
        found.setdefault(event.evidence_kept.position, event.evidence_kept)
    return found


def again(
    node: Applier,
    logs: Connection,
    state: Connection,
    heads: Mapping[str, LogHead],
    event: JournalEntry,
    notes: Mapping[int, EvidenceKept],
    next_seq: int,
    read: ReadRun | None = None,
) -> StepPlan:
    """One step of a journal, computed again over the registers as they stand.

    Args:
        node: The node.
        logs: Where the logs are read.
        state: Where the registers are read.
        heads: The logs, by origin.
        event: The step's line.
        notes: Those that it made.
        next_seq: Number of the next row change.
        read: Gives its entries, where they were read before.

    Raises:
        LookupError: It reads entries, or takes a decision, that are not here.
    """
    step = event.step
    source = heads.get(step.source_log)
    if source is None or source.size < step.end:
        raise LookupError(f"{step.source_log}#{step.end - 1}")
    if not is_run(source, step.first, step.end):
        raise LookupError(f"{step.source_log} [{step.first}, {step.end})")
    rulings = _rulings(logs, heads, step)
    redecisions = [
        Redecide(item.index, item.cause, decision_revision(logs, state, source, item.index))
        for item in step.redecisions
    ]

    def recorded(entry: ReadEntry) -> Ruling | None:
        ruling = ruling_for(entry, rulings)
        if ruling is None and not is_answer(entry):
            raise LookupError(f"no decision was recorded for {step.source_log}#{entry.index}")
        return ruling

    return plan(
        node,
        logs,
        state,
        source,
        step.first,
        step.end,
        instant(micros_of(event.at)),
        next_seq,
        recorded=recorded if source.use == "mirror" else None,
        redecisions=redecisions,
        parked={at: note.evidence.decode() for at, note in notes.items() if note.reason == INTERNAL},
        journaled={at: Note(note.reason, at, note.evidence) for at, note in notes.items()},
        read=read,
    )


def _rulings(logs: Connection, heads: Mapping[str, LogHead], step: Step) -> Rulings:
    """What the step's decision says of its own log."""
    for decision in step.decisions:
        log = heads.get(decision.log)
        found = log_store.entries_at(logs, log.id, [decision.index]) if log else {}
        raw = found.get(decision.index)
        if raw is not None and raw.body is not None:
            record = Record.FromString(raw.body)
            if record.HasField("recognition") and record.recognition.answered_log == step.source_log:
                return read_rulings(record.recognition)
    return (None, {})


def _merged(
    computed: Sequence[tuple[int, bytes]], kept: Sequence[tuple[int, bytes]], erased: frozenset[int]
) -> list[bytes]:
    merged: list[bytes] = []
    mine = iter(computed)
    pending = next(mine, None)
    for place, leaf in kept:
        while pending is not None and pending[0] in erased:
            pending = next(mine, None)
        if place in erased:
            merged.append(leaf)
        elif pending is not None:
            merged.append(pending[1])
            pending = next(mine, None)
    return merged


def write_replayed(tx: Transaction, payloads: Sequence[tuple[Sequence[Change], int, StepPlan | None]]) -> list[None]:
    """Write replayed changes and cursors into the database that the transaction belongs to."""
    for changes, next_seq, step in payloads:
        registers.write(tx, changes)
        registers.set_cursor(tx, SEQ_CURSOR, next_seq)
        if step is not None and not step.redecisions:
            registers.set_cursor(tx, step.source.id, step.end)
    return [None] * len(payloads)
