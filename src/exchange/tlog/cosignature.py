"""C2SP tlog-cosignature: what a cosigner signs by Ed25519 (0x04) or ML-DSA-44 (0x06), and how the line carries it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_ML_DSA_44, COSIGNATURE_V1, MAX_DECIMAL

SIGNATURE_SIZES = {COSIGNATURE_V1: 64, COSIGNATURE_ML_DSA_44: 2420}
"""Bytes of the signature by type of the cosignature."""

MAX_TIME = 253_402_300_799
"""Latest time of a cosignature: no calendar goes on behind the year 9999, and no clock that is right shows it."""

MAX_NAME_BYTES = 255
"""Bytes of the cosigner's name and of the origin within what ML-DSA-44 signs."""

_SUBTREE_LABEL = b"subtree/v1\n\0"


@dataclass(frozen=True, slots=True)
class TimedSignature:
    """What a signature line carries behind the key id.

    Attributes:
        time: Unix time in seconds, 0 to ``MAX_TIME``.
        signature: Ed25519, 64 bytes, or ML-DSA-44, 2,420 bytes.
    """

    time: int
    signature: bytes

    def to_bytes(self) -> bytes:
        """Time as 8 bytes big-endian, then the signature."""
        return struct.pack(">Q", self.time) + self.signature


def parse(payload: bytes, alg: int = COSIGNATURE_V1) -> TimedSignature:
    """Read the bytes behind the key id.

    Raises:
        LogFormatError: No type of cosignatures, wrong length, or a time beyond ``MAX_TIME``.
    """
    size = SIGNATURE_SIZES.get(alg)
    if size is None:
        raise LogFormatError(f"no type of cosignatures: {alg:#04x}")
    if len(payload) != 8 + size:
        raise LogFormatError(f"a cosignature has {8 + size} bytes, not {len(payload)}")
    (time,) = struct.unpack_from(">Q", payload)
    if time > MAX_TIME:
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


def subtree_message(cosigner: str, checkpoint: Checkpoint, time: int) -> bytes:
    """What ML-DSA-44 signs: the ``cosigned_message`` of the whole tree, from its first leaf on.

    Args:
        cosigner: Name of the cosigner's key.
        checkpoint: What it vouches for.
        time: Unix time in seconds.

    Raises:
        LogFormatError: The time is out of range, or a name too long.
    """
    name, origin = cosigner.encode(), checkpoint.origin.encode()
    if not 0 <= time <= MAX_DECIMAL:
        raise LogFormatError("time of a cosignature out of range")
    if not (1 <= len(name) <= MAX_NAME_BYTES and 1 <= len(origin) <= MAX_NAME_BYTES):
        raise LogFormatError(f"names in a cosignature have at most {MAX_NAME_BYTES} bytes")
    return b"".join(
        (
            _SUBTREE_LABEL,
            bytes((len(name),)),
            name,
            struct.pack(">Q", time),
            bytes((len(origin),)),
            origin,
            struct.pack(">QQ", 0, checkpoint.size),
            checkpoint.root,
        )
    )
