"""One record out of an exported folder: the files that its node gives, and a damaged disk told by its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.cli.envelope_file import write_envelope
from exchange.flows.audit.export.extract import Extract, extract
from exchange.flows.audit.export.extract_exported import extract_exported
from exchange.flows.audit.folder.reading import Folder, LogFolder
from exchange.flows.audit.verify.keys.statements import read_entry
from exchange.storage.engine.database import Database
from exchange.tlog import proof, tiles
from exchange.v1.statement_pb2 import Statement
from tests.audit.material import NAMES, Material
from tests.audit.test_export import by_hand
from tests.cli.conftest import run
from tests.world import keyring

REGISTRY = "cq.exchange.example/to/sc/registry/1"
AT = 260
"""Index of the record that damage is done to: in the second bundle."""


def stated_in(log: LogFolder) -> list[Statement]:
    """Every statement below a log's checkpoint, in order."""
    found = []
    for run_ in tiles.runs(log.about.size):
        for entry in log.bundle(run_) or ():
            read = read_entry(entry)
            assert read is not None
            found.append(read[1])
    return found


def written(made: Extract) -> dict[str, bytes]:
    """The files as the command writes them."""
    return made.files() | {"envelope.json": write_envelope(made.answer).encode("utf-8")}


def both(desk: Material, name: str, said: Statement) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A record's files from a node's database, and from its exported folder."""
    database = Database(f"sqlite:///{desk.folder}/{name}.db")
    try:
        from_node = extract(database, said.origin, said.record_id, said.revision)
    finally:
        database.dispose()
    return written(from_node), written(extract_exported(desk.export(name), said.origin, said.record_id, said.revision))


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_gives_the_files_that_its_node_gives(material: Material, name: str) -> None:
    """Byte for byte, of both regions' records, on both sides of a tile's end; of an erased one all but its day."""
    compared = 0
    for log in Folder(material.export(name)).logs:
        if log.about.is_journal or not log.about.size:
            continue
        stated = stated_in(log)
        for said in {id(each): each for each in (*stated[:3], *stated[254:258], *stated[-3:])}.values():
            from_node, from_folder = both(material, name, said)
            if "body" not in from_node:
                assert b"ERASED" in from_folder["手工核验.txt"]
                from_node.pop("envelope.json"), from_folder.pop("envelope.json")
            assert from_folder == from_node
            compared += 1
    assert compared > 12


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl-missing")
def test_the_lines_beside_it_accept_what_comes_from_a_folder(material: Material, tmp_path: Path) -> None:
    """The command needs no node; openssl and sha256sum accept the files, and refuse another body."""
    said = stated_in(_registry(material.export("cq")))[AT]
    folder = tmp_path / "record"
    answer = run("audit", "extract", said.record_id, "--folder", material.export("cq"), "-o", folder, "--json")
    assert answer.status == 0, answer.err
    assert (answer.json["log"], answer.json["index"]) == (REGISTRY, AT)
    (folder / "signing-roots.pem").write_bytes(keyring("cq").root.root_pem)
    good = by_hand(folder)
    assert (good.returncode, good.stdout.count(b"OK")) == (0, 2), good
    assert proof.parse((folder / "receipt").read_bytes()).includes((folder / "entry").read_bytes())
    (folder / "body").write_bytes((folder / "body").read_bytes() + b"\0")
    assert by_hand(folder).returncode != 0


def _registry(folder: Path) -> LogFolder:
    log = Folder(folder).log(REGISTRY)
    assert log is not None
    return log


def _flip(path: Path, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


def _second(log: LogFolder) -> tiles.Run:
    return list(tiles.runs(log.about.size))[1]


DAMAGE: dict[str, Callable[[Path, LogFolder], str]] = {
    "no bundle": lambda root, log: _gone(root, log.bundle_path(_second(log))),
    "a bundle cut off": lambda root, log: _cut(root, log.bundle_path(_second(log))),
    "no tile": lambda root, log: _gone(root, log.tile_path(0, _second(log))),
    "a hash in a tile": lambda root, log: _flipped(
        root, log.tile_path(1, tiles.Run(0, 1)), log.bundle_path(_second(log))
    ),
    "the archive cut off": lambda root, log: _cut(root, log.bodies_path(_second(log))),
}


def _gone(root: Path, path: str) -> str:
    (root / path).unlink()
    return path


def _cut(root: Path, path: str) -> str:
    data = (root / path).read_bytes()
    (root / path).write_bytes(data[: len(data) // 64])
    return path


def _flipped(root: Path, path: str, told: str) -> str:
    _flip(root / path, 0)
    return told


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_told_by_its_place(material: Material, tmp_path: Path, damage: str) -> None:
    """No traceback and no half of the files: the file of the folder is named."""
    root = material.copy_of("cq", tmp_path / "cq")
    log = _registry(root)
    said = stated_in(log)[AT]
    named = DAMAGE[damage](root, log)
    answer = run("audit", "extract", said.record_id, "--folder", root, "-o", tmp_path / "record", "--json")
    assert answer.status == 3, answer.out
    assert "AUDIT_FOLDER_FORM" in answer.out + answer.err
    assert named in answer.out + answer.err
    assert not (tmp_path / "record").exists()


def test_a_record_that_the_folder_does_not_hold_is_not_found(material: Material, tmp_path: Path) -> None:
    """Neither an id of nobody's nor a text that is no id is a fault of the folder."""
    for record, reason in (("019573a0-6c00-7000-8000-0000000000aa", "NOT_FOUND"), ("../x", "RECORD_REF_INVALID")):
        answer = run("audit", "extract", record, "--folder", material.export("cq"), "-o", tmp_path / "r", "--json")
        assert answer.status == 1
        assert reason in answer.out + answer.err
