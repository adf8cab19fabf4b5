"""The disk comes from the audited unit: whatever lies on it is found or left open, and never followed or believed."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.flows.audit.export.run import Beside, Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.folder import names, ustar
from exchange.flows.audit.folder.bodies import Absent, write_absent, write_body
from exchange.flows.audit.verify.claims import ClaimNo, Result, Verdict
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.flows.audit.verify.run import Asked, verify
from exchange.flows.audit.watching import SIGNATURES, Seen, unwatched
from exchange.storage.engine.database import Database
from exchange.tlog import tiles
from exchange.tlog.tiles import Run
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Kind
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement
from tests.audit.forging import log_of, relist_all
from tests.audit.material import NAMES, SAMPLE, Material
from tests.audit.test_verifying import FOLDER, REGISTRY, look, outcomes
from tests.cli.conftest import run
from tests.domain import records
from tests.rpc.facts import penalty_of
from tests.world import FEDERATION, World

JOURNAL = "cq.exchange.example/journal/1"


def found_in(result: Result) -> set[tuple[str, str]]:
    """Code and file of each finding."""
    return {(each.finding.code, each.finding.file) for each in result.findings}


@dataclass
class Archived:
    """The archive of a bundle's bodies, taken apart."""

    absent: dict[int, Absent] = field(default_factory=dict)
    held: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)


def rewrite_bodies(folder: Path, origin: str, run_of: Run, change: Callable[[Archived], None]) -> str:
    """Write an archive of bodies anew; its path."""
    log = log_of(folder, origin)
    made = Archived()
    with log.bodies(run_of) as archive:
        assert archive is not None
        made.absent |= dict(archive.absent)
        made.held |= {each.index: (each.body, each.salt) for each in archive.bodies()}
    change(made)
    members = b"".join(write_body(index, *made.held[index]) for index in sorted(made.held))
    path = log.bodies_path(run_of)
    (folder / path).write_bytes(write_absent(made.absent) + members + ustar.END)
    return path


def statement_at(folder: Path, origin: str, index: int) -> Statement:
    """The statement of an entry."""
    log = log_of(folder, origin)
    part = next(each for each in tiles.runs(log.about.size) if each.first <= index < each.end)
    bundle = log.bundle(part)
    assert bundle is not None
    entry = LogEntry.FromString(bundle[index - part.first])
    return Statement.FromString(Envelope.FromString(entry.envelope).payload)


def erase(folder: Path, origin: str, index: int, part: Run) -> str:
    """Replace a body by the word that it was erased; path of the archive."""
    said = statement_at(folder, origin, index)

    def change(made: Archived) -> None:
        del made.held[index]
        made.absent[index] = Absent(index, names.ERASED, said.record_id)

    path = rewrite_bodies(folder, origin, part, change)
    relist_all(folder)
    return path


def test_a_body_is_not_erased_because_the_disk_says_so(material: Material, believed: Believed, copy: Path) -> None:
    """No Erasure names it: a finding at its entry; the one that an Erasure names is still accepted."""
    path = erase(copy, REGISTRY, 17, Run(0, 256))
    result = look(material, copy, believed)
    (found,) = result.findings
    assert (found.no, found.finding.code) == (ClaimNo.NONE_MISSING, "ERASED_BY_NOBODY")
    assert (found.finding.log, found.finding.index, found.finding.file) == (REGISTRY, 17, path)
    assert outcomes(result)[2] == "REFUTED"


def test_a_body_of_the_other_region_is_not_erased_by_this_one(
    material: Material, believed: Believed, copy: Path
) -> None:
    """The mirror's bodies, too, need an Erasure of the region that stated them."""
    origin = "sc.exchange.example/to/cq/registry/1"
    (whole,) = tiles.runs(log_of(copy, origin).about.size)
    erase(copy, origin, whole.end - 1, whole)
    assert {code for code, _ in found_in(look(material, copy, believed))} == {"ERASED_BY_NOBODY"}


def test_an_erasure_whose_own_body_is_not_here_leaves_it_open(
    material: Material, believed: Believed, copy: Path
) -> None:
    """It may name the record or not: nobody is accused, and nothing proven."""
    log = log_of(copy, REGISTRY)
    erasures = [
        index for index in range(log.about.size) if statement_at(copy, REGISTRY, index).kind == Kind.KIND_ERASURE
    ]
    (index,) = erasures

    def change(made: Archived) -> None:
        del made.held[index]
        made.absent[index] = Absent(index, names.WITHHELD, statement_at(copy, REGISTRY, index).record_id)

    rewrite_bodies(copy, REGISTRY, next(part for part in tiles.runs(log.about.size) if index < part.end), change)
    relist_all(copy)
    result = look(material, copy, believed)
    assert result.findings == ()
    assert {each.what for each in result.claims[1].missing} == {"BODIES_WITHHELD", "ERASURE"}


def test_what_is_erased_while_the_export_runs_has_its_erasure_in_it(tmp_path: Path) -> None:
    """The Erasure came behind the heads that the export began with: the logs are written again, up to it."""
    world = World({name: f"sqlite:///{tmp_path}/{name}.db" for name in NAMES})
    try:
        world.start()
        sent = world.submit("cq", penalty_of(records.make_uscc(9_100), "演环罚〔2025〕9100号"), "p-1")
        world.wait(world.settled, 60)
        export = Export(
            world.nodes["cq"].database, "cq", FEDERATION, tmp_path / "out", Scope(), Beside(registers=False)
        )
        waiting = [records.erasure()]

        def seen(_count: int) -> None:
            while waiting:
                act = waiting.pop()
                act.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=sent.record_id))
                world.submit("cq", act, "e-1")
                world.wait(world.settled, 60)

        export.write(export.plan(), datetime.now(UTC), lambda _part, _total: seen)
    finally:
        world.close()
    result = verify(Asked(folder=tmp_path / "out", believed=Believed(), pages={}))
    assert result.findings == ()
    assert sum(log["bodies_absent"].get("ERASED", 0) for log in result.logs) == 1


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


PLACES = [
    "logs/extra",
    f"{FOLDER}/checkpoint",
    f"{FOLDER}/bodies/000.tar",
    "registers/reg_records.jsonl",
    names.MANIFEST,
]
STRANGE = [_link, _loop, _pipe, _socket]


@pytest.mark.parametrize("make", STRANGE)
@pytest.mark.parametrize("path", PLACES)
def test_links_pipes_and_sockets_are_named_and_never_opened(
    material: Material, believed: Believed, copy: Path, make: Callable[[Path], None], path: str
) -> None:
    """Beside the files or in the place of one: told by name; nothing waits for a pipe, nothing of a link is read."""
    (copy / path).unlink(missing_ok=True)
    make(copy / path)
    result = look(material, copy, believed)
    assert ("FILE_STRANGE", path) in found_in(result)
    assert result.verdict is Verdict.REFUTED
    assert "root:" not in json.dumps(result.as_dict())
    run("audit", "replay", copy)
    run("audit", "replay", copy, "--registers", copy)


def test_a_folder_behind_a_link_is_not_gone_into(material: Material, believed: Believed, copy: Path) -> None:
    """A log's folder that lies elsewhere is not here, however sound it is."""
    elsewhere = copy.parent / "elsewhere"
    (copy / FOLDER).rename(elsewhere)
    (copy / FOLDER).symlink_to(elsewhere)
    result = look(material, copy, believed)
    assert ("FILE_STRANGE", FOLDER) in found_in(result)
    assert {code for code, _ in found_in(result)} >= {"BUNDLE_MISSING", "CHECKPOINT_MISSING"}


NAMES_ON_DISK = [b"\xff\xfe", "\u202egpj.txt".encode(), b"a:b", b"\x1b[31m", "\x9b31m".encode(), b"con"]


@pytest.mark.parametrize("name", NAMES_ON_DISK)
def test_names_that_no_export_writes_come_out_escaped(material: Material, copy: Path, name: bytes) -> None:
    """No UTF-8, controls, right-to-left overrides: told in tables and JSON without one letter of them raw."""
    (copy / "logs" / os.fsdecode(name)).write_bytes(b"x")
    for more in ((), ("--json",)):
        done = run("audit", "verify", copy, "--jobs", "1", *more)
        assert done.status == 1
        assert not set(done.out) & {"\x1b", "\x9b", "\u202e", "\udcff"}
        if more:
            codes = {found["code"] for found in done.json["findings"]}
            assert codes & {"FILE_STRANGE", "FILE_NOT_LISTED"}
    page = copy.parent / "page.html"
    assert run("audit", "report", copy, "-o", page, "--jobs", "1").status == 1
    assert not set(page.read_text("utf-8")) & {"\x1b", "\x9b", "\u202e"}


def test_what_an_auditors_own_machine_leaves_refutes_nothing(
    material: Material, believed: Believed, copy: Path
) -> None:
    """Notes of a desktop and second names are told, and the region is not accused: the verdict stays open."""
    (copy / ".DS_Store").write_bytes(b"Bud1")
    (copy / "logs/._x").write_bytes(b"")
    os.link(copy / FOLDER / "checkpoint", copy.parent / "outside")
    result = look(material, copy, believed)
    told = {(each.finding.code, each.finding.file, each.finding.proven) for each in result.findings}
    assert told == {
        ("FILE_STRANGE", ".DS_Store", False),
        ("FILE_STRANGE", "logs/._x", False),
        ("FILE_STRANGE", f"{FOLDER}/checkpoint", False),
    }
    assert result.verdict is Verdict.NOT_PROVABLE
    assert outcomes(result)[1] == outcomes(result)[2] == "PROVEN"


def test_a_folder_where_a_file_belongs_and_a_file_where_a_folder_belongs(
    material: Material, believed: Believed, copy: Path
) -> None:
    """Neither is read, both are told."""
    (copy / FOLDER / "tile/entries/000").unlink()
    (copy / FOLDER / "tile/entries/000").mkdir()
    shutil.rmtree(copy / "sc.exchange.example", ignore_errors=True)
    shutil.rmtree(copy / "logs/sc.exchange.example")
    (copy / "logs/sc.exchange.example").write_bytes(b"")
    codes = found_in(look(material, copy, believed))
    assert ("BUNDLE_MISSING", f"{FOLDER}/tile/entries/000") in codes
    assert ("FILE_NOT_LISTED", "logs/sc.exchange.example") in codes


def _described(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / names.EXPORT
        described = json.loads(path.read_text("utf-8"))
        change(described)
        path.write_text(json.dumps(described), "utf-8")

    return edit


def _written(data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / names.EXPORT).write_bytes(data)


BROKEN = {
    "not there": lambda folder: (folder / names.EXPORT).unlink(),
    "empty": _written(b""),
    "cut": lambda folder: (folder / names.EXPORT).write_bytes((folder / names.EXPORT).read_bytes()[:500]),
    "deep": _written(b"[" * 200_000),
    "utf-16": lambda folder: (folder / names.EXPORT).write_text((folder / names.EXPORT).read_text("utf-8"), "utf-16"),
    "no object": _written(b"[]"),
    "digits": _written(b'{"format": ' + b"9" * 5_000 + b"}"),
    "too large": _written(b" " * (17 << 20)),
    "infinite": _described(lambda about: about["logs"][3].update(size=float("inf"))),
    "negative": _described(lambda about: about["logs"][3].update(size=-1)),
    "beyond": _described(lambda about: about["logs"][3].update(size=1 << 63)),
    "elsewhere": _described(lambda about: about["logs"][3].update(folder="../../etc")),
    "no name": _described(lambda about: about["logs"][3].update(origin="../../etc/passwd")),
    "twice": _described(lambda about: about["logs"].append(about["logs"][0])),
    "half": _described(lambda about: about["logs"][3].update(bundles=[[0, 1]])),
    "surrogate": _described(lambda about: about["node"].update(name="\ud800")),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_export_that_does_not_say_what_it_holds_is_broken(copy: Path, how: str) -> None:
    """Cut off, of another form or without bounds: one located finding, all nine claims open, exit status 1."""
    BROKEN[how](copy)
    done = run("audit", "verify", copy, "--jobs", "1", "--registers", "--json")
    (found,) = done.json["findings"]
    assert (found["code"], found["file"], done.status) == ("EXPORT_BROKEN", names.EXPORT, 1)
    assert {claim["outcome"] for claim in done.json["claims"]} == {"NOT_PROVABLE"}
    assert run("audit", "verify", copy, "--jobs", "1").status == 1


def test_a_size_that_nothing_fills_is_refuted_and_not_walked_for_ever(copy: Path, tmp_path: Path) -> None:
    """A log that is said to hold more entries than there are files: refuted by what is not there."""
    _described(lambda about: about["logs"][3].update(size=1 << 61))(copy)
    relist_all(copy)
    done = run("audit", "verify", copy, "--jobs", "1", "--json")
    assert done.status == 1
    assert [found["code"] for found in done.json["findings"]] == ["EXPORT_BROKEN"]
    for command in (("replay",), ("import", "--database", f"sqlite:///{tmp_path}/made.db"), ("compare", SAMPLE)):
        assert run("audit", command[0], copy, *command[1:]).status in (1, 2, 3)


def _no_logs(folder: Path) -> None:
    shutil.rmtree(folder / names.LOGS)
    _described(lambda about: about.update(logs=[]))(folder)


def _empty_logs(folder: Path) -> None:
    shutil.rmtree(folder / names.LOGS)
    _described(lambda about: [log.update(size=0, promised=0) for log in about["logs"]])(folder)


@pytest.mark.parametrize("empty", [_no_logs, _empty_logs])
def test_of_nothing_nothing_is_proven(material: Material, copy: Path, empty: Callable[[Path], None]) -> None:
    """No logs, or logs without entries: no claim is proven, though none of them has a wrong entry."""
    empty(copy)
    relist_all(copy)
    done = run("audit", "verify", copy, *material.believing(), "--registers", "--jobs", "1", "--list", SAMPLE, "--json")
    assert "PROVEN" not in {claim["outcome"] for claim in done.json["claims"]}
    assert done.status in (1, 3)


def test_registers_that_are_not_there_follow_from_nothing(material: Material, copy: Path) -> None:
    """The steps agree with the journal, but whose rows are they: claim 7 stays open."""
    shutil.rmtree(copy / names.REGISTERS)
    relist_all(copy)
    done = run("audit", "verify", copy, *material.believing(), "--registers", "--jobs", "1", "--json")
    assert done.json["claims"][6]["outcome"] == "NOT_PROVABLE"
    assert "REGISTERS_NOT_EXPORTED" in done.json["claims"][6]["missing"][0]


def test_entries_that_are_others_when_they_are_read_again_are_told(
    material: Material, believed: Believed, copy: Path
) -> None:
    """A disk that answers differently the second time: what is signed must be what hashes to the root."""
    bundle = copy / FOLDER / "tile/entries/001.p/64"
    sound = bundle.read_bytes()

    def watch(part: str, total: int) -> Seen:
        if part == SIGNATURES:
            bundle.write_bytes(sound[::-1])
        return unwatched(part, total)

    result = verify(Asked(folder=copy, believed=believed, pages={}), watch)
    assert ("READ_AGAIN_DIFFERS", f"{FOLDER}/tile/entries/001.p/64") in found_in(result)
    assert outcomes(result)[1] == "REFUTED"
    assert "PROVEN" not in {outcomes(result)[4], outcomes(result)[5]}


def test_a_row_of_a_list_is_open_where_its_record_may_be_what_is_not_here(
    material: Material, copy: Path, tmp_path: Path
) -> None:
    """A body that is another one, a part of the log, a tail: what is not found may be there, and nobody is accused."""
    database = Database(f"sqlite:///{material.folder}/cq.db")
    export = Export(database, "cq", FEDERATION, tmp_path / "part", Scope(origin=REGISTRY, start=0, end=100))
    export.write(export.plan(), datetime.now(UTC))
    database.dispose()
    assert run("audit", "compare", tmp_path / "part", SAMPLE, "--jobs", "1").status == 3


def test_a_body_that_nobody_signed_is_in_no_log(material: Material, copy: Path) -> None:
    """A list is compared with what was signed: another body in its place is no record, and not found is not missing."""

    def change(made: Archived) -> None:
        made.held |= {index: (b"", salt) for index, (_, salt) in made.held.items()}

    *_, last = tiles.runs(log_of(copy, REGISTRY).about.size)
    rewrite_bodies(copy, REGISTRY, last, change)
    done = run("audit", "compare", copy, SAMPLE, "--jobs", "1", "--json")
    assert done.json["bodies_absent"] > 0
    assert "FOUND" not in {row["result"] for row in done.json["rows"]}
