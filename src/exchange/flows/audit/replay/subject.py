"""What a walk did to the records of one firm, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

from exchange.flows.apply.again.replay import ReplayedStep
from exchange.flows.audit.findings import Finding
from exchange.flows.instants import micros_of


@dataclass(frozen=True, slots=True)
class Touch:
    """One change of a record's row.

    Attributes:
        at: Of the step, in microseconds.
        journal: Origin of the journal, and index of the step.
        log: Origin of the log, and index of the entry, that the row stands on.
        outcome: 0 for own records.
        cause: Why it was decided again; 0 on arrival.
    """

    at: int
    journal: tuple[str, int]
    log: tuple[str, int]
    origin: str
    record_id: bytes
    revision: int
    kind: int
    outcome: int
    tombstone: str
    cause: int


@dataclass(slots=True)
class SubjectTrail:
    """Collects what steps do to one firm's records, and to what is about them.

    Attributes:
        uscc: The firm.
        logs: Origin of each log by its number.
    """

    uscc: str
    logs: dict[int, str] = field(default_factory=dict)
    touches: list[Touch] = field(default_factory=list)
    _records: set[tuple[str, bytes | None]] = field(default_factory=set)

    def see(self, step: ReplayedStep) -> None:
        """Look at one step."""
        self.logs.setdefault(step.plan.source.id, step.plan.source.origin)
        causes = {each.index: each.cause for each in step.plan.redecisions}
        for change in step.plan.changes:
            row = change.row
            if change.table != "records" or row is None:
                continue
            key = (row["origin"], row["record_id"])
            # What was erased has no subject any more; what is about a record may never have had one.
            about = (row["about_origin"], row["about"])
            if row["subject"] != self.uscc and key not in self._records and about not in self._records:
                continue
            self._records.add(key)
            self.touches.append(
                Touch(
                    at=micros_of(step.event.at),
                    journal=(step.journal, step.index),
                    log=(self.logs.get(row["log_id"], ""), row["idx"]),
                    origin=row["origin"],
                    record_id=row["record_id"],
                    revision=row["revision"],
                    kind=row["kind"],
                    outcome=row["outcome"],
                    tombstone=row["tombstone"],
                    cause=causes.get(row["idx"], 0),
                )
            )

    def concerns(self, finding: Finding) -> bool:
        """Whether a finding is about a row of one of these records."""
        rows = [finding.evidence[name] for name in ("made", "found") if name in finding.evidence]
        ids = [record_id.hex() for _, record_id in self._records if record_id]
        return any(self.uscc in row or any(each in row for each in ids) for row in rows)
