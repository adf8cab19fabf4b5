"""Salted commitments of bodies: the link from a signed statement to bytes that may be erased."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from exchange.crypto.keys import SALT_SIZE
from exchange.v1.statement_pb2 import BodyCommitment, Statement

SHA_256: Final = "SHA-256"

MAX_COMMITMENTS = 4
"""Commitments in one statement: SHA-256, SM3, and what may follow."""


def _sha256(salt: bytes, body: bytes) -> bytes:
    return sha256(salt + body).digest()


_ALGORITHMS: Mapping[str, Callable[[bytes, bytes], bytes]] = {SHA_256: _sha256}


def commit(salt: bytes, body: bytes) -> BodyCommitment:
    """Commitment ``SHA-256(salt ‖ body)``.

    Args:
        salt: 32 random bytes, never used for another body.
        body: The record's serialized bytes.
    """
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt has {SALT_SIZE} bytes")
    return BodyCommitment(algorithm=SHA_256, digest=_sha256(salt, body))


def matches(statement: Statement, body: bytes, salt: bytes) -> bool:
    """Whether the body is the one that the statement commits to.

    Its size agrees, a SHA-256 commitment is there, and every commitment of a known algorithm agrees.
    """
    if len(salt) != SALT_SIZE or len(body) != statement.body_size:
        return False
    if not 1 <= len(statement.commitments) <= MAX_COMMITMENTS:
        return False
    known = [(_ALGORITHMS[c.algorithm], c.digest) for c in statement.commitments if c.algorithm in _ALGORITHMS]
    if not any(c.algorithm == SHA_256 for c in statement.commitments):
        return False
    return all(hmac.compare_digest(digest(salt, body), stated) for digest, stated in known)
