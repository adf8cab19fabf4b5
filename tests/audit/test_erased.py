"""What was erased is gone from the disk of both nodes, and every proof about it holds."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.cli.envelope_file import write_envelope
from exchange.flows.audit.keeping.prove import Known, prove
from exchange.storage.engine.database import Database
from exchange.storage.erasing import raw_scan
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import GetEnvelopeRequest
from tests.cli.conftest import Run, init, run
from tests.domain import records
from tests.rigs.postgres import PostgresServer
from tests.rpc.conftest import two_doors
from tests.rpc.facts import credit_of, firm, penalty_of, submit, wait_settled
from tests.world import World

ABOUT = firm(950)


@dataclass(frozen=True, slots=True)
class Erased:
    """Two nodes that stood still after an erasure.

    Attributes:
        folder: Both databases.
        record: The erased record.
        kept: One that was not erased, about another firm.
        envelope: File of the record, from before.
        known: Its newest body and salt.
    """

    folder: Path
    record: str
    kept: str
    envelope: Path
    known: Known


@pytest.fixture(scope="module")
def erased(tmp_path_factory: pytest.TempPathFactory) -> Erased:
    """A notice in two revisions, mirrored, read, and erased."""
    folder = tmp_path_factory.mktemp("erased")
    with two_doors(folder) as doors:
        cq = doors["cq"].agency("erasing")
        notice = penalty_of(ABOUT, "演环罚〔2025〕9501号")
        sent = submit(cq, notice, "erased-1").record_id
        kept = submit(cq, credit_of(firm(951)), "erased-2").record_id
        revised = Record()
        revised.CopyFrom(notice)
        revised.header.record_id = sent
        revised.penalty_notice.note = "已提交整改方案"
        submit(cq, revised, "erased-3")
        wait_settled(doors["cq"])
        answer = cq.call(cq.record.GetEnvelope, GetEnvelopeRequest(ref=RecordRef(origin="cq", record_id=sent)))
        act = records.erasure()
        act.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=sent))
        submit(cq, act, "erased-4")
        wait_settled(doors["cq"])
        wait_settled(doors["sc"])
    body = answer.sealed.body
    # Beside the databases it would be found, and rightly.
    envelope = tmp_path_factory.mktemp("known") / "before.json"
    envelope.write_text(write_envelope(answer), "utf-8")
    return Erased(folder, sent, kept, envelope, Known(body=body.record, salt=body.salt))


def _node_file(folder: Path, erased: Erased, name: str) -> Path:
    """A node file for one of the databases."""
    assert init(folder, name).status == 0
    file = folder / "node.toml"
    database = f'\n[database]\nurl = "sqlite:///{erased.folder}/{name}.db"\n'
    file.write_text(file.read_text("utf-8") + database, "utf-8")
    return file


def _prove(erased: Erased, file: Path, *more: str) -> Run:
    return run(
        "audit",
        "prove-erased",
        erased.record,
        "--node",
        str(file),
        "--origin",
        "cq",
        "--also",
        str(erased.folder),
        *more,
    )


@pytest.mark.parametrize("name", ["cq", "sc"])
def test_an_erased_record_is_proven_gone(erased: Erased, tmp_path: Path, name: str) -> None:
    """On the side that stated it and on the one that mirrored it, by every byte that is known of it."""
    done = _prove(erased, _node_file(tmp_path / name, erased, name), "--envelope", str(erased.envelope), "--json")
    told = done.json
    assert (done.status, told["verdict"], told["findings"]) == (0, "PROVEN", [])
    assert [claim["name"] for claim in told["claims"]] == ["TOMBSTONE", "BODY", "PROOFS", "COPIES", "FILES"]
    facts = told["claims"][4]["facts"]
    assert (facts["secure_delete"], facts["free_pages"], facts["wal_bytes"]) == (True, 0, 0)
    assert facts["looked_for"] == ["BODY_HEAD", "SALT", "BODY", "SUBJECT"]
    assert facts["bytes"] > 100_000
    assert told["claims"][2]["facts"]["entries"] == 2


def test_what_is_left_anywhere_is_found_with_its_place(erased: Erased, tmp_path: Path) -> None:
    """A copy in a backup, in another table, in a file that was set aside: each a finding with file and byte."""
    copy = tmp_path / "old"
    copy.mkdir()
    body = erased.known.body
    (copy / "backup.db").write_bytes(b"\0" * 5_000 + body[:200])
    (copy / "salt.bin").write_bytes(b"x" * 77 + erased.known.salt)
    (copy / "letter.txt").write_bytes(f"about {ABOUT}".encode())
    file = _node_file(tmp_path / "cq", erased, "cq")
    done = _prove(erased, file, "--envelope", str(erased.envelope), "--also", str(copy), "--json")
    assert done.status == 1
    assert {each["code"] for each in done.json["findings"]} == {"ERASED_LEFT_BEHIND"}
    found = {(each["text"], Path(each["file"]).name, each["byte"]) for each in done.json["findings"]}
    assert {("BODY_HEAD", "backup.db", 5_000), ("SALT", "salt.bin", 77), ("SUBJECT", "letter.txt", 6)} <= found
    long = tmp_path / "long.json"
    with long.open("wb") as file_of_nobody:
        file_of_nobody.truncate(1 << 30)
    refused = _prove(erased, file, "--envelope", str(long), "--json")
    assert (refused.status, refused.json["error"]["reason"]) == (1, "ENVELOPE_FILE")
    # Without what was known of it, its head alone gives a body away.
    bare = _prove(erased, file, "--also", str(copy), "--json").json
    assert [(each["text"], each["byte"]) for each in bare["findings"]] == [("BODY_HEAD", 5_000)]


def test_rows_that_still_say_something_are_found(erased: Erased, tmp_path: Path) -> None:
    """A body, a salt or a subject put back by hand is named by table, log and index."""
    whole = tmp_path / "cq.db"
    with sqlite3.connect(erased.folder / "cq.db") as source, sqlite3.connect(whole) as target:
        source.backup(target)
    raw = bytes.fromhex(erased.record.replace("-", ""))
    with sqlite3.connect(whole) as connection:
        log_id, index = connection.execute(
            "SELECT log_id, idx FROM reg_records WHERE record_id = ? AND revision = 2", (raw,)
        ).fetchone()
        connection.execute(
            "UPDATE entries SET body = ?, salt = ? WHERE log_id = ? AND idx = ?",
            (erased.known.body, erased.known.salt, log_id, index),
        )
        connection.execute("UPDATE reg_records SET subject = ? WHERE record_id = ? AND revision = 1", (ABOUT, raw))
    database = Database(f"sqlite:///{whole}")
    try:
        proof = prove(database, "cq", "cq", erased.record, [])
    finally:
        database.dispose()
    assert proof.verdict == "REFUTED"
    found = {(each.text, each.index) for each in proof.findings}
    assert {("entries.salt", index), ("entries.body", index), ("reg_records.subject", None)} <= found
    assert ("BODY_HEAD", str(whole)) in {(each.text, each.file) for each in proof.findings}


def test_what_was_not_erased_is_said_and_nothing_is_touched(erased: Erased, tmp_path: Path) -> None:
    """The claims about files wait for an Erasure; an unknown record is not known."""
    file = _node_file(tmp_path / "cq", erased, "cq")
    done = run("audit", "prove-erased", erased.kept, "--node", str(file), "--json")
    assert (done.status, done.json["verdict"]) == (1, "REFUTED")
    assert done.json["findings"][0]["code"] == "NOT_ERASED"
    assert done.json["claims"][4]["outcome"] == "NOT_PROVABLE"
    assert run("audit", "prove-erased", "0198a000-0000-7000-8000-000000000001", "--node", str(file)).status == 1


def test_on_postgresql_the_files_are_not_provable(postgres: PostgresServer, tmp_path: Path) -> None:
    """Everything else is shown; what a database administrator has to run is named: exit status 3."""
    world = World({"cq": postgres.url(postgres.new_database()), "sc": f"sqlite:///{tmp_path}/sc.db"})
    try:
        world.start()
        sent = world.submit("cq", records.penalty(), "gone").record_id
        world.wait(world.settled)
        act = records.erasure()
        act.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=sent))
        world.submit("cq", act, "gone-2")
        world.wait(world.settled)
        proof = prove(world.nodes["cq"].database, "cq", "cq", sent, [])
    finally:
        world.close()
    assert proof.verdict == "NOT_PROVABLE"
    assert [claim.outcome for claim in proof.claims] == ["PROVEN"] * 4 + ["NOT_PROVABLE"]
    assert any("VACUUM" in line for line in proof.claims[4].missing)


def test_the_raw_look_misses_no_border(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body's head is found once, at its byte, wherever it lies between two pieces that are read."""
    monkeypatch.setattr(raw_scan, "CHUNK_BYTES", 64)
    record = records.penalty()
    record.header.record_id = "0198a000-0000-7000-8000-000000000001"
    body, file = record.SerializeToString(deterministic=True), tmp_path / "raw"
    # What only refers to the record is no body of it.
    reference = RecordRef(origin="cq", record_id=record.header.record_id).SerializeToString()
    for offset in range(130):
        file.write_bytes(b"\x0a" * offset + body + reference)
        found = list(raw_scan.scan([file], [raw_scan.body_head(record.header.record_id)]))
        assert [(find.needle, find.byte) for find in found] == [("BODY_HEAD", offset)]
