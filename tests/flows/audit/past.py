"""A history of two nodes, kept as their databases: they do not run any more."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exchange.flows.audit.findings import Finding
from exchange.flows.audit.replay.run import ReplayRun
from exchange.flows.audit.sources.stored import StoredLogs, StoredRegisters
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.storage.engine.database import Database
from exchange.v1.common_pb2 import RecordRef
from tests.domain import records
from tests.flows.test_replay import History
from tests.test_walk import of_region
from tests.world import FEDERATION, World, keyring, tables

NAMES = ("cq", "sc")


def believed() -> Believed:
    """The cards of both nodes."""
    cards = (keyring("cq").card_for("sc"), keyring("sc").card_for("cq"))
    return Believed(cards=tuple(card.to_text() for card in cards))


@dataclass
class Past:
    """Two nodes' databases behind a history; the nodes do not run any more."""

    folder: Path

    def database(self, name: str) -> Database:
        """A node's database."""
        return Database(f"sqlite:///{self.folder}/{name}.db")

    def logs(self, name: str) -> StoredLogs:
        """A node's logs."""
        return StoredLogs(name, FEDERATION, self.database(name))

    def run(self, name: str) -> ReplayRun:
        """A replay of a node's logs that has not begun."""
        return ReplayRun(self.logs(name), tables())

    def differences(self, name: str) -> list[Finding]:
        """What a whole replay finds."""
        with self.run(name) as run:
            return [*run.go(), *run.compare(StoredRegisters(self.database(name)))]


@contextlib.contextmanager
def by_hand(path: Path) -> Iterator[sqlite3.Connection]:
    """A database as somebody with its file has it."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def repaired_notice(world: World) -> None:
    """A joint measure of Chongqing, what Sichuan did by it, and its repair."""
    notice = records.joint_measure()
    sent = world.submit("cq", notice, "repaired")
    world.wait(world.settled)
    done = of_region(records.feedback(), "sc")
    done.measure_feedback.notice.CopyFrom(RecordRef(origin="cq", record_id=sent.record_id, revision=1))
    done.measure_feedback.subject.CopyFrom(notice.penalty_notice.subject)
    assert world.submit("sc", done, "acted").record_id
    act = records.repair()
    act.repair_notice.notice.CopyFrom(RecordRef(origin="cq", record_id=sent.record_id, revision=1))
    act.repair_notice.subject.CopyFrom(notice.penalty_notice.subject)
    assert world.submit("cq", act, "repairs").record_id


def make_past(folder: Path) -> Past:
    """A random history of both sides: new facts, revisions, repairs, erasures."""
    world = World({name: f"sqlite:///{folder}/{name}.db" for name in NAMES})
    try:
        world.start()
        chance = random.Random(7)
        sides = [History(world, name, 70 + at) for at, name in enumerate(NAMES)]
        for _ in range(60):
            chance.choice(sides).step()
        repaired_notice(world)
        world.wait(world.settled)
        assert any(row.tombstone == "ERASED" for row in world.rows("sc"))
        assert any(row.tombstone == "REPAIRED" for row in world.rows("sc"))
    finally:
        world.close()
    return Past(folder)


def copy_of(past: Past, folder: Path) -> Past:
    """A copy that a test may change."""
    for name in NAMES:
        with by_hand(past.folder / f"{name}.db") as source, by_hand(folder / f"{name}.db") as target:
            source.backup(target)
    return Past(folder)
