"""Claim 7 of a folder: its registers follow from its logs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exchange.domain.catalogues.tables import Tables
from exchange.domain.problems import Refused
from exchange.flows.apply.again.replay import nowhere
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.replay import run as replaying
from exchange.flows.audit.replay.run import ReplayRun
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.sources.exported_registers import ExportedRegisters
from exchange.flows.audit.watching import Watch, unwatched


def replay_folder(root: Path, tables: Tables, watch: Watch = unwatched) -> Iterator[Finding]:
    """Walk a folder's journal over its logs, and lay what it gives beside the registers that were exported.

    Nothing is yielded where every step gives the digest that the journal names and every row is as exported. What is
    yielded with ``proven`` false the material does not tell. Raises nothing for what is wrong with the folder.

    Args:
        root: The folder.
        tables: The tables of the domain.
        watch: Told of entries that are read, and of lines of the journal that are walked.
    """
    try:
        source = ExportedLogs(root)
    except Refused as refused:
        yield Finding(code=refused.problems[0].reason, detail=refused.problems[0].detail, proven=False)
        return
    except FolderUnreadable as error:
        yield _unreadable(error)
        return
    try:
        registers = ExportedRegisters(root)
    except FolderUnreadable as error:
        # Every digest may still be met; that the registers are those rows, nobody can say.
        registers = None
        yield Finding(code="REGISTERS_NOT_EXPORTED", file=error.file, detail=error.detail, proven=False)
    try:
        with ReplayRun(source, tables) as run:
            stop = replaying.at_position(registers.position()) if registers is not None else nowhere
            yield from run.go(stop, watch=watch)
            if registers is not None:
                yield from run.compare(registers)
    except FolderUnreadable as error:
        yield _unreadable(error)


def _unreadable(error: FolderUnreadable) -> Finding:
    return Finding(code=error.reason, file=error.file, byte=error.byte, detail=error.detail, proven=False)
