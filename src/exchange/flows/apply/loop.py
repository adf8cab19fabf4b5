"""The apply loop: the only writer of registers. Urgent logs first, then the others, in bounded steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select

from exchange.crypto.keys import generate_salt
from exchange.flows.apply.commit import SEQ_CURSOR, StepCommit, StepDone, commit_steps
from exchange.flows.apply.answered import node_record
from exchange.flows.apply.recorded import RecordedDecisions
from exchange.flows.apply.ruling import recognition_of
from exchange.flows.apply.steps import (
    PARK_AFTER,
    STEP_ENTRIES,
    Redecide,
    StepPlan,
    plan,
    trace_of,
)
from exchange.flows.context import Node
from exchange.flows.events import LOG_GREW, REGISTERS_CHANGED
from exchange.flows.seal import MAX_BODY_BYTES, seal
from exchange.storage import journal, log_store, registers, schema
from exchange.storage.log_store import StoredEntry
from exchange.storage.transaction import LogHead, NewEntry
from exchange.storage.writer import WorkClass, WriterBusyError
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.kind_pb2 import Lane
from exchange.v1.record_pb2 import Record
from exchange.v1.recognition_pb2 import DecisionCause

IDLE_SECONDS = 1.0
"""How long the loop sleeps when nothing wakes it: only what a lost wake-up would cost."""

START_DIGEST = bytes(32)
"""Running digest before the first step of a node."""

_LANE_ORDER = {Lane.LANE_URGENT: 0, Lane.LANE_REGISTRY: 1, Lane.LANE_UNSPECIFIED: 2, Lane.LANE_TELEMETRY: 3}
_WORK = {Lane.LANE_URGENT: WorkClass.URGENT, Lane.LANE_TELEMETRY: WorkClass.TELEMETRY}


class ApplyLoop:
    """Applies what the logs hold, step by step.

    Args:
        node: The node.
        allowed: Whether registers may change now: not while the node fetches its own entries back.
        on_keys: Called with the peer's name after a step changed what is known of its keys.
        on_note: Called with (reason, log origin) for each piece of evidence that a step kept.
    """

    def __init__(
        self,
        node: Node,
        *,
        allowed: Callable[[], bool] = lambda: True,
        on_keys: Callable[[str], None] = lambda peer: None,
        on_note: Callable[[str, str], None] = lambda reason, log: None,
        on_error: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self._node = node
        self._allowed = allowed
        self._on_keys = on_keys
        self._on_note = on_note
        self._on_error = on_error
        self._wake = threading.Event()
        self._failures: dict[tuple[int, int], int] = {}
        self._parked: dict[int, dict[int, str]] = {}
        self._look_at_waits = True
        self._turn = 0
        self._digest = START_DIGEST
        self._next_seq = 1
        self.recorded: RecordedDecisions | None = None
        self.busy = threading.Lock()
        self.reload()

    # -- the thread ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Apply until the node stops."""
        end = self._node.events.listen(LOG_GREW, self._wake.set)
        try:
            while not self._node.stopping.is_set():
                self._wake.clear()
                try:
                    progressed = self._allowed() and self.step_once()
                except Exception as error:  # noqa: BLE001 - the loop outlives whatever a step raises
                    self._on_error(error)
                    progressed = False
                if not progressed:
                    self._wake.wait(IDLE_SECONDS)
        finally:
            end()

    def wake(self) -> None:
        """Look again, also at what waits."""
        self._look_at_waits = True
        self._wake.set()

    def reload(self) -> None:
        """Take up where the journal stands."""
        with self._node.database.read() as connection:
            self._digest = last_digest(connection)
            positions = registers.next_indices(connection)
            self._next_seq = positions.get(SEQ_CURSOR, 1)
            self._parked = {}
            for row in connection.execute(select(schema.parked)):
                self._parked.setdefault(row.log_id, {})[row.idx] = row.trace
        self._look_at_waits = True

    def step_once(self) -> bool:
        """Carry out the next step; returns whether there was one."""
        with self.busy, self._node.database.read() as connection:
            chosen = self._choose(connection)
            if chosen is None:
                again = self._due_redecisions(connection)
                if again is None:
                    return False
                source, redecisions = again
                step = self._plan(connection, source, 0, 0, redecisions)
                existing: Sequence[tuple[str, int]] = ()
            else:
                source, first, end = chosen
                step, existing = self._plan_bounded(connection, source, first, end)
            appended = self._seal(connection, step, recorded=bool(existing))
        commit = StepCommit(
            plan=step,
            append=appended,
            existing=existing,
            digest=self._digest,
            editions=tuple(self._node.editions.items()),
            local_origin=self._node.name,
        )
        try:
            done: StepDone = self._node.writer.call(
                commit_steps, commit, _WORK.get(source.lane, WorkClass.REGISTRY), rows=len(step.changes) + 4
            )
        except WriterBusyError:
            self._node.stopping.wait(0.01)
            return True
        self._digest, self._next_seq = done.digest, done.next_seq
        self._afterwards(source, step)
        return True

    # -- choosing --------------------------------------------------------------------------------------------

    def _choose(self, connection: Connection) -> tuple[LogHead, int, int] | None:
        positions = registers.next_indices(connection)
        best: list[tuple[int, LogHead, int, int]] = []
        for log in log_store.heads(connection):
            if log.use == journal.USE:
                continue
            position = positions.get(log.id, 0)
            limit = log.size
            if position < limit and log.use == "mirror":
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

    def _due_redecisions(self, connection: Connection) -> tuple[LogHead, list[Redecide]] | None:
        if not self._look_at_waits:
            return None
        for token in registers.wait_tokens(connection):
            cause = self._cause(token)
            if cause is None:
                continue
            rows = registers.waits_for(connection, [token], STEP_ENTRIES * 4)
            rows = [row for row in rows if row.log_id == rows[0].log_id][:STEP_ENTRIES]
            if token == "BODY":  # noqa: S105 - not a secret
                found = log_store.entries_at(connection, rows[0].log_id, [row.idx for row in rows])
                rows = [row for row in rows if found[row.idx].body is not None]
            if rows:
                source = log_store.head_by_id(connection, rows[0].log_id)
                if source is not None:
                    return source, [Redecide(row.idx, cause, row.decision_revision) for row in rows]
        self._look_at_waits = False
        return None

    def _cause(self, token: str) -> int | None:
        """Why entries that wait for a token can be decided now; None when they can not."""
        sort, _, what = token.partition(":")
        if sort == "BODY":
            return DecisionCause.DECISION_CAUSE_BODY_ARRIVED
        if sort == "KEY" and any(
            what in peer.signing.keyids for name in self._node.peers.names() if (peer := self._node.peers.get(name))
        ):
            return DecisionCause.DECISION_CAUSE_KEY_KNOWN
        return None

    # -- planning --------------------------------------------------------------------------------------------

    def _plan_bounded(
        self, connection: Connection, source: LogHead, first: int, end: int
    ) -> tuple[StepPlan, Sequence[tuple[str, int]]]:
        """A plan over at most ``[first, end)``; aligned with decisions that were recorded before a restore."""
        existing: Sequence[tuple[str, int]] = ()
        if self.recorded is not None and source.use == "mirror":
            end, existing = self.recorded.align(source.origin, first, end)
        while True:
            try:
                return self._plan(connection, source, first, end, ()), existing
            except Exception as error:
                if end - first > 1 and not existing:
                    end = first + (end - first) // 2
                    continue
                failures = self._failures.get((source.id, first), 0) + 1
                self._failures[source.id, first] = failures
                if failures < PARK_AFTER:
                    raise
                self._parked.setdefault(source.id, {})[first] = trace_of(error)
                self._on_note("INTERNAL", f"{source.origin}#{first}")

    def _plan(
        self, connection: Connection, source: LogHead, first: int, end: int, redecisions: Sequence[Redecide]
    ) -> StepPlan:
        recorded = self.recorded.ruling(source.origin) if self.recorded and source.use == "mirror" else None
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
                recorded=None if redecisions else recorded,
                redecisions=redecisions,
                parked=self._parked.get(source.id),
            )
            record = self._recognition(step)
            if record is None or record.ByteSize() < MAX_BODY_BYTES - 4096 or step.end - step.first <= 1:
                return step
            end = step.first + (step.end - step.first) // 2

    def _recognition(self, step: StepPlan) -> Record | None:
        message = recognition_of(
            step.source.origin,
            step.end if step.redecisions else step.first,
            step.end,
            step.decided,
            self._node.rules.edition,
            self._node.rules.digest,
        )
        if message is None:
            return None
        record = node_record(self._node, step.at)
        message.decided_at.FromDatetime(step.at)
        record.recognition.CopyFrom(message)
        return record

    def _seal(self, connection: Connection, step: StepPlan, *, recorded: bool) -> list[tuple[str, NewEntry]]:
        """The step's decisions, sealed, each for our log towards the origin in the same lane."""
        if step.source.use != "mirror" or recorded:
            return []
        recognition = self._recognition(step)
        records = [*([recognition] if recognition else []), *step.answers]
        if not records:
            return []
        target = log_store.current(connection, "outbound", step.source.peer, step.source.lane)
        if target is None:
            return []
        return [
            (target.origin, seal(self._node, record, [step.source.peer], step.at, salt=generate_salt()).entry)
            for record in records
        ]

    def _afterwards(self, source: LogHead, step: StepPlan) -> None:
        if any(change.table == "keys" for change in step.changes):
            self._on_keys(source.peer)
            self._look_at_waits = True
        for reason, position, _ in step.notes:
            self._on_note(reason, f"{source.origin}#{position}")
        for index in range(step.first, step.end):
            self._failures.pop((source.id, index), None)
        self._node.events.notify(REGISTERS_CHANGED)


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
