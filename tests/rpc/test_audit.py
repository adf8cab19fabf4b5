"""What auditors get: stored checkpoints and proofs that hold by arithmetic alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import Any

import pytest

from exchange.cli.audit.running.remote import NodeRegisters
from exchange.crypto.ed25519 import verify_cosignature, verify_note
from exchange.crypto.receipts import verify_receipt
from exchange.crypto.x509.certificates import Role
from exchange.flows.audit.replay.run import ReplayRun
from exchange.flows.audit.sources.stored import StoredLogs
from exchange.storage.registers.canonical import BUCKET_ROWS
from exchange.tlog.note import VerifierKey
from exchange.tlog.tree import leaf_hash, verify_consistency, verify_inclusion
from exchange.v1 import audit_service_pb2 as pb
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs
from tests.rpc.facts import credit_of, firm, submit, wait_settled

SALT = b"a salt of the audit"
ORIGIN = "cq.exchange.example/to/sc/registry/1"


@pytest.fixture(scope="module")
def filled(doors: dict[str, AgencyDoor]) -> dict[str, AgencyDoor]:
    """Both nodes behind forty records."""
    cq = doors["cq"].agency("filled")
    for number in range(40):
        submit(cq, credit_of(firm(100 + number)), f"filled-{number}")
    wait_settled(doors["cq"])
    return doors


def _auditor(door: AgencyDoor) -> Stubs:
    return door.officer(Role.AUDITOR)


def _entries(stubs: Stubs, origin: str, start: int = 0, page_size: int = 500) -> Any:
    return stubs.call(stubs.audit.ListEntries, pb.ListEntriesRequest(origin=origin, start=start, page_size=page_size))


def test_logs_are_listed_with_their_keys(filled: dict[str, AgencyDoor]) -> None:
    """Both sides list the log under one origin, as outbound and as mirror, with keys that verify its checkpoints."""
    for name, use, peer in (("cq", pb.LOG_USE_OUTBOUND, "sc"), ("sc", pb.LOG_USE_MIRROR, "cq")):
        stubs = _auditor(filled[name])
        logs = {log.origin: log for log in stubs.call(stubs.audit.ListLogs, pb.ListLogsRequest()).logs}
        log = logs[ORIGIN]
        assert (log.use, log.peer, log.retired) == (use, peer, False)
        assert 0 < log.cosigned_size <= log.size
        note = stubs.call(stubs.audit.GetCheckpoint, pb.GetCheckpointRequest(origin=ORIGIN)).checkpoint.encode()
        checkpoint = verify_note(note, VerifierKey.parse(log.vkey))
        assert checkpoint is not None
        assert checkpoint.size == log.cosigned_size
        assert verify_cosignature(note, VerifierKey.parse(log.cosigner_vkey)) is not None
        uses = {each.use for each in logs.values()}
        assert {pb.LOG_USE_JOURNAL, pb.LOG_USE_LOCAL} <= uses


def test_heads_of_a_peers_journal_are_shown_by_its_witness(filled: dict[str, AgencyDoor]) -> None:
    """The newest head that was witnessed, with both signatures."""
    stubs = _auditor(filled["sc"])
    seen = {head.origin: head for head in stubs.call(stubs.audit.ListLogs, pb.ListLogsRequest()).witnessed}
    head = seen["cq.exchange.example/journal/1"]
    assert head.peer == "cq"
    request = pb.GetCheckpointRequest(origin=head.origin)
    note = stubs.call(stubs.audit.GetCheckpoint, request).checkpoint.encode()
    keys, theirs = filled["cq"].node.keys, filled["sc"].node.keys
    checkpoint = verify_note(note, keys.log_signer(head.origin).line.ever)
    assert checkpoint is not None
    assert checkpoint.size >= head.size
    assert verify_cosignature(note, theirs.witness.line) is not None


def test_both_sides_serve_the_same_bytes(filled: dict[str, AgencyDoor]) -> None:
    """Entries of the outbound log and of its mirror are equal, by list and by stream."""
    found = {}
    for name in ("cq", "sc"):
        stubs = _auditor(filled[name])
        listed = [entry.entry for entry in _entries(stubs, ORIGIN).entries]
        streamed = [
            entry.entry
            for message in stubs.stream(stubs.audit.StreamEntries, pb.StreamEntriesRequest(origin=ORIGIN))
            for entry in message.entries
        ]
        assert listed == streamed
        found[name] = listed
    assert found["cq"] == found["sc"]
    assert len(found["cq"]) > 40


def test_inclusion_and_consistency_hold_by_arithmetic(filled: dict[str, AgencyDoor]) -> None:
    """Proofs at many indices and sizes lead to roots that are consistent with the cosigned one."""
    stubs = _auditor(filled["sc"])
    entries = [entry.entry for entry in _entries(stubs, ORIGIN).entries]
    size = len(entries)
    roots = {}
    for index, at in ((0, 1), (0, size), (7, 8), (7, 20), (size - 1, size), (20, 33)):
        request = pb.GetInclusionProofRequest(origin=ORIGIN, index=index, size=at)
        proof = stubs.call(stubs.audit.GetInclusionProof, request)
        assert verify_inclusion(leaf_hash(entries[index]), index, at, list(proof.hashes), proof.root)
        roots[at] = proof.root
    for first, second in ((1, 8), (8, 20), (20, size), (1, size)):
        grown = pb.GetConsistencyProofRequest(origin=ORIGIN, first=first, second=second)
        hashes = list(stubs.call(stubs.audit.GetConsistencyProof, grown).hashes)
        assert verify_consistency(first, second, hashes, roots[first], roots[second])


def test_a_proof_at_a_cosigned_size_is_a_receipt(filled: dict[str, AgencyDoor]) -> None:
    """Without a size the first cosigned checkpoint is used, and the whole verifies alone."""
    stubs = _auditor(filled["cq"])
    proof = stubs.call(stubs.audit.GetInclusionProof, pb.GetInclusionProofRequest(origin=ORIGIN, index=3))
    node = filled["cq"].node
    peer = node.peers.get("sc")
    assert peer is not None
    verified = verify_receipt(proof.receipt.encode(), [node.keys.log_signer(ORIGIN).key], peer.mirror.active)
    assert (verified.index, verified.checkpoint.size) == (3, proof.size)


def test_a_checkpoint_is_the_first_that_covers_the_size(filled: dict[str, AgencyDoor]) -> None:
    """Asked for a size between two checkpoints, the next larger one is shown."""
    stubs = _auditor(filled["cq"])
    sizes = []
    for size in (1, 2, 20):
        request = pb.GetCheckpointRequest(origin=ORIGIN, size=size)
        note = stubs.call(stubs.audit.GetCheckpoint, request).checkpoint
        sizes.append(int(note.split("\n")[1]))
        assert sizes[-1] >= size
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(
    ("method", "request_", "reason"),
    [
        ("GetCheckpoint", pb.GetCheckpointRequest(origin="nothing"), "NOT_FOUND"),
        ("GetCheckpoint", pb.GetCheckpointRequest(origin=ORIGIN, size=10**9), "NOT_FOUND"),
        ("GetCheckpoint", pb.GetCheckpointRequest(origin=ORIGIN, size=-1), "RANGE_INVALID"),
        ("GetInclusionProof", pb.GetInclusionProofRequest(origin=ORIGIN, index=10**9), "RANGE_INVALID"),
        ("GetInclusionProof", pb.GetInclusionProofRequest(origin=ORIGIN, index=-1), "RANGE_INVALID"),
        ("GetInclusionProof", pb.GetInclusionProofRequest(origin=ORIGIN, index=3, size=3), "RANGE_INVALID"),
        ("GetInclusionProof", pb.GetInclusionProofRequest(origin=ORIGIN, index=3, size=10**9), "RANGE_INVALID"),
        ("GetConsistencyProof", pb.GetConsistencyProofRequest(origin=ORIGIN, first=5, second=3), "RANGE_INVALID"),
        ("GetConsistencyProof", pb.GetConsistencyProofRequest(origin=ORIGIN, first=1, second=10**9), "RANGE_INVALID"),
        ("ListEntries", pb.ListEntriesRequest(origin=ORIGIN, start=-1), "RANGE_INVALID"),
        ("ListEntries", pb.ListEntriesRequest(origin=ORIGIN, page_size=501), "PAGE_SIZE"),
        ("ListEntries", pb.ListEntriesRequest(origin="x" * 5_000), "NOT_FOUND"),
    ],
)
def test_what_lies_outside_is_refused(
    filled: dict[str, AgencyDoor], method: str, request_: object, reason: str
) -> None:
    """Unknown logs, sizes and indices beyond them, reversed ranges."""
    stubs = _auditor(filled["cq"])
    with pytest.raises(CallFailed) as failure:
        stubs.call(getattr(stubs.audit, method), request_)
    assert failure.value.reason == reason


def test_entries_beyond_the_end_are_none(filled: dict[str, AgencyDoor]) -> None:
    """A page behind the last entry is empty and says the size, so that an auditor can wait for more."""
    stubs = _auditor(filled["cq"])
    answer = _entries(stubs, ORIGIN, start=10**6)
    assert not answer.entries
    assert answer.size > 40
    page = _entries(stubs, ORIGIN, start=5, page_size=3)
    assert [entry.index for entry in page.entries] == [5, 6, 7]


def _lines(stubs: Stubs, register: str, after: str = "", until: str = "") -> list[Any]:
    request = pb.ListRegisterDigestsRequest(register=register, rows=True, after=after, until=until)
    found = []
    while True:
        answer = stubs.call(stubs.audit.ListRegisterDigests, request)
        found += answer.lines
        if answer.complete:
            return found
        request.after = answer.lines[-1].key


def _runs(stubs: Stubs, register: str) -> list[Any]:
    request = pb.ListRegisterDigestsRequest(register=register, salt=SALT)
    answer = stubs.call(stubs.audit.ListRegisterDigests, request)
    assert answer.complete
    return list(answer.runs)


@contextmanager
def _by_hand(door: AgencyDoor) -> Iterator[sqlite3.Connection]:
    """The node's database as somebody with its file has it."""
    with closing(sqlite3.connect(str(door.node.database.url.database), timeout=10)) as connection, connection:
        yield connection


def test_digests_of_registers_are_those_of_their_rows(filled: dict[str, AgencyDoor]) -> None:
    """Every register's runs are the salted digests of its rows in order; one changed row changes one run."""
    door = filled["sc"]
    stubs = _auditor(door)
    registers = stubs.call(stubs.audit.ListRegisterDigests, pb.ListRegisterDigestsRequest()).registers
    assert {"reg_records", "reg_agencies", "cursors"} <= set(registers)
    for register in registers:
        lines = _lines(stubs, register)
        for at, run in enumerate(_runs(stubs, register)):
            part = lines[at * BUCKET_ROWS : at * BUCKET_ROWS + run.rows]
            assert part[-1].key == run.last
            assert run.digest == sha256(SALT + b"".join(each.line.encode() + b"\n" for each in part)).digest(), register
    rows = _lines(stubs, "reg_records")
    assert len(rows) > 40
    assert [each.key for each in _lines(stubs, "reg_records", rows[3].key, rows[9].key)] == [
        each.key for each in rows[4:10]
    ]
    before = _runs(stubs, "reg_records")
    seq = json.loads(rows[5].key)[0]
    with _by_hand(door) as database:
        database.execute("UPDATE reg_records SET level = level + 1 WHERE seq = ?", (seq,))
    assert [a == b for a, b in zip(before, _runs(stubs, "reg_records"), strict=True)].count(False) == 1
    with _by_hand(door) as database:
        database.execute("UPDATE reg_records SET level = level - 1 WHERE seq = ?", (seq,))
    assert _runs(stubs, "reg_records") == before


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.ListRegisterDigestsRequest(register="entries", salt=b"x" * 16), "REGISTER_UNKNOWN"),
        (pb.ListRegisterDigestsRequest(register="reg_records", salt=b"x" * 15), "REGISTER_SALT"),
        (pb.ListRegisterDigestsRequest(register="reg_records", salt=b"x" * 16, after="[true]"), "REGISTER_KEY"),
        (pb.ListRegisterDigestsRequest(register="reg_waits", rows=True, until='["nolog",1]'), "REGISTER_KEY"),
    ],
)
def test_a_wrong_question_about_registers_is_refused(filled: dict[str, AgencyDoor], request_: Any, reason: str) -> None:
    """Only registers are served, only under a salt, and only behind keys of theirs."""
    stubs = _auditor(filled["cq"])
    with pytest.raises(CallFailed) as failed:
        stubs.call(stubs.audit.ListRegisterDigests, request_)
    assert failed.value.reason == reason


def test_a_replay_is_laid_beside_a_running_node(filled: dict[str, AgencyDoor]) -> None:
    """Nothing differs; a row changed by hand in the live database is found, with the entry that should have made it."""
    door = filled["sc"]
    stubs = _auditor(door)
    source = StoredLogs("sc", door.node.federation, door.node.database)
    with ReplayRun(source, door.node.tables) as run:
        assert list(run.go()) == []
        live = NodeRegisters(stubs)  # type: ignore[arg-type]
        assert list(run.compare(live)) == []
        with _by_hand(door) as database:
            seq, origin, index = database.execute(
                "SELECT r.seq, l.origin, r.idx FROM reg_records r JOIN logs l ON l.id = r.log_id WHERE r.level > 0"
            ).fetchone()
            database.execute("UPDATE reg_records SET level = level + 1 WHERE seq = ?", (seq,))
        (found,) = run.compare(live)
        assert (found.code, found.log, found.index, found.proven) == ("REGISTER_ROW_DIFFERS", origin, index, True)
        with _by_hand(door) as database:
            database.execute("UPDATE reg_records SET level = level - 1 WHERE seq = ?", (seq,))
        # What the node did since is no difference, as far as it can be told.
        submit(filled["cq"].agency("filled"), credit_of(firm(990)), "beyond")
        wait_settled(filled["cq"])
        assert {(each.code, each.proven) for each in run.compare(live)} == {("REGISTER_ROW_NEWER", False)}
        assert list(run.go()) == []
        assert list(run.compare(live)) == []
