"""What an Erasure leaves: tombstones in the registers, bodies to be destroyed, the decisions that follow."""

from __future__ import annotations

from exchange.domain.record_index import raw_id
from exchange.flows.apply.changes.effects import UNDESCRIBED
from exchange.flows.apply.changes.overlay import MAX_REVISION, ErasedRow, RegisterOverlay
from exchange.flows.apply.deciding.ruling import Decided, Ruling
from exchange.flows.apply.entry import ReadEntry
from exchange.flows.intake.ids import format_id
from exchange.storage.registers import registers
from exchange.storage.registers.registers import NO_ENTRY
from exchange.v1.kind_pb2 import Outcome
from exchange.v1.recognition_pb2 import DecisionCause

ERASED = Ruling(outcome=Outcome.OUTCOME_NOT_RECOGNISED, reasons=("ERASED",))
"""The ruling of a record whose body was destroyed."""


def apply_erasure(overlay: RegisterOverlay, entry: ReadEntry, origin: str, *, mirrored: bool) -> list[Decided]:
    """Destroy what an Erasure names: tombstones for the rows, the blocks gone, bodies to be erased.

    A revision is erased together with all before it: what it replaced would otherwise be shown again, and says most
    of the same.

    Returns:
        The new decisions about mirrored records: NOT_RECOGNISED, ERASED.
    """
    assert entry.record is not None
    erasure = entry.record.erasure
    target = raw_id(erasure.record.record_id)
    last = erasure.record.revision or MAX_REVISION
    decided = []
    shown = any(row["newest"] for row in overlay.revisions(origin, target) if row["revision"] > last)
    for old in reversed(list(overlay.revisions(origin, target))):
        if old["revision"] > last or old["tombstone"] == "ERASED":
            shown = shown or old["newest"]
            continue
        row = old | {
            **UNDESCRIBED,
            "outcome": ERASED.outcome if mirrored else Outcome.OUTCOME_UNSPECIFIED,
            "decision_revision": old["decision_revision"] + 1 if mirrored else 0,
            "decision": ERASED.as_json(""),
            "newest": not shown,
            "tombstone": "ERASED",
            "tombstone_on": erasure.ordered_on,
        }
        shown = True
        if old["natural_key"]:
            overlay.release(origin, old["natural_key"])
        overlay.put_record(row, salt=b"", place=NO_ENTRY)
        overlay.drop("waits", (old["log_id"], old["idx"]))
        for part in registers.RECORD_PARTS:
            overlay.drop(part, (origin, target, old["revision"]))
        if mirrored:
            decided.append(
                Decided(
                    log_id=old["log_id"],
                    index=old["idx"],
                    record_id=format_id(target),
                    record_revision=old["revision"],
                    decision_revision=row["decision_revision"],
                    ruling=ERASED,
                    cause=DecisionCause.DECISION_CAUSE_ERASED,
                )
            )
        overlay.erasures.append(ErasedRow(origin, target, old["revision"], old["log_id"], old["idx"]))
    decided += _erase_copies(overlay, target, last, mirrored=mirrored)
    return decided


def _erase_copies(overlay: RegisterOverlay, target: bytes, last: int, *, mirrored: bool) -> list[Decided]:
    """Bodies that no register row points at go too; one that still waits for its decision gets it."""
    decided = []
    for copy in overlay.copies(target):
        if copy.revision > last:
            continue
        waiting = overlay.waiting(copy.log_id, copy.idx) if mirrored else 0
        if waiting:
            overlay.drop("waits", (copy.log_id, copy.idx))
            decided.append(
                Decided(
                    log_id=copy.log_id,
                    index=copy.idx,
                    record_id=format_id(target),
                    record_revision=copy.revision,
                    decision_revision=waiting + 1,
                    ruling=ERASED,
                    cause=DecisionCause.DECISION_CAUSE_ERASED,
                )
            )
        overlay.erasures.append(ErasedRow(copy.origin, target, copy.revision, copy.log_id, copy.idx))
    return decided
