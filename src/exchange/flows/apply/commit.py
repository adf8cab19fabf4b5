"""Step 4 of apply: one transaction with everything that a plan will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exchange.domain.problems import ExchangeError
from exchange.flows.apply.steps import StepPlan, digest_leaves
from exchange.flows.instants import micros
from exchange.storage.engine.transaction import NewEntry, Transaction
from exchange.storage.erasing import forgetting
from exchange.storage.intake import attachments
from exchange.storage.logs import journal, log_store
from exchange.storage.registers import registers
from exchange.storage.registers.registers import SEQ_CURSOR
from exchange.v1.journal_pb2 import (
    AppendedDecision,
    Edition,
    EvidenceKept,
    JournalEntry,
    Redecision,
    Step,
)


class StepOutdatedError(ExchangeError):
    """The cursor no longer stands where the plan began: it is computed again."""

    reason = "INTERNAL"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCommit:
    """A plan with its sealed decisions.

    Attributes:
        append: Sealed records by origin of the outbound log that they go to.
        existing: Decisions that were recorded before a restore: (origin, index).
        digest: Running digest before the step.
        local_origin: Name of this node: its erased records have submissions.
    """

    plan: StepPlan
    append: Sequence[tuple[str, NewEntry]]
    existing: Sequence[tuple[str, int]]
    digest: bytes
    editions: Sequence[tuple[str, str]]
    local_origin: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """What the loop goes on with."""

    digest: bytes
    next_seq: int


def commit_steps(tx: Transaction, payloads: Sequence[StepCommit]) -> list[StepDone | Exception]:
    """Carry plans out. There is one loop, so there is one payload; it fails alone when it is outdated."""
    return [_commit(tx, payload) for payload in payloads]


def _commit(tx: Transaction, payload: StepCommit) -> StepDone | Exception:
    plan = payload.plan
    source = plan.source
    if not _move_cursor(tx, plan):
        return StepOutdatedError()
    decisions = [AppendedDecision(log=origin, index=index) for origin, index in payload.existing]
    for origin, entry in payload.append:
        log = tx.head(origin)
        if log is None:
            return StepOutdatedError()
        decisions.append(AppendedDecision(log=origin, index=tx.append(log.id, [entry])))
    leaves = digest_leaves(plan.changes, {log.id: log.origin for log in tx.heads.values()})
    digest = registers.fold(payload.digest, (leaf for _, leaf in leaves))
    step = Step(
        source_log=source.origin,
        first=plan.first,
        end=plan.first if plan.redecisions else plan.end,
        redecisions=[Redecision(index=item.index, cause=item.cause) for item in plan.redecisions],  # type: ignore[arg-type]
        decisions=decisions,
        editions=[Edition(what=what, digest=value) for what, value in payload.editions],
        changes=len(plan.changes),
        digest=digest,
    )
    events = [JournalEntry(step=step)]
    events += [
        JournalEntry(
            evidence_kept=EvidenceKept(
                reason=note.reason, log=source.origin, position=note.position, evidence=note.evidence
            )
        )
        for note in plan.notes
    ]
    for event in events:
        event.at.FromDatetime(plan.at)
    index = journal.append(tx, events)
    book = journal.head_in(tx)
    registers.keep_leaves(tx, book.id, index, registers.pack_leaves(leaves))
    registers.write(tx, plan.changes)
    attachments.use(
        tx, (attachments.Use(log_id=source.id, index=i, attachment=a) for i, a in plan.attached), micros(plan.at)
    )
    erase(tx, plan, payload.local_origin)
    return StepDone(digest, plan.next_seq)


def _move_cursor(tx: Transaction, plan: StepPlan) -> bool:
    if not plan.redecisions and not registers.move_cursor(tx, plan.source.id, plan.first, plan.end):
        return False
    registers.set_cursor(tx, SEQ_CURSOR, plan.next_seq)
    return True


def erase(tx: Transaction, plan: StepPlan, local_origin: str) -> None:
    """Destroy bodies, salts and every copy that the node made of them."""
    addresses = [(row.log_id, row.idx) for row in plan.erasures]
    for row in plan.erasures:
        if row.origin == local_origin:
            found = forgetting.forget(tx, row.record_id, row.revision)
            addresses += [(address.log_id, address.index) for address in found]
    if addresses:
        log_store.erase_bodies(tx, sorted(set(addresses)))
