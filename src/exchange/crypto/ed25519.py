"""Signing and verifying checkpoints (Ed25519, C2SP type 0x01) and cosignatures (0x04; ML-DSA-44 beside it, 0x06)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from exchange.crypto.keys import derive_log_key, derive_submission_key, submission_tag
from exchange.tlog import cosignature, note
from exchange.tlog.checkpoint import Checkpoint, parse_note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import (
    COSIGNATURE_ML_DSA_44,
    COSIGNATURE_V1,
    ED25519,
    NoteSignature,
    SignedNote,
    VerifierKey,
)

__all__ = [
    "Cosigner",
    "NoteSigner",
    "derive_log_key",
    "derive_submission_key",
    "spoiled_cosignature",
    "submission_tag",
    "verify_cosignature",
    "verify_note",
]


class NoteSigner:
    """The key of one log. It signs what it is given: that checkpoints agree is the caller's duty."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.key = VerifierKey.of(name, ED25519, private.public_key().public_bytes_raw())

    @property
    def name(self) -> str:
        """Key name: the log's origin."""
        return self.key.name

    @property
    def vkey(self) -> str:
        """Verifier key text."""
        return str(self.key)

    def sign_checkpoint(self, checkpoint: Checkpoint) -> bytes:
        """The checkpoint as a note with this log's signature.

        Raises:
            ValueError: The checkpoint is of another log.
        """
        if checkpoint.origin != self.name:
            raise ValueError(f"the key of {self.name} does not sign for {checkpoint.origin}")
        signature = self._private.sign(checkpoint.body())
        return note.format(SignedNote(checkpoint.text(), (NoteSignature(self.name, self.key.key_id, signature),)))


class Cosigner:
    """The key of one mirror or witness. It vouches for what it is given: checking first is the caller's duty.

    Args:
        name: Key name.
        private: Ed25519.
        second: ML-DSA-44, for a line of its own beside that by Ed25519; none where a node has no such key.
    """

    def __init__(self, name: str, private: Ed25519PrivateKey, second: MLDSA44PrivateKey | None = None) -> None:
        self._private = private
        self._second = second
        self.key = VerifierKey.of(name, COSIGNATURE_V1, private.public_key().public_bytes_raw())
        self.keys: tuple[VerifierKey, ...] = (self.key,)
        if second is not None:
            public = second.public_key().public_bytes_raw()
            self.keys = (self.key, VerifierKey.of(name, COSIGNATURE_ML_DSA_44, public))

    @property
    def name(self) -> str:
        """Key name."""
        return self.key.name

    @property
    def vkey(self) -> str:
        """Verifier key text."""
        return str(self.key)

    def cosign(self, data: bytes, time: int) -> bytes:
        """The note with this cosigner's lines behind the others: by Ed25519, and by ML-DSA-44 where it has such a key.

        Args:
            data: A signed checkpoint. Its own signatures are not verified here.
            time: Unix time in seconds, chosen by the caller before its commit.

        Raises:
            LogFormatError: Not a signed checkpoint, full, or cosigned by this key already.
        """
        signed, checkpoint = parse_note(data)
        if any(signed.by(key) for key in self.keys):
            raise LogFormatError(f"the note carries a cosignature by {self.name} already")
        signatures = [self._private.sign(cosignature.message(signed.text_bytes, time))]
        if self._second is not None:
            signatures.append(self._second.sign(cosignature.subtree_message(self.name, checkpoint, time)))
        lines = [
            NoteSignature(self.name, key.key_id, cosignature.TimedSignature(time, signature).to_bytes())
            for key, signature in zip(self.keys, signatures, strict=True)
        ]
        return note.format(SignedNote(signed.text, (*signed.signatures, *lines)))


@lru_cache(maxsize=1024)
def _public(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


def _verifies(key: VerifierKey, signature: bytes, message: bytes) -> bool:
    try:
        _public(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_note(data: bytes, key: VerifierKey) -> Checkpoint | None:
    """The checkpoint of a note, when the log's key signed it.

    1. The bytes are a note, and its text a checkpoint, each in its one spelling.
    2. The key is an Ed25519 log key and is named like the checkpoint's origin.
    3. At least one signature is by the key, and every one that claims to be verifies.

    Returns:
        The checkpoint, or ``None`` when any of this fails.
    """
    try:
        signed, checkpoint = parse_note(data)
    except LogFormatError:
        return None
    if key.alg != ED25519 or key.name != checkpoint.origin:
        return None
    lines = signed.by(key)
    if not lines or not all(_verifies(key, line.signature, signed.text_bytes) for line in lines):
        return None
    return checkpoint


def verify_cosignature(data: bytes, key: VerifierKey) -> int | None:
    """When the cosigner signed the note.

    The log's own signature is not looked at: call ``verify_note`` too.

    1. The bytes are a note, and its text a checkpoint, each in its one spelling.
    2. The key is one for cosignatures, of type 0x04 or 0x06.
    3. At least one signature is by the key, and every one that claims to be verifies.

    Returns:
        Unix time in seconds, the earliest when there are several, or ``None`` when any of this fails.
    """
    try:
        signed, checkpoint = parse_note(data)
        timed = [cosignature.parse(line.signature, key.alg) for line in signed.by(key)]
        if not timed or not all(_vouches(key, each, signed, checkpoint) for each in timed):
            return None
    except LogFormatError:
        return None
    return min(t.time for t in timed)


def spoiled_cosignature(data: bytes, keys: Iterable[VerifierKey]) -> str:
    """Name of the first key in whose name the note carries a line that does not verify; empty when there is none.

    A line that is not there spoils nothing: notes from before a key was taken into use have none by it.

    Raises:
        LogFormatError: Not a signed checkpoint.
    """
    signed, _ = parse_note(data)
    return next((key.name for key in keys if signed.by(key) and verify_cosignature(data, key) is None), "")


def _vouches(key: VerifierKey, timed: cosignature.TimedSignature, signed: SignedNote, checkpoint: Checkpoint) -> bool:
    if key.alg == COSIGNATURE_V1:
        return _verifies(key, timed.signature, cosignature.message(signed.text_bytes, timed.time))
    if timed.time == 0:
        return False  # allowed by the format, and says nothing of when: no receipt
    try:
        public = MLDSA44PublicKey.from_public_bytes(key.public)
        public.verify(timed.signature, cosignature.subtree_message(key.name, checkpoint, timed.time))
    except (InvalidSignature, ValueError):
        return False
    return True
