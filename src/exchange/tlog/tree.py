"""RFC 6962 Merkle trees over stored subtree hashes.

A *complete subtree* is named ``(level, index)``: it covers the ``2**level`` leaves from ``index * 2**level`` on;
level 0 are the leaves. Every root and proof is folded from O(log n) complete subtrees, which a caller's
``NodeReader`` brings in one call.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from exchange.tlog.errors import LogFormatError

HASH_SIZE = 32
"""Bytes of a SHA-256 digest."""

MAX_SIZE = 2**63 - 1
"""Entries: tree sizes fit a signed 64-bit column, and C2SP bounds other numbers alike."""

EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without entries (RFC 6962 §2.1)."""

NodeId = tuple[int, int]
NodeReader = Callable[[Sequence[NodeId]], Sequence[bytes]]
"""Brings the hashes of complete subtrees, in the order asked for; raises when one is not stored."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf, ``SHA-256(00 ‖ entry)`` (RFC 6962 §2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node, ``SHA-256(01 ‖ left ‖ right)`` (RFC 6962 §2.1)."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: the roots of its largest complete subtrees, from left (largest) to right.

    It is all that appending needs, and the root follows from it.

    Attributes:
        size: Entries in the tree.
        hashes: One hash for each bit set in ``size``, the highest bit first.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise LogFormatError(f"tree size out of range: {self.size}")
        if len(self.hashes) != self.size.bit_count() or any(len(h) != HASH_SIZE for h in self.hashes):
            raise LogFormatError(
                f"a frontier of size {self.size} has {self.size.bit_count()} hashes of {HASH_SIZE} bytes"
            )

    @classmethod
    def from_bytes(cls, data: bytes) -> Frontier:
        """Read what ``to_bytes`` wrote.

        Raises:
            LogFormatError: The bytes are no frontier.
        """
        if len(data) < 8 or (len(data) - 8) % HASH_SIZE:
            raise LogFormatError(f"a frontier is 8 bytes and then hashes, not {len(data)} bytes")
        (size,) = struct.unpack_from(">Q", data)
        return cls(size, tuple(data[at : at + HASH_SIZE] for at in range(8, len(data), HASH_SIZE)))

    def to_bytes(self) -> bytes:
        """Size as 8 bytes big-endian, then the hashes."""
        return struct.pack(">Q", self.size) + b"".join(self.hashes)

    def root(self) -> bytes:
        """Root of the tree."""
        return _fold(self.hashes)

    def extend(self, leaf_hashes: Sequence[bytes]) -> tuple[Frontier, list[tuple[int, int, bytes]]]:
        """Append leaves.

        Works level by level, so that the cost is one SHA-256 and one tuple for each leaf.

        Args:
            leaf_hashes: Leaf hashes in log order.

        Returns:
            The frontier behind them, and every inner complete subtree that came into being, as
            ``(level, index, hash)`` with level ≥ 1, ordered by level and then index.
        """
        size = self.size + len(leaf_hashes)
        if not set(map(len, leaf_hashes)) <= {HASH_SIZE}:
            raise LogFormatError(f"a leaf hash has {HASH_SIZE} bytes")
        hasher = sha256
        completed: list[tuple[int, int, bytes]] = []
        peaks = list(self.hashes)
        kept: list[bytes] = []
        row: list[bytes] = list(leaf_hashes)
        first = self.size
        level = 0
        while row or peaks:
            if first & 1:
                row.insert(0, peaks.pop())
                first -= 1
            if len(row) & 1:
                kept.append(row.pop())
            pairs = iter(row)
            row = [hasher(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs, strict=True)]
            first >>= 1
            level += 1
            completed += [(level, index, digest) for index, digest in enumerate(row, first)]
        kept.reverse()
        return Frontier(size, tuple(kept)), completed


def _fold(peaks: Sequence[bytes]) -> bytes:
    """Root over complete subtrees given from left (largest) to right."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for left in reversed(peaks[:-1]):
        root = node_hash(left, root)
    return root


def _cover(begin: int, end: int) -> list[NodeId]:
    """Complete subtrees that cover the leaves ``[begin, end)``, left to right.

    ``begin`` is a multiple of the largest power of two below ``end - begin``, as in every subtree of RFC 6962.
    """
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def _read_folded(ranges: Sequence[tuple[int, int]], read: NodeReader) -> list[bytes]:
    """Hash of each leaf range, with one read for all of them."""
    covers = [_cover(begin, end) for begin, end in ranges]
    wanted = [node for cover in covers for node in cover]
    if not wanted:
        return []
    found = read(wanted)
    if len(found) != len(wanted):
        raise ValueError(f"the reader brought {len(found)} of {len(wanted)} subtree hashes")
    hashes = iter(found)
    return [_fold([next(hashes) for _ in cover]) for cover in covers]


def _check_size(size: int) -> None:
    if not 0 <= size <= MAX_SIZE:
        raise LogFormatError(f"tree size out of range: {size}")


def frontier_at(size: int, read: NodeReader) -> Frontier:
    """Frontier of the tree as it was at a size.

    Raises:
        LogFormatError: The size is out of range.
    """
    _check_size(size)
    nodes = _cover(0, size)
    return Frontier(size, tuple(read(nodes)) if nodes else ())


def root_at(size: int, read: NodeReader) -> bytes:
    """Root of the tree as it was at a size.

    Raises:
        LogFormatError: The size is out of range.
    """
    return frontier_at(size, read).root()


def inclusion_proof(index: int, size: int, read: NodeReader) -> list[bytes]:
    """Audit path of a leaf, from its sibling up (RFC 6962 §2.1.1).

    Raises:
        LogFormatError: ``index`` does not lie below ``size``.
    """
    _check_size(size)
    if not 0 <= index < size:
        raise LogFormatError(f"index {index} is not in a tree of size {size}")
    ranges: list[tuple[int, int]] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    ranges.reverse()
    return _read_folded(ranges, read)


def consistency_proof(old: int, new: int, read: NodeReader) -> list[bytes]:
    """Proof that the tree of size ``old`` is a prefix of that of size ``new`` (RFC 6962 §2.1.2).

    Empty for equal sizes, and for ``old`` = 0, of which every tree is a continuation.

    Raises:
        LogFormatError: ``old`` is larger than ``new``, or a size is out of range.
    """
    _check_size(old)
    _check_size(new)
    if old > new:
        raise LogFormatError(f"size {old} can not be a prefix of size {new}")
    if old in (0, new):
        return []
    ranges: list[tuple[int, int]] = []
    begin, end = 0, new
    while end != old:
        middle = begin + _split(end - begin)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    if begin:
        ranges.append((begin, end))
    ranges.reverse()
    return _read_folded(ranges, read)


def _split(width: int) -> int:
    """Largest power of two below ``width`` (RFC 6962 §2.1), for ``width`` > 1."""
    return 1 << ((width - 1).bit_length() - 1)


def _all_hashes(values: Iterable[bytes]) -> bool:
    return all(len(value) == HASH_SIZE for value in values)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the audit path leads from the leaf hash to the root (RFC 9162 §2.1.3.2).

    Paths that are too short or too long are refused.
    """
    if not 0 <= index < size <= MAX_SIZE or not _all_hashes((leaf, root, *proof)):
        return False
    left, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if left & 1 or left == last:
            digest = node_hash(sibling, digest)
            while not left & 1 and left:
                left >>= 1
                last >>= 1
        else:
            digest = node_hash(digest, sibling)
        left >>= 1
        last >>= 1
    return last == 0 and digest == root


def verify_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the proof shows that the old tree is a prefix of the new one (RFC 9162 §2.1.4.2).

    The old size 0 asks for an empty proof and the root of the empty tree; equal sizes for an empty proof and
    equal roots.
    """
    if not 0 <= old <= new <= MAX_SIZE or not _all_hashes((old_root, new_root, *proof)):
        return False
    if (old == 0 and old_root != EMPTY_ROOT) or (new == 0 and new_root != EMPTY_ROOT):
        return False
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    left, last = old - 1, new - 1
    while left & 1:
        left >>= 1
        last >>= 1
    old_digest = new_digest = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if left & 1 or left == last:
            old_digest = node_hash(sibling, old_digest)
            new_digest = node_hash(sibling, new_digest)
            while not left & 1 and left:
                left >>= 1
                last >>= 1
        else:
            new_digest = node_hash(new_digest, sibling)
        left >>= 1
        last >>= 1
    return last == 0 and old_digest == old_root and new_digest == new_root
