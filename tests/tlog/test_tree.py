"""Merkle trees: published roots, proofs against a naive reference, and proofs that must fail."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tlog.errors import LogFormatError
from exchange.tlog.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    frontier_at,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
    verify_consistency,
    verify_inclusion,
)

# The inputs and roots that Certificate Transparency implementations have tested each other by since RFC 6962.
LEAVES = [bytes.fromhex(x) for x in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]] + [
    bytes.fromhex("606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def naive_root(entries: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\0" + entries[0]).digest()
    k = split(len(entries))
    return sha256(b"\1" + naive_root(entries[:k]) + naive_root(entries[k:])).digest()


def naive_path(m: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962 §2.1.1, word for word."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if m < k:
        return [*naive_path(m, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(m - k, entries[k:]), naive_root(entries[:k])]


def naive_consistency(m: int, entries: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962 §2.1.2, word for word."""
    if m == len(entries):
        return [] if whole else [naive_root(entries)]
    k = split(len(entries))
    if m <= k:
        return [*naive_consistency(m, entries[:k], whole=whole), naive_root(entries[k:])]
    return [*naive_consistency(m - k, entries[k:], whole=False), naive_root(entries[:k])]


def split(n: int) -> int:
    """Largest power of two below n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


class Store:
    """Complete subtree hashes as a log keeps them, filled by ``Frontier.extend`` alone."""

    def __init__(self) -> None:
        self.frontier = Frontier()
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.reads = 0

    def append(self, entries: Sequence[bytes]) -> None:
        """Append entries in one batch."""
        hashes = [leaf_hash(entry) for entry in entries]
        for at, digest in enumerate(hashes, self.frontier.size):
            self.nodes[0, at] = digest
        self.frontier, completed = self.frontier.extend(hashes)
        for level, index, digest in completed:
            assert (level, index) not in self.nodes
            self.nodes[level, index] = digest

    def read(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """A ``NodeReader``."""
        self.reads += 1
        return [self.nodes[node] for node in wanted]


def entry(number: int) -> bytes:
    """A distinct entry."""
    return b"entry %d" % number


@cache
def store_of(size: int) -> Store:
    """A tree of distinct entries."""
    store = Store()
    store.append([entry(n) for n in range(size)])
    return store


def test_roots_are_the_published_ones() -> None:
    """Every size of the published tree has the published root."""
    store = Store()
    assert store.frontier.root().hex() == ROOTS[0]
    for size, leaf in enumerate(LEAVES, 1):
        store.append([leaf])
        assert store.frontier.root().hex() == ROOTS[size]
    assert [root_at(size, store.read).hex() for size in range(9)] == ROOTS


def test_hashes_are_domain_separated() -> None:
    """A leaf begins with 00, a node with 01, and the empty root is the hash of nothing."""
    assert leaf_hash(b"x") == sha256(b"\0x").digest()
    assert node_hash(bytes(32), bytes(32)) == sha256(b"\1" + bytes(64)).digest()
    assert sha256(b"").digest() == EMPTY_ROOT


@given(st.lists(st.integers(0, 20), max_size=8))
def test_batches_do_not_matter(batches: list[int]) -> None:
    """However entries are cut into batches, nodes, frontier and root are those of the whole."""
    store = Store()
    total = 0
    for count in batches:
        store.append([entry(n) for n in range(total, total + count)])
        total += count
    whole = store_of(total)
    assert store.frontier == whole.frontier
    assert store.nodes == whole.nodes
    assert store.frontier.root() == naive_root([entry(n) for n in range(total)])


def test_every_complete_subtree_is_reported_once() -> None:
    """After n leaves exactly the complete subtrees exist."""
    for size in range(70):
        expected = {(level, index) for level in range(8) for index in range(size >> level)}
        assert set(store_of(size).nodes) == expected


@settings(max_examples=60)
@given(st.data())
def test_inclusion_proofs_equal_the_reference_and_verify(data: st.DataObject) -> None:
    """A proof at any earlier size is that of the standard, takes one read, and verifies."""
    stored = data.draw(st.integers(1, 90))
    size = data.draw(st.integers(1, stored))
    index = data.draw(st.integers(0, size - 1))
    store = store_of(stored)
    entries = [entry(n) for n in range(size)]
    before = store.reads
    proof = inclusion_proof(index, size, store.read)
    assert store.reads - before <= 1
    assert proof == naive_path(index, entries)
    assert verify_inclusion(leaf_hash(entries[index]), index, size, proof, naive_root(entries))


@settings(max_examples=60)
@given(st.data())
def test_consistency_proofs_equal_the_reference_and_verify(data: st.DataObject) -> None:
    """A proof between any sizes is that of the standard, takes one read, and verifies."""
    stored = data.draw(st.integers(1, 90))
    new = data.draw(st.integers(1, stored))
    old = data.draw(st.integers(1, new))
    store = store_of(stored)
    entries = [entry(n) for n in range(new)]
    before = store.reads
    proof = consistency_proof(old, new, store.read)
    assert store.reads - before <= 1
    assert proof == naive_consistency(old, entries)
    assert verify_consistency(old, new, proof, naive_root(entries[:old]), naive_root(entries))


def test_all_proofs_of_small_trees_verify_only_for_what_they_prove() -> None:
    """Up to 17 entries: each inclusion proof fails for every other index and size."""
    for size in range(1, 18):
        store = store_of(size)
        root = store.frontier.root()
        for index in range(size):
            proof = inclusion_proof(index, size, store.read)
            for other in range(size):
                leaf = leaf_hash(entry(index))
                assert verify_inclusion(leaf, other, size, proof, root) == (other == index)
            assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)


@given(st.data())
def test_tampered_inclusion_proofs_fail(data: st.DataObject) -> None:
    """A changed, missing, extra or cut hash, and another root, are refused."""
    size = data.draw(st.integers(2, 90))
    index = data.draw(st.integers(0, size - 1))
    store = store_of(size)
    proof, leaf, root = inclusion_proof(index, size, store.read), leaf_hash(entry(index)), store.frontier.root()
    at = data.draw(st.integers(0, len(proof) - 1))
    bit = data.draw(st.integers(0, 255))
    changed = bytearray(proof[at])
    changed[bit // 8] ^= 1 << bit % 8
    assert not verify_inclusion(leaf, index, size, [*proof[:at], bytes(changed), *proof[at + 1 :]], root)
    assert not verify_inclusion(leaf, index, size, proof[:-1], root)
    assert not verify_inclusion(leaf, index, size, [*proof, root], root)
    assert not verify_inclusion(leaf, index, size, [*proof[:at], proof[at][:31], *proof[at + 1 :]], root)
    assert not verify_inclusion(leaf, index, size, proof, leaf)
    assert not verify_inclusion(leaf, index + size, size, proof, root)
    assert not verify_inclusion(leaf, -1, size, proof, root)


def test_a_path_of_a_larger_tree_is_too_long() -> None:
    """A path that leads to the root of a larger tree does not pass for a smaller size."""
    leaf, other = leaf_hash(b"a"), leaf_hash(b"b")
    assert not verify_inclusion(leaf, 0, 1, [other], node_hash(other, leaf))
    assert verify_inclusion(leaf, 1, 2, [other], node_hash(other, leaf))


@given(st.data())
def test_tampered_consistency_proofs_fail(data: st.DataObject) -> None:
    """A changed, missing or extra hash, and other roots, are refused."""
    new = data.draw(st.integers(2, 90))
    old = data.draw(st.integers(1, new - 1))
    store = store_of(new)
    roots = (root_at(old, store.read), root_at(new, store.read))
    proof = consistency_proof(old, new, store.read)
    at = data.draw(st.integers(0, len(proof) - 1))
    other = [*proof[:at], bytes(32), *proof[at + 1 :]]
    assert verify_consistency(old, new, proof, *roots)
    assert not verify_consistency(old, new, other, *roots)
    assert not verify_consistency(old, new, proof[:-1], *roots)
    assert not verify_consistency(old, new, [*proof, bytes(32)], *roots)
    assert not verify_consistency(old, new, proof, bytes(32), roots[1])
    assert not verify_consistency(old, new, proof, roots[0], bytes(32))
    assert not verify_consistency(new, old, proof, roots[1], roots[0])


def test_edges_of_consistency() -> None:
    """Equal sizes and the empty tree ask for an empty proof and the right roots."""
    root = store_of(5).frontier.root()
    assert consistency_proof(0, 5, store_of(5).read) == consistency_proof(5, 5, store_of(5).read) == []
    assert verify_consistency(5, 5, [], root, root)
    assert not verify_consistency(5, 5, [], root, bytes(32))
    assert not verify_consistency(5, 5, [root], root, root)
    assert verify_consistency(0, 5, [], EMPTY_ROOT, root)
    assert not verify_consistency(0, 5, [], root, root)
    assert not verify_consistency(0, 5, [root], EMPTY_ROOT, root)
    assert verify_consistency(0, 0, [], EMPTY_ROOT, EMPTY_ROOT)
    assert not verify_consistency(0, 0, [], bytes(32), bytes(32))
    assert not verify_consistency(3, 5, [], root, root)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (0, 2**63)])
def test_proofs_of_what_is_not_there_are_refused(index: int, size: int) -> None:
    """An index outside the tree and an impossible size raise."""
    with pytest.raises(LogFormatError):
        inclusion_proof(index, size, store_of(5).read)


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5), (0, 2**63)])
def test_consistency_of_impossible_sizes_is_refused(old: int, new: int) -> None:
    """Sizes out of order or range raise."""
    with pytest.raises(LogFormatError):
        consistency_proof(old, new, store_of(5).read)


def test_a_reader_that_brings_too_little_is_noticed() -> None:
    """A node reader that leaves nodes out does not lead to a wrong proof."""
    with pytest.raises(ValueError, match="of"):
        inclusion_proof(0, 5, lambda _: [])


@given(st.integers(0, 90))
def test_a_frontier_survives_its_bytes(size: int) -> None:
    """Writing and reading a frontier gives it back, and it equals the one made of stored nodes."""
    frontier = store_of(size).frontier
    assert Frontier.from_bytes(frontier.to_bytes()) == frontier
    assert frontier_at(size, store_of(90).read) == frontier


@pytest.mark.parametrize("data", [b"", bytes(7), bytes(8) + bytes(32), bytes(7) + b"\1", b"\xff" * 8, bytes(9)])
def test_bytes_that_are_no_frontier_are_refused(data: bytes) -> None:
    """Size and number of hashes must agree."""
    with pytest.raises(LogFormatError):
        Frontier.from_bytes(data)


def test_a_leaf_hash_has_32_bytes() -> None:
    """An entry given in place of its hash is refused."""
    with pytest.raises(LogFormatError):
        Frontier().extend([b"entry"])
