"""Two sides beside each other: what agrees, what was cut or exchanged, and what a third person can check alone."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from exchange.crypto.ed25519 import NoteSigner
from exchange.crypto.keys import generate_ed25519
from exchange.crypto.receipts import verify_receipt
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.reconcile.evidence import bundle, entry_at, write
from exchange.flows.audit.reconcile.run import Reconciled, reconcile
from exchange.flows.audit.verify.claims import Verdict
from exchange.flows.audit.verify.keys.believed import Believed
from exchange.storage.engine.transaction import LogHead, Transaction
from exchange.storage.logs import log_store
from exchange.tlog.checkpoint import Checkpoint, parse_note
from exchange.tlog.note import decode_base64
from exchange.tlog.tree import Frontier, leaf_hash, verify_consistency
from tests import evidence
from tests.flows.audit.past import Past, believed, by_hand
from tests.world import Keyring, keyring, lane_origin

ORIGIN = lane_origin("cq", "sc")


def compared(past: Past, believing: Believed | None = None) -> Reconciled:
    """Both sides, by the cards of both unless told otherwise."""
    return reconcile(past.logs("cq"), past.logs("sc"), believed() if believing is None else believing)


def log_of(past: Past, name: str, origin: str = ORIGIN) -> LogHead:
    """A log as a node holds it."""
    with past.database(name).read() as connection:
        log = log_store.head(connection, origin)
    assert log is not None
    return log


def cut(past: Past, name: str, size: int, origin: str = ORIGIN) -> None:
    """Cut a log's tail off, with every checkpoint that covers it."""
    database = past.database(name)
    with database.writer_connection() as connection, connection.begin():
        tx = Transaction(connection, is_sqlite=True)
        log_store.truncate(tx, log_of(past, name, origin), size)
        tx.flush()
    database.dispose()


def rewrite(past: Past, name: str, index: int, *, sign: bool) -> None:
    """Change one entry, and compute the tree anew over it; with the log's key, sign the new head too."""
    log = log_of(past, name)
    with by_hand(past.folder / f"{name}.db") as database:
        rows = dict(database.execute("SELECT idx, entry FROM entries WHERE log_id = ?", (log.id,)))
        rows[index] = rows[index][:-1] + bytes([rows[index][-1] ^ 1])
        frontier = Frontier().extend([leaf_hash(rows[at]) for at in range(log.size)])[0]
        database.execute("UPDATE entries SET entry = ? WHERE log_id = ? AND idx = ?", (rows[index], log.id, index))
        database.execute("UPDATE logs SET frontier = ? WHERE id = ?", (frontier.to_bytes(), log.id))
        database.execute("DELETE FROM checkpoints WHERE log_id = ? AND size > ?", (log.id, index))
        if sign:
            head = Checkpoint(ORIGIN, log.size, frontier.root())
            note = keyring("cq").keys.log_signer(ORIGIN).sign_checkpoint(head)
            database.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, 0)", (log.id, log.size, "sc", note))


def test_two_sound_sides_agree(past: Past) -> None:
    """Nothing is found; every fact is decided, nothing pends, the repair is proven on both sides."""
    done = compared(past)
    assert (done.findings, done.verdict) == ([], Verdict.PROVEN)
    assert len(done.lanes) == 6
    registry = next(each for each in done.lanes if each.pair.origin == ORIGIN)
    assert registry.pair.own.size == registry.pair.mirror.size == registry.pair.cosigned
    assert (registry.standing.pending, registry.standing.unanswered) == (0, 0)
    assert sum(registry.standing.outcomes.values()) > 10
    (repair,) = done.repairs
    assert repair.is_proven
    assert (repair.owner, repair.other) == ("cq", "sc")


def test_whose_the_keys_are_only_the_caller_can_say(past: Past) -> None:
    """Nobody named: consistent at best. Others' cards: no note counts. A key left out: what it signed stays open."""
    alone = compared(past, Believed())
    assert (alone.findings, alone.verdict) == ([], Verdict.CONSISTENT)
    others = tuple(Keyring(name).card_for(peer).to_text() for name, peer in (("cq", "sc"), ("sc", "cq")))
    forged = compared(past, Believed(cards=others))
    assert ({each.code for each in forged.findings}, forged.verdict) == ({"NOTE_NOT_SIGNED"}, Verdict.REFUTED)
    assert {each.pair.cosigned for each in forged.lanes} == {0}
    one = compared(past, Believed(cards=(keyring("cq").card_for("sc").to_text(),)))
    assert ({each.code for each in one.findings}, one.verdict) == ({"KEY_NOT_BELIEVED"}, Verdict.NOT_PROVABLE)
    assert {each.detail for each in one.findings if each.log == ORIGIN} == {"sc.exchange.example/mirror"}


@pytest.mark.parametrize(("side", "shown_by"), [("sc", "cq"), ("cq", "sc")])
def test_a_cut_tail_is_proven_by_the_other_side(tampered: Past, side: str, shown_by: str, tmp_path: Path) -> None:
    """Whoever cuts a log, and every head that covers it, is shown by the head that the other side kept."""
    size = log_of(tampered, side).size - 5
    cut(tampered, side, size)
    done = compared(tampered)
    (finding,) = [each for each in done.findings if each.code == "TAIL_CUT"]
    assert (finding.log, finding.index, finding.detail) == (ORIGIN, size, side)
    assert (finding.proven, finding.evidence["shown_by"]) == (True, shown_by)
    folder = proven(tampered, done, finding, tmp_path / "evidence")
    keys = keyring("cq").keys.log_signer(ORIGIN).line.ever, keyring("sc").keys.mirror.line.ever
    verified = verify_receipt((folder / "tlog-proof").read_bytes(), *keys)
    assert (verified.index, verified.checkpoint.origin) == (size, ORIGIN)
    assert f"disk_size {size}" in (folder / "facts").read_text()


def test_entries_exchanged_behind_a_signature_are_proven(tampered: Past, tmp_path: Path) -> None:
    """A mirror that is computed anew over a changed entry contradicts what its own key cosigned."""
    rewrite(tampered, "sc", 7, sign=False)
    done = compared(tampered)
    assert {each.code for each in done.findings} == {"ENTRIES_EXCHANGED", "ENTRIES_DIFFER"}
    exchanged = next(each for each in done.findings if each.code == "ENTRIES_EXCHANGED")
    assert (exchanged.index, exchanged.detail) == (7, "sc")
    folder = proven(tampered, done, exchanged, tmp_path / "evidence")
    root = parse_note((folder / "note").read_bytes())[1].root
    told = next(line for line in (folder / "facts").read_text().splitlines() if line.startswith("disk_root"))
    assert decode_base64(told.split()[1]) != root


@pytest.mark.parametrize("same_size", [True, False])
def test_a_fork_is_proven_by_two_heads_of_one_key(tampered: Past, tmp_path: Path, *, same_size: bool) -> None:
    """A log that is signed again over other entries has two heads under one key that no one log satisfies."""
    if not same_size:
        size = log_of(tampered, "cq").size - 3
        cut(tampered, "cq", size)
        with by_hand(tampered.folder / "sc.db") as database:
            log = log_of(tampered, "sc").id
            database.execute("DELETE FROM checkpoints WHERE log_id = ? AND size = ?", (log, size))
    rewrite(tampered, "cq", 7, sign=True)
    done = compared(tampered)
    fork = next(each for each in done.findings if each.code == "LOG_FORKED")
    assert (fork.log, fork.detail) == (ORIGIN, "cq")
    folder = proven(tampered, done, fork, tmp_path / "evidence")
    first, second = (parse_note((folder / name).read_bytes())[1] for name in ("note", "note-2"))
    assert first.origin == second.origin == ORIGIN
    if same_size:
        assert first.size == second.size
        assert first.root != second.root
    else:
        path = [decode_base64(line) for line in (folder / "consistency").read_text().splitlines()]
        root = decode_base64((folder / "root-by-note-2").read_text().strip())
        assert verify_consistency(first.size, second.size, path, root, second.root)
        assert root != first.root


def test_what_is_not_cosigned_pends(tampered: Past) -> None:
    """Entries beyond the last cosignature are told with the age of the oldest; nobody has done wrong."""
    size = 10
    cut(tampered, "sc", size)
    with by_hand(tampered.folder / "cq.db") as database:
        log = log_of(tampered, "cq")
        database.execute("DELETE FROM checkpoints WHERE log_id = ? AND size > ?", (log.id, size))
        cosigned = database.execute("SELECT max(size) FROM checkpoints WHERE log_id = ?", (log.id,)).fetchone()[0]
    done = compared(tampered)
    assert not {each.code for each in done.findings} & {"TAIL_CUT", "ENTRIES_EXCHANGED", "LOG_FORKED"}
    registry = next(each for each in done.lanes if each.pair.origin == ORIGIN)
    assert registry.standing.pending == log.size - cosigned
    assert 0 < registry.standing.oldest_pending < done.at


def test_an_answer_without_its_cause_is_found(tampered: Past) -> None:
    """Where both sides cut the same tail, decisions, measures and effects that answer it are left behind, and tell."""
    for name in ("cq", "sc"):
        cut(tampered, name, 10)
    codes = {each.code for each in compared(tampered).findings}
    assert {"RECOGNITION_WITHOUT_CAUSE", "FEEDBACK_WITHOUT_CAUSE", "EFFECT_WITHOUT_CAUSE"} <= codes


def test_a_repair_whose_effect_nobody_confirmed_is_open(tampered: Past) -> None:
    """Without the other side's confirmations the repair is told as not proven there, and nobody has done wrong."""
    back = lane_origin("sc", "cq")
    for name in ("cq", "sc"):
        cut(tampered, name, 1, back)
    found = [each for each in compared(tampered).findings if each.code == "REPAIR_NOT_PROVEN"]
    assert [(each.log, each.proven) for each in found] == [(ORIGIN, False)]
    assert found[0].detail.startswith("sc ")


def test_a_body_that_was_not_committed_to_is_not_read(tampered: Past) -> None:
    """A decision whose body was changed on the disk decides nothing here."""
    with by_hand(tampered.folder / "sc.db") as database:
        log = log_of(tampered, "sc", lane_origin("sc", "cq"))
        index = database.execute(
            "SELECT max(source_idx) FROM reg_made_decisions WHERE source_log = ?", (log.id,)
        ).fetchone()[0]
        database.execute(
            "UPDATE entries SET body = substr(body, 1, length(body) - 1) WHERE log_id = ? AND idx = ?", (log.id, index)
        )
    found = [each for each in compared(tampered).findings if each.code == "BODY_MISMATCH"]
    assert [(each.log, each.index, each.detail) for each in found] == [(log.origin, index, "sc")]


def proven(past: Past, done: Reconciled, finding: Finding, folder: Path) -> Path:
    """The evidence bundle of a finding, whose every signature openssl verifies by the commands that stand in it."""
    _, pair, found = next(each for each in done.proofs if each[0] is finding)
    entry = None
    if found.tree is not None and found.against is None:
        shown_by = pair.owner if found.tree is pair.own else pair.other
        entry = entry_at(past.logs(shown_by), found.tree.log, found.index)
    write(folder, bundle(finding, pair, found, done.keys_of(pair), entry))
    assert shutil.which("openssl")
    commands = [
        line for line in (folder / "说明.txt").read_text("utf-8").splitlines() if line.startswith("openssl pkeyutl")
    ]
    assert len(commands) >= 2
    for command in commands:
        done_ = subprocess.run(shlex.split(command), cwd=folder, capture_output=True, text=True, check=False)
        assert done_.returncode == 0, (command, done_.stderr)
    return folder


def put_note(past: Past, name: str, note: bytes, size: int) -> None:
    """Put a note in the place of a log's newest one."""
    log = log_of(past, name).id
    with by_hand(past.folder / f"{name}.db") as database:
        database.execute("UPDATE checkpoints SET note = ? WHERE log_id = ? AND size = ?", (note, log, size))


def newest(past: Past, name: str) -> Checkpoint:
    """The newest head that a node keeps of the log."""
    with past.database(name).read() as connection:
        kept = log_store.last_checkpoint(connection, log_of(past, name).id)
    assert kept is not None
    return parse_note(kept.note)[1]


def test_clocks_far_apart_are_told_by_the_entry_that_shows_it(tampered: Past) -> None:
    """An entry that is logged ten minutes later than it was cosigned; what only waited shows nothing."""
    head = newest(tampered, "sc")
    with tampered.database("sc").read() as connection:
        (last,) = log_store.entries(connection, log_of(tampered, "sc").id, head.size - 1, head.size, bodies=False)
    logged = int(evidence.logged_at(last.entry).timestamp())
    signed = keyring("cq").keys.log_signer(ORIGIN).sign_checkpoint(head)
    for ahead, codes in ((600, ["CLOCKS_APART"]), (-600, [])):
        put_note(tampered, "sc", keyring("sc").keys.mirror.cosign(signed, logged - ahead), head.size)
        found = compared(tampered).findings
        assert [each.code for each in found] == codes
        assert all((each.log, each.index, each.proven) == (ORIGIN, head.size - 1, True) for each in found)


def test_a_note_by_another_key_proves_nothing(tampered: Past) -> None:
    """A head that a key of nobody signed is told, and is not taken for one of the log's."""
    head = newest(tampered, "sc")
    note = NoteSigner(ORIGIN, generate_ed25519()).sign_checkpoint(Checkpoint(ORIGIN, head.size, bytes(32)))
    put_note(tampered, "sc", note, head.size)
    assert [(each.code, each.log) for each in compared(tampered).findings] == [("NOTE_NOT_SIGNED", ORIGIN)]


def test_a_tail_that_no_head_covers_is_told_as_open(tampered: Past) -> None:
    """Where the owner's log is shorter than its mirror, and no head that is left says more, nothing is proven."""
    size = newest(tampered, "cq").size
    cut(tampered, "cq", size - 2)
    with by_hand(tampered.folder / "sc.db") as database:
        log = log_of(tampered, "sc").id
        database.execute("DELETE FROM checkpoints WHERE log_id = ? AND size > ?", (log, size - 2))
    found = [each for each in compared(tampered).findings if each.code == "MIRROR_LONGER"]
    assert [(each.log, each.index, each.proven) for each in found] == [(ORIGIN, size - 2, False)]
