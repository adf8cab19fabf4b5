"""Salted commitments of bodies: the link from a signed statement to bytes that may be erased."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives import hashes

from exchange.crypto.keys import SALT_SIZE
from exchange.v1.statement_pb2 import BodyCommitment, Statement

SHA_256: Final = "SHA-256"
SM3: Final = "SM3"

MAX_COMMITMENTS = 4
"""Commitments in one statement: SHA-256, SM3, and what may follow."""


def _sha256(salt: bytes, body: bytes) -> bytes:
    return sha256(salt + body).digest()


class Sm3:
    """SM3 (GB/T 32905) piece by piece."""

    def __init__(self) -> None:
        # Not by hashlib: whether it has SM3 depends on how the interpreter was built.
        self._hash = hashes.Hash(hashes.SM3())

    def update(self, data: bytes) -> None:
        """Take more bytes in."""
        self._hash.update(data)

    def digest(self) -> bytes:
        """32 bytes, over all that was taken in. The last call."""
        return self._hash.finalize()


def _sm3(salt: bytes, body: bytes) -> bytes:
    digest = Sm3()
    digest.update(salt)
    digest.update(body)
    return digest.digest()


ALGORITHMS: Mapping[str, Callable[[bytes, bytes], bytes]] = {SHA_256: _sha256, SM3: _sm3}


def commit(salt: bytes, body: bytes, algorithm: str = SHA_256) -> BodyCommitment:
    """Commitment ``H(salt ‖ body)``.

    Args:
        salt: 32 random bytes, never used for another body.
        body: The record's serialized bytes.
        algorithm: ``SHA-256`` or ``SM3`` (GB/T 32905).
    """
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt has {SALT_SIZE} bytes")
    return BodyCommitment(algorithm=algorithm, digest=ALGORITHMS[algorithm](salt, body))


def matches(statement: Statement, body: bytes, salt: bytes) -> bool:
    """Whether the body is the one that the statement commits to.

    Its size agrees, a commitment of a known algorithm is there, and every one of those agrees. Commitments of other
    algorithms are passed over: nothing follows from what can not be computed.
    """
    if len(salt) != SALT_SIZE or len(body) != statement.body_size:
        return False
    commitments = statement.commitments
    if not 1 <= len(commitments) <= MAX_COMMITMENTS:
        return False
    known = False
    for each in commitments:
        digest = ALGORITHMS.get(each.algorithm)
        if digest is None:
            continue
        if not hmac.compare_digest(digest(salt, body), each.digest):
            return False
        known = True
    return known
