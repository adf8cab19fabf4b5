"""An exported folder verified offline: what holds is proven, what was changed is found in its place."""

from __future__ import annotations

import json
import random
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.adapter_set import find_adapter
from exchange.cli.audit.folder.believing import gather
from exchange.cli.audit.folder.own_list import read_list
from exchange.crypto.x509.pki import issue_crl
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.folder import manifest, names, ustar
from exchange.flows.audit.folder.bodies import Absent, write_absent, write_body
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.reading import Folder
from exchange.flows.audit.verify.claims import ClaimNo, Result, Verdict
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.flows.audit.verify.run import Asked, verify
from exchange.storage.engine.database import Database
from exchange.tlog import tiles
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from tests.audit.forging import describe, entries_of, put, relist_all, write_tiles
from tests.audit.material import NAMES, REFUSED, SAMPLE, Material
from tests.cli.conftest import init, run
from tests.world import FEDERATION, Keyring, profile

REGISTRY = "cq.exchange.example/to/sc/registry/1"
FOLDER = f"logs/{REGISTRY}"
ROUNDS = [pytest.param(12, id="some"), pytest.param(60, id="many", marks=pytest.mark.slow)]
"""Rounds of one flipped bit in each of the eight logs."""


def look(material: Material, folder: Path, believed: Believed, *pages: bytes, jobs: int = 1) -> Result:
    """Verify a folder, with Sichuan's heads unless others are given."""
    given = pages or (material.heads("sc").read_bytes(),)
    return verify(
        Asked(folder=folder, believed=believed, pages={f"page {n}": p for n, p in enumerate(given)}, jobs=jobs)
    )


def outcomes(result: Result) -> dict[int, str]:
    """Outcome by claim."""
    return {int(claim.no): claim.outcome.value for claim in result.claims}


def relist(folder: Path, *paths: str) -> None:
    """Rewrite the list of files for those that changed, as a forger would."""
    disk = Disk(folder)
    listed = {line.path: line for line in manifest.read(disk)}
    for path in paths:
        listed.pop(path, None)
        if disk.size(path) is not None:
            listed[path] = manifest.line_of(disk, path)
    text = "".join(listed[path].line() for path in sorted(listed, key=str.encode))
    (folder / names.MANIFEST).write_text(text, "utf-8")


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_everything_that_the_material_can_prove_is_proven(material: Material, believed: Believed) -> None:
    """By both cards, both lists and the other side's heads: all but replay and the unit's own list; for both nodes."""
    result = look(material, material.export("cq"), believed)
    assert result.findings == ()
    assert outcomes(result) == {n: "NOT_PROVABLE" if n in (7, 9) else "PROVEN" for n in range(1, 10)}
    assert result.verdict is Verdict.NOT_PROVABLE
    log = next(log for log in result.logs if log["origin"] == REGISTRY)
    assert log["signed"] == log["size"] > 256
    assert log["bodies_absent"] == {"ERASED": 1}
    assert log["cosigner"] == "sc.exchange.example/mirror"
    assert {each.no: each.facts for each in result.claims}[ClaimNo.DOCUMENTS]["accepted"] > 0
    assert outcomes(look(material, material.export("sc"), believed, material.heads("cq").read_bytes())) == outcomes(
        result
    )


def test_several_processes_find_what_one_does(material: Material, believed: Believed, copy: Path) -> None:
    """The same result, byte for byte, of a folder in which something is wrong."""
    flip(copy / FOLDER / "tile/entries/000", 4_000)
    one, two = (look(material, copy, believed, jobs=jobs).as_dict() for jobs in (1, 2))
    assert one == two
    assert one["findings"]


def test_a_policy_says_whose_checkpoints_count_and_no_more(material: Material) -> None:
    """Entries, completeness, newest head and mirrored times are proven; whose signing keys, no policy says."""
    by_policy = gather(policy=material.policy, cards=[], fingerprints=[], roots=[], lists=[])
    result = look(material, material.export("cq"), by_policy)
    assert [n for n, outcome in outcomes(result).items() if outcome == "PROVEN"] == [1, 2, 3, 6, 8]
    assert str(result.claims[3].missing[0]) == "ROOTS cq"


def test_without_policy_or_cards_only_consistency_is_told(material: Material) -> None:
    """Nothing is refuted and nothing is proven: 内部一致, 来源未证实, exit status 3."""
    done = run("--lang", "zh", "audit", "verify", material.export("cq"), "--jobs", "1")
    assert done.status == 3
    assert "内部一致, 来源未证实" in done.out
    result = json.loads(run("audit", "verify", material.export("cq"), "--jobs", "1", "--json").out)
    assert result["verdict"] == "CONSISTENT"
    assert {claim["outcome"] for claim in result["claims"]} == {"NOT_PROVABLE"}


def test_a_card_is_believed_for_its_fingerprint_alone(material: Material) -> None:
    """Without it, or with another one, the command is used wrongly: exit status 2."""
    card = ("--card", material.card("cq"))
    for typed, reason in (((), "FINGERPRINT_MISSING"), (("--fingerprint", "00 11"), "FINGERPRINT_WRONG")):
        done = run("audit", "verify", material.export("cq"), *card, *typed, "--json")
        assert done.status == 2
        assert done.json["error"]["problems"][0]["reason"] == reason


def test_every_changed_file_is_told_by_the_list_of_files(material: Material, copy: Path) -> None:
    """One bit in each file of the folder, nobody believed: each file is named, that with the list's own place."""
    paths = [path for path in Disk(copy).files() if path not in {names.MANIFEST, names.EXPORT}]
    paths = sorted(path for path in paths if (copy / path).stat().st_size)
    chance = random.Random(5)
    for path in paths:
        flip(copy / path, chance.randrange(8 * (copy / path).stat().st_size))
    result = look(material, copy, Believed())
    changed = {found.finding.file for found in result.findings if found.finding.code == "FILE_CHANGED"}
    assert changed == set(paths) - names.UNLISTED
    assert result.verdict is Verdict.REFUTED
    # The last letter of the list's first path: the file that is there is not listed, and the listed one is not there.
    first = (copy / names.MANIFEST).read_bytes().partition(b"\t")[0]
    flip(copy / names.MANIFEST, 8 * (len(first) - 1))
    assert _codes(look(material, copy, Believed())) >= {"FILE_NOT_LISTED", "FILE_NOT_THERE"}
    # A digit of a digest that is none any more.
    flip(copy / names.MANIFEST, 8 * 30 + 7)
    assert "MANIFEST_BROKEN" in _codes(look(material, copy, Believed()))


@pytest.mark.parametrize("rounds", ROUNDS)
def test_flipped_bits_are_found_at_their_place_though_the_list_was_rewritten(
    material: Material, believed: Believed, copy: Path, rounds: int
) -> None:
    """One bit in a random file of each log, hundreds in all: entries, tiles, bodies, salts, notes, checkpoints."""
    chance = random.Random(20_261_129 + rounds)
    kept = {path: (copy / path).read_bytes() for path in Disk(copy).files() if path.startswith("logs/")}
    by_log: dict[str, list[str]] = {}
    for path in kept:
        if "/leaves/" not in path:  # what replay needs: folded again there
            by_log.setdefault(path.partition("/1/")[0], []).append(path)
    for number in range(rounds):
        flipped = [chance.choice(paths) for paths in by_log.values()]
        chosen = {path: chance.randrange(8 * len(kept[path])) for path in flipped}
        for path, bit in chosen.items():
            flip(copy / path, bit)
        relist(copy, *chosen)
        result = look(material, copy, believed)
        for path, bit in chosen.items():
            assert _is_told(result, path, bit // 8, kept[path]), f"round {number}: {path} bit {bit}: {_told(result)}"
            (copy / path).write_bytes(kept[path])
        relist(copy, *chosen)
    assert look(material, copy, believed).findings == ()


def _is_told(result: Result, path: str, byte: int, before: bytes) -> bool:
    """Whether a finding is about the file, and where files are made of parts, about the part of the byte."""
    places = [found.finding.byte for found in result.findings if found.finding.file == path]
    if not places:
        return False
    if "/tile/entries/" in path:
        return any(place is not None and place <= byte < _end_of_entry(before, place) for place in places)
    if "/tile/" in path:
        return byte // 32 * 32 in places
    if path.endswith(".tar"):
        # A member's header stands 512 bytes before its content.
        return any(place is not None and place - 512 <= byte for place in places)
    return path.endswith("/checkpoint")


def _end_of_entry(data: bytes, at: int) -> int:
    return at + 2 + int.from_bytes(data[at : at + 2], "big")


def _told(result: Result) -> list[tuple[str, str, int | None]]:
    return [(found.finding.code, found.finding.file, found.finding.byte) for found in result.findings]


def _codes(result: Result) -> set[str]:
    return {found.finding.code for found in result.findings}


def test_a_cut_tail_is_found_by_the_other_sides_head(material: Material, believed: Believed, copy: Path) -> None:
    """Cut back to an older cosigned checkpoint, sound in itself: the other side's head refutes that it is all."""
    whole = _size_of(copy)
    assert _cut_back(copy) < whole
    result = look(material, copy, believed)
    # The journal, too, knows of rows that became records.
    assert _codes(result) == {"LOG_CUT", "DOCUMENT_RECORDS"}
    (found,) = (found for found in result.findings if found.finding.code == "LOG_CUT")
    assert (found.no, found.finding.log, found.finding.index) == (ClaimNo.LATEST, REGISTRY, whole)
    assert "sc.exchange.example/mirror" in found.finding.evidence["head"]
    assert {n for n, outcome in outcomes(result).items() if outcome == "REFUTED"} == {3, 8}
    alone = outcomes(verify(Asked(folder=copy, believed=believed, pages={})))
    assert (alone[1], alone[2], alone[3]) == ("PROVEN", "PROVEN", "NOT_PROVABLE")


def _size_of(folder: Path) -> int:
    log = Folder(folder).log(REGISTRY)
    assert log is not None
    return log.about.size


def _cut_back(folder: Path) -> int:
    """Cut the log back to its first checkpoint, as a forger with all of the disk would."""
    log = Folder(folder).log(REGISTRY)
    assert log is not None
    notes = list(log.notes())
    size, note = notes[0]
    entries = entries_of(folder, REGISTRY)[:size]
    held: dict[int, bytes] = {}
    absent: dict[int, Absent] = {}
    for part in tiles.runs(log.about.size):
        with log.bodies(part) as archive:
            assert archive is not None
            absent |= dict(archive.absent)
            held |= {each.index: write_body(each.index, each.body, each.salt) for each in archive.bodies()}
    root = folder / FOLDER
    for room in ("bodies", "notes"):
        shutil.rmtree(root / room)
    write_tiles(root, entries)
    (root / "checkpoint").write_bytes(note)
    put(root / "notes/000.tar", ustar.member(str(size), note) + ustar.END)
    for part in tiles.runs(size):
        inside = range(part.first, part.end)
        listed = write_absent({index: absent[index] for index in inside if index in absent})
        archived = b"".join(held[index] for index in inside if index in held)
        put(root / "bodies" / part.name(".tar"), listed + archived + ustar.END)
    describe(folder, REGISTRY, size=size)
    relist_all(folder)
    return size


def test_a_whole_disk_with_keys_of_its_own_is_not_believed(material: Material) -> None:
    """Sound in itself and all signed, by other keys than those of the cards: nothing of it is proven."""
    real = {name: Keyring(name) for name in NAMES}
    cards = [real["cq"].card_for("sc"), real["sc"].card_for("cq")]
    lists = [issue_crl(profile(), ring.root, [], number=1, now=datetime.now(UTC)) for ring in real.values()]
    believed = Believed(cards=tuple(card.to_text() for card in cards), lists=tuple(lists))
    result = look(material, material.export("cq"), believed)
    assert result.verdict is Verdict.REFUTED
    assert "PROVEN" not in outcomes(result).values()
    assert {n for n, outcome in outcomes(result).items() if outcome == "REFUTED"} == {1, 6}
    assert _codes(result) == {"CHECKPOINT_NOT_BELIEVED", "NOTE_NOT_BELIEVED"}


def test_removed_notes_move_the_time_to_the_next_one_that_is_there(
    material: Material, believed: Believed, copy: Path
) -> None:
    """Without its notes a log is as old as its checkpoint; without that one, nothing is proven of its time at all."""
    notes = copy / FOLDER / "notes"
    shutil.rmtree(notes)
    relist_all(copy)
    result = look(material, copy, believed)
    assert outcomes(result)[6] == "PROVEN"
    log = next(log for log in result.logs if log["origin"] == REGISTRY)
    assert log["notes"] == 0
    assert log["mirrored"]["first"] == log["mirrored"]["last"] == log["checkpoint_time"]
    (copy / FOLDER / "checkpoint").unlink()
    relist_all(copy)
    result = look(material, copy, believed)
    assert _codes(result) == {"CHECKPOINT_MISSING"}
    assert outcomes(result)[6] == outcomes(result)[5] == "NOT_PROVABLE"


def test_a_log_that_is_not_there_at_all_is_missed(material: Material, believed: Believed, copy: Path) -> None:
    """By the card that names it, and by the head that the other side holds of it."""
    shutil.rmtree(copy / FOLDER)
    path = copy / names.EXPORT
    described = json.loads(path.read_text("utf-8"))
    described["logs"] = [log for log in described["logs"] if log["origin"] != REGISTRY]
    path.write_text(json.dumps(described), "utf-8")
    relist_all(copy)
    result = look(material, copy, believed)
    assert _codes(result) >= {"LOG_CUT"}
    assert "LOG " + REGISTRY in {str(each) for each in result.claims[1].missing}


def test_a_revocation_list_from_before_proves_nothing_of_what_came_after(material: Material) -> None:
    """Without lists, or by an older one, nobody can say that the keys were not revoked."""
    by_cards = gather(
        policy=None,
        cards=[material.card(name) for name in NAMES],
        fingerprints=[material.fingerprint(name) for name in NAMES],
        roots=[],
        lists=[],
    )
    result = look(material, material.export("cq"), by_cards)
    assert outcomes(result)[4] == "PROVEN"
    assert outcomes(result)[5] == "NOT_PROVABLE"
    assert [each.what for each in result.claims[4].missing] == ["REVOCATION_LIST"] * 2


@pytest.fixture(scope="module")
def accepted(material: Material) -> list[Record]:
    """Notices of the document that was submitted, as far as the log has them."""
    listed = read_list(SAMPLE, "decision_no", "cq")
    read = [Record.FromString(data) for _, data in listed.rows]
    return [record for record in read if record.penalty_notice.decision_no not in REFUSED]


def write_list(path: Path, notices: list[Record]) -> Path:
    """A unit's own list of notices, in its own layout."""
    made = find_adapter("chongqing").write(notices, kind=Kind.KIND_PENALTY_NOTICE, form="xlsx")
    path.write_bytes(made.content)
    return path


def test_all_nine_claims_are_proven_by_all_the_material_that_there_can_be(
    material: Material, accepted: list[Record], tmp_path: Path
) -> None:
    """With a replay and a list that is complete: exit status 0."""
    listed = write_list(tmp_path / "list.xlsx", accepted)
    done = run(
        "audit", "verify", material.export("cq"), *material.believing(), "--registers", "--list", listed,
        "--jobs", "1", "--json",
    )  # fmt: skip
    assert {claim["no"]: claim["outcome"] for claim in done.json["claims"]} == dict.fromkeys(range(1, 10), "PROVEN")
    assert (done.json["verdict"], done.status) == ("PROVEN", 0)
    assert done.json["claims"][8]["facts"]["rows"] == len(accepted)


def test_a_list_is_compared_row_by_row_and_field_by_field(
    material: Material, accepted: list[Record], tmp_path: Path
) -> None:
    """Found, missing, and the field that differs with both values; the same refutes the ninth claim."""
    changed, unknown = Record(), Record()
    changed.CopyFrom(accepted[0])
    changed.penalty_notice.fine_cny = "3000"
    unknown.CopyFrom(accepted[1])
    unknown.penalty_notice.decision_no = unknown.header.issued.document_no = "演示环罚〔2025〕999号"
    listed = write_list(tmp_path / "list.xlsx", [changed, unknown, *accepted[2:]])
    done = run("audit", "compare", material.export("cq"), listed, "--key", "decision_no", "--jobs", "1", "--json")
    assert done.status == 1
    rows = done.json["rows"]
    assert [row["result"] for row in rows] == ["DIFFERS", "MISSING", *["FOUND"] * len(accepted[2:])]
    assert [(d["field"], d["listed"], d["logged"]) for d in rows[0]["differences"]] == [
        ("penalty_notice.fine_cny", "3000", accepted[0].penalty_notice.fine_cny)
    ]
    asked = Asked(
        folder=material.export("cq"), believed=Believed(), pages={}, own_list=read_list(listed, "decision_no", "cq")
    )
    assert _codes(verify(asked)) == {"LIST_ROW_MISSING", "LIST_ROW_DIFFERS"}
    done = run("audit", "compare", material.export("cq"), listed, "--key", "no_such_field", "--json")
    assert (done.status, done.json["error"]["problems"][0]["reason"]) == (2, "LIST_UNREADABLE")


def test_a_step_that_the_logs_do_not_give_refutes_the_registers(
    material: Material, believed: Believed, copy: Path
) -> None:
    """The kept leaves, of which those of the erased record are needed, are others: the steps' digests do not follow."""
    (leaves,) = (path for path in (copy / "logs/cq.exchange.example/journal/1/leaves").rglob("*") if path.is_file())
    data, at = bytearray(leaves.read_bytes()), 0
    while at < len(data):
        begin, at = at + 12, at + 12 + int.from_bytes(data[at + 8 : at + 12], "big")
        data[begin:at] = bytes(each ^ 1 for each in data[begin:at])
    leaves.write_bytes(data)
    relist_all(copy)
    done = run("audit", "verify", copy, *material.believing(), "--registers", "--jobs", "1", "--json")
    assert {c["no"] for c in done.json["claims"] if c["outcome"] == "REFUTED"} == {7}
    assert done.json["findings"][0]["log"] == "cq.exchange.example/journal/1"
    assert done.status == 1


def test_an_exported_register_that_was_edited_is_no_register_of_the_log(material: Material, copy: Path) -> None:
    """One row that says something else, though the list of files was rewritten: told with the entry behind it."""
    rows = copy / names.REGISTERS / "reg_records.jsonl"
    lines = rows.read_text("utf-8").splitlines(keepends=True)
    row = json.loads(lines[5])
    row["revision"] += 1
    lines[5] = json.dumps(row, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n"
    rows.write_text("".join(lines), "utf-8")
    relist_all(copy)
    done = run("audit", "verify", copy, *material.believing(), "--registers", "--jobs", "1", "--json")
    assert {c["no"] for c in done.json["claims"] if c["outcome"] == "REFUTED"} == {7}
    (found,) = done.json["findings"]
    assert found["code"] == "REGISTER_ROW_DIFFERS"
    assert found["log"].startswith(("cq.exchange.example/", "sc.exchange.example/"))


def test_heads_are_read_from_a_nodes_files(material: Material, tmp_path: Path) -> None:
    """The same page as the node's own database gives, and a table of it for people."""
    assert init(tmp_path / "node", "sc").status == 0
    run("db", "migrate", "--node", tmp_path / "node/node.toml")
    database = next((tmp_path / "node").rglob("exchange.db"))
    shutil.copy(material.folder / "sc.db", database)
    page = tmp_path / "page"
    done = run("audit", "heads", "--node", tmp_path / "node/node.toml", "-o", page)
    assert done.status == 0
    assert page.read_bytes() == material.heads("sc").read_bytes()
    assert "cq.exchange.example/journal/1" in done.out


@pytest.mark.parametrize(
    "scope", [Scope(origin=REGISTRY, start=260, end=300), Scope(since=datetime(2099, 1, 1, tzinfo=UTC))]
)
def test_a_part_is_never_taken_for_the_whole(
    material: Material, believed: Believed, tmp_path: Path, scope: Scope
) -> None:
    """One stretch of one log, or days without entries: nothing is refuted, and what was left out proves nothing."""
    database = Database(f"sqlite:///{material.folder}/cq.db")
    export = Export(database, "cq", FEDERATION, tmp_path / "part", scope)
    export.write(export.plan(), datetime.now(UTC))
    database.dispose()
    result = look(material, tmp_path / "part", believed)
    assert result.findings == ()
    assert {n for n, outcome in outcomes(result).items() if outcome == "PROVEN"} <= {3, 6}
