"""Claim 7 of a folder: its registers follow from its logs, the very ones that were proven before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exchange.domain.catalogues.tables import Tables
from exchange.domain.problems import Refused
from exchange.flows.apply.again.journaled import is_register_event
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.replay.run import ReplayRun, at_position
from exchange.flows.audit.sources.bound import BoundLogs, FirstReading, differs
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.sources.exported_registers import ExportedRegisters
from exchange.flows.audit.sources.source import Source
from exchange.flows.audit.watching import Watch, unwatched
from exchange.storage.engine.transaction import LogHead
from exchange.v1.journal_pb2 import JournalEntry


@dataclass(slots=True)
class Replayed:
    """What a walk of a folder's journal over its logs came to.

    Attributes:
        findings: What does not follow; not proven where the material does not tell.
        lacking: What would be needed: name, and of which log.
        facts: How far it came.
        differing: Those of the findings that tell where this reading gave something else than the first.
    """

    findings: list[Finding] = field(default_factory=list)
    lacking: list[tuple[str, str]] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)
    differing: list[Finding] = field(default_factory=list)


def replay_folder(
    root: Path, tables: Tables, first: FirstReading | None = None, watch: Watch = unwatched, *, jobs: int = 0
) -> Replayed:
    """Walk a folder's journal over its logs, and lay what it gives beside the registers that were exported.

    Nothing is found where every step gives the digest that the journal names and every row is as exported. Raises
    nothing for what is wrong with the folder.

    Args:
        root: The folder.
        tables: The tables of the domain.
        first: What the folder gave when its logs were proven; None where they are not.
        watch: Told of entries that are read, and of lines of the journal that are walked.
        jobs: Processes; 0: as many as the logs are worth.
    """
    done = Replayed()
    bound: BoundLogs | None = None
    try:
        source: Source = ExportedLogs(root)
        if first is not None:
            source = bound = BoundLogs(source, first)
        with ReplayRun(source, tables, jobs=jobs) as run:
            try:
                registers = ExportedRegisters(root)
            except FolderUnreadable as error:
                # Every digest may still be met; that the registers are those rows, nobody can say.
                done.lacking.append(("REGISTERS_NOT_EXPORTED", error.detail))
            else:
                _lay_beside(run, registers, first, done, watch)
            done.findings += run.go(watch=watch)
            walked = run.done
            done.facts = {"steps": walked.steps, "changes": walked.changes, "digest": walked.digest.hex()}
    except Refused as refused:  # a part of the logs only
        done.lacking += [(each.reason, each.detail) for each in refused.problems]
    except FolderUnreadable as error:
        found = Finding(code=error.reason, file=error.file, byte=error.byte, detail=error.detail, proven=False)
        done.findings.append(found)
    if bound is not None:
        done.differing += bound.findings
    if done.differing:
        # What was read this time is not what was verified: it speaks against nobody.
        done.findings = [replace(each, proven=False) for each in done.findings] + done.differing
    return done


def _lay_beside(
    run: ReplayRun, registers: ExportedRegisters, first: FirstReading | None, done: Replayed, watch: Watch
) -> None:
    """The registers beside what the logs give where they stood."""
    proven = {each.log.origin: each.log.proven for each in first.logs} if first is not None else {}
    behind = at_position(registers.position())
    tails: set[str] = set()

    def stop(book: LogHead, at: int, event: JournalEntry) -> bool:
        if behind(book, at, event):
            return True
        if at >= proven.get(book.origin, at + 1) and (event.HasField("step") or is_register_event(event)):
            tails.add(book.origin)
        return False

    done.findings += run.go(stop, watch=watch)
    done.findings += run.compare(registers)
    if first is not None:
        done.differing += [differs(path) for path in registers.changed(first.files)]
    # What made their last rows nobody has witnessed: whoever had the disk could have written it.
    done.lacking += [("CHECKPOINT", origin) for origin in sorted(tails)]
