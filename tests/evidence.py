"""What a test looks at behind a run: logs, receipts, registers, and the laws that hold whatever happened."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select

from exchange.crypto.envelope_verifier import VerifiedStatement
from exchange.crypto.receipts import VerifiedReceipt, verify_receipt
from exchange.domain.record_index import raw_id
from exchange.flows.apply.again.rebuild import rebuild
from exchange.flows.apply.again.replay import epochs, events
from exchange.flows.instants import instant, micros_of
from exchange.flows.queries.exchanged.submissions import make_receipt
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import migrate
from exchange.storage.engine.transaction import LogHead
from exchange.storage.intake import submissions
from exchange.storage.intake.submissions import SubmissionRow
from exchange.storage.logs import log_store, verify
from exchange.storage.logs.log_store import StoredEntry
from exchange.storage.registers.canonical import REGISTERS
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement
from tests.world import World


def heads(world: World, name: str) -> dict[str, LogHead]:
    """Every log of a node, by origin."""
    with world.nodes[name].database.read() as connection:
        return {log.origin: log for log in log_store.heads(connection)}


def entries(world: World, name: str, origin: str) -> list[StoredEntry]:
    """The entries of a log as a node holds them."""
    with world.nodes[name].database.read() as connection:
        log = log_store.head(connection, origin)
        return log_store.entries(connection, log.id, 0, log.size) if log else []


def statement_of(entry: bytes) -> Statement:
    """What an entry states, unverified."""
    return Statement.FromString(Envelope.FromString(LogEntry.FromString(entry).envelope).payload)


def records(world: World, name: str, origin: str) -> list[Record]:
    """The records of a log as a node holds them; an empty one where the body is absent."""
    return [Record.FromString(each.body or b"") for each in entries(world, name, origin)]


def verified(world: World, name: str, envelope: bytes, logged_at: Any = None) -> VerifiedStatement:
    """The statement of an envelope of a node's region, verified as its peer would."""
    other = next(each for each in world.urls if each != name)
    peer = world.nodes[other].node.peers.get(name)
    assert peer is not None
    verdict = peer.signing.verify(envelope, logged_at or world.nodes[name].node.clock())
    assert verdict.verified is not None, verdict
    return verdict.verified


def receipt(world: World, name: str, origin: str, index: int) -> VerifiedReceipt:
    """The verified receipt of an entry of a node's own log.

    Raises:
        AssertionError: There is none yet.
    """
    with world.nodes[name].database.read() as connection:
        log = log_store.head(connection, origin)
        assert log is not None
        proof, entry = make_receipt(connection, log.id, index)
    assert proof is not None, f"{origin}#{index} has no receipt"
    keys, theirs = world.nodes[name].node.keys, world.nodes[log.peer].node.keys
    return verify_receipt(proof, keys.log_signer(origin).line.ever, theirs.mirror.line.ever, entry)


def journal(world: World, name: str, event: str = "") -> list[JournalEntry]:
    """What a node's journal says, over all epochs as far as they hold; of one sort when it is named."""
    with world.nodes[name].database.read() as connection:
        found = [each for book, end in epochs(connection) for _, each in events(connection, book, 0, end)]
    return [each for each in found if not event or each.WhichOneof("event") == event]


def evidence(world: World, name: str) -> list[str]:
    """Reasons of the evidence that a node keeps."""
    return [each.evidence_kept.reason for each in journal(world, name, "evidence_kept")]


def submission(world: World, name: str, record_id: str, revision: int = 0) -> SubmissionRow | None:
    """A submission by its record."""
    with world.nodes[name].database.read() as connection:
        return submissions.of_record(connection, raw_id(record_id), revision)


def registers(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every register, in the order of its key's bytes, which no database has to agree with."""
    found = {}
    with database.read() as connection:
        for name, table in REGISTERS.items():
            key = [column.name for column in table.primary_key.columns]
            rows = sorted(connection.execute(select(table)), key=lambda row: [row._mapping[each] for each in key])
            found[name] = [tuple(row) for row in rows]
    return found


def waiting(world: World, token: str) -> list[str]:
    """Nodes where deferred entries wait for one thing."""
    return [name for name in world.nodes if any(row.token == token for row in world.rows(name, "reg_waits"))]


@contextlib.contextmanager
def empty_database() -> Iterator[Database]:
    """A database with the tables and nothing in them."""
    folder = Path(tempfile.mkdtemp())
    url = f"sqlite:///{folder}/rebuilt.db"
    migrate(url)
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()
        shutil.rmtree(folder)


def assert_replays(world: World, *names: str) -> None:
    """Walking a node's journal over its logs gives its registers, row by row, and meets every running digest."""
    for name in names or tuple(world.nodes):
        runtime = world.nodes[name]
        with runtime.core.apply.busy, empty_database() as target:
            steps = list(rebuild(runtime.node, runtime.database, target))
            live, made = registers(runtime.database), registers(target)
        wrong = [f"{step.journal}#{step.index}" for step in steps if not step.agrees]
        assert not wrong, f"{name}: digests differ from step {wrong[0]} on"
        for table, rows in live.items():
            assert made[table] == rows, f"{name}: {table}"


def assert_sound(world: World, *names: str) -> None:
    """Nothing in a database contradicts anything else in it."""
    for name in names or tuple(world.nodes):
        found = list(verify.findings(world.nodes[name].database))
        assert found == [], f"{name}: {found}"


def assert_mirrored(world: World) -> None:
    """Whatever has a receipt is on the peer's disk, byte for byte, and every receipt verifies."""
    for name in world.nodes:
        for origin, log in heads(world, name).items():
            if log.use != "outbound":
                continue
            delivered = world.delivered(name, origin)
            mine = [each.entry for each in entries(world, name, origin)][:delivered]
            theirs = [each.entry for each in entries(world, log.peer, origin)][:delivered]
            assert mine == theirs, origin
            for index in {0, delivered // 2, delivered - 1} if delivered else ():
                assert receipt(world, name, origin, index).entry == mine[index]


def assert_laws(world: World) -> None:
    """Everything that must hold when both nodes are at rest."""
    assert_sound(world)
    assert_mirrored(world)
    assert_replays(world)


def logged_at(entry: bytes) -> Any:
    """When an entry was logged, by its own word."""
    return instant(micros_of(LogEntry.FromString(entry).logged_at))
