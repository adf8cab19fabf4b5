"""``peers courier``: a disk that goes to and fro between two nodes' folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exchange.storage.files.spool import Spool
from tests.cli.conftest import init, run

NAMES = {
    name: [f"{name}.{other}.170000000000000{number}.hello.{number:032x}.ask" for number in range(3)]
    for name, other in (("cq", "sc"), ("sc", "cq"))
}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two nodes' folders that are joined by a disk, each with three files to be carried."""
    for name, other in (("cq", "sc"), ("sc", "cq")):
        assert init(tmp_path / name, name).status == 0
        node = tmp_path / name / "node.toml"
        lines = [line for line in node.read_text().split("[[peer]]")[0].splitlines() if line.strip()]
        spool = tmp_path / name / "spool"
        node.write_text(
            "\n".join([*lines, "", "[[peer]]", f'name = "{other}"', 'transport = "folder"', f'folder = "{spool}"', ""])
        )
        made = Spool(spool)
        made.prepare()
        for file in NAMES[name]:
            made.put(file, file.encode(), keep=False)
    (tmp_path / "disk").mkdir()
    return tmp_path


def carry(folders: Path, name: str) -> dict[str, object]:
    """One side's turn with the disk."""
    other = "sc" if name == "cq" else "cq"
    done = run("peers", "courier", other, folders / "disk", "-n", folders / name / "node.toml", "--json")
    assert done.status == 0, done
    found: dict[str, object] = done.json
    return found


def test_a_disk_brings_what_each_has_for_the_other(folders: Path) -> None:
    """Given at one side, taken at the other; done twice it changes nothing; what was answered leaves the disk."""
    assert carry(folders, "cq") == {"peer": "sc", "taken": 0, "given": 3, "removed": 0, "left": 0}
    assert carry(folders, "cq")["given"] == 0
    assert carry(folders, "sc") == {"peer": "cq", "taken": 3, "given": 3, "removed": 0, "left": 0}
    arrived = folders / "sc" / "spool" / "in"
    assert {path.name: path.read_text() for path in arrived.iterdir()} == {name: name for name in NAMES["cq"]}
    assert {path.stat().st_mode & 0o777 for path in arrived.iterdir()} == {0o600}
    Spool(folders / "sc" / "spool").drop(NAMES["sc"][0])
    assert carry(folders, "sc")["removed"] == 1
    assert carry(folders, "cq")["taken"] == 2


def test_what_is_none_of_ours_stays_on_the_disk(folders: Path, tmp_path: Path) -> None:
    """Other files, and links to anywhere, are left where they are and counted."""
    box = folders / "disk" / "exchange-cq-to-sc"
    box.mkdir()
    (box / "Urlaub.jpg").write_bytes(b"\xff")
    secret = tmp_path / "secret"
    secret.write_text("no")
    (box / NAMES["cq"][0]).symlink_to(secret)
    assert carry(folders, "sc")["left"] == 2
    assert list((folders / "sc" / "spool" / "in").iterdir()) == []


def test_a_peer_that_is_dialled_has_no_courier(folders: Path) -> None:
    """The command says so, by the node file."""
    done = run("peers", "courier", "gz", folders / "disk", "-n", folders / "cq" / "node.toml")
    assert done.status == 1
    assert "PEER_NOT_BY_FOLDER" in done.err


def test_a_folder_that_no_node_has_made_is_not_made_by_the_courier(folders: Path) -> None:
    """Made by an administrator it would not be the node's own."""
    shutil.rmtree(folders / "cq" / "spool")
    done = run("peers", "courier", "sc", folders / "disk", "-n", folders / "cq" / "node.toml")
    assert done.status == 1
    assert "FOLDER_UNUSABLE" in done.err
    assert not (folders / "cq" / "spool").exists()


def test_the_doctor_looks_into_the_folders(folders: Path) -> None:
    """What was set aside and folders that are missing are findings."""
    spool = folders / "cq" / "spool"

    def found() -> set[str]:
        done = run("doctor", folders / "cq" / "node.toml", "--json")
        (peers,) = (each for each in done.json["checks"] if each["check"] == "peers")
        return {problem["reason"] for problem in peers["problems"]}

    assert not found() & {"PARCEL_SET_ASIDE", "FOLDER_UNUSABLE", "PEER_PORT_CLOSED"}
    (spool / "set-aside" / "x").write_bytes(b"x")
    assert "PARCEL_SET_ASIDE" in found()
    shutil.rmtree(spool)
    assert "FOLDER_UNUSABLE" in found()
