"""What is asked for every receipt, proof or answer is found by keys on SQLite, however much else the tables hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exchange.storage.engine.database import Connection, Database
from exchange.storage.engine.migrate import migrate
from exchange.storage.engine.writer import Writer
from exchange.storage.intake import documents
from exchange.storage.logs import log_store
from exchange.storage.queries import records
from exchange.storage.registers import registers
from exchange.tlog.tree import consistency_proof, inclusion_proof
from exchange.v1.kind_pb2 import KIND_REPAIR_NOTICE
from tests.storage.logs import ORIGIN, Append, append


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    """A view of a log of 100 entries, on SQLite."""
    url = f"sqlite:///{tmp_path / 'some.db'}"
    migrate(url)
    database = Database(url)
    writer = Writer(database)
    writer.call(append, Append(tuple(b"%d" % number for number in range(100))))
    with database.read() as view:
        yield view
    writer.close()
    database.dispose()


def plans(connection: Connection, ask: Callable[[], object]) -> set[str]:
    """How SQLite finds what is asked."""
    driver = connection.connection.dbapi_connection
    assert driver is not None
    asked: list[str] = []
    driver.set_trace_callback(asked.append)
    ask()
    driver.set_trace_callback(None)
    assert asked
    return {row[3] for each in asked for row in driver.execute(f"EXPLAIN QUERY PLAN {each}").fetchall()}


def test_a_proof_reads_the_nodes_that_it_needs(connection: Connection) -> None:
    """Inclusion, consistency, an earlier root: nodes by level and index, leaves by their run."""
    head = log_store.head(connection, ORIGIN)
    assert head is not None
    read = log_store.node_reader(connection, head.id)
    found = plans(connection, lambda: inclusion_proof(37, 100, read))
    found |= plans(connection, lambda: consistency_proof(37, 100, read))
    found |= plans(connection, lambda: log_store.root(connection, head, 71))
    assert found == {
        "SEARCH tree_nodes USING PRIMARY KEY (log_id=? AND level=? AND idx=?)",
        "SEARCH entries USING INDEX sqlite_autoindex_entries_1 (log_id=? AND idx>? AND idx<?)",
    }


def test_what_a_document_became_is_found_by_its_records(connection: Connection) -> None:
    """An answer with a hundred rows asks for a hundred records, and not for all that were ever submitted."""
    wanted = [(bytes([number] * 16), 1) for number in range(100)]
    found = plans(connection, lambda: documents.evidence_of(connection, wanted))
    assert found == {"SEARCH submissions USING INDEX submissions_record (record_id=?)"}


def test_what_ended_a_record_is_found_by_it(connection: Connection) -> None:
    """Repairs and revocations by the notices that a step names, and not all that the node holds."""
    found = plans(connection, lambda: registers.acts_on(connection, [("cq", bytes([1] * 16))], (KIND_REPAIR_NOTICE,)))
    assert found == {"SEARCH reg_records USING INDEX reg_records_about (about=?)"}


def test_what_waits_for_one_thing_is_found_by_it(connection: Connection) -> None:
    """And not among everything that waits in a log."""
    found = plans(connection, lambda: registers.waits_for(connection, 1, "BODY", 10))
    found |= plans(connection, lambda: registers.missing_bodies(connection, 1, 10))
    found |= plans(connection, lambda: registers.count_waiting(connection, 1, "BODY"))
    assert {each for each in found if "reg_waits" in each} <= {
        "SEARCH reg_waits USING INDEX reg_waits_token (log_id=? AND token=?)",
        "SEARCH reg_waits USING COVERING INDEX reg_waits_token (log_id=? AND token=?)",
    }


def test_the_answers_to_a_record_are_found_by_it(connection: Connection) -> None:
    """And not among all answers that there are."""
    found = plans(connection, lambda: records.answers_about(connection, [("cq", bytes([1] * 16))]))
    assert "SEARCH reg_records USING INDEX reg_records_about (about=?)" in found
    assert not any("reg_records_kind" in each for each in found)
