"""An exported folder is C2SP tlog-tiles with bodies beside them; it grows, and lets go of what may not be shown."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.envelope_file import read_envelope, write_envelope
from exchange.crypto.sealing import matches
from exchange.domain import kinds
from exchange.flows import bootstrap
from exchange.flows.audit.export.extract import Extract
from exchange.flows.audit.export.run import Export, Exported
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.reading import Folder, LogFolder
from exchange.flows.audit.sources import stored
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import NewEntry, Transaction
from exchange.storage.engine.writer import Writer
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredCheckpoint
from exchange.tlog import checkpoint, proof, tiles
from exchange.tlog.note import NoteSignature, SignedNote
from exchange.tlog.tree import Frontier, leaf_hash
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import GetEnvelopeResponse, SignatureChain
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement
from exchange.v1.submission_service_pb2 import UploadAttachmentRequest
from tests.cli.conftest import Run, init, run
from tests.cli.test_verify import make
from tests.domain import records
from tests.flows.files import listed, made_file
from tests.rpc.conftest import two_doors
from tests.rpc.facts import credit_of, firm, penalty_of, submit, wait_settled
from tests.world import keyring

ABOUT, OTHER = firm(960), firm(961)
ATTACHED = made_file(70_000)
EDITION = b"an edition of trust\n" * 10_000
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def assert_is_its_checkpoint(log: LogFolder) -> None:
    """Entries, tiles of every level and the checkpoint's root are one tree."""
    note = log.checkpoint()
    assert note is not None
    head = checkpoint.parse_note(note)[1]
    assert (head.origin, head.size) == (log.about.origin, log.about.size)
    hashes = []
    for run_ in tiles.runs(head.size):
        bundle = log.bundle(run_)
        assert bundle is not None
        hashes += [leaf_hash(entry) for entry in bundle]
    assert Frontier().extend(hashes)[0].root() == head.root
    for level in tiles.levels(head.size):
        for run_ in tiles.runs(len(hashes)):
            assert log.tile(level, run_) == b"".join(hashes[run_.first : run_.end])
        whole = range(0, len(hashes) - 255, 256)
        hashes = [Frontier().extend(hashes[at : at + 256])[0].root() for at in whole]
    assert hashes == []


@dataclass(frozen=True, slots=True)
class Node:
    """A node's files after an exchange; ``erased``, ``revoked`` and ``kept`` are records of it."""

    file: Path
    erased: str
    revoked: str
    kept: str

    def export(self, folder: Path, *more: object) -> Run:
        """Run the command."""
        return run("audit", "export", folder, "--node", self.file, "--json", *more)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """While it runs: records about two firms, one of them erased, one revoked."""
    folder = tmp_path_factory.mktemp("exported")
    with two_doors(folder) as doors:
        cq = doors["cq"].agency("exporting")
        erased = submit(cq, penalty_of(ABOUT, "演环罚〔2025〕9601号"), "export-1").record_id
        notice = penalty_of(ABOUT, "演环罚〔2025〕9602号")
        revoked = submit(cq, notice, "export-2").record_id
        held = credit_of(OTHER)
        held.header.attachments.append(listed(ATTACHED))
        piece = UploadAttachmentRequest(attachment=held.header.attachments[0], content=ATTACHED)
        assert cq.call(cq.submission.UploadAttachment, piece).complete
        kept = submit(cq, held, "export-3").record_id
        wait_settled(doors["cq"])
        notice.header.record_id = revoked
        notice.penalty_notice.state = PenaltyState.PENALTY_STATE_REVOKED
        submit(cq, notice, "export-4")
        act = records.erasure()
        act.erasure.record.CopyFrom(RecordRef(origin="cq", record_id=erased))
        submit(cq, act, "export-5")
        bootstrap.activate(doors["cq"].node, "TRUST", EDITION, "li", datetime.now(UTC))
        wait_settled(doors["cq"])
        wait_settled(doors["sc"])
        assert init(folder, "cq").status == 0
        file = folder / "node.toml"
        file.write_text(f'{file.read_text("utf-8")}\n[database]\nurl = "sqlite:///{folder}/cq.db"\n', "utf-8")
        own = folder / "trust" / "own"
        own.mkdir(parents=True, exist_ok=True)
        (own / "tls-roots.pem").write_text("a root")
        (own / "mistaken.pem").write_text("-----BEGIN PRIVATE KEY-----\n")
        yield Node(file, erased, revoked, kept)


@pytest.fixture(scope="module")
def whole(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole export."""
    folder = tmp_path_factory.mktemp("whole") / "审计"
    answer = node.export(folder)
    assert answer.status == 0, answer.err
    return folder


def bodies_of(folder: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Bodies by record, each checked against what was signed; and why others are absent."""
    found: dict[str, bytes] = {}
    absent: dict[str, str] = {}
    for log in Folder(folder).logs:
        for run_ in tiles.runs(log.about.size) if not log.about.is_journal else ():
            entries = log.bundle(run_)
            if entries is None:
                continue
            with log.bodies(run_) as archive:
                assert archive is not None
                absent |= {each.record_id: each.reason for each in archive.absent.values()}
                for body in archive.bodies():
                    entry = LogEntry.FromString(entries[body.index - run_.first])
                    said = Statement.FromString(Envelope.FromString(entry.envelope).payload)
                    assert matches(said, body.body, body.salt)
                    found[said.record_id] = body.body
    return found, absent


def test_every_log_is_the_tree_of_its_checkpoint(whole: Path) -> None:
    """Each log with a checkpoint recomputes to its root; what is promised is told apart."""
    folder = Folder(whole)
    proven = [log for log in folder.logs if log.about.size]
    assert {log.about.use for log in proven} >= {"outbound", "mirror"}
    for log in proven:
        assert_is_its_checkpoint(log)
        sizes = [size for size, _ in log.notes()]
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == log.about.size
    for log in folder.logs:
        assert len(list(log.promised())) == log.about.promised


def test_bodies_are_those_that_were_signed_but_for_what_may_not_be_shown(node: Node, whole: Path) -> None:
    """An erased body is listed as erased, a revoked one as withheld; every other one is there and matches."""
    found, absent = bodies_of(whole)
    assert absent[node.erased] == "ERASED"
    assert absent[node.revoked] == "WITHHELD"
    assert kinds.subject_uscc(Record.FromString(found[node.kept])) == OTHER
    assert not found.keys() & {node.erased, node.revoked}


def test_the_manifest_names_every_file(whole: Path) -> None:
    """Coreutils agree with MANIFEST, and nothing else lies there."""
    lines = list(Folder(whole).manifest())
    there = {str(path.relative_to(whole)) for path in whole.rglob("*") if path.is_file()}
    assert {line.path for line in lines} == there - {"MANIFEST", "交接单.html"}
    listed = "".join(f"{line.sha256}  {line.path}\n" for line in lines)
    subprocess.run(["sha256sum", "-c", "--quiet"], cwd=whole, input=listed.encode(), check=True)  # noqa: S607
    assert [line.path for line in lines] == sorted((line.path for line in lines), key=str.encode)


def test_no_folder_of_somebody_else_is_touched(node: Node, tmp_path: Path) -> None:
    """A folder that holds anything else is refused and stays as it is."""
    (tmp_path / "letters.txt").write_text("dear")
    answer = node.export(tmp_path)
    assert (answer.status, answer.json["error"]["reason"]) == (1, "EXPORT_FOLDER")
    assert [each.name for each in tmp_path.iterdir()] == ["letters.txt"]


def test_a_link_or_a_longer_file_is_not_read(whole: Path, tmp_path: Path) -> None:
    """Who reads the folder follows no link and takes no more bytes than the layout allows."""
    log = next(log for log in Folder(whole).logs if log.about.size)
    (tmp_path / "export.json").write_bytes((whole / "export.json").read_bytes())
    place = tmp_path / log.path("checkpoint")
    place.parent.mkdir(parents=True)
    place.symlink_to(whole / log.path("checkpoint"))
    with pytest.raises(FolderUnreadable, match="not a regular file"):
        LogFolder(Folder(tmp_path).disk, log.about).checkpoint()
    place.unlink()
    place.write_bytes(bytes(1 << 20))
    with pytest.raises(FolderUnreadable, match="more than"):
        LogFolder(Folder(tmp_path).disk, log.about).checkpoint()


def test_one_firm(node: Node, tmp_path: Path) -> None:
    """Of a firm's export only its records have bodies; the others are out of scope, and the journal is hashes alone."""
    folder = tmp_path / "firm"
    assert node.export(folder, "--subject", OTHER).status == 0
    found, absent = bodies_of(folder)
    assert found.keys() == {node.kept}
    assert absent.keys() >= {node.erased, node.revoked}
    assert set(absent.values()) == {"OUT_OF_SCOPE", "ERASED"}
    for log in Folder(folder).logs:
        if log.about.is_journal:
            assert log.about.bundles == ()
            assert not list(folder.glob(f"{log.about.folder}/tile/entries/*"))


def test_days_and_ranges(node: Node, tmp_path: Path) -> None:
    """Entries of other days are left out with their bodies, hashes never; a range is of one log."""
    folder = tmp_path / "days"
    assert node.export(folder, "--until", "2001-01-01").status == 0
    logs = Folder(folder).logs
    assert all(log.about.bundles == () for log in logs)
    assert all(log.tile(0, tiles.Run(0, log.about.size)) for log in logs if log.about.size)
    assert bodies_of(folder) == ({}, {})
    origin = next(log.about.origin for log in logs if log.about.size and log.about.use == "outbound")
    assert node.export(folder, "--log", origin, "--start", 0, "--end", 1).status == 0
    (only,) = Folder(folder).logs
    assert (only.about.origin, only.about.bundles) == (origin, ((0, 1),))
    assert not [path for path in folder.rglob("checkpoint") if origin not in str(path)]
    told = (folder / "请先读我.txt").read_text("utf-8")
    assert f"一个日志的一段，日志 {origin}，自条目 0，至条目（不含） 1，不含已修复" in told
    assert f"a range of one log, log {origin}, from entry 0, up to entry (not included) 1, without" in told
    assert node.export(folder, "--log", origin, "--subject", OTHER).status == 2


def test_what_lies_beside_the_logs(whole: Path) -> None:
    """Editions lie there by digest with their history, trust material without keys, and two papers for people."""
    digest = hashlib.sha256(EDITION).hexdigest()
    assert (whole / "editions" / "TRUST" / digest).read_bytes() == EDITION
    history = [line.split("\t") for line in (whole / "editions" / "history.tsv").read_text("utf-8").splitlines()]
    assert [line[3:] for line in history if line[5] == digest] == [["TRUST", "", digest, "li"]]
    assert [path.name for path in (whole / "trust" / "own").iterdir()] == ["tls-roots.pem"]
    sheet = (whole / "交接单.html").read_text("utf-8")
    assert hashlib.sha256((whole / "MANIFEST").read_bytes()).hexdigest() in sheet
    for log in Folder(whole).logs:
        note = log.checkpoint()
        assert log.about.origin in sheet
        assert note is None or checkpoint.parse_note(note)[1].root.hex() in sheet
    assert "不能证明什么" in (whole / "请先读我.txt").read_text("utf-8")


def test_withheld_bodies_are_for_who_says_why(node: Node, tmp_path: Path) -> None:
    """Without a reason nothing is written; with one the journal has it, the bodies are there, and so are registers."""
    folder = tmp_path / "withheld"
    refused = node.export(folder, "--withheld")
    assert (refused.status, refused.json["error"]["reason"]) == (1, "REASON_MISSING")
    assert not folder.exists()
    answer = node.export(folder, "--withheld", "--reason", "按审计通知第三号", "--attachments")
    assert (answer.json["withheld"], answer.json["registers"]) == (0, True)
    assert "全部日志，含已修复" in (folder / "交接单.html").read_text("utf-8")
    found, absent = bodies_of(folder)
    assert node.revoked in found
    assert absent == {node.erased: "ERASED"}
    digest = Record.FromString(found[node.kept]).header.attachments[0].digests[0].digest.hex()
    assert (folder / "attachments" / digest[:2] / digest).read_bytes() == ATTACHED
    (book,) = (log for log in Folder(folder).logs if log.about.is_journal)
    entries = [entry for run_ in tiles.runs(book.about.size) for entry in book.bundle(run_) or ()] + [*book.promised()]
    said = [event.administrator_action for event in map(JournalEntry.FromString, entries)]
    assert [each.reason for each in said if each.action == "audit.export"] == ["按审计通知第三号"]
    rows = (folder / "registers" / "reg_records.jsonl").read_text("utf-8").splitlines()
    assert node.kept.replace("-", "") in {json.loads(row)["record_id"] for row in rows}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl-missing")
def test_one_record_is_checked_by_hand(node: Node, tmp_path: Path) -> None:
    """The lines beside the record accept what was extracted, and refuse another body."""
    folder = tmp_path / "record"
    answer = run("audit", "extract", node.kept, "-o", folder, "--node", node.file, "--json")
    assert answer.status == 0, answer.err
    (folder / "signing-roots.pem").write_bytes(keyring("cq").root.root_pem)
    good = by_hand(folder)
    assert (good.returncode, good.stdout.count(b"OK")) == (0, 2), good
    receipt = proof.parse((folder / "receipt").read_bytes())
    assert receipt.includes((folder / "entry").read_bytes())
    (folder / "body").write_bytes((folder / "body").read_bytes() + b"\0")
    assert by_hand(folder).returncode != 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl-missing")
@pytest.mark.skipif(shutil.which("jq") is None, reason="jq-missing")
def test_the_readme_s_lines_work_on_what_is_extracted(tmp_path: Path) -> None:
    """Of an envelope by two algorithms under issuing authorities: README and the text beside it accept both."""
    assert run("pki", "dev", tmp_path / "regions", "--node", "cq", "--sm2").status == 0
    made = make(tmp_path, tmp_path / "regions", sm2=True)
    read = read_envelope(made.envelope.read_bytes())
    answer = GetEnvelopeResponse(entry=read.entry, log=read.log, index=read.index)
    answer.sealed.envelope = read.envelope
    answer.sealed.body.record, answer.sealed.body.salt = read.record or b"", read.salt
    for signature, chain in zip(Envelope.FromString(read.envelope).signatures, read.chains, strict=True):
        answer.chains.append(SignatureChain(keyid=signature.keyid, certificates=chain))
    answer.certificates.extend(read.chains[0])
    folder = tmp_path / "record"
    folder.mkdir()
    for name, content in Extract(answer, None).files().items():
        (folder / name).write_bytes(content)
    (folder / "envelope.json").write_text(write_envelope(answer), "utf-8")
    (folder / "signing-roots.pem").write_bytes(made.roots.read_bytes())
    good = by_hand(folder)
    assert (good.returncode, good.stdout.count(b"OK")) == (0, 5), good
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    for heading in ("**By hand**", "**The SM2 signature by hand**"):
        script = text.partition(heading)[2].partition("```sh\n")[2].partition("```")[0]
        ran = subprocess.run(["/bin/bash", "-ec", script], cwd=folder, capture_output=True, check=False)
        assert ran.returncode == 0, ran


def by_hand(folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run the lines of the text beside a record."""
    told = (folder / "手工核验.txt").read_text("utf-8")
    lines = "\n".join(line.strip() for line in told.splitlines() if line.startswith("    "))
    return subprocess.run(["/bin/bash", "-ec", lines], cwd=folder, capture_output=True, check=False)


def test_of_a_revoked_record_all_but_the_body_is_extracted(node: Node, tmp_path: Path) -> None:
    """Its envelope and receipt are there; the text says what stands in the body's place."""
    assert run("audit", "extract", node.revoked, "-o", tmp_path / "record", "--node", node.file).status == 0
    there = {path.name for path in (tmp_path / "record").iterdir()}
    assert there >= {"envelope.json", "receipt", "pae", "signature-1", "leaf-1.pem"}
    assert not there & {"body", "salt"}
    assert "REVOKED" in (tmp_path / "record" / "手工核验.txt").read_text("utf-8")


# -- a log that grows -----------------------------------------------------------------------------------------------

ORIGIN = "cq.exchange.example/to/sc/registry/1"


def _entry(number: int) -> NewEntry:
    body, salt = b"body %d" % number, hashlib.sha256(b"%d" % number).digest()
    payload = Statement(record_id=f"{number:08x}-0000-7000-8000-000000000000", origin="cq", revision=1)
    envelope = Envelope(payload=payload.SerializeToString())
    return NewEntry.of(LogEntry(envelope=envelope.SerializeToString()).SerializeToString(), salt, body)


def _append(tx: Transaction, payloads: Sequence[int]) -> list[None]:
    """Append up to a size."""
    for size in payloads:
        log = tx.open_log(ORIGIN, use="outbound", peer="sc", lane=2, epoch=1)
        tx.append(log.id, [_entry(number) for number in range(log.size, size)])
    return [None] * len(payloads)


def _note(tx: Transaction, payloads: Sequence[int]) -> list[None]:
    """Keep a note of a size, with lines that nothing here verifies."""
    for size in payloads:
        log = tx.head(ORIGIN)
        assert log is not None
        text = checkpoint.Checkpoint(ORIGIN, size, log_store.root(tx.connection, log, size)).text()
        lines = (NoteSignature(ORIGIN, b"keyi", b"x"), NoteSignature("sc.exchange.example/mirror", b"keyi", b"y"))
        log_store.store_checkpoints(tx, log.id, [StoredCheckpoint(size, "sc", SignedNote(text, lines).to_bytes(), 0)])
    return [None] * len(payloads)


def _erase(tx: Transaction, payloads: Sequence[int]) -> list[None]:
    log_store.erase_bodies(
        tx, [(tx.open_log(ORIGIN, use="outbound", peer="sc", lane=2, epoch=1).id, at) for at in payloads]
    )
    return [None] * len(payloads)


def _arrive(tx: Transaction, payloads: Sequence[int]) -> list[None]:
    log = tx.head(ORIGIN)
    assert log is not None
    for index in payloads:
        made = _entry(index)
        log_store.put_body(tx, log.id, index, made.salt or b"", made.body or b"")
    return [None] * len(payloads)


def _export(database: Database, folder: Path) -> Exported:
    made = Export(database, "cq", "exchange.example", folder, Scope())
    return made.write(made.plan(), NOW)


@pytest.fixture
def migrated(migrated_url: str) -> Iterator[Database]:
    """A database without logs."""
    made = Database(migrated_url)
    yield made
    made.dispose()


def test_a_later_run_adds_what_came(migrated: Database, tmp_path: Path) -> None:
    """Full files stay, partial ones give way to fuller ones; what was erased since leaves the folder."""
    folder, writer = tmp_path / "audit", Writer(migrated)
    try:
        writer.call(_append, 700)
        writer.call(_note, 600)
        writer.call(_erase, 300)
        first = _export(migrated, folder)
        log = Folder(folder).logs[0]
        assert (first.entries, first.promised) == (600, 100)
        assert_is_its_checkpoint(log)
        assert list(log.promised()) == [_entry(number).entry for number in range(600, 700)]
        with log.promised_bodies() as archive:
            assert archive is not None
            assert [body.body for body in archive.bodies()] == [_entry(number).body for number in range(600, 700)]
        with log.bodies(tiles.Run(1, 256)) as archive:
            assert archive is not None
            assert list(archive.absent) == [300]
        kept = (folder / log.bundle_path(tiles.Run(0, 256))).stat().st_ino

        writer.call(_append, 1500)
        writer.call(_note, 1500)
        writer.call(_erase, 3)
        writer.call(_arrive, 300)
        second = _export(migrated, folder)
        log = Folder(folder).logs[0]
        assert (second.entries, second.promised) == (1500, 0)
        assert_is_its_checkpoint(log)
        assert [size for size, _ in log.notes()] == [600, 1500]
        assert (folder / log.bundle_path(tiles.Run(0, 256))).stat().st_ino == kept
        with log.bodies(tiles.Run(0, 256)) as archive:
            assert archive is not None
            assert list(archive.absent) == [3]
            assert [body.index for body in archive.bodies()] == [0, 1, 2, *range(4, 256)]
        with log.bodies(tiles.Run(1, 256)) as archive:
            assert archive is not None
            assert not archive.absent
        assert not [path for path in folder.rglob("*") if path.match("002.p/88*") or "promised" in path.name]
    finally:
        writer.close()
    assert _export(migrated, tmp_path / "fresh").manifest == second.manifest


_DYING = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from exchange.flows.audit.export.files import Target
from exchange.flows.audit.export.extract import Extract
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.storage.engine.database import Database

url, folder, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
stream = Target.stream

def dying(self, path):
    global left
    left -= 1
    if left < 0:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.with_name(place.name + ".unfinished").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    return stream(self, path)

Target.stream = dying
made = Export(Database(url), "cq", "exchange.example", Path(folder), Scope())
made.write(made.plan(), datetime(2026, 3, 2, tzinfo=UTC))
"""


def test_a_killed_run_is_finished_by_the_next(migrated_file: Path, tmp_path: Path) -> None:
    """Killed in the midst of a file, it leaves no folder that looks whole, and the next run makes what one would."""
    url = f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'exchange.db')}"
    database = Database(url)
    writer = Writer(database)
    folder = tmp_path / "killed"
    try:
        writer.call(_append, 300)
        writer.call(_note, 300)
        _export(database, folder)
        writer.call(_append, 700)
        writer.call(_note, 600)
        wanted = _export(database, tmp_path / "whole").manifest
        for left in (1, 3, 9):
            dead = subprocess.run([sys.executable, "-c", _DYING, url, str(folder), str(left)], check=False)
            assert dead.returncode == -signal.SIGKILL
            assert not (folder / "MANIFEST").exists()
        assert _export(database, folder).manifest == wanted
        assert not list(folder.rglob("*.unfinished"))
    finally:
        writer.close()
        database.dispose()


def test_a_folder_s_name_is_legal_on_windows() -> None:
    """A node that is called like a device of Windows gets a folder all the same, and no two origins the same one."""
    path = names.log_folder("con.exchange.example/to/aux/urgent/1")
    assert path == "logs/con_.exchange.example/to/aux_/urgent/1"
    assert names.is_legal(path)
    for wrong in ("logs/con.exchange.example", "a/../b", "a:b", "a/b.", "nul", "a//b", "/a", "a\\b", "a/ "):
        assert not names.is_legal(wrong), wrong


def _noted_by_two(tx: Transaction, payloads: Sequence[int]) -> list[None]:
    """Keep two notes of a size, by two cosigners."""
    for size in payloads:
        log = tx.head(ORIGIN)
        assert log is not None
        text = checkpoint.Checkpoint(ORIGIN, size, log_store.root(tx.connection, log, size)).text()
        for name in ("sc", "yn"):
            line = NoteSignature(f"{name}.exchange.example/mirror", b"keyi", b"y")
            note = SignedNote(text, (line,)).to_bytes()
            log_store.store_checkpoints(tx, log.id, [StoredCheckpoint(size, name, note, 0)])
    return [None] * len(payloads)


def test_notes_of_one_size_are_read_whole_wherever_a_page_ends(
    migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cosigners of each of five sizes are ten notes, in pages of three."""
    monkeypatch.setattr(stored, "PAGE", 3)
    writer = Writer(migrated)
    try:
        for size in range(1, 6):
            writer.call(_append, size)
            writer.call(_noted_by_two, size)
    finally:
        writer.close()
    source = stored.StoredLogs("cq", "exchange.example", migrated)
    (log,) = source.logs()
    assert len(list(source.notes(log, 0))) == 10
