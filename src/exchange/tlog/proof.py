"""C2SP tlog-proof v1: a receipt that can be checked alone.

c2sp.org/tlog-proof@v1
extra <base64 of the entry>
index <index, decimal>
<base64 of each hash, from the leaf's sibling up>
<empty line>
<signed checkpoint>
"""

from __future__ import annotations

from dataclasses import dataclass

from exchange.tlog import note
from exchange.tlog.checkpoint import Checkpoint, parse_note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.tree import HASH_SIZE, leaf_hash, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
"""First line."""

MAX_HASHES = 63
"""Hashes in a path: a tree of 2**63 - 1 entries is not deeper."""

MAX_EXTRA_BYTES = 65_535
"""Bytes of the extra line's data: the largest log entry."""

MAX_RECEIPT_BYTES = 256 * 1024
"""Bytes of a receipt: an entry in base64 is 87 kB, a note at most 128 KiB, the path 3 kB."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A tlog-proof as parsed: no signature of it has been verified.

    Attributes:
        index: Index of the entry.
        hashes: Inclusion path, from the leaf's sibling up.
        checkpoint_note: The signed checkpoint, verbatim.
        extra: The entry's bytes; ``None`` when the line is absent (then the entry must come another way).
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint_note: bytes
    extra: bytes | None = None

    def checkpoint(self) -> Checkpoint:
        """The checkpoint that the receipt claims.

        Raises:
            LogFormatError: The note is none, or its text is no checkpoint.
        """
        return parse_note(self.checkpoint_note)[1]

    def includes(self, entry: bytes) -> bool:
        """Whether the path leads from the entry to the checkpoint's root. Says nothing about signatures.

        Raises:
            LogFormatError: The note is none, or its text is no checkpoint.
        """
        checkpoint = self.checkpoint()
        return verify_inclusion(leaf_hash(entry), self.index, checkpoint.size, self.hashes, checkpoint.root)

    def to_bytes(self) -> bytes:
        """The receipt; see ``format``."""
        return format(self)


def format(receipt: Receipt) -> bytes:  # noqa: A001 - the verb beside parse, called as proof.format
    """Write a receipt.

    Raises:
        LogFormatError: The parts do not make a receipt.
    """
    if not 0 <= receipt.index <= note.MAX_DECIMAL:
        raise LogFormatError("index out of range")
    if len(receipt.hashes) > MAX_HASHES or any(len(h) != HASH_SIZE for h in receipt.hashes):
        raise LogFormatError(f"a path has at most {MAX_HASHES} hashes of {HASH_SIZE} bytes")
    parse_note(receipt.checkpoint_note)
    lines = [HEADER]
    if receipt.extra is not None:
        if not 1 <= len(receipt.extra) <= MAX_EXTRA_BYTES:
            raise LogFormatError(f"the extra line carries 1 to {MAX_EXTRA_BYTES} bytes")
        lines.append(f"extra {note.encode_base64(receipt.extra)}")
    lines.append(f"index {receipt.index}")
    lines += [note.encode_base64(digest) for digest in receipt.hashes]
    return "\n".join([*lines, "", ""]).encode() + receipt.checkpoint_note


def parse(data: bytes) -> Receipt:
    """Read a receipt.

    Raises:
        LogFormatError: Not a tlog-proof in its one spelling, or beyond a limit.
    """
    if len(data) > MAX_RECEIPT_BYTES:
        raise LogFormatError(f"a receipt has at most {MAX_RECEIPT_BYTES} bytes")
    head, empty, checkpoint_note = data.partition(b"\n\n")
    if not empty:
        raise LogFormatError("a receipt has an empty line before its checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise LogFormatError("a receipt is ASCII above its checkpoint") from None
    if lines.pop(0) != HEADER:
        raise LogFormatError(f"a receipt starts with {HEADER}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = note.decode_base64(lines.pop(0).removeprefix("extra "))
    if not lines or not lines[0].startswith("index "):
        raise LogFormatError("a receipt has an index line")
    index = note.parse_decimal(lines.pop(0).removeprefix("index "))
    receipt = Receipt(index, tuple(note.decode_base64(line) for line in lines), checkpoint_note, extra)
    if format(receipt) != data:
        raise LogFormatError("a receipt in another spelling")
    return receipt
