"""Transactions and logs: indices without a gap, trees by the book."""

from __future__ import annotations

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from exchange.storage import schema
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import STORED_LEVEL, NewEntry, Transaction
from exchange.storage.engine.writer import WorkClass, Writer
from exchange.storage.logs import log_store
from exchange.storage.logs.verify import findings
from exchange.tlog.tree import consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion
from tests.storage.logs import ORIGIN, Append, append, append_then_fail, naive_root, truncate

SIZES = (1, 2, 3, 15, 16, 17, 31, 33, 100, 255, 256, 257, 300)


def entries(count: int, start: int = 0) -> tuple[bytes, ...]:
    """Entries that tell their index."""
    return tuple(b"entry %d" % n for n in range(start, start + count))


def test_indices_have_no_gap_under_concurrency(database: Database, writer: Writer) -> None:
    """Sixteen threads, good and bad commands: every answered index is there once, with the entry of its caller."""

    def work(thread: int) -> list[tuple[int, bytes]]:
        done = []
        for number in range(25):
            entry = b"%d/%d" % (thread, number)
            if number % 7 == 3:
                with pytest.raises(RuntimeError):
                    writer.call(append_then_fail, Append((b"never",)), WorkClass.REGISTRY)
            done.append((writer.call(append, Append((entry, entry + b"+"))), entry))
        return done

    with ThreadPoolExecutor(16) as pool:
        answered = dict(pair for done in pool.map(work, range(16)) for pair in done)
    with database.read() as connection:
        head = log_store.head(connection, ORIGIN)
        assert head is not None
        stored = log_store.entries(connection, head.id, 0, head.size)
    assert [entry.index for entry in stored] == list(range(16 * 25 * 2))
    assert all(
        stored[index].entry == entry and stored[index + 1].entry == entry + b"+" for index, entry in answered.items()
    )
    assert len(answered) == 16 * 25
    assert head.frontier.root() == naive_root([entry.entry for entry in stored])
    assert list(findings(database)) == []


def test_the_tree_is_the_one_of_the_book_at_every_size(database: Database, writer: Writer) -> None:
    """However the entries came, root and proofs at every size are those of RFC 6962."""
    random.seed(6962)
    everything = entries(300)
    at = 0
    while at < len(everything):
        step = random.randint(1, 40)
        writer.call(append, Append(everything[at : at + step]))
        at += step
    with database.read() as connection:
        head = log_store.head(connection, ORIGIN)
        assert head is not None
        assert head.size == 300
        read = log_store.node_reader(connection, head.id)
        roots = {size: naive_root(everything[:size]) for size in (0, *SIZES)}
        for size in SIZES:
            assert log_store.root(connection, head, size) == roots[size]
            assert log_store.frontier(connection, head, size).root() == roots[size]
            for index in {0, size // 2, size - 1}:
                path = inclusion_proof(index, size, read)
                assert verify_inclusion(leaf_hash(everything[index]), index, size, path, roots[size])
            for old in SIZES:
                if old <= size:
                    proof = consistency_proof(old, size, read)
                    assert verify_consistency(old, size, proof, roots[old], roots[size])


@pytest.mark.parametrize("cut", [0, 1, 15, 16, 17, 32, 99, 100])
def test_a_log_that_was_cut_goes_on_like_a_fresh_one(database: Database, writer: Writer, cut: int) -> None:
    """Truncated, then grown with other entries: heads, subtree hashes and entries equal those of a log made so."""
    writer.call(append, Append(entries(100)))
    assert writer.call(truncate, cut).size == cut
    assert list(findings(database)) == []
    kept, added = entries(cut), tuple(b"other %d" % n for n in range(90))
    assert writer.call(append, Append(added)) == cut
    fresh = f"{ORIGIN}0"
    writer.call(append, Append(kept + added, fresh))
    with database.read() as connection:
        ours, theirs = log_store.head(connection, ORIGIN), log_store.head(connection, fresh)
        assert ours is not None
        assert theirs is not None
        assert (ours.size, ours.frontier) == (theirs.size, theirs.frontier)
        nodes = schema.tree_nodes.c
        stored = [
            connection.execute(
                select(nodes.level, nodes.idx, nodes.hash)
                .where(nodes.log_id == log.id)
                .order_by(nodes.level, nodes.idx)
            ).all()
            for log in (ours, theirs)
        ]
        assert stored[0] == stored[1]
        assert min(row.level for row in stored[0]) == STORED_LEVEL
    assert list(findings(database)) == []


def test_several_appends_of_one_batch_follow_each_other(database: Database, writer: Writer) -> None:
    """Within one transaction a log's head moves in memory and is written once."""

    def both(tx: Transaction, payloads: Sequence[None]) -> list[tuple[int, int, list[int]]]:
        log = tx.open_log(ORIGIN, use="mirror", peer="sc", lane=2, epoch=1)
        first = tx.append(log.id, [NewEntry.of(entry) for entry in entries(5)])
        second = tx.append(log.id, [NewEntry.of(entry) for entry in entries(5, 5)])
        return [(first, second, [log.id for log in tx.grown])]

    assert writer.call(both, None) == (0, 5, [1])
    with database.read() as connection:
        head = log_store.head(connection, ORIGIN)
    assert head is not None
    assert head.frontier.root() == naive_root(entries(10))


def test_a_page_of_entries_stops_at_its_bytes_but_never_at_nothing(database: Database, writer: Writer) -> None:
    """Every page brings at least one entry, so a reader always gets on."""
    writer.call(append, Append(tuple(bytes(1_000) for _ in range(10))))
    with database.read() as connection:
        assert len(log_store.entries(connection, 1, 0, 10, max_bytes=1)) == 1
        assert len(log_store.entries(connection, 1, 0, 10, max_bytes=3_500)) == 3
        assert len(log_store.entries(connection, 1, 4, 10)) == 6


def test_checkpoints_are_found_by_size(database: Database, writer: Writer) -> None:
    """The last one, the first that covers a size, those between, and each is kept once."""
    writer.call(append, Append(entries(100)))
    notes = [log_store.StoredCheckpoint(size, "sc", b"note %d" % size, size) for size in (10, 20, 30)]

    def store(tx: Transaction, payloads: Sequence[None]) -> list[None]:
        log_store.store_checkpoints(tx, 1, [*notes, notes[0]])
        return [None] * len(payloads)

    writer.call(store, None)
    writer.call(store, None)
    with database.read() as connection:
        assert log_store.last_checkpoint(connection, 1) == notes[2]
        assert log_store.first_checkpoint_covering(connection, 1, 11) == notes[1]
        assert log_store.first_checkpoint_covering(connection, 1, 31) is None
        assert log_store.checkpoint_of(connection, 1, 20) == notes[1]
        assert log_store.checkpoints(connection, 1, 10, 10) == notes[1:]
        assert log_store.checkpoints_between(connection, 1, 10, 15) == notes[:2]
