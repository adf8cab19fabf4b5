"""What another program made: a walk by this one may give other rows, and that refutes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from exchange.flows.apply.again.replay import ReplayedStep
from exchange.flows.audit.findings import Finding
from exchange.storage.registers import projection


class OtherProgram:
    """Watches by which edition of the projection the steps of a walk were made.

    Attributes:
        met: Whether one of them was made by another edition than this program has.
    """

    def __init__(self) -> None:
        self.met = False
        self._named: Finding | None = None
        self._told = False
        self._differs = False

    def see(self, step: ReplayedStep) -> None:
        """The next step of the walk."""
        named = next((each.digest for each in step.event.step.editions if each.what == projection.PROJECTION), "")
        if named == projection.DIGEST:
            return
        self.met = True
        # Rows that another program made otherwise are what later steps, of whatever program, begin from.
        self._differs = self._differs or not step.agrees
        if self._named is None:
            self._named = Finding(
                code="PROJECTION_OTHER",
                log=step.journal,
                index=step.index,
                detail=f"{named[:16] or '-'} / {projection.DIGEST[:16]}",
                proven=False,
                evidence={"journal": named, "program": projection.DIGEST},
            )

    def of_step(self, finding: Finding) -> Iterator[Finding]:
        """What a step that differs comes to; the program's part is told once, before it."""
        return self._weighed(finding, excused=self._differs)

    def of_row(self, finding: Finding) -> Iterator[Finding]:
        """What a row that differs comes to: not every change of a row is in a step's digest."""
        return self._weighed(finding, excused=self.met)

    def _weighed(self, finding: Finding, *, excused: bool) -> Iterator[Finding]:
        if not excused:
            yield finding
            return
        if self._named is not None and not self._told:
            self._told = True
            yield self._named
        yield replace(finding, proven=False)
