"""An export of a node on PostgreSQL: the same bytes as on SQLite, and of one moment while the node goes on writing."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.flows.audit.export.run import Export, Exported
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.folder import names
from exchange.flows.audit.replay import run as replaying
from exchange.flows.audit.replay.importing import import_logs
from exchange.flows.audit.replay.run import ReplayRun
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.sources.exported_registers import ExportedRegisters
from exchange.flows.audit.sources.stored import StoredLogs, StoredRegisters
from exchange.flows.audit.verify.run import Asked, verify
from exchange.storage.engine.database import Database
from tests.flows.audit.past import believed, repaired_notice
from tests.flows.test_recovering import credit
from tests.flows.test_replay import History
from tests.rigs.postgres import PostgresServer
from tests.world import FEDERATION, World, keyring, tables

NAMES = ("cq", "sc")

OF_THE_RUN = {names.EXPORT, names.MANIFEST, names.READ_ME, names.SHEET}
"""Files that name the instant of the export."""


@pytest.fixture
def world(postgres: PostgresServer) -> Iterator[World]:
    """Two nodes on PostgreSQL."""
    with ExitStack() as stack:
        world = World({name: stack.enter_context(postgres.database()) for name in NAMES})
        stack.callback(world.close)
        world.start()
        yield world


def _export(database: Database, name: str, folder: Path) -> Exported:
    export = Export(database, name, FEDERATION, folder, Scope(withheld=True))
    return export.write(export.plan(), datetime.now(UTC))


def _files(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if name not in OF_THE_RUN}


def test_an_export_has_the_same_bytes_whatever_the_database(world: World, tmp_path: Path) -> None:
    """Tiles, bundles, bodies, notes, leaves and registers of a history are the same from PostgreSQL as from SQLite."""
    chance = random.Random(11)
    sides = [History(world, name, 90 + at) for at, name in enumerate(NAMES)]
    for _ in range(30):
        chance.choice(sides).step()
    repaired_notice(world)
    world.wait(world.settled, 60)
    databases = {name: world.urls[name] for name in NAMES}
    world.stop()
    for name, url in databases.items():
        postgres = Database(url)
        here = tmp_path / name
        assert _export(postgres, name, here / "postgresql").registers
        done = import_logs(ExportedLogs(here / "postgresql"), f"sqlite:///{here}.db", tables(), seed=keyring(name).seed)
        assert done.findings == []
        sqlite = Database(f"sqlite:///{here}.db")
        _export(sqlite, name, here / "sqlite")
        ours, theirs = _files(here / "sqlite"), _files(here / "postgresql")
        assert [path for path in ours | theirs if ours.get(path) != theirs.get(path)] == []
        assert len(ours) > 20
        assert any(path.startswith(f"{names.REGISTERS}/") for path in ours)
        sqlite.dispose()
        postgres.dispose()


def test_an_import_into_postgresql_is_the_node_again(world: World, postgres: PostgresServer, tmp_path: Path) -> None:
    """Logs, registers and submissions; a row that is changed by hand is found there as on SQLite."""
    for number in range(6):
        world.submit("cq", credit(number), f"key-{number}")
    world.wait(world.settled, 60)
    _export(world.nodes["cq"].database, "cq", tmp_path / "export")
    with postgres.database() as url:
        done = import_logs(ExportedLogs(tmp_path / "export"), url, tables(), seed=keyring("cq").seed)
        assert (done.findings, done.beside.submissions) == ([], 6)
        made = Database(url)
        again = _export(made, "cq", tmp_path / "again")
        assert again.registers
        assert _files(tmp_path / "again") == _files(tmp_path / "export")
        with made.writer_connection() as connection, connection.begin():
            connection.exec_driver_sql("UPDATE reg_records SET level = level + 1 WHERE kind = 1")
        with ReplayRun(StoredLogs("cq", FEDERATION, made), tables()) as run:
            found = [*run.go(), *run.compare(StoredRegisters(made))]
        assert {each.code for each in found} == {"REGISTER_ROW_DIFFERS"}
        assert len(found) == 6
        made.dispose()


def test_an_export_while_the_node_writes_is_of_one_moment(world: World, tmp_path: Path) -> None:
    """Whatever is appended meanwhile: every claim that the folder alone can carry is proven, registers among them."""
    world.submit("cq", credit(1), "first")
    world.wait(world.settled, 60)
    over = threading.Event()
    count = 0

    def go_on() -> None:
        nonlocal count
        while not over.is_set():
            count += 1
            world.submit("cq", credit(1_000 + count), f"meanwhile-{count}")

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        for number in range(4):
            folder = tmp_path / f"export-{number}"
            before = count
            _export(world.nodes["cq"].database, "cq", folder)
            world.wait(lambda before=before: count > before + 5)  # type: ignore[misc]
            registers = ExportedRegisters(folder)
            with ReplayRun(ExportedLogs(folder), tables()) as run:
                assert list(run.go(replaying.at_position(registers.position()))) == []
                assert list(run.compare(registers)) == []
                assert list(run.go()) == []
            result = verify(Asked(folder=folder, believed=believed(), pages={}))
            assert [each for each in result.findings if each.finding.proven] == []
            outcomes = {int(claim.no): claim.outcome.value for claim in result.claims}
            assert [outcomes[no] for no in (1, 2, 4)] == ["PROVEN"] * 3
    finally:
        over.set()
        writer.join()
    world.wait(world.settled, 60)
    assert count > 20
