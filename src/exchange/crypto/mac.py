"""HMAC-SHA-256 (RFC 2104) for short messages.

The standard library's one-shot gives up the interpreter lock for every call; in a process with busy threads that
costs a hundred times the arithmetic. Hashing below 2,048 bytes through ``hashlib`` does not.
"""

from __future__ import annotations

from functools import lru_cache
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


class Mac:
    """The same for many messages under one key: both hashes go on from where its block is in them."""

    def __init__(self, key: bytes) -> None:
        block = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        self._inner, self._outer = sha256(block.translate(_INNER)), sha256(block.translate(_OUTER))

    def of(self, message: bytes) -> bytes:
        """The 32-byte code of a message."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


@lru_cache(maxsize=4)
def mac_by(key: bytes) -> Mac:
    """The codes of a key that is used again and again. Kept as long as few others are: a node has one such key."""
    return Mac(key)
