"""Signing and verifying checkpoints (Ed25519, C2SP type 0x01) and cosignatures (0x04; ML-DSA-44 beside it, 0x06)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    KeyLine,
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
    """The keys of one log. It signs what it is given: that checkpoints agree is the caller's duty.

    Args:
        name: Key name: the log's origin.
        private: The key.
        older: During an overlap, the keys that sign beside it.
        ended: Public keys that signed for this log before, each with the unix time of its end.
    """

    def __init__(
        self,
        name: str,
        private: Ed25519PrivateKey,
        older: Sequence[Ed25519PrivateKey] = (),
        ended: Sequence[tuple[VerifierKey, int]] = (),
    ) -> None:
        self._privates = (private, *older)
        keys = tuple(_verifier(name, ED25519, each) for each in self._privates)
        self.line = KeyLine(name, keys, tuple(ended))
        self.key = keys[0]

    @property
    def name(self) -> str:
        """Key name: the log's origin."""
        return self.key.name

    @property
    def vkey(self) -> str:
        """Verifier key text of the newest key."""
        return str(self.key)

    def sign_checkpoint(self, checkpoint: Checkpoint) -> bytes:
        """The checkpoint as a note with a signature by each key in use.

        Raises:
            ValueError: The checkpoint is of another log.
        """
        if checkpoint.origin != self.name:
            raise ValueError(f"the key of {self.name} does not sign for {checkpoint.origin}")
        body = checkpoint.body()
        lines = tuple(
            NoteSignature(self.name, key.key_id, private.sign(body))
            for key, private in zip(self.line.active, self._privates, strict=True)
        )
        return note.format(SignedNote(checkpoint.text(), lines))


class Cosigner:
    """The keys of one mirror or witness. They vouch for what they are given: checking first is the caller's duty.

    Args:
        name: Key name.
        private: The Ed25519 key.
        older: During an overlap, the Ed25519 keys that cosign beside it.
        ended: Public keys that cosigned before, each with the unix time of its end.
        seconds: ML-DSA-44, each for a line of its own beside those by Ed25519, the newest first; two during the
            overlap of a rotation, none where a node has no such key.
    """

    def __init__(
        self,
        name: str,
        private: Ed25519PrivateKey,
        older: Sequence[Ed25519PrivateKey] = (),
        ended: Sequence[tuple[VerifierKey, int]] = (),
        *,
        seconds: Sequence[MLDSA44PrivateKey] = (),
    ) -> None:
        self._privates = (private, *older)
        self.seconds = tuple(seconds)
        keys = tuple(_verifier(name, COSIGNATURE_V1, each) for each in self._privates)
        self.line = KeyLine(name, keys, tuple(ended))
        self.key = keys[0]
        self.second_keys = tuple(
            VerifierKey.of(name, COSIGNATURE_ML_DSA_44, each.public_key().public_bytes_raw()) for each in self.seconds
        )

    def with_seconds(self, seconds: Sequence[MLDSA44PrivateKey]) -> Cosigner:
        """The same Ed25519 keys beside other ML-DSA-44 keys."""
        first, *older = self._privates
        return Cosigner(self.name, first, older, self.line.ended, seconds=seconds)

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """Every key that cosigns: Ed25519, the newest first, then ML-DSA-44."""
        return self.line.active + self.second_keys

    @property
    def name(self) -> str:
        """Key name."""
        return self.key.name

    @property
    def vkey(self) -> str:
        """Verifier key text of the newest Ed25519 key."""
        return str(self.key)

    def cosign(self, data: bytes, time: int) -> bytes:
        """The note with a cosignature by each key in use behind its other lines.

        Args:
            data: A signed checkpoint. Its own signatures are not verified here.
            time: Unix time in seconds, chosen by the caller before its commit.

        Raises:
            LogFormatError: Not a signed checkpoint, full, or cosigned by one of these keys already.
        """
        signed, checkpoint = parse_note(data)
        if any(signed.by(key) for key in self.keys):
            raise LogFormatError(f"the note carries a cosignature by {self.name} already")
        message = cosignature.message(signed.text_bytes, time)
        made = [(key, private.sign(message)) for key, private in zip(self.line.active, self._privates, strict=True)]
        if self.seconds:
            subtree = cosignature.subtree_message(self.name, checkpoint, time)
            signed_twice = zip(self.second_keys, self.seconds, strict=True)
            made += [(key, private.sign(subtree)) for key, private in signed_twice]
        lines = tuple(
            NoteSignature(self.name, key.key_id, cosignature.TimedSignature(time, signature).to_bytes())
            for key, signature in made
        )
        return note.format(SignedNote(signed.text, (*signed.signatures, *lines)))


def _verifier(name: str, alg: int, private: Ed25519PrivateKey) -> VerifierKey:
    return VerifierKey.of(name, alg, private.public_key().public_bytes_raw())


@lru_cache(maxsize=1024)
def _public(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


def _verifies(key: VerifierKey, signature: bytes, message: bytes) -> bool:
    try:
        _public(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_note(data: bytes, keys: VerifierKey | Iterable[VerifierKey]) -> Checkpoint | None:
    """The checkpoint of a note, when one of the log's keys signed it.

    1. The bytes are a note, and its text a checkpoint, each in its one spelling.
    2. Only Ed25519 log keys named like the checkpoint's origin count.
    3. At least one signature is by one of them, and every one that claims to be by any of them verifies.

    Returns:
        The checkpoint, or ``None`` when any of this fails.
    """
    try:
        signed, checkpoint = parse_note(data)
    except LogFormatError:
        return None
    found = False
    for key in _several(keys):
        if key.alg != ED25519 or key.name != checkpoint.origin:
            continue
        lines = signed.by(key)
        if not all(_verifies(key, line.signature, signed.text_bytes) for line in lines):
            return None
        found = found or bool(lines)
    return checkpoint if found else None


def verify_cosignature(data: bytes, keys: VerifierKey | Iterable[VerifierKey] | KeyLine) -> int | None:
    """When the cosigner signed the note.

    The log's own signature is not looked at: call ``verify_note`` too.

    1. The bytes are a note, and its text a checkpoint, each in its one spelling.
    2. Only keys for cosignatures count, of type 0x04 or 0x06; of a line, one that has ended only for times before its
       end.
    3. At least one signature is by one of them, and every one that claims to be by any of them verifies.

    Returns:
        Unix time in seconds, the earliest when there are several, or ``None`` when any of this fails.
    """
    times: list[int] = []
    try:
        signed, checkpoint = parse_note(data)
        for key in keys.ever if isinstance(keys, KeyLine) else _several(keys):
            if key.alg not in (COSIGNATURE_V1, COSIGNATURE_ML_DSA_44):
                continue
            timed = [cosignature.parse(line.signature, key.alg) for line in signed.by(key)]
            if not all(_vouches(key, each, signed, checkpoint) for each in timed):
                return None
            end = keys.end_of(key) if isinstance(keys, KeyLine) else None
            times += [each.time for each in timed if end is None or each.time < end]
    except LogFormatError:
        return None
    return min(times, default=None)


def _several(keys: VerifierKey | Iterable[VerifierKey]) -> Iterable[VerifierKey]:
    return (keys,) if isinstance(keys, VerifierKey) else keys


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
