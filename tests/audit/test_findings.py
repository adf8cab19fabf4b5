"""Every finding of `audit verify` is made by a change of its own: its code, the claim that it refutes, its file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.crypto.dsse import make_envelope
from exchange.flows.audit.folder import ustar
from exchange.flows.audit.verify.claimed.heads import write_page
from exchange.flows.audit.verify.claims import ClaimNo, Result
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.flows.audit.verify.run import Asked, verify
from exchange.flows.instants import micros_of, timestamp
from exchange.tlog import tiles
from exchange.tlog.tree import leaf_hash
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement
from tests.audit.forging import describe, entries_of, log_of, put, relist_all, rewrite, signed_head
from tests.audit.material import Material
from tests.cli.conftest import run
from tests.world import keyring

REGISTRY = "cq.exchange.example/to/sc/registry/1"
TELEMETRY = "cq.exchange.example/to/sc/telemetry/1"
JOURNAL = "cq.exchange.example/journal/1"
ROOM = f"logs/{REGISTRY}"


def _look(folder: Path, believed: Believed, *pages: bytes) -> Result:
    return verify(Asked(folder=folder, believed=believed, pages={f"page {n}": p for n, p in enumerate(pages)}, jobs=1))


# -- what a forger without keys can do ------------------------------------------------------------------------------


def _cut(path: str) -> Callable[[Path], None]:
    """The last byte is gone."""
    return lambda folder: put(folder / path, (folder / path).read_bytes()[:-1])


def _gone(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def _instead(path: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: put(folder / path, data)


def _flipped(path: str, at: int) -> Callable[[Path], None]:
    """One bit of one byte; counted from the end where negative."""

    def change(folder: Path) -> None:
        data = bytearray((folder / path).read_bytes())
        data[at] ^= 1
        put(folder / path, bytes(data))

    return change


def _in_a_body(folder: Path) -> None:
    """The first letter of the first body that is there."""
    with log_of(folder, REGISTRY).bodies(tiles.Run(0, 256)) as archive:
        assert archive is not None
        first = next(iter(archive.bodies()))
    _flipped(f"{ROOM}/bodies/000.tar", first.offset)(folder)


def _older_head(folder: Path) -> None:
    """The head in the place of the newest is the first that was cosigned."""
    _, note = next(iter(log_of(folder, REGISTRY).notes()))
    put(folder / ROOM / "checkpoint", note)


def _without_its_own_line(note: bytes) -> bytes:
    """A note with the cosignature alone."""
    text, _, lines = note.partition(b"\n\n")
    own, cosigned = lines.splitlines(keepends=True)
    assert REGISTRY.encode() in own
    return text + b"\n\n" + cosigned


def _unsigned_head(folder: Path) -> None:
    path = folder / ROOM / "checkpoint"
    path.write_bytes(_without_its_own_line(path.read_bytes()))


def _unsigned_note(folder: Path) -> None:
    size, note = next(iter(log_of(folder, REGISTRY).notes()))
    put(folder / ROOM / "notes/000.tar", ustar.member(str(size), _without_its_own_line(note)) + ustar.END)


def _another_bundle(folder: Path) -> None:
    """The first bundle and its tile of hashes agree with each other, and not with the tile above."""
    entries = [b"another entry", *entries_of(folder, REGISTRY)[1:256]]
    put(folder / ROOM / "tile/entries/000", tiles.pack(entries))
    put(folder / ROOM / "tile/0/000", b"".join(leaf_hash(entry) for entry in entries))


WITHOUT_KEYS = {
    "BUNDLE_MALFORMED": (_cut(f"{ROOM}/tile/entries/000"), 1, f"{ROOM}/tile/entries/000"),
    "BUNDLE_MISSING": (_gone(f"{ROOM}/tile/entries/000"), 2, f"{ROOM}/tile/entries/000"),
    "ENTRY_CHANGED": (_flipped(f"{ROOM}/tile/entries/000", 200), 1, f"{ROOM}/tile/entries/000"),
    "BODIES_NOT_THERE": (_gone(f"{ROOM}/bodies/000.tar"), 2, f"{ROOM}/bodies/000.tar"),
    "BODIES_MALFORMED": (_cut(f"{ROOM}/bodies/000.tar"), 1, f"{ROOM}/bodies/000.tar"),
    "BODY_CHANGED": (_in_a_body, 1, f"{ROOM}/bodies/000.tar"),
    "TREE_CHANGED": (_another_bundle, 1, f"{ROOM}/tile/1/000.p/1"),
    "TILE_CHANGED": (_flipped(f"{ROOM}/tile/1/000.p/1", 5), 1, f"{ROOM}/tile/1/000.p/1"),
    "TILE_DAMAGED": (_cut(f"{ROOM}/tile/0/000"), 1, f"{ROOM}/tile/0/000"),
    "CHECKPOINT_MISSING": (_gone(f"{ROOM}/checkpoint"), 2, f"{ROOM}/checkpoint"),
    "CHECKPOINT_UNREADABLE": (_instead(f"{ROOM}/checkpoint", b"a note\n"), 1, f"{ROOM}/checkpoint"),
    "CHECKPOINT_SIZE": (_older_head, 2, f"{ROOM}/checkpoint"),
    "CHECKPOINT_NOT_BELIEVED": (_unsigned_head, 1, f"{ROOM}/checkpoint"),
    "NOTES_MALFORMED": (_cut(f"{ROOM}/notes/000.tar"), 6, f"{ROOM}/notes/000.tar"),
    "NOTE_UNREADABLE": (
        _instead(f"{ROOM}/notes/000.tar", ustar.member("1", b"no note\n") + ustar.END), 6, f"{ROOM}/notes/000.tar",
    ),
    "NOTE_NOT_BELIEVED": (_unsigned_note, 6, f"{ROOM}/notes/000.tar"),
}  # fmt: skip


@pytest.mark.parametrize("code", WITHOUT_KEYS)
def test_what_is_changed_on_the_disk_is_found_and_named(
    material: Material, believed: Believed, tmp_path: Path, code: str
) -> None:
    """Though the list of files was written anew: the code, the claim, the file; and all else stays as it is."""
    change, claim, file = WITHOUT_KEYS[code]
    folder = material.copy_of("cq", tmp_path / "cq")
    change(folder)
    relist_all(folder)
    found = [
        (int(each.no), each.finding.file) for each in _look(folder, believed).findings if each.finding.code == code
    ]
    assert (claim, file) in found, [(each.no, each.finding) for each in _look(folder, believed).findings]


# -- what only a region can do: the nodes' own keys sign --------------------------------------------------------------


def _junk(entries: list[bytes]) -> None:
    entries[3] = b"\xff\xff no entry"


def _of_others(entries: list[bytes], *, origin: str) -> None:
    """A statement that names another region, in this one's log and under its key."""
    entry = LogEntry.FromString(entries[3])
    statement = Statement.FromString(Envelope.FromString(entry.envelope).payload)
    statement.origin = origin
    entry.envelope = make_envelope(statement.SerializeToString(), [keyring("cq").signer]).SerializeToString()
    entries[3] = entry.SerializeToString()


def _dated(entries: list[bytes], by: timedelta) -> None:
    entry = LogEntry.FromString(entries[3])
    entry.logged_at.CopyFrom(timestamp(micros_of(entry.logged_at) + int(by.total_seconds() * 1_000_000)))
    entries[3] = entry.SerializeToString()


def _received(entries: list[bytes], **counts: int) -> None:
    """What the journal says of the document that was submitted."""
    for at, data in enumerate(entries):
        line = JournalEntry.FromString(data)
        if line.HasField("document_received"):
            for name, more in counts.items():
                setattr(line.document_received, name, getattr(line.document_received, name) + more)
            entries[at] = line.SerializeToString()


BY_THE_REGION: dict[str, tuple[str, Callable[[list[bytes]], None], int]] = {
    "ENTRY_UNREADABLE": (REGISTRY, _junk, 4),
    "STATEMENT_OF_OTHERS": (REGISTRY, lambda entries: _of_others(entries, origin="sc"), 4),
    "CERTIFICATE_INVALID": (REGISTRY, lambda entries: _dated(entries, timedelta(days=-3_000)), 5),
    "LOGGED_TOO_LATE": (REGISTRY, lambda entries: _dated(entries, timedelta(hours=2)), 5),
    "DOCUMENT_COUNT": (JOURNAL, lambda entries: _received(entries, refused=1), 8),
    "DOCUMENT_QUARANTINE": (JOURNAL, lambda entries: _received(entries, quarantined=1, rows=1), 8),
    "DOCUMENT_RECORDS": (JOURNAL, lambda entries: _received(entries, accepted=2, rows=2), 8),
}


@pytest.mark.parametrize("code", BY_THE_REGION)
def test_what_both_sides_signed_for_is_still_judged(
    material: Material, believed: Believed, tmp_path: Path, code: str
) -> None:
    """The tree, both signatures and the list of files agree: what an entry says refutes its claim, and no other."""
    origin, change, claim = BY_THE_REGION[code]
    folder = material.copy_of("cq", tmp_path / "cq")
    rewrite(folder, origin, change)
    result = _look(folder, believed)
    assert {(int(each.no), each.finding.code, each.finding.log) for each in result.findings} == {(claim, code, origin)}


def test_a_tree_that_leads_to_another_root_is_not_the_signed_one(
    material: Material, believed: Believed, tmp_path: Path
) -> None:
    """Entries and tiles agree with each other, and both keys signed another root; the note of it is of another tree."""
    folder = material.copy_of("cq", tmp_path / "cq")
    entries = entries_of(folder, TELEMETRY)
    note = signed_head(TELEMETRY, [*entries[:-1], b"another entry"])
    room = folder / f"logs/{TELEMETRY}"
    put(room / "checkpoint", note)
    put(room / "notes/000.tar", ustar.member(str(len(entries)), note) + ustar.END)
    relist_all(folder)
    codes = {(int(each.no), each.finding.code) for each in _look(folder, believed).findings}
    assert codes == {(1, "ROOT_DIFFERS"), (1, "NOTE_OF_ANOTHER_TREE")}


def test_a_head_of_another_tree_of_the_same_size_is_a_fork(
    material: Material, believed: Believed, tmp_path: Path
) -> None:
    """The other side holds a head that the log's own key signed over other entries: N is not the latest of this log."""
    entries = entries_of(material.export("cq"), REGISTRY)
    page = write_page([signed_head(REGISTRY, [*entries[:-1], b"another entry"])])
    result = _look(material.export("cq"), believed, page)
    (found,) = (each for each in result.findings if each.no is ClaimNo.LATEST)
    assert (found.finding.code, found.finding.log, found.finding.index) == ("HEAD_FORKED", REGISTRY, len(entries))


def test_a_page_of_heads_that_is_none_is_a_wrong_call(material: Material, tmp_path: Path) -> None:
    """Exit status 2, and the file is named."""
    page = tmp_path / "page"
    page.write_bytes(b"\0no heads")
    done = run("audit", "verify", material.export("cq"), "--head", page, "--json")
    assert done.status == 2
    assert done.json["error"]["reason"] == "HEADS_UNREADABLE"


def test_a_folder_of_another_form_tells_nothing(material: Material, tmp_path: Path) -> None:
    """What a later edition may write is not read as if it were ours: neither yes nor no, exit status 3."""
    folder = material.copy_of("cq", tmp_path / "cq")
    describe(folder, REGISTRY, use="something else")
    done = run("audit", "replay", folder, "--json")
    assert done.status == 3
    assert done.json["error"]["reason"] == "AUDIT_FOLDER_FORM"


def test_only_two_sides_of_one_federation_are_reconciled(material: Material, tmp_path: Path) -> None:
    """A node with itself, or with one of another domain: a wrong call, and no finding."""
    mine = material.export("cq")
    folder = material.copy_of("sc", tmp_path / "sc")
    path = folder / "export.json"
    path.write_text(path.read_text("utf-8").replace("exchange.example", "elsewhere.example"), "utf-8")
    for other, reason in ((mine, "RECONCILE_SAME_NODE"), (folder, "RECONCILE_OTHER_DOMAIN")):
        refused = run("audit", "reconcile", mine, other, "--json")
        assert (refused.status, refused.json["error"]["problems"][0]["reason"]) == (2, reason)
