"""A node that goes on from its export alone: what its logs and journal say of what stands beside them comes back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.flows.audit.export.run import Beside, Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.replay.importing import Imported, import_logs
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.timestamping import TimestampLoop
from exchange.flows.intake.documents import DocumentFlow
from exchange.rpc.time_service import HttpTimeService
from exchange.storage import schema
from exchange.storage.engine.database import Database
from exchange.storage.intake import attachments
from exchange.storage.intake.attachments import PART_BYTES
from exchange.storage.logs import verify
from exchange.storage.node import alarms
from exchange.storage.node.alarms import AlarmChange
from exchange.storage.node.links import MIRROR_STOP
from exchange.tlog import tiles
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import Lane
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import SubmitDocumentRequest, SubmitResult
from tests import evidence
from tests.audit.forging import log_of
from tests.audit.material import SAMPLE
from tests.audit.test_hostile_disk import Archived, rewrite_bodies
from tests.audit.test_verifying import REGISTRY
from tests.domain import records
from tests.flows.files import hand_in, held, listed, made_file, penalty
from tests.flows.test_recovering import credit, submit
from tests.rigs.tsa import TimeAuthority
from tests.rpc.facts import batch_of
from tests.world import FEDERATION, World, keyring, tables

SAID = ("key_tag", "request_tag", "record_id", "revision", "kind", "natural_tag", "content_tag", "result", "addresses")
"""Columns of a submission that its entry tells."""

BY_BODY = ("authority", "state")
"""Those that only a body tells: of an erased one they are not known again."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two nodes on SQLite."""
    world = World({name: f"sqlite:///{tmp_path}/{name}.db" for name in ("cq", "sc")})
    try:
        yield world
    finally:
        world.close()


def _export(world: World, folder: Path) -> Path:
    export = Export(world.nodes["cq"].database, "cq", FEDERATION, folder, Scope())
    export.write(export.plan(), datetime.now(UTC))
    return folder


def _import(folder: Path, url: str) -> Imported:
    return import_logs(ExportedLogs(folder), url, tables(), seed=keyring("cq").seed)


def _rows(database: Database, table: str) -> list[Any]:
    found = schema.metadata.tables[table]
    with database.read() as connection:
        return list(connection.execute(found.select().order_by(*found.primary_key.columns)))


def _said(rows: list[Any]) -> list[tuple[Any, ...]]:
    """What must be the same again."""
    return sorted(tuple(getattr(row, name) for name in (*SAID, *(BY_BODY if row.content_tag else ()))) for row in rows)


def test_a_caller_who_retries_after_an_import_gets_his_first_answer(world: World, tmp_path: Path) -> None:
    """Same key, same envelope; other content under it is refused; what is stated already is no new record."""
    world.start()
    before = submit(world, range(8))
    revised = credit(3)
    revised.header.issued.approver = "演示签发岗位二"
    revised.header.record_id = before[3].record_id
    second = world.submit("cq", revised, "revised")
    erasure = records.erasure()
    erasure.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=before[5].record_id, revision=1))
    world.wait(world.settled)
    world.submit("cq", erasure, "erases")
    world.wait(world.settled)
    folder = _export(world, tmp_path / "export")
    old = _said(_rows(world.nodes["cq"].database, "submissions"))
    world.stop("cq")
    for file in tmp_path.glob("cq.db*"):
        file.unlink()

    done = _import(folder, world.urls["cq"])

    assert done.findings == []
    assert verify.verify(world.urls["cq"]) == []
    world.start("cq")
    world.wait(world.settled)
    assert _said(_rows(world.nodes["cq"].database, "submissions")) == old
    assert done.beside.submissions == len(old)
    for number in (0, 3, 7):
        again = world.submit("cq", credit(number), f"key-{number}")
        assert (again.record_id, again.envelope, again.repeated_call) == (
            before[number].record_id,
            before[number].envelope,
            True,
        )
    other = world.submit("cq", credit(50), "key-0")
    assert [each.reason for each in other.problems] == ["IDEMPOTENCY_KEY_REUSED"]
    stated = world.submit("cq", credit(7), "another-key")
    assert ([each.reason for each in stated.problems], stated.record_id) == (["NATURAL_KEY_TAKEN"], before[7].record_id)
    assert second.revision == 2
    assert world.submit("cq", credit(60), "new").result == SubmitResult.SUBMIT_RESULT_ACCEPTED
    world.wait(world.settled)
    evidence.assert_laws(world)


def test_quarantine_and_open_alarms_come_back_by_the_journal(world: World, tmp_path: Path) -> None:
    """Each open row with its document, sender and reasons; of alarms those that are open, and who took note."""
    world.start()
    core = world.nodes["cq"].core
    request = SubmitDocumentRequest(
        idempotency_key="d-1", file_name=SAMPLE.name, content=SAMPLE.read_bytes(), purpose="联合惩戒"
    )
    DocumentFlow(core.node, core.submit, side="cq").submit("water", request, core.node.clock())
    for change, code in (("OPENED", "DISK_LOW"), ("OPENED", "CLOCK_SKEW"), ("CLEARED", "DISK_LOW")):
        seen = AlarmChange(change=change, code=code, object="sc", detail="5 min", at=1_800_000_000_000_000)
        core.node.writer.call(alarms.record, (seen,))
    world.wait(world.settled)
    folder = _export(world, tmp_path / "export")
    old = _rows(world.nodes["cq"].database, "quarantine")
    assert len(old) > 1

    done = _import(folder, f"sqlite:///{tmp_path}/imported.db")

    database = Database(f"sqlite:///{tmp_path}/imported.db")
    made = _rows(database, "quarantine")
    names = ("quarantine_id", "document_id", "agency", "row", "since", "state")
    assert [[getattr(row, name) for name in names] for row in made] == [
        [getattr(row, name) for name in names] for row in old
    ]
    assert made[0].agency == "water"
    assert made[0].problems.split('"')[1] == old[0].problems.split('"')[1]
    assert [(row.code, row.object, row.cleared_at) for row in _rows(database, "alarms")] == [("CLOCK_SKEW", "sc", None)]
    assert (done.beside.quarantined, done.beside.alarms, done.beside.documents) == (len(old), 1, 1)
    database.dispose()


def test_lanes_come_back_as_they_were_left(world: World, tmp_path: Path) -> None:
    """Paused, stopped for our log and for the peer's, resumed, tried again, gone on in another epoch: row by row."""
    world.start()
    submit(world, range(2))
    world.submit("cq", batch_of("50010700001"), "m-1")
    world.wait(world.settled)
    lanes, theirs = world.nodes["cq"].core.lanes, world.nodes["sc"].core.lanes
    now = datetime.now(UTC)
    registry, telemetry, urgent = Lane.LANE_REGISTRY, Lane.LANE_TELEMETRY, Lane.LANE_URGENT
    lanes.stop("sc", telemetry, "FORK", (), now)
    lanes.stop("sc", telemetry, f"{MIRROR_STOP}FORK", (), now)
    theirs.stop("cq", telemetry, "BAD_COSIGNATURE", (), now)
    theirs.stop("cq", telemetry, f"{MIRROR_STOP}FORK", (), now)
    theirs.retire("cq", telemetry, "operator", "forked", mirror=True)
    lanes.retire("sc", telemetry, "operator", "forked", mirror=False)
    lanes.pause("sc", registry, "operator", "night")
    lanes.pause("sc", urgent, "operator", "test")
    lanes.resume("sc", urgent, "operator", "test")
    lanes.stop("sc", urgent, "BAD_COSIGNATURE", (), now)
    lanes.retry("sc", urgent, "operator", "again")
    for name, rows in (("cq", 2), ("sc", 1)):
        database = world.nodes[name].database
        export = Export(database, name, FEDERATION, tmp_path / name, Scope())
        export.write(export.plan(), datetime.now(UTC))
        done = _import(tmp_path / name, f"sqlite:///{tmp_path}/{name}-again.db")
        made = Database(f"sqlite:///{tmp_path}/{name}-again.db")
        assert done.beside.lanes == rows
        assert _rows(made, "links") == [row for row in _rows(database, "links") if not _is_default(row)]
        made.dispose()
    left = [(row.lane, row.paused, row.stopped) for row in _rows(world.nodes["cq"].database, "links")]
    assert {(registry, True, ""), (telemetry, False, f"{MIRROR_STOP}FORK"), (urgent, False, "")} == set(left)


def _is_default(row: Any) -> bool:
    return (row.paused, row.stopped, row.mirror_epoch) == (False, "", 1)


def test_time_stamps_come_back_by_whom_the_node_file_believes(world: World, tmp_path: Path) -> None:
    """Each with its note and since when it had waited; by nobody's roots none is kept, by a stranger's none holds."""
    authority, stranger = TimeAuthority(tmp_path / "tsa"), TimeAuthority(tmp_path / "stranger")
    stranger.away()
    world.start()
    node = world.nodes["cq"].node
    loop = TimestampLoop(
        node, HttpTimeService(authority.url), lambda: authority.root, 10, lambda *_: None, lambda *_: None
    )
    for number in range(2):
        world.submit("cq", credit(number), f"stamped-{number}")
        world.wait(world.settled)
        assert loop.once(node.clock() + timedelta(hours=number)) > 0
        before = datetime.now(UTC).replace(microsecond=0)
        # A cosignature's time is in seconds: the next one has to be of another.
        world.wait(lambda before=before: datetime.now(UTC) > before + timedelta(seconds=1))  # type: ignore[misc]
    authority.away()
    folder = _export(world, tmp_path / "export")
    old = _rows(world.nodes["cq"].database, "timestamps")
    assert len({row.log_id for row in old}) < len(old), "a second token of one log covers what came since the first"
    kept = [tuple("" if name == "service" else value for name, value in row._mapping.items()) for row in old]
    for name, roots, rows in (
        ("by none", b"", []),
        ("by another", stranger.root, []),
        ("by its own", authority.root, kept),
    ):
        url = f"sqlite:///{tmp_path}/{name}.db"
        done = import_logs(ExportedLogs(folder), url, tables(), tsa_roots=roots)
        database = Database(url)
        assert [tuple(row) for row in _rows(database, "timestamps")] == rows
        assert (done.beside.timestamps, done.beside.timestamps_left) == (len(rows), len(old) - len(rows))
        told = {(each.code, each.proven) for each in done.findings}
        assert told == ({("TIMESTAMP_REFUSED", False)} if name == "by another" else set())
        database.dispose()
    changed = next((folder / "logs").rglob("*.note"))
    changed.write_bytes(changed.read_bytes() + b"\n")
    again = import_logs(ExportedLogs(folder), f"sqlite:///{tmp_path}/changed.db", tables(), tsa_roots=authority.root)
    assert [each.code for each in again.findings] == ["TIMESTAMP_REFUSED"]
    assert again.beside.timestamps_left == 1


def test_attachments_come_back_where_the_export_has_them(world: World, tmp_path: Path) -> None:
    """The very bytes; one that was changed on the disk is missing, and so is every one of an export without them."""
    world.start()
    files = [(made_file(PART_BYTES + 77, number), number) for number in range(2)]
    for content, number in files:
        assert hand_in(world.nodes["cq"], listed(content), content).complete
        world.submit("cq", penalty(listed(content), number), f"file-{number}")
    world.wait(lambda: all(held(world, "sc", listed(content)) for content, _ in files), what="fetched")
    world.wait(world.settled)
    database = world.nodes["cq"].database
    folder = tmp_path / "with"
    export = Export(database, "cq", FEDERATION, folder, Scope(), Beside(attachments=True))
    export.write(export.plan(), datetime.now(UTC))
    digests = [attachments.name_of(listed(content)) for content, _ in files]
    changed = folder / "attachments" / digests[1].hex()[:2] / digests[1].hex()
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    for name, place, found in (("with", folder, 1), ("without", _export(world, tmp_path / "without"), 0)):
        url = f"sqlite:///{tmp_path}/{name}.db"
        done = _import(place, url)
        assert (done.findings, done.beside.attachments, done.beside.attachments_missing) == ([], found, 2 - found)
        assert verify.verify(url) == []
        made = Database(url)
        with made.read() as connection:
            if found:
                assert attachments.whole(connection, digests[0]) == files[0][0]
            assert attachments.missing_counts(connection)[0].count == 2 - found
        made.dispose()


def test_a_body_that_nobody_signed_is_told_where_it_lies(world: World, tmp_path: Path) -> None:
    """No row need show it: a node that goes on from such a disk would show what its region never stated."""
    world.start()
    submit(world, range(3))
    world.wait(world.settled)
    folder = _export(world, tmp_path / "export")
    changed: list[int] = []

    def change(made: Archived) -> None:
        for index, (body, salt) in made.held.items():
            record = Record.FromString(body)
            if record.HasField("credit_result"):
                record.header.issued.approver = "another"
                made.held[index] = record.SerializeToString(), salt
                changed.append(index)
                return

    (part,) = tiles.runs(log_of(folder, REGISTRY).about.size)
    rewrite_bodies(folder, REGISTRY, part, change)
    done = _import(folder, f"sqlite:///{tmp_path}/again.db")
    assert [(each.code, each.log, each.index, each.proven) for each in done.findings][:1] == [
        ("BODY_CHANGED", REGISTRY, changed[0], True)
    ]


@pytest.mark.parametrize("seed", [None, bytes(32)])
def test_without_the_log_seed_no_submission_is_made_up(world: World, tmp_path: Path, seed: bytes | None) -> None:
    """Tags that nobody can compute again would only look like keys: neither without a seed nor with another one."""
    world.start()
    submit(world, range(2))
    world.wait(world.settled)
    url = f"sqlite:///{tmp_path}/imported.db"
    done = import_logs(ExportedLogs(_export(world, tmp_path / "export")), url, tables(), seed=seed)
    database = Database(url)
    assert (done.beside.submissions, _rows(database, "submissions")) == (None, [])
    database.dispose()
