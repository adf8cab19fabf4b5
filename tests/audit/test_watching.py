"""Long work on an exported folder is watched: each part is told with how much it is, and told to its end."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.adapter_set import domain_tables
from exchange.cli.audit.folder.asking import question
from exchange.cli.audit.folder.believing import gather
from exchange.cli.texts import word
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.folder import manifest
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.reconcile.run import reconcile
from exchange.flows.audit.replay.importing import import_logs
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.verify.run import verify
from exchange.flows.audit.watching import HASHING, READING, SIGNATURES, WALKING, WRITING
from exchange.storage.engine.database import Database
from tests.audit.material import NAMES, Material
from tests.world import FEDERATION


class Watcher:
    """Keeps what it is told: of each part how much it is, and how much was done."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.done: list[int] = []

    def __call__(self, part: str, total: int) -> Callable[[int], None]:
        """A part begins."""
        self.told.append((part, total))
        self.done.append(0)
        at = len(self.done) - 1

        def seen(count: int) -> None:
            self.done[at] += count

        return seen

    def parts(self) -> dict[str, int]:
        """The parts, each told once and to its end."""
        assert self.done == [total for _, total in self.told]
        assert len(dict(self.told)) == len(self.told)
        return dict(self.told)


@pytest.fixture
def watcher() -> Watcher:
    """Somebody who looks."""
    return Watcher()


def sizes(folder: Path) -> dict[str, int]:
    """Entries of a folder: of records, and of its journal."""
    found = {"records": 0, "journal": 0}
    for log in ExportedLogs(folder).logs():
        found["journal" if log.use == "journal" else "records"] += log.size
    return found


def listed(folder: Path) -> int:
    """Files that MANIFEST names."""
    return sum(1 for _ in manifest.read(Disk(folder)))


@pytest.mark.parametrize("jobs", [1, 2])
def test_verifying_tells_files_entries_and_signatures(material: Material, watcher: Watcher, jobs: int) -> None:
    """By one process and by several."""
    folder = material.export("cq")
    nobody = gather(policy=None, cards=[], fingerprints=[], roots=[], lists=[])
    asked = question(
        folder, nobody, pages=(), tsa_roots=None, registers=False, listed=None, key="decision_no", adapter="", jobs=jobs
    )
    verify(asked, watcher)
    proven = {log.use == "journal": 0 for log in ExportedLogs(folder).logs()}
    for log in ExportedLogs(folder).logs():
        proven[log.use == "journal"] += log.proven
    assert watcher.parts() == {HASHING: listed(folder), READING: sum(proven.values()), SIGNATURES: proven[False]}


def test_an_import_tells_entries_and_the_walk(material: Material, watcher: Watcher, tmp_path: Path) -> None:
    """A replay does the same into a database that it throws away."""
    folder = material.export("cq")
    import_logs(ExportedLogs(folder), f"sqlite:///{tmp_path}/made.db", domain_tables(), watcher)
    found = sizes(folder)
    assert watcher.parts() == {READING: found["records"] + found["journal"], WALKING: found["journal"]}


def test_reconciling_tells_the_entries_of_both_sides(material: Material, watcher: Watcher) -> None:
    """Every log of either side is read once."""
    one, other = (ExportedLogs(material.export(name)) for name in NAMES)
    reconcile(one, other, gather(policy=None, cards=[], fingerprints=[], roots=[], lists=[]), watcher)
    assert watcher.parts() == {READING: sum(sum(sizes(material.export(name)).values()) for name in NAMES)}


def test_an_export_tells_entries_and_files(material: Material, watcher: Watcher, tmp_path: Path) -> None:
    """What the list of files names was hashed."""
    database = Database(f"sqlite:///{material.folder}/cq.db")
    try:
        export = Export(database, "cq", FEDERATION, tmp_path / "made", Scope())
        export.write(export.plan(), datetime.now(UTC), watcher)
    finally:
        database.dispose()
    found = sizes(tmp_path / "made")
    assert watcher.parts() == {WRITING: sum(found.values()), HASHING: listed(tmp_path / "made")}


def test_bars_are_shown_on_a_terminal_and_nowhere_else(material: Material) -> None:
    """They go to standard error; what a command answers is the same with them and without."""
    call = [sys.executable, "-c", "from exchange.cli.main import main; main()"]
    command = [*call, "audit", "replay", str(material.export("cq")), "--json"]
    environment = {**os.environ, "TERM": "xterm", "LC_ALL": "zh_CN.UTF-8"}
    plain = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert plain.stderr == b""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=theirs) as shown:
        os.close(theirs)
        assert shown.stdout is not None
        told = b""
        while piece := _read(ours):
            told += piece
        assert shown.stdout.read() == plain.stdout
    os.close(ours)
    for part in (READING, WALKING):
        assert word("audit_part", part, "zh").encode() in told


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # nobody writes to it any more
        return b""
