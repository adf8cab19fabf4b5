"""A disk that answers differently when it is read again: what a later claim rests on is what was proven, or is open."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.audit.folder.own_list import read_list
from exchange.flows.audit.export.disclosure import disclose
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.folder import names, ustar
from exchange.flows.audit.replay.folder import Replayed, replay_folder
from exchange.flows.audit.sources.bound import FirstReading
from exchange.flows.audit.verify.claimed.own_list import OwnList
from exchange.flows.audit.verify.claims import ClaimNo, Result
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.flows.audit.verify.run import Asked, verify
from exchange.flows.audit.watching import READING, Seen, Watch, unwatched
from exchange.storage.engine.database import Database
from exchange.tlog import tiles
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import LogEntry
from tests.audit.forging import describe, entries_of, log_of, put, relist_all, signed_head, write_tiles
from tests.audit.material import REFUSED, SAMPLE, Material
from tests.audit.test_hostile_disk import Archived, erase, rewrite_bodies
from tests.audit.test_verifying import REGISTRY, outcomes
from tests.world import FEDERATION, tables

JOURNAL = "cq.exchange.example/journal/1"
ROOM = f"logs/{REGISTRY}"
FIRST = tiles.Run(0, 256)


def _look(
    folder: Path,
    believed: Believed,
    meanwhile: Callable[[Path], object] = lambda _folder: None,
    listed: OwnList | None = None,
) -> Result:
    """Verify a folder that is changed between the proof of its logs and the replay."""

    def replay(first: FirstReading | None, watch: Watch) -> Replayed:
        meanwhile(folder)
        return replay_folder(folder, tables(), first, watch)

    return verify(Asked(folder=folder, believed=believed, pages={}, own_list=listed, replay=replay))


def _told(result: Result, no: ClaimNo = ClaimNo.REGISTERS) -> list[tuple[str, str, int | None]]:
    return [(each.finding.code, each.finding.file, each.finding.index) for each in result.findings if each.no is no]


def _lacking(result: Result, no: int) -> set[str]:
    return {each.what for each in result.claims[no - 1].missing}


def test_nothing_is_told_of_a_disk_that_stays_as_it_is(material: Material, believed: Believed) -> None:
    """Registers follow from the logs that were proven, as they were read then."""
    result = _look(material.export("cq"), believed)
    assert _told(result) == []
    assert [outcomes(result)[no] for no in (1, 2, 7)] == ["PROVEN"] * 3


def test_another_folder_is_not_the_one_that_was_proven(material: Material, believed: Believed, copy: Path) -> None:
    """However sound it is in itself: its registers follow from its logs, and not from those."""
    other = material.export("sc")
    assert replay_folder(other, tables()).findings == []

    def exchange(folder: Path) -> None:
        folder.rename(folder.with_name("first"))
        folder.symlink_to(other)

    result = _look(copy, believed, exchange)
    assert [outcomes(result)[no] for no in (1, 2, 7)] == ["PROVEN", "PROVEN", "NOT_PROVABLE"]
    assert ("READ_AGAIN_DIFFERS", names.EXPORT, None) in _told(result)


def _later(entry: bytes) -> bytes:
    read = LogEntry.FromString(entry)
    read.logged_at.nanos = (read.logged_at.nanos + 1_000) % 1_000_000_000
    return read.SerializeToString()


def _another_entry(folder: Path) -> None:
    """The first entry says that it was logged a microsecond later; the disk is sound otherwise."""
    first, *others = entries_of(folder, REGISTRY)[:256]
    put(folder / ROOM / "tile/entries/000", tiles.pack([_later(first), *others]))


def _another_body(folder: Path) -> None:
    def change(made: Archived) -> None:
        body, salt = made.held[17]
        made.held[17] = body + b"\x00", salt

    rewrite_bodies(folder, REGISTRY, FIRST, change)


def _fewer_notes(folder: Path) -> None:
    """Without the first one its entries were seen later by the other side."""
    kept = list(log_of(folder, REGISTRY).notes())[1:]
    members = b"".join(ustar.member(str(size), note) for size, note in kept)
    put(folder / ROOM / "notes/000.tar", members + ustar.END)


def _another_row(folder: Path) -> None:
    path = folder / names.REGISTERS / "reg_records.jsonl"
    path.write_text(path.read_text("utf-8").replace('"newest":true', '"newest":false', 1), "utf-8")


def _another_position(folder: Path) -> None:
    path = folder / names.REGISTERS / names.POSITION
    path.write_bytes(path.read_bytes() + b"\n")


BETWEEN = {
    "an entry": (_another_entry, f"{ROOM}/tile/entries/000", 0),
    "a body": (_another_body, f"{ROOM}/bodies/000.tar", 0),
    "a body that is erased": (lambda folder: erase(folder, REGISTRY, 17, FIRST), f"{ROOM}/bodies/000.tar", 0),
    "a note": (_fewer_notes, f"{ROOM}/notes", None),
    "a row": (_another_row, f"{names.REGISTERS}/reg_records.jsonl", None),
    "a position": (_another_position, f"{names.REGISTERS}/{names.POSITION}", None),
    "a log that ended": (lambda folder: describe(folder, REGISTRY, retired=True), names.EXPORT, None),
}


@pytest.mark.parametrize("which", sorted(BETWEEN))
def test_what_changed_between_the_two_readings_is_told_by_its_place(believed: Believed, copy: Path, which: str) -> None:
    """The logs were proven; of the registers nothing is, and nothing is held against anybody either."""
    change, file, index = BETWEEN[which]
    result = _look(copy, believed, change)
    assert ("READ_AGAIN_DIFFERS", file, index) in _told(result)
    assert [outcomes(result)[no] for no in (1, 2, 7)] == ["PROVEN", "PROVEN", "NOT_PROVABLE"]


def test_bodies_that_went_away_meanwhile_are_not_taken_for_erased(believed: Believed, copy: Path) -> None:
    """Neither by a claim nor by a replay alone."""

    def take_away(folder: Path) -> None:
        (folder / ROOM / "bodies/000.tar").unlink()

    result = _look(copy, believed, take_away)
    assert ("AUDIT_FOLDER_FORM", f"{ROOM}/bodies/000.tar", None) in _told(result)
    assert outcomes(result)[7] == "NOT_PROVABLE"
    assert [each.file for each in replay_folder(copy, tables()).findings] == [f"{ROOM}/bodies/000.tar"]


def test_the_head_that_entries_lead_to_is_the_one_that_is_believed(
    material: Material, believed: Believed, copy: Path
) -> None:
    """First the head of exchanged entries, which nobody believes; when its signatures are asked for, the sound one."""
    genuine = (copy / ROOM / "checkpoint").read_bytes()
    entries = [b"another entry", *entries_of(copy, REGISTRY)[1:]]
    write_tiles(copy / ROOM, entries)
    forged = signed_head(REGISTRY, entries).replace(b"\xe2\x80\x94 cq", b"\xe2\x80\x94 cr")
    put(copy / ROOM / "checkpoint", forged)
    shutil.rmtree(copy / ROOM / "notes")
    relist_all(copy)

    def watch(part: str, total: int) -> Seen:
        left = total

        def seen(count: int) -> None:
            nonlocal left
            left -= count
            if part == READING and left == 0:
                put(copy / ROOM / "checkpoint", genuine)

        return seen if part == READING else unwatched(part, total)

    result = verify(Asked(folder=copy, believed=believed, pages={}), watch)
    assert (copy / ROOM / "checkpoint").read_bytes() == genuine
    assert outcomes(result)[1] == "REFUTED"


def test_a_list_is_complete_in_what_was_proven(believed: Believed, copy: Path) -> None:
    """A row that is found only in a bundle that is another one by now is found nowhere, and missing nowhere."""
    read = read_list(SAMPLE, "decision_no", "cq")
    taken = [row for row in read.rows if Record.FromString(row[1]).penalty_notice.decision_no not in REFUSED]
    listed = replace(read, rows=tuple(taken), unreadable=())
    assert outcomes(_look(copy, believed, listed=listed))[9] == "PROVEN"

    def change(folder: Path) -> None:
        *_, last = tiles.runs(log_of(folder, REGISTRY).about.size)
        entries = entries_of(folder, REGISTRY)[last.first :]
        put(folder / ROOM / tiles.bundle_path(last), tiles.pack([_later(entry) for entry in entries]))

    result = _look(copy, believed, change, listed)
    assert outcomes(result)[9] == "NOT_PROVABLE"
    assert _lacking(result, 9) == {"BODIES"}


def _leaves(kept: list[tuple[int, bytes]]) -> bytes:
    return b"".join(at.to_bytes(8, "big") + len(packed).to_bytes(4, "big") + packed for at, packed in kept)


def test_registers_that_rest_on_a_tail_are_open(material: Material, believed: Believed, copy: Path) -> None:
    """The journal's last lines are promised only: who has the disk could have written them, with rows to fit."""
    log = log_of(copy, JOURNAL)
    entries = entries_of(copy, JOURNAL)
    size, note = [each for each in log.notes() if each[0] < len(entries)][-1]
    root = copy / log.about.folder
    leaves = [each for run in tiles.runs(len(entries)) for each in log.leaves(run)]
    shutil.rmtree(root / names.LEAVES)
    for run in tiles.runs(size):
        kept = [each for each in leaves if run.first <= each[0] < run.end]
        put(root / names.LEAVES / run.name(), _leaves(kept))
    put(root / names.PROMISED_LEAVES, _leaves([each for each in leaves if each[0] >= size]))
    write_tiles(root, entries[:size])
    put(root / names.CHECKPOINT, note)
    put(root / names.PROMISED_ENTRIES, tiles.pack(entries[size:]))
    describe(copy, JOURNAL, size=size, promised=len(entries) - size)
    relist_all(copy)
    result = _look(copy, believed)
    assert [outcomes(result)[no] for no in (1, 2, 7)] == ["PROVEN", "PROVEN", "NOT_PROVABLE"]
    assert _lacking(result, 7) == {"CHECKPOINT"}


def test_registers_follow_only_from_logs_that_are_proven(believed: Believed, copy: Path) -> None:
    """A tile is wrong: every step may agree, and what it is computed from is open."""
    path = copy / ROOM / "tile/1/000.p/1"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    relist_all(copy)
    result = _look(copy, believed)
    assert [outcomes(result)[no] for no in (1, 7)] == ["REFUTED", "NOT_PROVABLE"]
    assert _lacking(result, 7) == {"LOGS_PROVEN"}
    unsourced = _look(copy, replace(believed, cards=()))
    assert _lacking(unsourced, 7) >= {"POLICY"}


def test_a_tail_that_changes_no_register_leaves_them_proven(
    material: Material, believed: Believed, tmp_path: Path
) -> None:
    """An export of what is withheld is in the journal before it begins: nobody can have witnessed that line."""
    shutil.copy(material.folder / "cq.db", tmp_path / "cq.db")
    database = Database(f"sqlite:///{tmp_path}/cq.db")
    scope, now = Scope(withheld=True), datetime.now(UTC)
    disclose(database, "officer", scope, "审计", now)
    made = Export(database, "cq", FEDERATION, tmp_path / "cq", scope)
    made.write(made.plan(), now)
    database.dispose()
    assert log_of(tmp_path / "cq", JOURNAL).about.promised == 1
    assert outcomes(_look(tmp_path / "cq", believed))[7] == "PROVEN"
