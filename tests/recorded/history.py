"""The recorded history: both sides, every kind, and what ends, answers, waits for and erases it, made by two nodes.

``python -m tests.recorded.history`` records it anew, beside this file, as Chongqing exports it. The one that is there
has to give its rows first, where a program of this edition recorded it: an edition that gives others has another name.
"""

from __future__ import annotations

import random
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exchange.crypto.x509.certificates import Role
from exchange.flows.apply.again.replay import ReplayedStep
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder import names
from exchange.flows.audit.replay.run import ReplayRun, at_position
from exchange.flows.audit.sources.exported import ExportedLogs
from exchange.flows.audit.sources.exported_registers import ExportedRegisters
from exchange.storage.registers import projection
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import GetRecordRequest
from exchange.v1.security_service_pb2 import Verb
from tests.domain import records
from tests.flows.test_replay import History
from tests.rotation.officers import rotate
from tests.rpc.conftest import two_doors
from tests.rpc.doors import AgencyDoor, Stubs, client_issued, full_agency, grant
from tests.rpc.facts import batch_of, of_sichuan, submit
from tests.rpc.test_every_kind import _about, _answer, _exited, _notice, _own, _ref, _report
from tests.rpc.test_rules import with_rules
from tests.world import FEDERATION, World, tables

RECORDED: Final = Path(__file__).with_name("history.tar.xz")
NODE: Final = "cq"
_NEEDED: Final = (names.EXPORT, names.LOGS, names.REGISTERS)
"""What a replay reads of an export, but for the tiles of hashes."""

STEPS: Final = 40


@contextmanager
def unpacked(path: Path = RECORDED) -> Iterator[Path]:
    """The recorded export in a folder."""
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(path, "r:xz") as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def replayed(folder: Path) -> tuple[list[Finding], list[ReplayedStep]]:
    """What does not come out as it was recorded: steps by their digests, rows by what was exported."""
    steps: list[ReplayedStep] = []
    registers = ExportedRegisters(folder)
    with ReplayRun(ExportedLogs(folder), tables()) as run:
        findings = list(run.go(at_position(registers.position()), steps.append))
        return [*findings, *run.compare(registers)], steps


def editions(steps: list[ReplayedStep]) -> set[str]:
    """Editions of the projection that the steps name."""
    return {each.digest for step in steps for each in step.event.step.editions if each.what == projection.PROJECTION}


def make(folder: Path) -> Path:
    """Have two nodes make the history; the export of one of them."""
    with two_doors(folder, heartbeat=0.3) as doors:
        world = doors[NODE].world
        cq, sc = _Side(doors["cq"], "cq"), _Side(doors["sc"], "sc")
        for door in doors.values():
            with_rules(door)
        _every_kind(cq, sc)
        _notices(cq, sc)
        _answers(cq, sc)
        _waiting(cq, sc)
        chance = random.Random(11)
        sides = [History(world, name, 20 + at) for at, name in enumerate(("cq", "sc"))]
        for _ in range(STEPS):
            chance.choice(sides).step()
        world.wait(world.settled, 60)
        for key in ("log", "signing"):
            rotate(world, key)
        cq.send(_own("not_evaluated", 90))
        world.wait(world.settled, 60)
        export = Export(doors[NODE].node.database, NODE, FEDERATION, folder / "export", Scope(withheld=True))
        export.write(export.plan(), datetime.now(UTC))
    return folder / "export"


class _Side:
    """An agency of one side that may state and read everything."""

    def __init__(self, door: AgencyDoor, name: str) -> None:
        agency = full_agency("every")
        agency.grants.append(grant(Verb.VERB_SUBMIT, (Kind.KIND_ANSWER,)))
        door.put(agency)
        self.name = name
        self.world: World = door.world
        self.stubs: Stubs = door.stubs(client_issued(name, Role.AGENCY, "every"))
        self._sent = 0

    def send(self, record: Record, **options: object) -> str:
        """Submit a record, wait for what comes of it; its id."""
        self._sent += 1
        stated = of_sichuan(record) if self.name == "sc" else record
        record_id: str = submit(self.stubs, stated, f"{self.name}-{self._sent}", **options).record_id
        self.world.wait(self.world.settled, 60)
        return record_id

    def look(self, origin: str, record_id: str) -> None:
        """Read a record, which the journal notes of some."""
        self.stubs.call(self.stubs.record.GetRecord, GetRecordRequest(ref=_ref(origin, record_id, 0)))


def _every_kind(cq: _Side, sc: _Side) -> None:
    for number, name in enumerate(("credit", "list_entry", "lab", "not_evaluated", "referral", "inspection", "alert")):
        sent = cq.send(_own(name, number))
        if name in ("list_entry", "lab"):
            ended = _own(name, number)
            ended.header.record_id = sent
            if name == "list_entry":
                _exited(ended)
            else:
                ended.lab_qualification.roster = "2026-2"
            cq.send(ended)
    cq.send(_own("equivalence", 8))
    sc.send(_own("equivalence", 8))
    cq.send(batch_of("60000000A8900016F000169D"))


def _notices(cq: _Side, sc: _Side) -> None:
    """Notices that are carried out, and then repaired, revoked or erased."""
    for number, name in ((10, "repair"), (11, "revocation"), (12, "")):
        notice = cq.send(_notice(number))
        sc.look("cq", notice)
        sc.send(_about("feedback", _ref("cq", notice), number), local_only=True)
        if name:
            cq.send(_about(name, _ref("cq", notice), number), local_only=True)
            continue
        erasure = records.erasure()
        erasure.erasure.record.CopyFrom(_ref("cq", notice))
        cq.send(erasure)
    mine = sc.send(_notice(13))
    cq.look("sc", mine)


def _answers(cq: _Side, sc: _Side) -> None:
    batch = cq.send(batch_of("70000000A8900016F000169D"))
    doubt = sc.send(_about("correction", _ref("cq", batch), 13))
    cq.send(_answer("sc", doubt, "CORRECTION"))
    alert = sc.send(_report(20, 1, "INITIAL"))
    cq.send(_answer("sc", alert, "ALERT"))
    sc.send(_report(20, 2, "FOLLOW_UP"))


def _waiting(cq: _Side, sc: _Side) -> None:
    """What comes before that of which it speaks, on both sides; one of them waits for ever."""
    for one in (cq, sc):
        first = one.send(_report(22, 1, "INITIAL"), local_only=True)
        one.send(_report(22, 2, "FOLLOW_UP"), addressees=["sc" if one is cq else "cq"])
        revised = _report(22, 1, "INITIAL")
        revised.header.record_id = first
        one.send(revised, addressees=["sc" if one is cq else "cq"])
    notice = sc.send(_notice(23), local_only=True)
    sc.send(_about("correction", _ref("sc", notice), 23), addressees=["cq"])


def pack(export: Path, path: Path) -> None:
    """The needed files of an export in one archive."""
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for file in sorted(each for name in _NEEDED for each in [export / name, *(export / name).rglob("*")]):
            parts = file.relative_to(export).parts
            if file.is_file() and not ("tile" in parts and "entries" not in parts):
                archive.add(file, "/".join(parts), filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode, member.mtime = 0o644, 0
    return member


def main() -> int:
    """Record it anew, unless apply makes other rows under the name that it had."""
    if RECORDED.exists():
        with unpacked() as before:
            findings, steps = replayed(before)
        if findings and editions(steps) == {projection.DIGEST}:
            sys.stderr.write(f"{findings[0]}\nRaise NAME in src/exchange/storage/registers/projection.py first.\n")
            return 1
    with tempfile.TemporaryDirectory() as folder:
        pack(make(Path(folder)), RECORDED)
    sys.stdout.write(f"{RECORDED}: {RECORDED.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
