"""One step of apply: read a bounded run of one log, rule, and plan every change before the writer is asked.

The numbered walk of a step:
  1 read the entries and the register rows they touch
  2 rule on each (or take the ruling from the decision that was recorded)
  3 plan row changes, decisions and erasures
  4 one transaction: the cursor still stands where the plan began; decisions appended, journal, registers, cursor
What a crash leaves behind is either all of 4 or nothing: the next start computes the step again.
"""

from __future__ import annotations

import traceback
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from exchange.domain import kinds
from exchange.domain.record_index import is_recognised_kind, raw_id
from exchange.domain.validation.limits import ATTACHMENTS
from exchange.flows.apply.applier import Applier
from exchange.flows.apply.changes import answered, effects, ending, keys
from exchange.flows.apply.changes.erasing import apply_erasure
from exchange.flows.apply.changes.overlay import NUMBERS_PER_STEP, PLACES, ErasedRow, RegisterOverlay
from exchange.flows.apply.deciding.judge import Bench, judge
from exchange.flows.apply.deciding.labs import RegisteredLabs
from exchange.flows.apply.deciding.levels import ApprovedLevels
from exchange.flows.apply.deciding.ruling import (
    LIES,
    LIFTED,
    OWN,
    UNANSWERED,
    Decided,
    Ruling,
    item_of,
    ruling_of,
)
from exchange.flows.apply.deciding.waiting import CONFIRMED
from exchange.flows.apply.entry import ReadEntry, read_entry
from exchange.flows.context import LOCAL_TIME, Node
from exchange.flows.intake.ids import format_id
from exchange.flows.trust.peer_keys import learn_first, rely
from exchange.flows.trust.verdicts import Verdict, verdict_of
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredEntry
from exchange.storage.registers.registers import NO_ENTRY, Change
from exchange.v1.common_pb2 import Attachment, RecordRef
from exchange.v1.kind_pb2 import KIND_ANSWER, KIND_ERASURE, KIND_KEY_ANNOUNCEMENT, KIND_RECOGNITION, Outcome
from exchange.v1.recognition_pb2 import DECISION_CAUSE_ARRIVAL, DecisionItem
from exchange.v1.record_pb2 import Record

STEP_ENTRIES = PLACES
"""Most entries of one step: a step is the unit that is repeated after a crash."""

MAX_EVIDENCE = 60_000
"""Bytes of evidence in one line of the journal, which has room for 65,535."""

STEP_BYTES = 4 << 20
"""Most bytes of entries and bodies that one step reads."""

INTERNAL = "INTERNAL"
"""Reason of a parked entry."""

PARKED = Ruling(outcome=Outcome.OUTCOME_DEFERRED, reasons=(INTERNAL,), waits_for=("REFERENCE:INTERNAL",))
"""The ruling of an entry whose apply keeps failing."""

PARK_AFTER = 3
"""An entry whose apply fails this often is parked as DEFERRED INTERNAL; the loop goes on."""


@dataclass(frozen=True, slots=True)
class Redecide:
    """An entry to be decided again, and why."""

    index: int
    cause: int
    decision_revision: int


@dataclass(frozen=True, slots=True)
class Note:
    """What a step writes into the journal besides itself.

    Attributes:
        evidence: The ruling on an answer, the trace of a parked entry, or else the envelope.
    """

    reason: str
    position: int
    evidence: bytes


@dataclass(slots=True, kw_only=True)
class StepPlan:
    """Everything that a step will do.

    Attributes:
        decided: Rulings that a Recognition will carry.
        answers: Records that answer entries which no Recognition answers.
        notes: Evidence for the journal.
        attached: Attachments that the step's records list, with the index of the entry.
        journaled: In a replay, the notes that the step made then, by position; None when it is made now.
        erased_places: Places of entries without a body.
    """

    source: LogHead
    first: int
    end: int
    at: datetime
    changes: list[Change]
    next_seq: int
    decided: list[Decided] = field(default_factory=list)
    answers: list[Record] = field(default_factory=list)
    erasures: list[ErasedRow] = field(default_factory=list)
    redecisions: Sequence[Redecide] = ()
    notes: list[Note] = field(default_factory=list)
    attached: list[tuple[int, Attachment]] = field(default_factory=list)
    erased_places: frozenset[int] = frozenset()
    journaled: Mapping[int, Note] | None = None


Recorded = Callable[[ReadEntry], Ruling | None]
"""Gives the ruling that a recorded decision holds for an entry, or None where none was recorded."""


ReadRun = Callable[[Connection, int, int, int], list[ReadEntry]]
"""Gives the entries of a step over ``[first, end)`` of the log of a number."""


def is_run(source: LogHead, first: int, end: int) -> bool:
    """Whether a step may be about such a run of a log."""
    return 0 <= first <= end <= min(source.size, first + STEP_ENTRIES)


def run_of(logs: Connection, log_id: int, first: int, end: int) -> list[StoredEntry]:
    """The entries of a step; it may stop earlier, at ``STEP_BYTES``."""
    return log_store.entries(logs, log_id, first, end, max_bytes=STEP_BYTES)


def read_run(logs: Connection, log_id: int, first: int, end: int) -> list[ReadEntry]:
    """The entries of a step, read."""
    return [read_entry(raw, place) for place, raw in enumerate(run_of(logs, log_id, first, end))]


def plan(
    node: Applier,
    logs: Connection,
    state: Connection,
    source: LogHead,
    first: int,
    end: int,
    at: datetime,
    next_seq: int,
    *,
    recorded: Recorded | None = None,
    redecisions: Sequence[Redecide] = (),
    parked: Mapping[int, str] | None = None,
    journaled: Mapping[int, Note] | None = None,
    answering: Node | None = None,
    read: ReadRun | None = None,
) -> StepPlan:
    """Plan one step over ``[first, end)`` of a log, or over the entries of ``redecisions``.

    Args:
        node: The node, or what a replay has of it.
        logs: Where the logs are read.
        state: Where the registers are read: the same database, unless this is a replay into another one.
        source: The log.
        first: First index.
        end: Index to stop before; the plan may stop earlier, at ``STEP_BYTES``.
        at: Time of the step.
        next_seq: Number of the next row change.
        recorded: Rulings that were recorded; all others are made now.
        redecisions: Entries to decide again instead of reading on.
        parked: Entries whose apply keeps failing, with the trace.
        journaled: In a replay, the notes of the step: what no decision records is taken from them.
        answering: The node that makes answers; None in a replay, which writes rows, and nobody relies on what they
            were once.
        read: Gives a run of entries, where they were read before; they are read now when None.
    """
    # 1
    if redecisions:
        found = log_store.entries_at(logs, source.id, [item.index for item in redecisions])
        entries = [read_entry(found[item.index], place) for place, item in enumerate(redecisions)]
    else:
        entries = (read or read_run)(logs, source.id, first, end)
        end = entries[-1].index + 1 if entries else end
    mirrored = source.use == "mirror"
    origin = source.peer if mirrored else node.name
    overlay = RegisterOverlay(logs, state, entries, origin, next_seq, source.id)
    times = MirroredTimes(logs, source, entries[0].index, entries[-1].index) if mirrored and entries else None
    causes = {item.index: item.cause for item in redecisions}
    bench = _bench(node, source, times, at, causes, state) if times else None
    result = StepPlan(
        source=source,
        first=first,
        end=end,
        at=at,
        changes=overlay.changes,
        next_seq=next_seq,
        erasures=overlay.erasures,
        redecisions=redecisions,
        erased_places=frozenset(entry.place for entry in entries if not entry.has_body),
        journaled=journaled,
    )
    again = {item.index: item for item in redecisions}
    for entry in entries:
        overlay.begin(entry.place)
        if mirrored and not entry.problem and entry.kind == KIND_KEY_ANNOUNCEMENT and entry.record is not None:
            learn_first(node.peers, source.peer, entry.record.key_announcement.keys)
        # 2
        ruling = recorded(entry) if recorded else None
        if parked and entry.index in parked:
            ruling = PARKED
            trace = parked[entry.index]
            row = {"log_id": source.id, "idx": entry.index, "trace": trace}
            overlay.put("parked", (source.id, entry.index), row, salt=b"", place=entry.place)
            result.notes.append(Note(INTERNAL, entry.index, trace.encode()))
        elif bench is None:
            ruling = OWN
        elif ruling is None and journaled is not None and is_answer(entry):
            ruling = _journaled(entry, journaled)
        elif ruling is None:
            ruling = judge(entry, bench, overlay)
        if "BODY_MISSING" in ruling.reasons:
            entry.drop_body()
        if entry.facts.has_attachments and entry.record is not None and (ruling.makes_row or not mirrored):
            listed = entry.record.header.attachments[:ATTACHMENTS]
            result.attached += [(entry.index, each) for each in listed if node.tables.attachment_types.takes(each)]
        # 3
        _take(node, result, overlay, entry, ruling, again.get(entry.index), times, answering)
    result.next_seq = next_seq + NUMBERS_PER_STEP
    return result


def _journaled(entry: ReadEntry, journaled: Mapping[int, Note]) -> Ruling:
    """The ruling on an answer, which no decision records: the journal has it unless the answer was taken."""
    note = journaled.get(entry.index)
    if note is None or note.reason == answered.RECOGNITION_UNREADABLE:
        return UNANSWERED
    return ruling_of(DecisionItem.FromString(note.evidence))


def _bench(
    node: Applier, source: LogHead, times: MirroredTimes, at: datetime, causes: Mapping[int, int], state: Connection
) -> Bench:
    peer = node.peers.get(source.peer)

    def verdict(envelope: bytes, logged_at: int) -> Verdict:
        peer = node.peers.get(source.peer)  # an announcement of this very step may have told of the key
        if peer is None:
            return Verdict("KEY_UNKNOWN", source.peer, None)
        return verdict_of(peer, envelope, logged_at)

    today = at.astimezone(LOCAL_TIME).date()
    return Bench(
        federation=node.federation,
        log_id=source.id,
        origin=source.peer,
        me=node.name,
        lane=source.lane,
        areas=peer.areas if peer else (),
        verdict=verdict,
        mirrored_at=times.of,
        tables=node.tables,
        rules=node.rules.book,
        require_approvals=node.require_approvals,
        today=today,
        labs=RegisteredLabs(state).of_batch,
        sources=(ApprovedLevels(state, node.name, today.isoformat()).facts,),
        causes=causes,
    )


class MirroredTimes:
    """For each index of a run, the time of the first cosignature that covers it."""

    def __init__(self, connection: Connection, source: LogHead, first: int, last: int) -> None:
        notes = log_store.checkpoints_between(connection, source.id, first + 1, last + 1)
        self._sizes = [note.size for note in notes]
        self._times = [note.cosigned_at for note in notes]

    def of(self, index: int) -> int:
        """In microseconds."""
        return self._times[bisect_left(self._sizes, index + 1)]


def _take(
    node: Applier,
    result: StepPlan,
    overlay: RegisterOverlay,
    entry: ReadEntry,
    ruling: Ruling,
    again: Redecide | None,
    times: MirroredTimes | None,
    answering: Node | None,
) -> None:
    """Plan what one ruled entry does."""
    facts = entry.facts
    source = result.source
    mirrored = times is not None
    revision = again.decision_revision + 1 if again else 1
    if again and ruling is UNANSWERED and not is_answer(entry):
        ruling = LIFTED
    if mirrored and ruling is not UNANSWERED and not is_answer(entry):
        result.decided.append(
            Decided(
                log_id=source.id,
                index=entry.index,
                record_id=format_id(entry.record_id) if entry.is_readable else "",
                record_revision=facts.revision,
                decision_revision=revision,
                ruling=ruling,
                cause=again.cause if again else DECISION_CAUSE_ARRIVAL,
                by_default=facts.kind not in kinds.KINDS or is_recognised_kind(facts.kind),
            )
        )
    if again:
        overlay.drop("waits", (source.id, entry.index), place=entry.place)
    if ruling.waits_for:
        token = ruling.waits_for[0]
        row = {"log_id": source.id, "idx": entry.index, "token": token, "decision_revision": revision}
        overlay.put("waits", (source.id, entry.index), row, salt=b"", place=entry.place)
        if token == CONFIRMED and not again:
            for log_id, index, decided in overlay.unproven(entry):
                row = {"log_id": log_id, "idx": index, "token": CONFIRMED, "decision_revision": decided}
                overlay.put("waits", (log_id, index), row, salt=b"", place=entry.place)
    if mirrored:
        _note(result, entry, ruling)
        _keep_unknown_keys(node, overlay, entry, ruling, source.peer)
    if not entry.is_readable:
        return
    origin = source.peer if mirrored else node.name
    known = not mirrored and any(
        row["revision"] == facts.revision for row in overlay.revisions(origin, entry.record_id)
    )
    if known or not ruling.makes_row:
        # Of an own record: the same in the log towards another addressee, or in an earlier epoch.
        standing = overlay.standing(origin, entry, source.id) if again and times else None
        if standing is not None and times is not None:
            bare = effects.bare_row(entry, origin, source.id, times.of(entry.index), ruling, revision, "")
            effects.withdraw(overlay, entry, bare, standing)
        elif not again:
            overlay.put_copy(entry, origin, source.id)
        return
    if again:
        overlay.drop("copies", (source.id, entry.index), place=entry.place)
    edition = ruling.edition if ruling.rules and is_recognised_kind(facts.kind) and mirrored else ""
    row = effects.bare_row(
        entry,
        origin,
        source.id,
        times.of(entry.index) if times else None,
        ruling,
        revision if mirrored else 0,
        edition,
    )
    effects.apply_record(overlay, entry, row, ruling)
    if ruling.takes_effect and entry.has_record:
        _carry_out(node, result, overlay, entry, origin, answering, mirrored=mirrored)


def _keep_unknown_keys(node: Applier, overlay: RegisterOverlay, entry: ReadEntry, ruling: Ruling, origin: str) -> None:
    """An announcement by a key that nobody knows waits; what it names is kept, for an officer to look at."""
    if ruling.reasons == ("KEY_UNKNOWN",) and entry.kind == KIND_KEY_ANNOUNCEMENT:
        keys.take_keys(overlay, entry, origin, node.federation, deferred=True)


def _note(result: StepPlan, entry: ReadEntry, ruling: Ruling) -> None:
    """The journal keeps what no decision tells: rulings on answers; and what no honest origin sends, once a step."""
    if is_answer(entry):
        if ruling is not UNANSWERED and ruling is not PARKED:
            item = item_of(entry.index, ruling)
            result.notes.append(Note(ruling.reasons[0], entry.index, item.SerializeToString(deterministic=True)))
        return
    lie = next((reason for reason in ruling.reasons if reason in LIES), None)
    if lie is not None and all(note.reason != lie for note in result.notes):
        result.notes.append(Note(lie, entry.index, (entry.envelope or entry.raw.entry)[:MAX_EVIDENCE]))


def is_answer(entry: ReadEntry) -> bool:
    """Whether an entry states what is itself an answer, so that nothing answers it."""
    return entry.kind in kinds.KINDS and kinds.spec(entry.kind).is_answer


def _carry_out(
    node: Applier,
    result: StepPlan,
    overlay: RegisterOverlay,
    entry: ReadEntry,
    origin: str,
    answering: Node | None,
    *,
    mirrored: bool,
) -> None:
    """The effects of kinds that have more than a row."""
    kind = entry.kind
    if kind in ending.ENDS:
        _end(answering if mirrored else None, result, overlay, entry)
    elif kind == KIND_ERASURE:
        result.decided.extend(apply_erasure(overlay, entry, origin, mirrored=mirrored))
    elif kind == KIND_KEY_ANNOUNCEMENT:
        keys.take_keys(overlay, entry, origin, node.federation, deferred=False)
        if mirrored and answering is not None:
            verdicts = rely(answering, origin, overlay.keys(origin), overlay.decided_on(origin))
            result.answers.append(answered.key_answer(answering, entry, origin, result.at, verdicts))
    elif kind == KIND_RECOGNITION and not mirrored:
        answered.keep_own(overlay, entry)
    elif kind == KIND_ANSWER and mirrored:
        answered.take_answer(overlay, entry, result.source)
    elif kind == KIND_RECOGNITION and mirrored:
        problem = answered.take_recognition(overlay, entry, result.source, _taken_then(result, entry.index))
        if problem:
            result.notes.append(Note(problem, entry.index, entry.envelope[:MAX_EVIDENCE]))


def _end(answering: Node | None, result: StepPlan, overlay: RegisterOverlay, entry: ReadEntry) -> None:
    """A repair or a revocation: tombstones here, and the word to its origin that each effect is carried out here.

    What a node shows, serves and counts in checks is its own: it is done with this step. What agencies did by the
    notice, they confirm themselves.
    """
    record, statement = entry.record, entry.statement
    assert record is not None
    assert statement is not None
    about = kinds.about(record)
    assert about is not None
    ending.carry_out(overlay, about.origin, raw_id(about.record_id), entry.place)
    if answering is not None:
        ref = RecordRef(origin=result.source.peer, record_id=statement.record_id, revision=statement.revision)
        done = record.repair_notice.effects if record.HasField("repair_notice") else record.revocation_notice.effects
        result.answers += [answered.effect_done(answering, ref, effect, result.at) for effect in done]


def _taken_then(result: StepPlan, index: int) -> bool | None:
    """Whether a Recognition was taken when the step was made; None when it is made now."""
    if result.journaled is None:
        return None
    note = result.journaled.get(index)
    return note is None or note.reason != answered.RECOGNITION_UNREADABLE


def digest_leaves(changes: Sequence[Change], origins: Mapping[int, str]) -> list[tuple[int, bytes]]:
    """The digest leaf of each row change that has one, with the place of its entry."""
    return [(change.place, change.leaf(origins)) for change in changes if not change.follows]


def trace_of(error: BaseException) -> str:
    """A short trace for a parked entry: where, and which error; no values."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    return f"{type(error).__name__} in {where}"


__all__ = [
    "NO_ENTRY",
    "PARK_AFTER",
    "STEP_ENTRIES",
    "Note",
    "Recorded",
    "Redecide",
    "StepPlan",
    "digest_leaves",
    "plan",
    "trace_of",
]
