"""The whole export.

    1  MANIFEST and export.json are taken away: a folder without them is unfinished
    2  registers, of one moment; then heads and checkpoints of all logs in one view: the moment of the export
    3  each log is written, up to its head of that moment
    4  editions, trust material and attachments
    5  what is no part of this export is taken away
    6  export.json and the text to read first; the disk is told to keep all; MANIFEST, and the sheet that names it

A crash anywhere leaves a folder that the next run finishes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from exchange.domain.problems import Problem, Refused
from exchange.flows.audit.export import papers
from exchange.flows.audit.export.belongs import belongs
from exchange.flows.audit.export.beside import write_attachments, write_editions, write_trust
from exchange.flows.audit.export.files import Target
from exchange.flows.audit.export.logs import LogExport, LogPlan, plan
from exchange.flows.audit.export.registers import write_registers
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.export.shown import statement_in
from exchange.flows.audit.folder import manifest, names
from exchange.flows.audit.folder.about import WHOLE, About, LogAbout
from exchange.flows.audit.watching import HASHING, WRITING, Seen, Watch, unwatched
from exchange.storage.engine.database import Database
from exchange.storage.logs import log_store
from exchange.storage.registers import canonical
from exchange.v1.kind_pb2 import Kind

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


TRIES: Final = 100
"""How often the logs are written again because something was erased meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was done.

    Attributes:
        entries: Entries that the folder's checkpoints cover.
        promised: Entries beyond them.
        files: Files of the folder that MANIFEST names.
        size: Their bytes.
        written: Bytes that this run wrote; the others were there.
        withheld: Bodies that were left out because they may not be shown.
        registers: Whether the registers are in the folder.
        manifest: SHA-256 of MANIFEST, in hex.
    """

    logs: int
    entries: int
    promised: int
    files: int
    size: int
    written: int
    withheld: int
    registers: bool
    manifest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is written beside the logs.

    Attributes:
        trust: Copies of trust material, by path below ``trust/``.
        registers: Write the registers of a whole export.
        attachments: Write attachments.
    """

    trust: Mapping[str, bytes] = field(default_factory=dict)
    registers: bool = True
    attachments: bool = False


class Export:
    """Writes a node's logs into a folder.

    Args:
        database: The node's; read in short views, so that the node may run.
        node: Name of the node.
        domain: Its domain.
        root: The folder.
        scope: What is left out.
        beside: What is written beside the logs.
    """

    def __init__(
        self, database: Database, node: str, domain: str, root: Path, scope: Scope, beside: Beside | None = None
    ) -> None:
        self._database = database
        self._node, self._domain = node, domain
        self._target = Target(root)
        self._scope = scope
        self._beside = beside or Beside()

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

    def write(self, logs: list[LogPlan], now: datetime, watch: Watch = unwatched) -> Exported:
        """Write the folder.

        Args:
            logs: What ``plan`` told.
            now: Instant of the export.
            watch: Told of entries that are written, and of files that are hashed.

        Raises:
            Refused: ``EXPORT_FOLDER``: the folder holds something that is no part of an export.
        """
        target = self._target
        self._check_top()
        target.begin()
        for name in (names.SHEET, names.MANIFEST, names.EXPORT):  # 1
            target.remove(name)
        registers = self._beside.registers and self._shows_registers()
        if registers:
            write_registers(target, self._database)
            logs = self.plan()  # again: the logs reach at least as far as the registers
        else:
            target.only(names.REGISTERS, set())
        seen = watch(WRITING, sum(log.head.size for log in logs))
        exports, done = self._write_logs(logs, seen)  # 3
        for _ in range(TRIES):
            if not self._erases_since(logs):
                break
            # A body that is told as erased would have its Erasure behind the export's end.
            logs = self.plan()
            exports, done = self._write_logs(logs, unwatched("", 0))
        withheld = sum(each.withheld for each in exports)
        beside = self._write_beside(logs)  # 4
        about = About(
            node=self._node,
            domain=self._domain,
            exported_at=now,
            scope=self._scope.to_json(),
            logs=tuple(done),
        )
        for path in target.disk.files():  # 5
            if not belongs(path, about, beside):
                target.remove(path)
        target.put(names.EXPORT, about.to_bytes())  # 6
        target.put(names.READ_ME, papers.read_me(about))
        os.sync()
        files, size = self._write_manifest(watch)
        with target.disk.open(names.MANIFEST) as listed:
            _, digest, sm3 = manifest.digests(listed)
        notes = {log.head.origin: log.checkpoint for log in logs if log.checkpoint is not None}
        target.put(names.SHEET, papers.sheet(about, notes, files_=files, size=size, sha256=digest, sm3=sm3))
        return Exported(
            logs=len(done),
            entries=sum(log.size for log in done),
            promised=sum(log.promised for log in done),
            files=files,
            size=size,
            written=target.written,
            withheld=withheld,
            registers=registers,
            manifest=digest,
        )

    def _write_logs(self, logs: list[LogPlan], seen: Seen) -> tuple[list[LogExport], list[LogAbout]]:
        exports = [LogExport(self._target, self._database, log, self._scope, seen) for log in logs]
        return exports, [each.write() for each in exports]

    def _erases_since(self, logs: list[LogPlan]) -> bool:
        """Whether any log holds an Erasure by now that the export does not."""
        with self._database.read() as connection:
            newest = {head.id: head.size for head in log_store.heads(connection)}
            for log in logs:
                head = log.head
                if head.use == "journal" or newest[head.id] == head.size:
                    continue
                since = log_store.entries(connection, head.id, head.size, newest[head.id], bodies=False)
                said = (statement_in(each.entry) for each in since)
                if any(each is not None and each.kind == Kind.KIND_ERASURE for each in said):
                    return True
        return False

    def _write_beside(self, logs: list[LogPlan]) -> set[str]:
        target, database = self._target, self._database
        written = write_editions(target, database, logs) | write_trust(target, self._beside.trust)
        if self._beside.attachments and not self._scope.subject:
            written |= write_attachments(target, database, withheld=self._scope.withheld)
        return written

    def _write_manifest(self, watch: Watch) -> tuple[int, int]:
        target = self._target
        files, size = 0, 0
        seen = watch(HASHING, sum(1 for _ in self._listed()))
        with target.stream(names.MANIFEST) as file:
            for path in self._listed():
                line = manifest.line_of(target.disk, path)
                file.write(line.line().encode("utf-8"))
                files, size = files + 1, size + line.size
                seen(1)
        return files, size

    def _listed(self) -> Iterator[str]:
        paths = self._target.disk.files()
        return (each for each in paths if each not in names.UNLISTED and not each.endswith(names.UNFINISHED))

    def _shows_registers(self) -> bool:
        """Of a whole node, and only where their rows say nothing that the bodies withhold."""
        if self._scope.kind != WHOLE:
            return False
        with self._database.read() as connection:
            return self._scope.withheld or not canonical.withholds(connection)

    def _check_top(self) -> None:
        root = self._target.root
        if not root.exists():
            return
        if not root.is_dir():
            raise Refused([Problem("EXPORT_FOLDER", str(root), "not a folder")])
        strange = sorted(each.name for each in root.iterdir() if each.name.removesuffix(names.UNFINISHED) not in TOP)
        if strange:
            raise Refused([Problem("EXPORT_FOLDER", str(root), strange[0])])
