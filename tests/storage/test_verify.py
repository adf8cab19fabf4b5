"""The check of a whole database finds each thing that was changed, and says where."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator, Sequence

import pytest
from sqlalchemy import Connection, text

from exchange.crypto.ed25519 import NoteSigner
from exchange.crypto.keys import generate_ed25519
from exchange.flows.intake.submit import SubmitFlow
from exchange.storage import schema
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import Transaction
from exchange.storage.engine.writer import Writer
from exchange.storage.logs import log_store
from exchange.storage.logs.verify import findings, verify
from exchange.storage.logs.verify_log import LogCheck
from exchange.tlog.checkpoint import Checkpoint
from exchange.v1.submission_service_pb2 import RecordSubmission, SubmitResult
from tests.domain import records
from tests.flows.node import TestNode, running_node
from tests.storage.logs import Append, append

REGISTRY = "cq.exchange.example/to/sc/registry/1"
JOURNAL = "cq.exchange.example/journal/1"


@pytest.fixture
def node(migrated_url: str) -> Iterator[TestNode]:
    """A node with forty submitted records and two checkpoints in its registry log."""
    with running_node(migrated_url) as running:
        items = []
        for number in range(40):
            record = records.credit()
            record.credit_result.subject.uscc = records.make_uscc(number)
            record.credit_result.subject.permit_code = ""
            items.append(RecordSubmission(idempotency_key=f"k{number}", record=record))
        answers = SubmitFlow(running.node).submit("water", items, running.clock())
        assert {answer.result for answer in answers} == {SubmitResult.SUBMIT_RESULT_ACCEPTED}
        _sign(running, 17)
        _sign(running, 41)
        yield running


def _sign(running: TestNode, size: int, root: bytes | None = None) -> None:
    """Keep a checkpoint of the registry log."""
    with running.node.database.read() as connection:
        head = log_store.head(connection, REGISTRY)
        assert head is not None
        right = log_store.root(connection, head, size)
    note = NoteSigner(REGISTRY, generate_ed25519()).sign_checkpoint(Checkpoint(REGISTRY, size, root or right))

    def store(tx: Transaction, payloads: Sequence[None]) -> list[None]:
        log_store.store_checkpoints(tx, head.id, [log_store.StoredCheckpoint(size, "sc", note, 0)])
        return [None] * len(payloads)

    running.node.writer.call(store, None)


def found(running: TestNode, change: Callable[[Connection, int], None] | None = None) -> set[tuple[str, str]]:
    """Reason and place of every finding, after a change to the tables behind everybody's back."""
    if change is not None:
        with running.node.database.read() as connection:
            head = log_store.head(connection, REGISTRY)
        assert head is not None

        def carry_out(tx: Transaction, payloads: Sequence[None]) -> list[None]:
            change(tx.connection, head.id)
            return [None] * len(payloads)

        running.node.writer.call(carry_out, None)
    return {(finding.reason, finding.place) for finding in findings(running.node.database)}


def sql(statement: str, **values: object) -> Callable[[Connection, int], None]:
    """A change by one statement; ``:log`` is the registry log."""

    def change(connection: Connection, log_id: int) -> None:
        done = connection.execute(text(statement), {"log": log_id, **values} if ":log" in statement else values)
        assert done.rowcount

    return change


def test_a_sound_database_has_no_finding(node: TestNode) -> None:
    """Also while the node runs."""
    assert found(node) == set()
    url = node.node.database.url.render_as_string(hide_password=False)
    assert verify(url) == []


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (sql("DELETE FROM entries WHERE log_id = :log AND idx = 7"), ("LOG_GAP", f"{REGISTRY}#7")),
        (sql("DELETE FROM entries WHERE log_id = :log AND idx = 40"), ("LOG_GAP", f"{REGISTRY}#40")),
        (
            sql("UPDATE entries SET idx = 41 WHERE log_id = :log AND idx = 40"),
            ("LOG_GAP", f"{REGISTRY}#40"),
        ),
        (
            sql("UPDATE logs SET size = 40 WHERE id = :log"),
            ("LOG_GAP", f"{REGISTRY}#40"),
        ),
        (
            sql("UPDATE tree_nodes SET hash = :hash WHERE log_id = :log AND level = 5", hash=bytes(32)),
            ("LOG_TREE", f"{REGISTRY} node 5/0"),
        ),
        (
            sql("DELETE FROM tree_nodes WHERE log_id = :log AND level = 4 AND idx = 1"),
            ("LOG_TREE", f"{REGISTRY} node 4/1"),
        ),
        (
            sql("INSERT INTO tree_nodes (log_id, level, idx, hash) VALUES (:log, 9, 9, :hash)", hash=bytes(32)),
            ("LOG_TREE", REGISTRY),
        ),
        (
            sql("UPDATE checkpoints SET size = 18 WHERE log_id = :log AND size = 17"),
            ("CHECKPOINT_ROOT", f"{REGISTRY}#18"),
        ),
        (
            sql("UPDATE checkpoints SET size = 99 WHERE log_id = :log AND size = 41"),
            ("CHECKPOINT_ROOT", f"{REGISTRY}#99"),
        ),
        (
            sql("UPDATE checkpoints SET note = :note WHERE log_id = :log AND size = 41", note=b"rubbish"),
            ("BAD_CHECKPOINT", f"{REGISTRY}#41"),
        ),
        (
            sql("UPDATE entries SET body = :body WHERE log_id = :log AND idx = 5", body=b"other"),
            ("BODY_MISMATCH", f"{REGISTRY}#5"),
        ),
        (
            sql("UPDATE entries SET salt = NULL WHERE log_id = :log AND idx = 5"),
            ("BODY_MISMATCH", f"{REGISTRY}#5"),
        ),
        (
            sql("UPDATE entries SET salt = NULL, body = NULL WHERE log_id = :log AND idx = 5"),
            ("BODY_MISSING", f"{REGISTRY}#5"),
        ),
        (
            sql("UPDATE submissions SET record_id = :id WHERE seq = 3", id=bytes(16)),
            ("SUBMISSION_ADDRESS", f"{REGISTRY}#3"),
        ),
        (
            sql("UPDATE submissions SET revision = 2 WHERE seq = 3"),
            ("SUBMISSION_ADDRESS", f"{REGISTRY}#3"),
        ),
        (
            sql("UPDATE submissions SET addresses = '' WHERE seq = 3"),
            ("SUBMISSION_ADDRESS", "submission 3"),
        ),
        (
            sql("UPDATE submissions SET addresses = (SELECT addresses FROM submissions WHERE seq = 4) WHERE seq = 3"),
            ("SUBMISSION_ADDRESS", f"{REGISTRY}#4"),
        ),
        (sql("DELETE FROM submissions WHERE seq = 3"), ("SUBMISSION_ADDRESS", REGISTRY)),
        (
            sql("UPDATE entries SET submission = 9 WHERE log_id = :log AND idx = 3"),
            ("SUBMISSION_ADDRESS", f"{REGISTRY}#3"),
        ),
        (sql("INSERT INTO cursors (log_id, next) VALUES (:log, 42)"), ("CURSOR_RANGE", REGISTRY)),
        (sql("INSERT INTO cursors (log_id, next) VALUES (77, 0)"), ("CURSOR_RANGE", "cursor of log 77")),
        (
            sql(
                "INSERT INTO alarms (id, code, object, detail, since, last_seen, acknowledged_by) "
                "VALUES (1, 'FORK', 'x', '', 0, 0, ''), (2, 'FORK', 'x', '', 0, 0, '')"
            ),
            ("ALARM_TWICE", "FORK x"),
        ),
        (
            sql(
                "INSERT INTO quarantine (quarantine_id, document_id, file_name, agency, row, place, problems, content, "
                "since, state) VALUES (:id, :id, '', '', 1, '', '[]', '', 0, 'OPEN')",
                id=b"\x01" * 16,
            ),
            ("DOCUMENT_MISSING", f"quarantine {'01' * 16}"),
        ),
    ],
)
def test_each_change_is_found_where_it_is(
    node: TestNode, change: Callable[[Connection, int], None], expected: tuple[str, str]
) -> None:
    """One row changed behind the program's back: the finding names the log and index, or the table and key."""
    assert expected in found(node, change)


def test_a_changed_entry_is_found_by_its_tree(node: TestNode) -> None:
    """Flip one bit of a signed envelope: subtrees, frontier and every later checkpoint tell."""

    def change(connection: Connection, log_id: int) -> None:
        entry = log_store.entries_at(connection, log_id, [5])[5].entry
        flipped = entry[:-1] + bytes([entry[-1] ^ 1])
        connection.execute(
            schema.entries.update()
            .where(schema.entries.c.log_id == log_id, schema.entries.c.idx == 5)
            .values(entry=flipped)
        )

    told = found(node, change)
    assert {
        ("LOG_TREE", f"{REGISTRY} node 4/0"),
        ("LOG_TREE", f"{REGISTRY} node 5/0"),
        ("LOG_TREE", f"{REGISTRY}#41"),
        ("CHECKPOINT_ROOT", f"{REGISTRY}#17"),
        ("CHECKPOINT_ROOT", f"{REGISTRY}#41"),
    } <= told
    assert ("LOG_TREE", f"{REGISTRY} node 4/1") not in told


def test_a_checkpoint_over_another_root_is_found(node: TestNode) -> None:
    """A note of the right log and size that vouches for another tree."""
    _sign(node, 30, bytes(32))
    assert found(node) == {("CHECKPOINT_ROOT", f"{REGISTRY}#30")}


def test_what_a_log_grows_by_while_it_is_checked_is_no_finding(node: TestNode) -> None:
    """Checkpoints of sizes that the log reached after the check began say nothing about the part that is checked."""
    with node.node.database.read() as connection:
        before = log_store.head(connection, REGISTRY)
    assert before is not None
    more = records.credit()
    SubmitFlow(node.node).submit("water", [RecordSubmission(idempotency_key="more", record=more)], node.clock())
    _sign(node, before.size + 1)
    assert list(LogCheck(node.node.database, before).findings()) == []


def test_a_checkpoint_beyond_the_log_is_found(node: TestNode) -> None:
    """Of whatever size the log is by then."""
    with node.node.database.read() as connection:
        head = log_store.head(connection, REGISTRY)
    assert head is not None

    def lengthen(tx: Transaction, payloads: Sequence[None]) -> list[None]:
        tx.connection.execute(text("UPDATE checkpoints SET size = 44 WHERE size = 41"))
        return [None] * len(payloads)

    node.node.writer.call(lengthen, None)
    found = [each for each in LogCheck(node.node.database, head).findings() if each.place == f"{REGISTRY}#44"]
    assert [(each.reason, each.detail) for each in found] == [("CHECKPOINT_ROOT", "beyond the log's size, 41")]


def test_an_erased_body_is_no_finding(node: TestNode) -> None:
    """Where the register says ERASED, the body has to be gone."""

    def erase(connection: Connection, log_id: int) -> None:
        row = connection.execute(text("SELECT record_id FROM submissions WHERE seq = 5")).scalar_one()
        sql("UPDATE entries SET salt = NULL, body = NULL WHERE log_id = :log AND idx = 5")(connection, log_id)
        values = {
            column.name: b"" if str(column.type) in ("BLOB", "BYTEA") else "" if str(column.type) == "TEXT" else 0
            for column in schema.records.columns
        }
        values |= {"seq": 1, "origin": "cq", "record_id": row, "revision": 1, "newest": True, "tombstone": "ERASED"}
        values["mirrored_at"] = None  # type: ignore[assignment]
        connection.execute(schema.records.insert().values(**values))

    assert found(node, erase) == set()


def test_a_journal_that_can_not_be_read_is_found(node: TestNode) -> None:
    """An entry of ours is always one of ours."""

    def change(connection: Connection, _log_id: int) -> None:
        head = log_store.head(connection, JOURNAL)
        assert head is not None
        sql("UPDATE entries SET entry = :entry WHERE log_id = :log AND idx = 0", entry=b"\xff\xff")(connection, head.id)

    assert ("ENTRY_MALFORMED", f"{JOURNAL}#0") in found(node, change)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_memory_does_not_grow_with_the_log(database: Database, writer: Writer) -> None:
    """Five times the entries are checked in the same memory."""

    def peak() -> int:
        tracemalloc.start()
        try:
            assert list(findings(database)) == []
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    writer.call(append, Append((bytes(500),) * 2_000))
    small = peak()
    for _ in range(4):
        writer.call(append, Append((bytes(500),) * 2_000))
    assert peak() < small * 1.5 + 500_000
