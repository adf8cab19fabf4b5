"""Watched folders against a real port, by the command line: nothing twice, nothing lost, texts gone when they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson

from exchange.crypto.x509.certificates import Role
from exchange.v1.kind_pb2 import Kind
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from tests.cli.conftest import Run, run
from tests.rpc.doors import AgencyDoor, client_issued, full_agency, identity_root
from tests.rpc.facts import credit_of, firm, penalty_of, submit, wait_settled

FAST = ("--settle", "0.1", "--min-free", "1")


def profile_of(folder: Path, door: AgencyDoor, name: str) -> Path:
    """An agency with every right, and its profile file."""
    door.put(full_agency(name))
    issued = client_issued(door.node.name, Role.AGENCY, name)
    folder.mkdir(exist_ok=True)
    (folder / "key.pem").write_bytes(issued.key)
    (folder / "cert.pem").write_bytes(issued.chain)
    (folder / "ca.pem").write_bytes(identity_root().root_pem)
    path = folder / "profile.toml"
    path.write_text(f'address = "127.0.0.1:{door.server.port}"\nca = "ca.pem"\ncert = "cert.pem"\nkey = "key.pem"\n')
    return path


def drop(folder: Path, name: str, text: str) -> Path:
    """Drop a file."""
    (folder / "drop").mkdir(parents=True, exist_ok=True)
    path = folder / "drop" / name
    path.write_text(text, "utf-8")
    return path


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def watch_once(folder: Path, profile: Path, *more: object) -> Run:
    """One look of the watcher."""
    return run("folder", "watch", folder, "--once", "--profile", profile, "--json", *FAST, *more)


def stated(door: AgencyDoor) -> int:
    """Credit results that a node's own region stated."""
    rows = door.world.rows(door.node.name)
    return sum(row.origin == door.node.name and row.kind == Kind.KIND_CREDIT_RESULT for row in rows)


def wait(condition: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_dropped_file_is_answered_and_moved_once(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """The file lies beside its answer; dropped again it is the same call, and changes nothing."""
    door = doors["cq"]
    profile = profile_of(tmp_path / "p", door, "folder-once")
    text = MessageToJson(credit_of(firm(800)))
    before = stated(door)
    for _ in range(2):
        drop(tmp_path / "w", "演示.record.json", text)
        drop(tmp_path / "w", "half.record.json.tmp", "{")
        done = watch_once(tmp_path / "w", profile)
        assert done.status == 0, done.out + done.err
        results = names(tmp_path / "w" / "results")
        assert len(results) == 2
        assert results[0].endswith(".answer.csv")
        assert results[1].startswith("演示.record.")
        assert names(tmp_path / "w" / "drop") == ["half.record.json.tmp"]
        assert "accepted" in (tmp_path / "w" / "results" / results[0]).read_text("utf-8-sig")
        assert stated(door) == before + 1


def test_a_refused_file_stays_with_its_reason_until_it_is_changed(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """It is not sent again as it is; corrected, it is answered, and the reason goes."""
    profile = profile_of(tmp_path / "p", doors["cq"], "folder-refused")
    watched = tmp_path / "w"
    drop(watched, "bad.record.json", "{")
    for said in (["refused"], []):
        done = watch_once(watched, profile)
        assert done.status == 1
        assert [each["event"] for each in done.lines if each["event"] != "arrived"] == said
        assert names(watched / "drop") == ["bad.record.json"]
        assert names(watched / "results") == ["bad.record.json.refused.txt"]
    shown = run("folder", "status", watched, "--json")
    assert shown.status == 1
    assert [(each["state"], each["reason"]) for each in shown.json["files"]] == [("REFUSED", "FILE_TYPE")]
    drop(watched, "bad.record.json", MessageToJson(credit_of(firm(801))))
    assert watch_once(watched, profile).status == 0
    assert len(names(watched / "results")) == 2
    assert run("folder", "status", watched).status == 0


def test_arrivals_are_documents_until_their_record_ends(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """The other side's notice comes as a workbook with its original; revoked, only a tombstone is left."""
    cq, profile = doors["cq"].agency("folder-from"), profile_of(tmp_path / "p", doors["sc"], "folder-to")
    watched, arrivals = tmp_path / "w", tmp_path / "w" / "arrivals"
    record = penalty_of(firm(802), "演环罚〔2025〕8021号")
    sent = submit(cq, record, "folder-arrival-1")
    wait_settled(doors["cq"])
    assert watch_once(watched, profile).status == 0
    stem = f"cq-{sent.record_id}-r1"
    mine = [name for name in names(arrivals) if name.startswith(stem)]
    assert mine == [f"{stem}.PenaltyNotice.original.json", f"{stem}.PenaltyNotice.xlsx"]
    original = json.loads((arrivals / mine[0]).read_text("utf-8"))
    assert original["record"]["record"]["penalty_notice"]["decision_no"] == "演环罚〔2025〕8021号"

    revoked = Record()
    revoked.CopyFrom(record)
    revoked.header.record_id = sent.record_id
    revoked.penalty_notice.state = PenaltyState.PENALTY_STATE_REVOKED
    submit(cq, revoked, "folder-arrival-2")
    wait_settled(doors["cq"])
    assert watch_once(watched, profile).status == 0
    mine = [name for name in names(arrivals) if sent.record_id in name]
    assert mine
    assert all(name.endswith(".tombstone.json") for name in mine)
    assert not any("8021号" in (arrivals / name).read_text("utf-8") for name in names(arrivals) if name in mine)


def test_too_little_room_pauses_and_says_so(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """Nothing is sent and nothing written; with room again, what waited goes."""
    profile = profile_of(tmp_path / "p", doors["cq"], "folder-full")
    drop(tmp_path / "w", "one.record.json", MessageToJson(credit_of(firm(803))))
    done = watch_once(tmp_path / "w", profile, "--min-free", 1 << 40)
    assert done.status == 1
    assert [each["reason"] for each in done.lines] == ["DISK_LOW"]
    shown = run("folder", "status", tmp_path / "w", "--json")
    assert (shown.status, [each["state"] for each in shown.json["files"]]) == (1, ["NEW"])
    assert shown.json["paused_since"]
    assert names(tmp_path / "w" / "results") == []
    assert watch_once(tmp_path / "w", profile).status == 0
    assert len(names(tmp_path / "w" / "results")) == 2


def test_a_node_that_is_away_loses_nothing(doors: dict[str, AgencyDoor], tmp_path: Path) -> None:
    """The file waits with the reason, and goes when somebody answers."""
    profile = profile_of(tmp_path / "p", doors["cq"], "folder-away")
    right = profile.read_text()
    drop(tmp_path / "w", "one.record.json", MessageToJson(credit_of(firm(804))))
    profile.write_text(right.replace(str(doors["cq"].server.port), "1"))
    assert watch_once(tmp_path / "w", profile).status == 3
    shown = run("folder", "status", tmp_path / "w", "--json").json["files"]
    assert [(each["state"], each["reason"]) for each in shown] == [("WAITING", "NODE_AWAY")]
    profile.write_text(right)
    assert watch_once(tmp_path / "w", profile).status == 0
    assert len(names(tmp_path / "w" / "results")) == 2


def start(folder: Path, profile: Path) -> subprocess.Popen[bytes]:
    """A watcher as its own process."""
    return subprocess.Popen(
        [sys.executable, "-c", "from exchange.cli.main import main; main()", "folder", "watch", str(folder), "--json",
         "--profile", str(profile), *FAST],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.timeout(120)
def test_a_killed_watcher_submits_nothing_twice_and_loses_nothing(
    fresh_doors: dict[str, AgencyDoor], tmp_path: Path
) -> None:
    """SIGKILL while some files are answered and others are not; the next one finishes, and ends on SIGTERM with 0."""
    door = fresh_doors["cq"]
    profile = profile_of(tmp_path / "p", door, "folder-killed")
    watched, count = tmp_path / "w", 40
    for number in range(count):
        drop(watched, f"{number:02}.record.json", MessageToJson(credit_of(firm(810 + number))))
    first = start(watched, profile)
    try:
        wait(lambda: len(list((watched / "results").glob("*.record.*.json"))) > 3, "the first answers")
        first.kill()
        first.wait()
        left = len(names(watched / "drop")) + len(names(watched / ".taken"))
        assert 0 < left < count
        second = start(watched, profile)
        try:
            wait(lambda: not names(watched / "drop") and not names(watched / ".taken"), "the rest")
            refused = run("folder", "watch", watched, "--once", "--profile", profile, "--json", *FAST)
            assert refused.json["error"]["reason"] == "FOLDER_WATCHED"
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0
        finally:
            second.kill()
            second.wait()
    finally:
        first.kill()
        first.wait()
    assert len(names(watched / "results")) == 2 * count
    assert stated(door) == count
