"""Logs walked in a database of their own give a node's registers; what was changed by hand is found by its entry."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.flows.apply.again.replay import ReplayedStep, epochs, events
from exchange.flows.audit.replay import run as replaying
from exchange.flows.audit.replay.importing import import_logs
from exchange.flows.audit.sources.stored import StoredLogs
from exchange.flows.instants import instant, micros_of
from exchange.flows.status import RESTORED, read_flag
from exchange.storage import schema
from exchange.storage.engine.database import Connection, Database
from exchange.storage.logs import log_store, verify
from exchange.storage.registers import projection
from exchange.storage.registers.canonical import REGISTERS, RowReader
from exchange.storage.registers.registers import SEQ_CURSOR
from tests import evidence
from tests.flows.audit.past import NAMES, Past, by_hand
from tests.world import FEDERATION, tables


@pytest.mark.parametrize("name", NAMES)
def test_the_logs_give_the_registers(past: Past, name: str) -> None:
    """Every digest is met, every row of every register is as the node has it, and a second walk gives the same."""
    assert past.differences(name) == []
    found = []
    for _ in range(2):
        with past.run(name) as run:
            assert list(run.go()) == []
            with run.scratch.read() as connection:
                reader = RowReader(connection)
                found.append(([row for each in REGISTERS for row in reader.rows(each)], run.done))
    assert found[0] == found[1]
    assert len(found[0][0]) > 100
    assert found[0][1].entries > 60


def test_both_nodes_agree_on_shared_records(past: Past) -> None:
    """What the statement and the log say of a record, both nodes' registers say alike."""
    shared = []
    for name in NAMES:
        with past.run(name) as run:
            list(run.go())
            with run.scratch.read() as connection:
                rows = registers_of(connection)
        shared.append(rows)
    both = shared[0].keys() & shared[1].keys()
    assert len(both) > 40
    assert {key: shared[0][key] for key in both} == {key: shared[1][key] for key in both}


def registers_of(connection: Connection) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """Columns of records that do not depend on who looks, of records whose effect both took."""
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in connection.execute(REGISTERS["reg_records"].select()):
        if '"rules"' in row.decision:
            said = (row.kind, row.commitment, row.natural_key, row.subject, row.area, row.authority, row.level)
            found[row.origin, row.record_id, row.revision] = (*said, row.state, row.sort_on, row.newest, row.tombstone)
    return found


@pytest.mark.parametrize(
    ("change", "code", "register"),
    [
        ("UPDATE reg_records SET level = level + 1 WHERE seq = {seq}", "REGISTER_ROW_DIFFERS", "reg_records"),
        ("DELETE FROM reg_records WHERE seq = {seq}", "REGISTER_ROW_MISSING", "reg_records"),
        (
            "INSERT INTO reg_waits VALUES (1, 99, 'KEY:x', 1)",
            "REGISTER_ROW_ADDED",
            "reg_waits",
        ),
        (
            "UPDATE cursors SET next = next - 1 WHERE log_id IN (SELECT min(id) FROM logs WHERE use = 'mirror')",
            "REGISTER_ROW_DIFFERS",
            "cursors",
        ),
    ],
)
def test_a_row_changed_by_hand_is_found(tampered: Past, change: str, code: str, register: str) -> None:
    """Changed, removed or added: the row, and the entry and step that should have made it."""
    with by_hand(tampered.folder / "sc.db") as database:
        seq, origin, index = database.execute(
            "SELECT r.seq, l.origin, r.idx FROM reg_records r JOIN logs l ON l.id = r.log_id "
            "WHERE l.use = 'mirror' AND r.level > 0 ORDER BY r.seq DESC LIMIT 1"
        ).fetchone()
        database.execute(change.format(seq=seq))
    (found,) = tampered.differences("sc")
    assert (found.code, found.evidence["register"]) == (code, register)
    if register == "reg_records":
        assert (found.log, found.index) == (origin, index)
        journal, _, at = found.evidence["journal"].partition("#")
        with tampered.database("sc").read() as connection:
            book = log_store.head(connection, journal)
            assert book is not None
            ((_, event),) = events(connection, book, int(at), int(at) + 1)
        assert event.step.source_log == origin
        assert event.step.first <= index < event.step.end


def test_registers_that_lack_steps_are_behind(tampered: Past) -> None:
    """Put back to where they stood before the newest rows: that they are behind is told beside the rows."""
    with by_hand(tampered.folder / "cq.db") as database:
        (newest,) = database.execute("SELECT max(seq) FROM reg_records").fetchone()
        database.execute("DELETE FROM reg_records WHERE seq = ?", (newest,))
        database.execute("UPDATE cursors SET next = ? WHERE log_id = ?", (newest, SEQ_CURSOR))
    codes = {each.code for each in tampered.differences("cq")}
    assert codes >= {"REGISTERS_BEHIND", "REGISTER_ROW_MISSING"}


def test_more_rows_than_are_told_are_told_as_more(tampered: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row changed: the first are told one by one, and that there are more."""
    monkeypatch.setattr(replaying, "MAX_ROWS", 3)
    with by_hand(tampered.folder / "sc.db") as database:
        database.execute("UPDATE reg_records SET level = level + 1")
    found = tampered.differences("sc")
    assert [each.code for each in found] == ["REGISTER_ROW_DIFFERS"] * 3 + ["REGISTER_ROWS_MORE"]


def _exchange_bodies(folder: Path) -> tuple[str, int]:
    """Put one record's body into the place of another's; returns the log and the index whose body is wrong."""
    with by_hand(folder / "cq.db") as database:
        log, origin, first, second = database.execute(
            "SELECT a.log_id, origin, a.idx, b.idx FROM entries a JOIN entries b ON a.log_id = b.log_id "
            "AND b.idx > a.idx AND a.submission < b.submission AND a.body <> b.body JOIN logs ON id = a.log_id LIMIT 1"
        ).fetchone()
        database.execute(
            "UPDATE entries SET body = (SELECT body FROM entries WHERE log_id = ? AND idx = ?) "
            "WHERE log_id = ? AND idx = ?",
            (log, second, log, first),
        )
    return origin, first


def test_a_changed_body_gives_another_digest(tampered: Past) -> None:
    """A body exchanged for another record's is met by the step that read it."""
    origin, first = _exchange_bodies(tampered.folder)
    met: list[ReplayedStep] = []
    with tampered.run("cq") as run:
        found = {each.code: each.proven for each in run.go(see=met.append)}
    assert found["REPLAY_DIGEST"]
    assert "PROJECTION_OTHER" not in found
    step = next(each for each in met if not each.agrees)
    assert step.plan.source.origin == origin
    assert step.plan.first <= first < step.plan.end


def test_every_step_names_the_code_that_made_the_registers(past: Past) -> None:
    """The journal has its edition, with every column of every register, before the first step names it."""
    with past.database("cq").read() as connection:
        lines = [event for book, end in epochs(connection) for _, event in events(connection, book, 0, end)]
    known: set[str] = set()
    named = []
    for event in lines:
        if event.activated.edition.what == "PROJECTION":
            assert hashlib.sha256(event.activated.content).hexdigest() == event.activated.edition.digest
            assert b"reg_rule_orders order bytes\n" in event.activated.content
            known.add(event.activated.edition.digest)
        elif event.HasField("step"):
            named += [each.digest in known for each in event.step.editions if each.what == "PROJECTION"]
    assert len(named) == sum(event.HasField("step") for event in lines) > 20
    assert all(named)


def test_what_another_program_made_is_not_refuted_by_this_one(tampered: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of another edition says nothing where it agrees, and where it does not, first that it is another."""
    monkeypatch.setattr(projection, "DIGEST", "0" * 64)
    assert tampered.differences("cq") == []
    with by_hand(tampered.folder / "cq.db") as database:
        database.execute("UPDATE reg_records SET level = level + 1 WHERE seq = (SELECT max(seq) FROM reg_records)")
    first, row = tampered.differences("cq")
    assert (first.code, first.proven, first.log) == ("PROJECTION_OTHER", False, "cq.exchange.example/journal/1")
    assert (row.code, row.proven) == ("REGISTER_ROW_DIFFERS", False)
    _exchange_bodies(tampered.folder)
    found = tampered.differences("cq")
    assert [each.code for each in found[:2]] == ["PROJECTION_OTHER", "REPLAY_DIGEST"]
    assert {each.proven for each in found} == {False}


def test_a_changed_entry_hashes_to_another_root(tampered: Past) -> None:
    """An entry that was changed after it was cosigned is met at the first checkpoint that covers it."""
    with by_hand(tampered.folder / "sc.db") as database:
        log, index = database.execute(
            "SELECT log_id, idx FROM entries JOIN logs ON id = log_id WHERE use = 'mirror' AND idx > 2 LIMIT 1"
        ).fetchone()
        entry = bytearray(
            database.execute("SELECT entry FROM entries WHERE log_id = ? AND idx = ?", (log, index)).fetchone()[0]
        )
        entry[-1] ^= 1
        database.execute("UPDATE entries SET entry = ? WHERE log_id = ? AND idx = ?", (bytes(entry), log, index))
        covering = database.execute(
            "SELECT min(size) FROM checkpoints WHERE log_id = ? AND size > ?", (log, index)
        ).fetchone()[0]
    with tampered.run("sc") as run:
        roots = [each for each in run.go() if each.code == "CHECKPOINT_ROOT"]
    assert roots[0].index == covering


def test_a_walk_ends_where_it_is_told(past: Past) -> None:
    """At an index or an instant; a walk that goes on from there ends as one that never stopped."""
    steps: list[ReplayedStep] = []
    with past.run("cq") as run:
        list(run.go(see=steps.append))
        whole = run.done
    middle = steps[len(steps) // 2]
    with past.run("cq") as run:
        assert list(run.go(replaying.until(middle.index))) == []
        assert (run.done.steps, run.done.next) == (len(steps) // 2, middle.index)
        assert list(run.go()) == []
        assert run.done == whole
    at = instant(micros_of(middle.event.at))
    with past.run("cq") as run:
        assert list(run.go(replaying.as_of(at - timedelta(microseconds=1)))) == []
        assert run.done.steps <= len(steps) // 2


@pytest.mark.parametrize("name", NAMES)
def test_an_import_restores_logs_and_registers(past: Past, name: str, tmp_path: Path) -> None:
    """An empty database gets every log with its tree, notes and bodies, and registers that are the original ones."""
    url = f"sqlite:///{tmp_path}/imported.db"
    done = import_logs(StoredLogs(name, FEDERATION, past.database(name)), url, tables())
    assert done.findings == []
    assert verify.verify(url) == []
    made, original = Database(url), past.database(name)
    assert evidence.registers(made) == evidence.registers(original)
    for table in ("logs", "tree_nodes", "checkpoints", "steps"):
        rows = []
        for database in (made, original):
            with database.read() as connection:
                found = schema.metadata.tables[table]
                rows.append(list(connection.execute(found.select().order_by(*found.primary_key.columns))))
        assert rows[0] == rows[1], table
    with made.read() as connection:
        assert read_flag(connection, RESTORED) == "1"
