"""An exported folder is replayed, imported and reconciled as the node's own logs are; it may grow meanwhile."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.domain.problems import Refused
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.reconcile.run import reconcile
from exchange.flows.audit.replay import run as replaying
from exchange.flows.audit.replay.folder import replay_folder
from exchange.flows.audit.replay.importing import import_logs
from exchange.flows.audit.replay.run import ReplayRun
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.sources.exported_registers import ExportedRegisters
from exchange.flows.audit.sources.stored import StoredRegisters
from exchange.flows.audit.verify.claims import Verdict
from exchange.storage.engine.database import Database
from exchange.storage.logs import verify
from tests import evidence
from tests.flows.audit.past import NAMES, Past, believed
from tests.flows.test_recovering import submit
from tests.world import FEDERATION, World, tables


def export(database: Database, name: str, folder: Path, scope: Scope) -> Path:
    """Export a node's logs."""
    made = Export(database, name, FEDERATION, folder, scope)
    made.write(made.plan(), datetime.now(UTC))
    return folder


@pytest.fixture(scope="module")
def folders(past: Past, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Whole exports of both sides, with bodies that are withheld."""
    root = tmp_path_factory.mktemp("exports")
    return {name: export(past.database(name), name, root / name, Scope(withheld=True)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_replays_as_its_node(past: Past, folders: dict[str, Path], name: str) -> None:
    """The same steps, the same digest, and every row as the node has it."""
    with past.run(name) as run:
        assert list(run.go()) == []
        whole = run.done
    with ReplayRun(ExportedLogs(folders[name]), tables()) as run:
        assert list(run.go()) == []
        assert run.done == whole
        assert list(run.compare(StoredRegisters(past.database(name)))) == []


def test_exported_registers_are_compared_row_by_row(folders: dict[str, Path], tmp_path: Path) -> None:
    """Nothing differs from a sound export; a line changed in it is found by its entry, one taken out too."""
    folder = folders["sc"]
    exported = ExportedRegisters(folder)
    with ReplayRun(ExportedLogs(folder), tables()) as run:
        assert list(run.go(replaying.at_position(exported.position()))) == []
        assert list(run.compare(exported)) == []
        shutil.copytree(folder / "registers", tmp_path / "changed")
        path = tmp_path / "changed" / "reg_records.jsonl"
        lines = path.read_text("utf-8").splitlines()
        at = next(index for index, line in enumerate(lines) if '"newest":true' in line)
        row = json.loads(lines[at])
        lines[at] = lines[at].replace('"newest":true', '"newest":false')
        gone = json.loads(lines.pop(at + 4))
        path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        found = list(run.compare(ExportedRegisters(tmp_path / "changed")))
    assert [(each.code, each.log, each.index) for each in found] == [
        ("REGISTER_ROW_DIFFERS", row["log_id"], row["idx"]),
        ("REGISTER_ROW_MISSING", gone["log_id"], gone["idx"]),
    ]


def test_a_folder_is_judged_by_itself(past: Past, folders: dict[str, Path], tmp_path: Path) -> None:
    """Nothing of a sound folder; without registers, or of a part, it is told as open, never as refuted."""
    whole = replay_folder(folders["cq"], tables())
    assert (whole.findings, whole.lacking) == ([], [])
    assert whole.facts["steps"] > 0
    bare = replay_folder(export(past.database("cq"), "cq", tmp_path / "bare", Scope()), tables())
    assert (bare.findings, [what for what, _ in bare.lacking]) == ([], ["REGISTERS_NOT_EXPORTED"])
    part = export(past.database("cq"), "cq", tmp_path / "part", Scope(subject="91500000MX0000019C"))
    assert [what for what, _ in replay_folder(part, tables()).lacking] == ["EXPORT_NOT_WHOLE"]
    assert [each.proven for each in replay_folder(tmp_path / "nowhere", tables()).findings] == [False]


def test_registers_are_withheld_with_what_they_say(past: Past, tmp_path: Path) -> None:
    """Where a record is withheld, its rows are not exported unless its body is."""
    folder = export(past.database("sc"), "sc", tmp_path / "sc", Scope())
    assert not (folder / "registers").exists()
    with pytest.raises(FolderUnreadable):
        ExportedRegisters(folder)


def test_what_is_withheld_is_taken_as_kept(past: Past, tmp_path: Path) -> None:
    """Without withheld bodies every digest is met by the leaves that were kept; rows made of them are told as open."""
    folder = export(past.database("sc"), "sc", tmp_path / "sc", Scope())
    with ReplayRun(ExportedLogs(folder), tables()) as run:
        assert list(run.go()) == []
        found = list(run.compare(StoredRegisters(past.database("sc"))))
    assert found
    assert {(each.code, each.proven) for each in found} == {("REGISTER_ROW_WITHHELD", False)}


def test_an_import_of_a_folder_is_the_node(past: Past, folders: dict[str, Path], migrated_url: str) -> None:
    """Logs, trees, notes and registers are the original ones, on either kind of database."""
    assert import_logs(ExportedLogs(folders["cq"]), migrated_url, tables()).findings == []
    assert verify.verify(migrated_url) == []
    made = Database(migrated_url)
    try:
        assert evidence.registers(made) == evidence.registers(past.database("cq"))
    finally:
        made.dispose()


def test_folders_of_both_sides_are_reconciled(folders: dict[str, Path]) -> None:
    """Nothing is found in two sound folders."""
    one, other = (ExportedLogs(folders[name]) for name in NAMES)
    done = reconcile(one, other, believed())
    assert (done.findings, done.verdict) == ([], Verdict.PROVEN)
    assert [each.is_proven for each in done.repairs] == [True]


def test_a_part_of_the_logs_is_refused(past: Past, folders: dict[str, Path], tmp_path: Path) -> None:
    """An export of a range is none that could be walked, and a folder that lacks a bundle is told by its file."""
    origin = "cq.exchange.example/to/sc/registry/1"
    part = export(past.database("cq"), "cq", tmp_path / "part", Scope(origin=origin, end=3))
    with pytest.raises(Refused) as refused:
        ExportedLogs(part)
    assert refused.value.reason == "EXPORT_NOT_WHOLE"
    broken = export(past.database("cq"), "cq", tmp_path / "broken", Scope())
    bundles = list((broken / "logs" / origin / "tile" / "entries").rglob("*"))
    next(each for each in bundles if each.is_file()).unlink()
    with ReplayRun(ExportedLogs(broken), tables()) as run, pytest.raises(FolderUnreadable):
        list(run.go())


def test_a_walk_goes_on_as_the_folder_grows(tmp_path: Path) -> None:
    """A folder that is exported again is walked from where the walk stood, to the registers of a whole one."""
    world = World({name: f"sqlite:///{tmp_path}/{name}.db" for name in NAMES})
    try:
        world.start()
        submit(world, range(3), "cq")
        world.wait(world.settled)
        database = world.nodes["sc"].database
        folder = export(database, "sc", tmp_path / "folder", Scope())
        with ReplayRun(ExportedLogs(folder), tables()) as run:
            assert list(run.go()) == []
            before = run.done.steps
            submit(world, range(10, 14), "cq")
            submit(world, range(20, 22), "sc")
            world.wait(world.settled)
            with world.nodes["sc"].core.apply.busy:
                export(database, "sc", folder, Scope())
                assert list(run.go()) == []
                assert run.done.steps > before
                assert list(run.compare(StoredRegisters(database))) == []
    finally:
        world.close()
