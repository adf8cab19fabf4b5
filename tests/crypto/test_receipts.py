"""Receipts that are checked alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.keys import generate_ed25519
from exchange.crypto.receipts import ReceiptRefused, verify_receipt
from exchange.crypto.trusted.node_card import KeyRole, TrustedKey
from exchange.tlog import proof
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.note import VerifierKey
from exchange.tlog.proof import Receipt
from exchange.tlog.tree import Frontier, inclusion_proof, leaf_hash

ORIGIN = "cq.exchange.example/to/sc/registry/1"
LOG = NoteSigner(ORIGIN, generate_ed25519())
MIRROR = Cosigner("sc.exchange.example/mirror", generate_ed25519())
OTHER = Cosigner("sc.exchange.example/mirror", generate_ed25519())
TIME = 1_772_000_000
ENTRIES = [b"entry %d" % n for n in range(11)]


def receipt(index: int = 5, extra: bytes | None = b"", **changes: object) -> bytes:
    """A receipt for an entry of a log of eleven; ``extra`` empty means the entry itself."""
    leaves = [leaf_hash(entry) for entry in ENTRIES]
    frontier, completed = Frontier().extend(leaves)
    nodes = {(level, at): digest for level, at, digest in completed} | {(0, at): h for at, h in enumerate(leaves)}
    hashes = inclusion_proof(index, len(ENTRIES), lambda wanted: [nodes[node] for node in wanted])
    time = changes.get("time", TIME)
    assert isinstance(time, int)
    checkpoint = LOG.sign_checkpoint(Checkpoint(ORIGIN, len(ENTRIES), frontier.root()))
    signed = MIRROR.cosign(checkpoint, time) if changes.get("cosigned", True) else checkpoint
    return proof.format(Receipt(index, tuple(hashes), signed, ENTRIES[index] if extra == b"" else extra))


@pytest.mark.parametrize("index", range(11))
def test_a_receipt_proves_its_entry(index: int) -> None:
    """Entry, index, head, cosigner and time come out."""
    found = verify_receipt(receipt(index), [LOG.key], [OTHER.key, MIRROR.key])
    assert (found.entry, found.index, found.checkpoint.size) == (ENTRIES[index], index, 11)
    assert (found.cosigner, found.cosigned_at) == (MIRROR.name, datetime.fromtimestamp(TIME, UTC))


@pytest.mark.parametrize(
    ("log", "mirror", "step"),
    [
        ((-60, None), (0, 1), ""),
        ((299, None), (0, None), ""),
        ((301, None), (0, None), "the log's key was not in use"),
        ((-9000, -301), (0, None), "the log's key was not in use"),
        ((-60, None), (1, None), "the cosigner's key was not in use"),
        ((-60, None), (-60, 0), "the cosigner's key was not in use"),
    ],
)
def test_keys_with_times_count_within_them(
    log: tuple[int, int | None], mirror: tuple[int, int | None], step: str
) -> None:
    """The mirror's key at the second of its own cosignature, the log's with five minutes for another clock."""

    def used(role: KeyRole, key: VerifierKey, bounds: tuple[int, int | None]) -> TrustedKey:
        begin, end = (datetime.fromtimestamp(TIME + at, UTC) if at is not None else None for at in bounds)
        assert begin is not None
        return TrustedKey(role=role, key=key, valid_from=begin, valid_until=end)

    keys = [used(KeyRole.LOG, LOG.key, log)], [used(KeyRole.MIRROR, MIRROR.key, mirror)]
    if not step:
        assert verify_receipt(receipt(), *keys).entry == ENTRIES[5]
        return
    with pytest.raises(ReceiptRefused, match=step):
        verify_receipt(receipt(), *keys)


def test_an_entry_may_come_another_way() -> None:
    """A receipt without the entry proves one that is brought, and no other."""
    bare = receipt(extra=None)
    assert verify_receipt(bare, [LOG.key], [MIRROR.key], ENTRIES[5]).entry == ENTRIES[5]
    for entry in (None, ENTRIES[4]):
        with pytest.raises(ReceiptRefused):
            verify_receipt(bare, [LOG.key], [MIRROR.key], entry)


def test_each_missing_proof_is_named() -> None:
    """Rubbish, another entry, a key that is not trusted, and no cosignature are refused with the step."""
    good = receipt()
    cases: list[tuple[bytes, NoteSigner, Cosigner, bytes | None, str]] = [
        (b"rubbish", LOG, MIRROR, None, "receipt"),
        (good, LOG, MIRROR, ENTRIES[4], "another entry"),
        (receipt(extra=ENTRIES[4]), LOG, MIRROR, None, "path"),
        (good, NoteSigner("cq.exchange.example/local/1", generate_ed25519()), MIRROR, None, "no key of the log"),
        (good, NoteSigner(ORIGIN, generate_ed25519()), MIRROR, None, "did not sign"),
        (good, LOG, OTHER, None, "cosigner"),
        (receipt(cosigned=False), LOG, MIRROR, None, "cosigner"),
        (receipt(time=2**62), LOG, MIRROR, None, "cosigner"),
    ]
    for data, log, cosigner, entry, words in cases:
        with pytest.raises(ReceiptRefused, match=words):
            verify_receipt(data, [log.key], [cosigner.key], entry)


GOOD = receipt()


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_proves_anything_else(at: int, change: int) -> None:
    """A receipt with one byte changed is refused."""
    data = bytearray(GOOD)
    data[at] ^= change
    with pytest.raises(ReceiptRefused):
        verify_receipt(bytes(data), [LOG.key], [MIRROR.key])
