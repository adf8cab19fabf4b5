"""The whole export.

    1  MANIFEST and export.json are taken away: a folder without them is unfinished
    2  registers, of one moment; then heads and checkpoints of all logs in one view: the moment of the export
    3  each log is written, up to its head of that moment
    4  what no part of this export is taken away
    5  export.json, the disk is told to keep everything, MANIFEST

A crash anywhere leaves a folder that the next run finishes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from exchange.domain.problems import Problem, Refused
from exchange.flows.audit.export.belongs import belongs
from exchange.flows.audit.export.files import Target
from exchange.flows.audit.export.logs import LogExport, LogPlan, plan
from exchange.flows.audit.export.registers import write_registers
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.folder import manifest, names
from exchange.flows.audit.folder.about import WHOLE, About
from exchange.storage import log_store, register_rows
from exchange.storage.database import Database

TOP: Final = frozenset(
    {
        names.EXPORT,
        names.MANIFEST,
        names.READ_ME,
        names.SHEET,
        names.LOGS,
        names.EDITIONS,
        names.TRUST,
        names.REGISTERS,
        names.ATTACHMENTS,
    }
)
"""What an exported folder has at its top, and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was done.

    Attributes:
        entries: Entries that the folder's checkpoints cover.
        promised: Entries beyond them.
        files: Files of the folder that MANIFEST names.
        size: Their bytes.
        written: Bytes that this run wrote; the others were there.
        manifest: SHA-256 of MANIFEST, in hex.
    """

    logs: int
    entries: int
    promised: int
    files: int
    size: int
    written: int
    manifest: str


class Export:
    """Writes a node's logs into a folder.

    Args:
        database: The node's; read in short views, so that the node may run.
        node: Name of the node.
        domain: Its domain.
        root: The folder.
        scope: What is left out.
    """

    def __init__(self, database: Database, node: str, domain: str, root: Path, scope: Scope) -> None:
        self._database = database
        self._node, self._domain = node, domain
        self._target = Target(root)
        self._scope = scope

    def plan(self) -> list[LogPlan]:
        """Heads and checkpoints of the logs as they are now, in one view.

        Raises:
            Refused: ``NOT_FOUND``: the node has no log of the scope's origin.
        """
        with self._database.read() as connection:
            heads = [head for head in log_store.heads(connection) if self._scope.takes(head)]
            if not heads and self._scope.origin:
                raise Refused([Problem("NOT_FOUND", self._scope.origin)])
            return [plan(connection, head) for head in heads]

    def write(self, logs: list[LogPlan], now: datetime, seen: Callable[[int], None] = lambda _count: None) -> Exported:
        """Write the folder.

        Args:
            logs: What ``plan`` told.
            now: Instant of the export.
            seen: Told how many entries were written.

        Raises:
            Refused: ``EXPORT_FOLDER``: the folder holds something that is no part of an export.
        """
        target = self._target
        self._check_top()
        target.begin()
        for name in (names.MANIFEST, names.EXPORT):  # 1
            target.remove(name)
        if self._shows_registers():
            write_registers(target, self._database)
            logs = self.plan()  # again: the logs reach at least as far as the registers
        else:
            target.only(names.REGISTERS, set())
        done = [LogExport(target, self._database, log, self._scope, seen).write() for log in logs]  # 3
        about = About(
            node=self._node,
            domain=self._domain,
            exported_at=now,
            scope=self._scope.to_json(),
            logs=tuple(done),
        )
        for path in target.disk.files():  # 4
            if not belongs(path, about):
                target.remove(path)
        target.put(names.EXPORT, about.to_bytes())  # 5
        os.sync()
        files, size = 0, 0
        with target.stream(names.MANIFEST) as file:
            for path in target.disk.files():
                if path in names.UNLISTED or path.endswith(names.UNFINISHED):
                    continue
                line = manifest.line_of(target.disk, path)
                file.write(line.line().encode("utf-8"))
                files, size = files + 1, size + line.size
        written = target.written
        with target.disk.open(names.MANIFEST) as listed:
            _, digest, _ = manifest.digests(listed)
        return Exported(
            logs=len(done),
            entries=sum(log.size for log in done),
            promised=sum(log.promised for log in done),
            files=files,
            size=size,
            written=written,
            manifest=digest,
        )

    def _shows_registers(self) -> bool:
        """Of a whole node, and only where their rows say nothing that the bodies withhold."""
        if self._scope.kind != WHOLE:
            return False
        with self._database.read() as connection:
            return self._scope.withheld or not register_rows.withholds(connection)

    def _check_top(self) -> None:
        root = self._target.root
        if not root.exists():
            return
        if not root.is_dir():
            raise Refused([Problem("EXPORT_FOLDER", str(root), "not a folder")])
        strange = sorted(each.name for each in root.iterdir() if each.name.removesuffix(names.UNFINISHED) not in TOP)
        if strange:
            raise Refused([Problem("EXPORT_FOLDER", str(root), strange[0])])
