"""A node's registers made again out of its logs, in a database of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from exchange.domain.problems import ExchangeError
from exchange.flows.apply.again.ahead import Ahead
from exchange.flows.apply.again.journaled import changes_of, is_register_event
from exchange.flows.apply.again.replay import LineUnreadable, Replay, ReplayedStep, Stop, epochs
from exchange.flows.apply.applier import ReplayedNode
from exchange.flows.apply.steps import StepPlan
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.replay.program import OtherProgram
from exchange.flows.audit.watching import WALKING, Seen, Watch, unwatched
from exchange.storage.engine.database import DATABASE_ERRORS
from exchange.storage.engine.scratch import Scratch
from exchange.storage.engine.transaction import LogHead
from exchange.storage.registers import registers
from exchange.storage.registers.registers import SEQ_CURSOR, Change
from exchange.v1.journal_pb2 import JournalEntry


@dataclass(slots=True)
class Walked:
    """How far a walk came.

    Attributes:
        steps: Steps that were computed.
        entries: Entries that they read.
        changes: Row changes that they made.
        journal: Origin of the journal's epoch that the walk stands in; empty before its first line.
        next: Index there that it goes on from.
        digest: Running digest, as the journal has it.
    """

    steps: int = 0
    entries: int = 0
    changes: int = 0
    journal: str = ""
    next: int = 0
    digest: bytes = b""
    findings: list[Finding] = field(default_factory=list)


MAX_DETAIL: Final = 200
"""Characters that are told of why a step can not be computed."""

See = Callable[[ReplayedStep], None]
"""Sees each step as it was computed."""


class Walk:
    """Walks a journal over the logs beside it.

    Args:
        node: Whose journal it is.
        scratch: Holds its logs; the registers are made there.
        ahead: Reads entries before their step's turn; None: they are read in turn.

    Attributes:
        halted: It can not go on: what a step reads is not here.
        other: Whether another program than this one made what it walks.
    """

    def __init__(self, node: ReplayedNode, scratch: Scratch, ahead: Ahead | None = None) -> None:
        self._scratch = scratch
        self._replay = Replay(node, scratch, scratch, self._write, self.take, ahead)
        self.halted = False
        self.other = OtherProgram()
        self._cursors: dict[int, int] = {}
        self.done = Walked()

    def on(self, stop: Stop, see: See = lambda _step: None, watch: Watch = unwatched) -> Iterator[Finding]:
        """Go on to where the journal ends by now, or to where ``stop`` says so.

        Yields:
            ``REPLAY_DIGEST`` for each step that does not give the digest that the journal names, behind a
            ``PROJECTION_OTHER`` and not proven where another program made it, and ``REPLAY_UNREADABLE`` where the walk
            can not go on: what the step reads is not here.
        """
        if self.halted:
            return
        try:
            for step in self._replay.steps(self._noting(stop, self._lines(watch))):
                self.done.steps += 1
                self.done.entries += len(step.plan.redecisions) or step.plan.end - step.plan.first
                self.done.changes += len(step.plan.changes)
                self.done.digest = step.event.step.digest
                see(step)
                self.other.see(step)
                if not step.agrees:
                    for finding in self.other.of_step(other_digest(step)):
                        yield self._kept(finding)
        except FAULTS as error:
            self.halted = True
            yield self._kept(unreadable(self.done.journal, self.done.next - 1, error))
        finally:
            self._put_cursors()

    def _kept(self, finding: Finding) -> Finding:
        self.done.findings.append(finding)
        return finding

    def _lines(self, watch: Watch) -> Seen:
        """Told of each line that is walked: those that lie ahead."""
        with self._scratch.read() as logs:
            held = epochs(logs)
        at = self._replay.position
        behind = sum(end for book, end in held if book.epoch < at.epoch) + at.next
        return watch(WALKING, sum(end for _, end in held) - behind)

    def _noting(self, stop: Stop, seen: Seen) -> Stop:
        def noted(book: LogHead, index: int, event: JournalEntry) -> bool:
            seen(1)
            ends = stop(book, index, event)
            self.done.journal, self.done.next = book.origin, index if ends else index + 1
            return ends

        return noted

    def _write(self, changes: Sequence[Change], next_seq: int, step: StepPlan | None) -> None:
        with self._scratch.change() as tx:
            registers.write(tx, changes)
        self._cursors[SEQ_CURSOR] = next_seq
        if step is not None and not step.redecisions:
            self._cursors[step.source.id] = step.end

    def _put_cursors(self) -> None:
        """Nobody reads them while a walk goes on."""
        with self._scratch.change() as tx:
            for log_id, position in self._cursors.items():
                registers.set_cursor(tx, log_id, position)

    def take(self, book: LogHead, index: int, event: JournalEntry) -> None:
        """Carry out a line of the journal that changes registers by itself; others change nothing."""
        if is_register_event(event):
            with self._scratch.change() as tx:
                registers.write(tx, changes_of(tx.connection, event, book.id, index))


FAULTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    DecodeError,
    ExchangeError,
    LookupError,
    RecursionError,
    *DATABASE_ERRORS,
    TypeError,
    ValueError,
)
"""What computing a step raises over lines and bodies of another make: a node never writes those that do, but its owner
could. The walk ends there, and what lies behind it is open."""


def unreadable(journal: str, index: int, error: Exception) -> Finding:
    """A step that can not be computed: a log, or a decision, is not here, or not of the form."""
    detail = str(error.args[0] if error.args else error)[:MAX_DETAIL]
    if isinstance(error, LineUnreadable):
        journal, index = error.journal, error.index
    elif not isinstance(error, LookupError | ExchangeError):
        detail = f"{type(error).__name__} {detail}"
    return Finding(code="REPLAY_UNREADABLE", log=journal, index=index, detail=detail, proven=False)


def other_digest(step: ReplayedStep) -> Finding:
    """A step that gives other row changes than the journal says."""
    source = step.plan.source.origin
    again = ", ".join(str(each.index) for each in step.plan.redecisions)
    return Finding(
        code="REPLAY_DIGEST",
        log=step.journal,
        index=step.index,
        detail=f"{source} [{step.plan.first}, {step.plan.end})" if not again else f"{source} {again}",
        proven=step.whole,
        evidence={"journal": step.event.step.digest.hex(), "computed": step.digest.hex()},
    )
