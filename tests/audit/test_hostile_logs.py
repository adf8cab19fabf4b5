"""Logs and registers that their owner wrote to harm the reader: every command tells the place, and ends."""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.crypto import sealing
from exchange.flows.audit.folder import names, ustar
from exchange.flows.audit.folder.bodies import write_absent, write_body
from exchange.flows.audit.folder.reading import Folder
from exchange.flows.audit.skips import Skips
from exchange.tlog import tiles
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement
from tests.audit.forging import entries_of, log_of, relist_all, write_tiles
from tests.audit.material import Material
from tests.cli.conftest import run
from tests.domain.records import make_uscc

JOURNAL = "cq.exchange.example/journal/1"
FROM_SC = "sc.exchange.example/to/cq/registry/1"
TO_SC = "cq.exchange.example/to/sc/registry/1"
BACK = "cq.exchange.example/to/sc/telemetry/1"
"""Log in which Chongqing's decisions about Sichuan's records stand."""


def rewrite(folder: Path, origin: str, change: Callable[[list[bytes]], None]) -> None:
    """Write a log's entries anew, with tiles that agree: what its owner could have had cosigned."""
    entries = entries_of(folder, origin)
    change(entries)
    write_tiles(folder / log_of(folder, origin).about.folder, entries)
    relist_all(folder)


def restate(folder: Path, origin: str, wanted: str, change: Callable[[Record], None]) -> int:
    """Change the first record of a kind, with the commitments of its statement; its index."""
    log = Folder(folder).log(origin)
    assert log is not None
    for part in tiles.runs(log.about.size):
        with log.bodies(part) as archive:
            assert archive is not None
            absent = dict(archive.absent)
            held = {each.index: (each.body, each.salt) for each in archive.bodies()}
        for index, (body, salt) in held.items():
            record = Record.FromString(body)
            if record.WhichOneof("body") != wanted:
                continue
            change(record)
            made = record.SerializeToString()
            held[index] = made, salt
            members = b"".join(write_body(at, *held[at]) for at in sorted(held))
            (folder / log.bodies_path(part)).write_bytes(write_absent(absent) + members + ustar.END)

            def commit(entries: list[bytes], index: int = index, salt: bytes = salt, made: bytes = made) -> None:
                entry = LogEntry.FromString(entries[index])
                envelope = Envelope.FromString(entry.envelope)
                said = Statement.FromString(envelope.payload)
                for each in said.commitments:
                    each.digest = sealing.ALGORITHMS[each.algorithm](salt, made)
                said.body_size = len(made)
                envelope.payload = said.SerializeToString()
                entry.envelope = envelope.SerializeToString()
                entries[index] = entry.SerializeToString()

            rewrite(folder, origin, commit)
            return index
    raise AssertionError(wanted)


def everything(material: Material, folder: Path, place: Path) -> dict[str, Any]:
    """What each command that reads a folder says of it; none of them may fail but with a sentence."""
    told = {
        "verify": run("audit", "verify", folder, "--registers", "--jobs", "1", "--json"),
        "replay": run("audit", "replay", folder, "--re-evaluate", "--json"),
        "beside": run("audit", "replay", folder, "--registers", folder, "--json"),
        "import": run("audit", "import", folder, "--database", f"sqlite:///{place}/import.db", "--json"),
        "reconcile": run("audit", "reconcile", folder, material.export("sc"), "--json"),
        "report": run(
            "audit", "report", folder, "-o", place / "page.html", "--jobs", "1", "--subject", make_uscc(9_000)
        ),
    }
    for command in (("replay",), ("reconcile", material.export("sc"))):
        run("audit", command[0], folder, *command[1:])
    for name, done in told.items():
        assert done.status in (0, 1, 3), name
    return {name: done.json for name, done in told.items() if name != "report"}


def _garbage(index: int) -> Callable[[list[bytes]], None]:
    def change(entries: list[bytes]) -> None:
        entries[index] = b"\xff" * 40

    return change


def _line(change: Callable[[JournalEntry], object], wanted: str = "step") -> Callable[[list[bytes]], None]:
    """Change the last line of a sort."""

    def apply(entries: list[bytes]) -> None:
        for index in reversed(range(len(entries))):
            line = JournalEntry.FromString(entries[index])
            if line.HasField(wanted):  # type: ignore[arg-type]
                change(line)
                entries[index] = line.SerializeToString()
                return
        raise AssertionError(wanted)

    return apply


def _grant(line: JournalEntry) -> None:
    line.grant_changed.agency = "\x1b[31m"
    line.grant_changed.grant = "[[["


def _rules(line: JournalEntry) -> None:
    line.activated.edition.what = "RULES"
    line.activated.content = b"\xff\x00"


LINES = {
    "no line at all": _garbage(-1),
    "first line": _garbage(0),
    "before any time": _line(lambda line: setattr(line.at, "seconds", -(1 << 63))),
    "behind all time": _line(lambda line: setattr(line.at, "seconds", (1 << 63) - 1)),
    "without end": _line(lambda line: setattr(line.step, "end", (1 << 63) - 1)),
    "backwards": _line(lambda line: setattr(line.step, "first", (1 << 63) - 1)),
    "below nothing": _line(lambda line: setattr(line.step, "first", -5)),
    "of a log that is none": _line(lambda line: setattr(line.step, "source_log", "../../etc")),
    "decided elsewhere": _line(lambda line: line.step.decisions.add(log=TO_SC, index=1 << 40)),
    "decided again": _line(lambda line: line.step.redecisions.add(index=1 << 40, cause=99)),
    "a grant that is none": _line(_grant),
    "rules that are none": _line(_rules),
    "pieces of nothing": _line(lambda line: setattr(line.joined, "parts", -1)),
    "an unknown step of a rotation": _line(lambda line: setattr(line.rotation_stepped, "step", 99)),
}


@pytest.mark.parametrize("how", LINES)
def test_a_journal_that_its_owner_made_up_is_told_at_its_line(
    material: Material, copy: Path, tmp_path: Path, how: str
) -> None:
    """Unreadable lines, impossible times and ranges, grants and rules that are none: no command fails, all end."""
    rewrite(copy, JOURNAL, LINES[how])
    told = everything(material, copy, tmp_path)
    if how == "no line at all":
        log = Folder(copy).log(JOURNAL)
        assert log is not None
        last = ("REPLAY_UNREADABLE", JOURNAL, log.about.size - 1)
        assert last in {(each["code"], each["log"], each["index"]) for each in told["replay"]["findings"]}
        assert ("ENTRY_UNREADABLE", JOURNAL) in {(each["code"], each["log"]) for each in told["reconcile"]["findings"]}


def test_a_record_of_no_kind_ends_a_walk_at_its_step(material: Material, copy: Path, tmp_path: Path) -> None:
    """A body that is a record and says nothing: the walk can not go on, and says where."""

    def change(record: Record) -> None:
        record.ClearField("credit_result")

    restate(copy, FROM_SC, "credit_result", change)
    told = everything(material, copy, tmp_path)
    (found,) = [each for each in told["replay"]["findings"] if each["code"] == "REPLAY_UNREADABLE"]
    assert found["log"] == JOURNAL
    assert not found["proven"]


def test_outcomes_and_effects_without_a_name_are_told_by_their_number(
    material: Material, copy: Path, tmp_path: Path
) -> None:
    """A decision with an outcome that no schema has, in a range and in an item."""

    def change(record: Record) -> None:
        record.recognition.default_outcome = 77  # type: ignore[assignment]
        item = record.recognition.items.add(index=0, outcome=-5)
        item.decision_revision = 1 << 30

    log = next(
        origin for origin in (BACK, "cq.exchange.example/to/sc/urgent/1", TO_SC) if _has(copy, origin, "recognition")
    )
    restate(copy, log, "recognition", change)
    everything(material, copy, tmp_path)
    lanes = json.loads(run("audit", "reconcile", copy, material.export("sc"), "--json").out)["lanes"]
    assert {"77", "255"} & {outcome for lane in lanes for outcome in lane["outcomes"]}


def _has(folder: Path, origin: str, wanted: str) -> bool:
    log = Folder(folder).log(origin)
    assert log is not None
    for part in tiles.runs(log.about.size):
        with log.bodies(part) as archive:
            assert archive is not None
            if any(Record.FromString(each.body).WhichOneof("body") == wanted for each in archive.bodies()):
                return True
    return False


def test_keys_and_repairs_without_names_are_told_by_their_numbers(
    material: Material, copy: Path, tmp_path: Path
) -> None:
    """Uses, states and days of announced keys that no schema and no calendar has."""

    def change(record: Record) -> None:
        for key in record.key_announcement.keys:
            key.use = key.state = 99  # type: ignore[assignment]
            key.valid_from.seconds = 1 << 62

    restate(copy, TO_SC, "key_announcement", change)
    everything(material, copy, tmp_path)
    assert ">99<" in (tmp_path / "page.html").read_text("utf-8")


def test_a_cosignature_behind_all_time_is_no_time(material: Material, copy: Path, tmp_path: Path) -> None:
    """Its seconds do not fit a database's microseconds, nor a calendar: the note is told, and not counted."""
    log = Folder(copy).log(TO_SC)
    assert log is not None
    note = log.checkpoint()
    assert note is not None
    shutil.rmtree(copy / log.path(names.NOTES))
    late = b64encode(b"abcd" + ((1 << 63) - 1).to_bytes(8, "big") + bytes(64)).decode()
    (copy / log.path(names.CHECKPOINT)).write_bytes(note + f"\u2014 x.exchange.example/mirror {late}\n".encode())
    relist_all(copy)
    told = everything(material, copy, tmp_path)
    assert "NOTE_UNREADABLE" in {each["code"] for each in told["replay"]["findings"]}


def _rows(name: str, change: Callable[[list[bytes]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / names.REGISTERS / name
        lines = path.read_bytes().splitlines(keepends=True)
        change(lines)
        path.write_bytes(b"".join(lines))

    return edit


def _cell(**cells: Any) -> Callable[[list[bytes]], None]:
    def change(lines: list[bytes]) -> None:
        row = json.loads(lines[3]) | cells
        lines[3] = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    return change


def _position(**cells: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / names.REGISTERS / names.POSITION
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | cells), "utf-8")

    return edit


RECORDS = "reg_records.jsonl"


def _of_another(folder: Path) -> None:
    shutil.copy(folder / names.REGISTERS / RECORDS, folder / names.REGISTERS / "reg_keys.jsonl")


ROWS = {
    "infinite position": _position(size=float("inf")),
    "no number": _position(next_change="1"),
    "no text": _position(journal=None),
    "beyond": _position(size=1 << 70),
    "infinite key": _rows(RECORDS, _cell(seq=float("inf"))),
    "huge key": _rows(RECORDS, _cell(seq=1 << 70)),
    "a list for a key": _rows(RECORDS, _cell(seq=[1])),
    "a list for a log": _rows(RECORDS, _cell(log_id=[{}])),
    "no hex": _rows(RECORDS, _cell(record_id="xyz")),
    "further columns": _rows(RECORDS, _cell(more=1)),
    "deep": _rows(RECORDS, lambda lines: lines.insert(2, b"[" * 100_000 + b"\n")),
    "utf-16": _rows(RECORDS, lambda lines: lines.__setitem__(2, lines[2].decode().encode("utf-16"))),
    "no utf-8": _rows(RECORDS, lambda lines: lines.__setitem__(2, b"\xff\n")),
    "turned round": _rows(RECORDS, lambda lines: lines.reverse()),
    "twice": _rows(RECORDS, lambda lines: lines.insert(1, lines[0])),
    "without an end": _rows(RECORDS, lambda lines: lines.__setitem__(-1, lines[-1][:-1])),
    "of another register": _of_another,
}


@pytest.mark.parametrize("how", ROWS)
def test_rows_that_are_none_are_told_at_their_byte(material: Material, copy: Path, how: str) -> None:
    """Numbers without end, other types, other encodings, keys out of order: named, and nothing is proven of them."""
    ROWS[how](copy)
    relist_all(copy)
    done = run("audit", "verify", copy, *material.believing(), "--registers", "--jobs", "1", "--json")
    claim = done.json["claims"][6]
    assert claim["outcome"] == "NOT_PROVABLE"
    told = [each for each in done.json["findings"] if each["no"] == 7]
    assert told or "REGISTERS_NOT_EXPORTED" in claim["missing"][0]
    assert all(each["file"].startswith(f"{names.REGISTERS}/") and each["byte"] is not None for each in told)
    assert run("audit", "replay", copy, "--registers", copy, "--json").status in (1, 3)


def _about(**cells: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / names.EXPORT
        described = json.loads(path.read_text("utf-8"))
        next(log for log in described["logs"] if log["origin"] == TO_SC).update(cells)
        path.write_text(json.dumps(described), "utf-8")

    return edit


OTHERWISE = [
    {"use": "journal", "peer": "", "lane": 0},
    {"use": "mirror"},
    {"use": "local"},
    {"lane": 1},
    {"epoch": 2},
    {"peer": "js"},
    {"id": 1 << 40},
]


@pytest.mark.parametrize("cells", OTHERWISE)
def test_a_log_is_what_its_name_says(copy: Path, cells: dict[str, Any]) -> None:
    """A log of records that is told as a journal would be looked at for no signature: its origin says what it is."""
    _about(**cells)(copy)
    described = json.loads((copy / names.EXPORT).read_text("utf-8"))
    described["logs"].sort(key=lambda log: log["id"])
    (copy / names.EXPORT).write_text(json.dumps(described), "utf-8")
    relist_all(copy)
    done = run("audit", "verify", copy, "--jobs", "1", "--json")
    assert [each["code"] for each in done.json["findings"]] == ["EXPORT_BROKEN"]
    for command in ("replay", "import"):
        more = ("--database", f"sqlite:///{copy.parent}/made.db") if command == "import" else ()
        assert run("audit", command, copy, *more, "--json").json["error"]["reason"] == "AUDIT_FOLDER_FORM"


def test_evidence_of_an_earlier_run_is_not_written_over(material: Material, copy: Path, tmp_path: Path) -> None:
    """The second time the folder is there already: an error of usage, and the bundle stays as it was."""
    rewrite(copy, TO_SC, _garbage(-1))
    command = ("audit", "reconcile", copy, material.export("sc"), "--evidence", tmp_path / "bundles")
    assert run(*command).status == 1
    made = {path: path.read_bytes() for path in (tmp_path / "bundles").rglob("*") if path.is_file()}
    assert made
    assert run(*command).status == 2
    assert {path: path.read_bytes() for path in made} == made


def test_a_hundred_thousand_decisions_about_one_log_are_walked_once() -> None:
    """Ranges that all begin at the first entry: each index comes once, to the first that asks for it."""
    skips, size = Skips(100_000), 100_000
    assert list(skips.fresh(5, 10)) == [5, 6, 7, 8, 9]
    assert sum(1 for end in range(size) for _ in skips.fresh(0, end)) == size - 1 - 5
    assert list(skips.fresh(-3, size + 9)) == [size - 1]
    assert list(skips.fresh(size + 5, size + 9)) == []
