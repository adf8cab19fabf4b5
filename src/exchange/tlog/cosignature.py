"""C2SP tlog-cosignature v1: what a cosigner signs, and how the line carries it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import MAX_DECIMAL

SIGNATURE_SIZE = 64
"""Bytes of an Ed25519 signature."""


@dataclass(frozen=True, slots=True)
class TimedSignature:
    """What a signature line of type 0x04 carries behind the key id.

    Attributes:
        time: Unix time in seconds, 0 to 2**63 - 1.
        signature: Ed25519 signature, 64 bytes.
    """

    time: int
    signature: bytes

    def to_bytes(self) -> bytes:
        """Time as 8 bytes big-endian, then the signature."""
        return struct.pack(">Q", self.time) + self.signature


def parse(payload: bytes) -> TimedSignature:
    """Read the bytes behind the key id.

    Raises:
        LogFormatError: Wrong length, or a time beyond 2**63 - 1.
    """
    if len(payload) != 8 + SIGNATURE_SIZE:
        raise LogFormatError(f"a cosignature has {8 + SIGNATURE_SIZE} bytes, not {len(payload)}")
    (time,) = struct.unpack_from(">Q", payload)
    if time > MAX_DECIMAL:
        raise LogFormatError("time of a cosignature out of range")
    return TimedSignature(time, payload[8:])


def message(text: bytes, time: int) -> bytes:
    r"""What is signed: ``"cosignature/v1\ntime <time>\n" ‖ text``.

    Args:
        text: Text of the checkpoint's note, with its last newline.
        time: Unix time in seconds.

    Raises:
        LogFormatError: The time is out of range.
    """
    if not 0 <= time <= MAX_DECIMAL:
        raise LogFormatError("time of a cosignature out of range")
    return b"cosignature/v1\ntime %d\n" % time + text
