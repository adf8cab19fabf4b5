"""Receipts as text: the specification's layout, one spelling, and an attacker's bytes."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tlog import note, proof
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import NoteSignature, SignedNote
from exchange.tlog.proof import Receipt
from exchange.tlog.tree import leaf_hash, node_hash

ENTRIES = [b"one", b"two", b"three"]
LEAVES = [leaf_hash(e) for e in ENTRIES]
ROOT = node_hash(node_hash(LEAVES[0], LEAVES[1]), LEAVES[2])
ORIGIN = "cq.exchange.example/to/sc/registry/1"


def checkpoint_note(root: bytes = ROOT, size: int = 3) -> bytes:
    """A note over a head; its signature is none."""
    text = Checkpoint(ORIGIN, size, root).text()
    return note.format(SignedNote(text, (NoteSignature(ORIGIN, bytes(4), bytes(64)),)))


RECEIPT = Receipt(1, (LEAVES[0], LEAVES[2]), checkpoint_note(), b"two")


def b64(data: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(data).decode()


def test_a_receipt_has_the_layout_of_the_specification() -> None:
    """Header, extra, index, hashes, an empty line and the note verbatim, each line ended by a newline."""
    assert proof.format(RECEIPT).decode() == (
        f"c2sp.org/tlog-proof@v1\nextra {b64(b'two')}\nindex 1\n{b64(LEAVES[0])}\n{b64(LEAVES[2])}\n\n"
        + checkpoint_note().decode()
    )


def test_a_receipt_without_extra_has_no_such_line() -> None:
    """The extra line is left out, not left empty."""
    receipt = Receipt(0, (), checkpoint_note(), None)
    data = receipt.to_bytes()
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\n")
    assert proof.parse(data) == receipt


def test_a_receipt_includes_its_entry_and_no_other() -> None:
    """The path leads from the entry to the root, and from no other entry."""
    assert RECEIPT.includes(b"two")
    assert not RECEIPT.includes(b"three")
    assert not Receipt(0, RECEIPT.hashes, RECEIPT.checkpoint_note).includes(b"two")
    assert RECEIPT.checkpoint() == Checkpoint(ORIGIN, 3, ROOT)


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(min_size=1, max_size=200),
)
def test_a_written_receipt_is_read_back(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    """Whatever can be written is read back unchanged."""
    receipt = Receipt(index, tuple(hashes), checkpoint_note(), extra)
    assert proof.parse(proof.format(receipt)) == receipt


def test_the_largest_entry_fits() -> None:
    """An entry of 65,535 bytes travels in the extra line, one byte more does not."""
    largest = Receipt(1, RECEIPT.hashes, RECEIPT.checkpoint_note, bytes(65_535))
    assert proof.parse(largest.to_bytes()) == largest
    with pytest.raises(LogFormatError):
        Receipt(1, RECEIPT.hashes, RECEIPT.checkpoint_note, bytes(65_536)).to_bytes()


@given(st.integers(0, len(RECEIPT.to_bytes()) - 1), st.binary(max_size=3))
def test_no_changed_byte_breaks_the_parser(at: int, put: bytes) -> None:
    """A receipt with some bytes replaced is read in its one spelling, or a format error."""
    good = RECEIPT.to_bytes()
    data = good[:at] + put + good[at + 1 :]
    with contextlib.suppress(LogFormatError):
        assert proof.format(proof.parse(data)) == data


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(data: bytes) -> None:
    """Arbitrary bytes behind the header are a receipt or a format error."""
    with contextlib.suppress(LogFormatError):
        proof.parse(b"c2sp.org/tlog-proof@v1\n" + data)


GOOD = RECEIPT.to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(GOOD.replace(b"@v1", b"@v2"), id="other version"),
        pytest.param(GOOD.replace(b"index 1", b"index 01"), id="zero in front"),
        pytest.param(GOOD.replace(b"index 1\n", b""), id="no index"),
        pytest.param(GOOD.replace(b"extra dHdv", b"extra "), id="empty extra"),
        pytest.param(GOOD.replace(b"extra dHdv", b"extra dHd"), id="extra without padding"),
        pytest.param(GOOD.replace(b"extra dHdv\nindex 1", b"index 1\nextra dHdv"), id="order"),
        pytest.param(GOOD.replace(b"\n", b"\r\n"), id="carriage returns"),
        pytest.param(GOOD.replace(b"\n\n" + ORIGIN.encode(), b"\n" + ORIGIN.encode()), id="no empty line"),
        pytest.param(GOOD.replace(b64(LEAVES[0]).encode(), b64(LEAVES[0][:31]).encode()), id="short hash"),
        pytest.param(GOOD.split(b"\n\n")[0] + b"\n\n", id="no checkpoint"),
        pytest.param(GOOD + b"\n", id="more behind"),
        pytest.param(
            b"c2sp.org/tlog-proof@v1\nindex 1\n" + (b64(bytes(32)).encode() + b"\n") * 64 + b"\n" + checkpoint_note(),
            id="64 hashes",
        ),
        pytest.param(bytes(proof.MAX_RECEIPT_BYTES + 1), id="too long"),
    ],
)
def test_what_is_no_receipt_is_refused(data: bytes) -> None:
    """Other spellings and broken receipts are format errors."""
    with pytest.raises(LogFormatError):
        proof.parse(data)
