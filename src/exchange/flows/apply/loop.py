"""The apply loop: the only writer of registers. Urgent logs first, then the others, in bounded steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from exchange.crypto.keys import generate_salt
from exchange.domain.record_index import raw_id
from exchange.domain.validation.limits import DECISION_ITEMS
from exchange.flows.apply.again.ordered import OrderedSweep
from exchange.flows.apply.again.recorded import RecordedDecisions, read_rulings, ruling_for
from exchange.flows.apply.again.revoked import RevokedSweep
from exchange.flows.apply.changes.answered import node_record
from exchange.flows.apply.commit import StepCommit, StepDone, commit_steps
from exchange.flows.apply.deciding import awaited
from exchange.flows.apply.deciding.ruling import read_decision, recognition_of
from exchange.flows.apply.deciding.waiting import CONFIRMED, UNPROVEN
from exchange.flows.apply.steps import (
    PARK_AFTER,
    STEP_ENTRIES,
    Recorded,
    Redecide,
    StepPlan,
    plan,
    trace_of,
)
from exchange.flows.context import LOCAL_TIME, Node
from exchange.flows.events import ATTACHMENTS_LISTED, ENTRIES_CAME, REGISTERS_CHANGED
from exchange.flows.intake.seal import MAX_BODY_BYTES, seal
from exchange.storage.engine.database import DATABASE_ERRORS, Connection
from exchange.storage.engine.transaction import LogHead, NewEntry
from exchange.storage.engine.writer import WorkClass, WriterBusyError
from exchange.storage.logs import journal, log_store
from exchange.storage.logs.log_store import StoredEntry
from exchange.storage.queries.rules import RULES
from exchange.storage.registers import registers
from exchange.storage.registers.registers import SEQ_CURSOR, Change
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.kind_pb2 import Lane
from exchange.v1.recognition_pb2 import DecisionCause
from exchange.v1.record_pb2 import Record
from exchange.v1.rule_pb2 import RedecisionOrder

IDLE_SECONDS = 1.0
"""How long the loop sleeps when nothing wakes it: only what a lost wake-up would cost."""

REST_SECONDS = 0.025
"""A log of which a step took all there was is not read again sooner: a step costs milliseconds, whatever it holds, and
entries that come one by one share one. Urgent logs are read at once."""

DUPLICATE = "DUPLICATE"
"""An answer that came again, after a restore or in a new epoch: journaled, but nobody has to look."""

HEADER_BYTES = 4_096
"""Bytes of a body that the header of a decision has for itself."""

NO_EDITION = "-"
NO_DIGEST = "0" * 64
"""What a decision names that no rule made, where no edition is for its day."""

START_DIGEST = bytes(32)
"""Running digest before the first step of a node."""

_LANE_ORDER: dict[int, int] = {
    Lane.LANE_URGENT: 0,
    Lane.LANE_REGISTRY: 1,
    Lane.LANE_UNSPECIFIED: 2,
    Lane.LANE_TELEMETRY: 3,
}
_WORK: dict[int, WorkClass] = {Lane.LANE_URGENT: WorkClass.URGENT, Lane.LANE_TELEMETRY: WorkClass.TELEMETRY}


class ApplyLoop:
    """Applies what the logs hold, step by step.

    Args:
        node: The node.
        allowed: Whether registers may change now: not while the node fetches its own entries back.
        on_keys: Called with the peer's name after a step changed what is known of its keys.
        on_note: Called with (reason, log origin, index) for each piece of evidence that a step kept.
        on_proven: Called with a log's origin when nothing in it waits any more for its time to be proven.
    """

    def __init__(
        self,
        node: Node,
        *,
        allowed: Callable[[], bool] = lambda: True,
        on_keys: Callable[[str], None] = lambda peer: None,
        on_note: Callable[[str, str, int], None] = lambda reason, log, index: None,
        on_proven: Callable[[str], None] = lambda log: None,
        on_error: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self._node = node
        self._allowed = allowed
        self._on_keys = on_keys
        self._on_note = on_note
        self._on_proven = on_proven
        self._on_error = on_error
        self._wake = threading.Event()
        self._failures: dict[tuple[int, int], int] = {}
        self._parked: dict[int, dict[int, str]] = {}
        self._look_at_waits = True
        self._records_awaited = True
        self._futile: set[tuple[int, str]] = set()
        self._wakes = 0
        self._turn = 0
        self._resting: dict[int, float] = {}
        self._held_back = False
        self._digest = START_DIGEST
        self._next_seq = 1
        self._positions: dict[int, int] = {}
        self._outdated = False
        self._revoked = RevokedSweep(node)
        self._ordered = OrderedSweep(node)
        self.recorded: RecordedDecisions | None = None
        self.busy = threading.Lock()
        self.reload()

    # -- the thread ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Apply until the node stops."""
        end = self._node.events.listen(ENTRIES_CAME, self._wake.set)
        try:
            while not self._node.stopping.is_set():
                self._wake.clear()
                try:
                    progressed = self.step_once(rest=True)
                except Exception as error:  # noqa: BLE001 - the loop outlives whatever a step raises
                    self._on_error(error)
                    progressed = False
                    self._outdated = True
                if not progressed:
                    self._wait()
        finally:
            end()

    def _wait(self) -> None:
        """Until something happens, and then until logs that rest may be read again."""
        if not self._held_back:
            self._wake.wait(IDLE_SECONDS)
        now = time.monotonic()
        self._resting = {log_id: until for log_id, until in self._resting.items() if until > now}
        if self._resting:
            self._node.stopping.wait(min(self._resting.values()) - now)

    def wake(self) -> None:
        """Look again, also at what waits."""
        self._wakes += 1
        self._futile.clear()
        self._look_at_waits = True
        self._wake.set()

    def reload(self) -> None:
        """Take up where the journal stands. Whoever else moved a cursor calls it: else this loop alone moves them."""
        self._outdated = False
        self._revoked.forget()
        self._ordered.forget()
        with self._node.database.read() as connection:
            self._digest = last_digest(connection)
            self._positions = registers.next_indices(connection)
            self._next_seq = self._positions.get(SEQ_CURSOR, 1)
            self._parked = registers.parked_entries(connection)
        self._look_at_waits = True

    def step_once(self, *, rest: bool = False) -> bool:
        """Carry out the next step; returns whether there was one.

        Args:
            rest: Leave out logs that rest.
        """
        with self.busy:
            return self._allowed() and self._step_once(rest=rest)

    def _step_once(self, *, rest: bool) -> bool:
        if self._outdated:
            self.reload()
        token, wakes = "", self._wakes
        self._held_back = False
        # Taken down before anything is read: what arrives while this reads asks for another look.
        look, self._look_at_waits = self._look_at_waits, False
        with self._node.database.read() as connection:
            chosen = self._choose(connection, self._resting if rest else {})
            if chosen is None:
                again = self._due_redecisions(connection) if look else None
                ordered = self._ordered.due(connection) if look and again is None else False
                if isinstance(ordered, tuple):
                    again = ordered[0], "", self._together(*ordered)
                if again is None:
                    return self._searched(ordered)
                source, token, redecisions = again
                step, recognitions = self._plan(connection, source, 0, 0, redecisions)
            else:
                source, first, end = chosen
                step, recognitions = self._plan_bounded(connection, source, first, end)
            appended, existing = self._seal(connection, step, recognitions)
        self._look_at_waits = self._look_at_waits or look
        commit = StepCommit(
            plan=step,
            append=appended,
            existing=existing,
            digest=self._digest,
            editions=(*self._node.editions.items(), *_rules_used(step)),
            local_origin=self._node.name,
        )
        try:
            done: StepDone = self._node.writer.call(
                commit_steps, commit, _WORK.get(source.lane, WorkClass.REGISTRY), rows=len(step.changes) + 4
            )
        except WriterBusyError:
            self._node.stopping.wait(0.01)
            return True
        except BaseException:
            # Whether it was committed is not known, or something else moved the cursor: look where the journal stands.
            self._outdated = True
            raise
        self._digest, self._next_seq = done.digest, done.next_seq
        if not step.redecisions:
            self._positions[source.id] = step.end
        self._afterwards(source, step)
        if self._wakes == wakes and any(_waits_for(change, token) for change in step.changes):
            self._futile.add((source.id, token))
        return True

    # -- choosing --------------------------------------------------------------------------------------------

    def _choose(self, connection: Connection, resting: Mapping[int, float]) -> tuple[LogHead, int, int] | None:
        now = time.monotonic()
        best: list[tuple[int, LogHead, int, int]] = []
        for log in log_store.heads(connection):
            position = self._positions.get(log.id, 0)
            if log.use == journal.USE or position >= log.size:
                continue
            if resting.get(log.id, 0.0) > now:
                self._held_back = True
                continue
            limit = log.size
            if log.use == "mirror":
                # Only what we cosigned has a mirrored time; a mirror that is being refilled waits for its notes.
                newest = log_store.last_checkpoint(connection, log.id)
                limit = newest.size if newest else 0
            if position < limit:
                best.append((_LANE_ORDER.get(log.lane, 2), log, position, limit))
        if not best:
            return None
        urgency = min(order for order, *_ in best)
        candidates = [item for item in best if item[0] == urgency or urgency != 0]
        self._turn += 1
        _, log, position, limit = candidates[self._turn % len(candidates)]
        return log, position, min(limit, position + STEP_ENTRIES)

    def _due_redecisions(self, connection: Connection) -> tuple[LogHead, str, list[Redecide]] | None:
        """A log, what entries of it waited for, and those that can be decided now."""
        tokens = registers.wait_tokens(connection)
        self._records_awaited = any(awaited.is_record(token) for _, token in tokens)
        for log_id, token in tokens:
            source = log_store.head_by_id(connection, log_id)
            cause = self._cause(connection, token, source) if source is not None else None
            if source is None or cause is None or (log_id, token) in self._futile:
                continue
            if cause == DecisionCause.DECISION_CAUSE_BODY_ARRIVED:
                rows = registers.arrived_bodies(connection, log_id, STEP_ENTRIES)
            else:
                rows = registers.waits_for(connection, log_id, token, STEP_ENTRIES)
            if rows:
                due = [Redecide(row.idx, cause, row.decision_revision) for row in rows]
                return source, token, self._together(source, due)
        found = self._revoked.due(connection)
        return None if found is None else (found[0], "", self._together(*found))

    def _searched(self, found: object) -> bool:
        """Nothing is decided in this step; returns whether to go on at once."""
        if isinstance(found, RedecisionOrder):
            self._ordered.finish(found)
        self._look_at_waits = self._look_at_waits or bool(found)
        return bool(found)

    def _together(self, source: LogHead, due: list[Redecide]) -> list[Redecide]:
        """The first of them that one step can decide: those of one recorded decision, or those of none."""
        if self.recorded is None:
            return due
        found = [self.recorded.redecision(source.origin, each.index, each.decision_revision + 1) for each in due]
        return [each for each, decision in zip(due, found, strict=True) if decision is found[0]]

    def _cause(self, connection: Connection, token: str, source: LogHead) -> int | None:
        """Why entries of a log that wait for a token can be decided now; None when they can not."""
        sort, _, what = token.partition(":")
        if sort == "BODY":
            return DecisionCause.DECISION_CAUSE_BODY_ARRIVED
        peer = self._node.peers.get(source.peer)
        if sort == "KEY" and peer is not None and what in peer.signing.keyids:
            return DecisionCause.DECISION_CAUSE_KEY_KNOWN
        if sort == CONFIRMED:
            return DecisionCause.DECISION_CAUSE_RECONFIRMED
        if sort == "REFERENCE" and what.startswith(f"{RULES}:") and self._node.rules.book.rules_arrived(what):
            return DecisionCause.DECISION_CAUSE_REFERENCE_ARRIVED
        if sort == awaited.REFERENCE and awaited.has_come(connection, source.peer, what):
            return DecisionCause.DECISION_CAUSE_REFERENCE_ARRIVED
        if sort == "REVISION" and not self._waits_still(connection, source.peer, what):
            return DecisionCause.DECISION_CAUSE_REFERENCE_ARRIVED
        return None

    def _waits_still(self, connection: Connection, origin: str, what: str) -> bool:
        """Whether a revision of a record is not decided yet."""
        record_id, _, revision = what.partition(":")
        raw = raw_id(record_id)
        rows = registers.records_of(connection, [(origin, raw)])[origin, raw]
        return any(row["revision"] == int(revision) and read_decision(row["decision"]).waits_for for row in rows)

    # -- planning --------------------------------------------------------------------------------------------

    def _plan_bounded(
        self, connection: Connection, source: LogHead, first: int, end: int
    ) -> tuple[StepPlan, list[Record]]:
        """A plan over at most ``[first, end)``; aligned with decisions that were recorded before a restore."""
        if self.recorded is not None and source.use == "mirror":
            end = self.recorded.align(source.origin, first, end)
        while True:
            try:
                return self._plan(connection, source, first, end, ())
            except DATABASE_ERRORS:
                raise  # says nothing about the entry
            except Exception as error:
                if end - first > 1:
                    end = first + (end - first) // 2
                    continue
                failures = self._failures.get((source.id, first), 0) + 1
                self._failures[source.id, first] = failures
                if failures < PARK_AFTER:
                    raise
                self._parked.setdefault(source.id, {})[first] = trace_of(error)

    def _plan(
        self, connection: Connection, source: LogHead, first: int, end: int, redecisions: Sequence[Redecide]
    ) -> tuple[StepPlan, list[Record]]:
        """A step, and its Recognitions: it is as long as they stay within their limits."""
        recorded = self._recorded(source, redecisions)
        while True:
            step = plan(
                self._node,
                connection,
                connection,
                source,
                first,
                end,
                self._node.clock(),
                self._next_seq,
                recorded=recorded,
                redecisions=redecisions,
                parked=self._parked.get(source.id),
                answering=self._node,
            )
            made = self._recognitions(connection, step)
            fits = all(
                each.recognition.ByteSize() < MAX_BODY_BYTES - HEADER_BYTES
                and len(each.recognition.items) <= DECISION_ITEMS
                for each in made
            )
            if fits or step.end - step.first <= 1:
                return step, made
            end = step.first + (step.end - step.first) // 2

    def _recorded(self, source: LogHead, redecisions: Sequence[Redecide]) -> Recorded | None:
        """Rulings that were recorded before a restore, for the entries of one step."""
        if self.recorded is None or source.use != "mirror":
            return None
        if not redecisions:
            return self.recorded.ruling(source.origin)
        first = redecisions[0]
        decision = self.recorded.redecision(source.origin, first.index, first.decision_revision + 1)
        if decision is None:
            return None
        rulings = read_rulings(decision.message)
        return lambda entry: ruling_for(entry, rulings)

    def _recognitions(self, connection: Connection, step: StepPlan) -> list[Record]:
        """The step's Recognition; one more for each older epoch of the log in which it erased something."""
        records = []
        newest = self._node.rules.book.edition_for(step.at.astimezone(LOCAL_TIME).date())
        for log_id in dict.fromkeys((step.source.id, *(each.log_id for each in step.decided))):
            decided = [each for each in step.decided if each.log_id == log_id]
            here = log_id == step.source.id
            log = step.source if here else log_store.head_by_id(connection, log_id)
            if log is None or not decided:
                continue
            message = recognition_of(
                log.origin,
                step.first if here and not step.redecisions else step.end,
                step.end,
                decided,
                newest.edition if newest is not None else NO_EDITION,
                newest.digest if newest is not None else NO_DIGEST,
            )
            record = node_record(self._node, step.at)
            message.decided_at.FromDatetime(step.at)
            record.recognition.CopyFrom(message)
            records.append(record)
        return records

    def _seal(
        self, connection: Connection, step: StepPlan, recognitions: Sequence[Record]
    ) -> tuple[list[tuple[str, NewEntry]], list[tuple[str, int]]]:
        """The step's decisions and answers, each for our log towards the origin in the same lane.

        Returns:
            Those to append, sealed; and where those stand that were recorded before a restore.
        """
        if step.source.use != "mirror":
            return [], []
        records = [*recognitions, *step.answers]
        if not records:
            return [], []
        target = log_store.current(connection, "outbound", step.source.peer, step.source.lane)
        if target is None:
            raise LookupError(f"no log towards {step.source.peer}")
        append, existing = [], []
        for record in records:
            known = self.recorded.find(record) if self.recorded is not None else None
            if known is not None:
                existing.append(known)
            else:
                sealed = seal(self._node, record, [step.source.peer], step.at, salt=generate_salt())
                append.append((target.origin, sealed.entry))
        return append, existing

    def _afterwards(self, source: LogHead, step: StepPlan) -> None:
        if step.end - step.first < STEP_ENTRIES and not step.redecisions and source.lane != Lane.LANE_URGENT:
            self._resting[source.id] = time.monotonic() + REST_SECONDS
        if self.recorded is not None and not step.redecisions and any(map(_waits_for, step.changes)):
            self._look_at_waits = True  # what is recorded may be decided already
        if any(change.table == "waits" and change.row is None for change in step.changes):
            self._look_at_waits = True  # a later revision may wait for what is decided now
        if any(_waits_for(change, CONFIRMED) for change in step.changes) and not step.redecisions:
            self._look_at_waits = True
        if any(map(_waits_for_record, step.changes)):
            self._records_awaited = True
        if self._records_awaited and any(change.table == "records" for change in step.changes):
            self._look_at_waits = True  # what somebody speaks of may have come
        if any(change.table == "keys" for change in step.changes):
            self._on_keys(source.peer)
            self.wake()
        for note in step.notes:
            if note.reason != DUPLICATE:
                self._on_note(note.reason, source.origin, note.position)
        if any(each.cause == DecisionCause.DECISION_CAUSE_RECONFIRMED for each in step.redecisions):
            with self._node.database.read() as connection:
                if not any(registers.waits_for(connection, source.id, token, 1) for token in (UNPROVEN, CONFIRMED)):
                    self._on_proven(source.origin)
        for index in range(step.first, step.end) if self._failures else ():
            self._failures.pop((source.id, index), None)
        self._node.events.notify(REGISTERS_CHANGED)
        if step.attached or step.redecisions:
            self._node.events.notify(ATTACHMENTS_LISTED)


def _waits_for(change: Change, token: str | None = None) -> bool:
    """Whether a row change defers an entry; until one thing comes, when it is named."""
    return change.table == "waits" and change.row is not None and token in (None, change.row["token"])


def _rules_used(step: StepPlan) -> list[tuple[str, str]]:
    """Editions of the rules that the step decided by."""
    return [(RULES, digest) for digest in dict.fromkeys(each.ruling.digest for each in step.decided) if digest]


def _waits_for_record(change: Change) -> bool:
    return _waits_for(change) and change.row is not None and awaited.is_record(change.row["token"])


def last_digest(connection: Connection) -> bytes:
    """Running digest behind the journal's newest step."""
    book = journal.head(connection)
    position = book.size
    while position > 0:
        begin = max(0, position - 256)
        for raw in reversed(log_store.entries(connection, book.id, begin, position, bodies=False)):
            digest = _digest_in(raw)
            if digest is not None:
                return digest
        position = begin
    return START_DIGEST


def _digest_in(raw: StoredEntry) -> bytes | None:
    event = JournalEntry.FromString(raw.entry)
    if event.HasField("step"):
        return event.step.digest
    if event.HasField("opened") and event.opened.HasField("continues"):
        return event.opened.digest
    return None
