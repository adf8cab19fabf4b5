"""HMAC-SHA-256 (RFC 2104) for short messages.

The standard library's one-shot gives up the interpreter lock for every call; in a process with busy threads that
costs a hundred times the arithmetic. Hashing below 2,048 bytes through ``hashlib`` does not.
"""

from __future__ import annotations

from hashlib import sha256

_BLOCK = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """The 32-byte code of a message.

    Args:
        key: Of any length.
        message: Of any length; the gain is for short ones.
    """
    block = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    return sha256(block.translate(_OUTER) + sha256(block.translate(_INNER) + message).digest()).digest()
