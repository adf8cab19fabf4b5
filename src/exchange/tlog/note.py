"""C2SP signed notes and verifier keys, strictly: one spelling, checked by writing it again.

    <text, ending in a newline>
    <empty line>
    — <key name> base64(key id[4] ‖ signature)

Nothing here verifies a signature. The text of a parsed note is not to be believed before ``exchange.crypto`` did.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from exchange.tlog.errors import LogFormatError

ED25519 = 0x01
"""Signature type: Ed25519 over the note's text."""

COSIGNATURE_V1 = 0x04
"""Signature type: timestamped Ed25519 checkpoint cosignature."""

COSIGNATURE_ML_DSA_44 = 0x06
"""Signature type: timestamped ML-DSA-44 cosignature, a second line beside that of type 0x04."""

PUBLIC_KEY_SIZES = {ED25519: 32, COSIGNATURE_V1: 32, COSIGNATURE_ML_DSA_44: 1312}
"""Bytes of the public key by signature type."""

MAX_SIGNATURES = 16
"""Signatures in one note: what signed-note asks every verifier to accept, and no more."""

MAX_NOTE_BYTES = 128 * 1024
"""Bytes of a note: 16 signatures of 5 kB in base64 are 107 kB, and a text of three lines."""

KEY_ID_SIZE = 4
MAX_DECIMAL = 2**63 - 1
"""Largest number in any of the texts; C2SP bounds times so, and sizes fit a signed 64-bit column."""

_DASH = "— "
_NOT_IN_A_NAME = re.compile(r"[\s\x00-\x1f+]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding, in its only canonical spelling (RFC 4648 §4).

    Raises:
        LogFormatError: Other characters, no padding, or spare bits set.
    """
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise LogFormatError("not base64") from None
    if encode_base64(data) != text:
        raise LogFormatError("base64 in another spelling")
    return data


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def parse_decimal(text: str) -> int:
    """ASCII decimal number from 0 to 2**63 - 1, without sign, leading zeroes or separators.

    Raises:
        LogFormatError: Any other spelling.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or (text[0] == "0" and text != "0"):
        raise LogFormatError("not a decimal number in its one spelling")
    number = int(text)
    if number > MAX_DECIMAL:
        raise LogFormatError("number out of range")
    return number


def check_key_name(name: str) -> str:
    """The name, when it may name a key: not empty, no Unicode spaces, no plus, no control characters.

    Raises:
        LogFormatError: It may not.
    """
    if not name or _NOT_IN_A_NAME.search(name):
        raise LogFormatError("a key name is not empty and has no spaces, control characters or plus")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise LogFormatError("a key name is valid UTF-8") from None
    return name


def key_id(name: str, alg: int, public: bytes) -> bytes:
    """Key id, ``SHA-256(name ‖ 0A ‖ type ‖ public key)[:4]`` (signed-note, tlog-cosignature)."""
    return sha256(check_key_name(name).encode() + b"\n" + bytes((alg,)) + public).digest()[:KEY_ID_SIZE]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name under which it signs notes.

    Attributes:
        name: Key name; the origin for log keys.
        alg: Signature type, one of ``PUBLIC_KEY_SIZES``.
        public: Public key material.
        key_id: 4 bytes, follows from the others.
    """

    name: str
    alg: int
    public: bytes
    key_id: bytes

    @classmethod
    def of(cls, name: str, alg: int, public: bytes) -> VerifierKey:
        """Make a verifier key.

        Raises:
            LogFormatError: Bad name, unknown signature type or wrong length of the public key.
        """
        if PUBLIC_KEY_SIZES.get(alg) != len(public):
            raise LogFormatError(f"no signature type {alg:#04x} with a public key of {len(public)} bytes")
        return cls(name, alg, public, key_id(name, alg, public))

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``<name>+<hex key id>+<base64 of type and public key>`` and recompute the key id.

        Raises:
            LogFormatError: Not a verifier key in its one spelling, or the key id is not that of the key.
        """
        parts = text.split("+", 2)
        if len(parts) != 3:
            raise LogFormatError("a verifier key has a name, a key id and a key")
        material = decode_base64(parts[2])
        if not material:
            raise LogFormatError("a verifier key without a key")
        key = cls.of(parts[0], material[0], material[1:])
        if str(key) != text:
            raise LogFormatError(f"the key id of the verifier key {key.name} is not that of its key")
        return key

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{encode_base64(bytes((self.alg,)) + self.public)}"


@dataclass(frozen=True, slots=True)
class KeyLine:
    """The keys that sign under one name, one after the other.

    Attributes:
        name: Key name.
        active: Keys whose signature counts for what comes now, the newest first; two during an overlap.
        ended: Keys that sign no more, each with the unix time of its end; what they signed before stays what it was.
    """

    name: str
    active: tuple[VerifierKey, ...] = ()
    ended: tuple[tuple[VerifierKey, int], ...] = ()

    @property
    def ever(self) -> tuple[VerifierKey, ...]:
        """Every key of the line."""
        return (*self.active, *(key for key, _ in self.ended))

    def end_of(self, key: VerifierKey) -> int | None:
        """Unix time at which a key ended; None for one in use."""
        return next((end for each, end in self.ended if each == key), None)

    @classmethod
    def of(cls, *keys: VerifierKey) -> KeyLine:
        """A line of keys that all are in use.

        Raises:
            ValueError: No key, or keys of several names.
        """
        names = {key.name for key in keys}
        if len(names) != 1:
            raise ValueError("a line is made of keys of one name")
        return cls(names.pop(), keys)

    def with_active(self, key: VerifierKey) -> KeyLine:
        """The line with one more key in use; one that is known stays as it is."""
        return self if key in self.ever else KeyLine(self.name, (key, *self.active), self.ended)

    def with_ended(self, key: VerifierKey, at: int) -> KeyLine:
        """The line with a key that signs no more from a unix time on; one that has ended stays as it is."""
        if self.end_of(key) is not None:
            return self
        active = tuple(each for each in self.active if each != key)
        return KeyLine(self.name, active, (*self.ended, (key, at)))


def vkey(name: str, alg: int, public: bytes) -> str:
    """Verifier key text of a public key; see ``VerifierKey.of``."""
    return str(VerifierKey.of(name, alg, public))


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line.

    Attributes:
        name: Key name.
        key_id: 4 bytes.
        signature: What follows the key id, opaque here; at least one byte.
    """

    name: str
    key_id: bytes
    signature: bytes

    def is_by(self, key: VerifierKey) -> bool:
        """Whether the line claims to be by the key: same name and key id."""
        return self.name == key.name and self.key_id == key.key_id

    def line(self) -> str:
        """The line with its newline."""
        return f"{_DASH}{self.name} {encode_base64(self.key_id + self.signature)}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A note as it was parsed: nothing in it has been verified.

    Attributes:
        text: Ends in a newline; the empty line before the signatures does not belong to it.
        signatures: In the order of the lines.
    """

    text: str
    signatures: tuple[NoteSignature, ...]

    @property
    def text_bytes(self) -> bytes:
        """The bytes that were signed."""
        return self.text.encode()

    def by(self, key: VerifierKey) -> tuple[NoteSignature, ...]:
        """The signatures that claim to be by the key."""
        return tuple(s for s in self.signatures if s.is_by(key))

    def has(self, line: NoteSignature) -> bool:
        """Whether the note has a line by the key of another one."""
        return any((each.name, each.key_id) == (line.name, line.key_id) for each in self.signatures)

    def to_bytes(self) -> bytes:
        """The note; see ``format``."""
        return format(self)


def format(note: SignedNote) -> bytes:  # noqa: A001 - the verb beside parse, called as note.format
    """Write a note.

    Raises:
        LogFormatError: The parts do not make a note.
    """
    _check_text(note.text)
    if not 1 <= len(note.signatures) <= MAX_SIGNATURES:
        raise LogFormatError(f"a note has 1 to {MAX_SIGNATURES} signatures")
    for signature in note.signatures:
        check_key_name(signature.name)
        if len(signature.key_id) != KEY_ID_SIZE or not signature.signature:
            raise LogFormatError("a signature is a key id of 4 bytes and at least one byte more")
    data = (note.text + "\n" + "".join(s.line() for s in note.signatures)).encode()
    if len(data) > MAX_NOTE_BYTES:
        raise LogFormatError(f"a note has at most {MAX_NOTE_BYTES} bytes")
    return data


def _check_text(text: str) -> None:
    if not text.endswith("\n"):
        raise LogFormatError("the text of a note ends in a newline")
    if _CONTROL.search(text):
        raise LogFormatError("a note has no control characters")


def parse(data: bytes) -> SignedNote:
    """Read a note.

    Raises:
        LogFormatError: Not a note in its one spelling, or beyond a limit.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise LogFormatError(f"a note has at most {MAX_NOTE_BYTES} bytes")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise LogFormatError("a note is valid UTF-8") from None
    split = whole.rfind("\n\n")
    if split < 0 or not whole.endswith("\n"):
        raise LogFormatError("a note has a text, an empty line and signature lines")
    text, lines = whole[: split + 1], whole[split + 2 :].split("\n")[:-1]
    if not 1 <= len(lines) <= MAX_SIGNATURES:
        raise LogFormatError(f"a note has 1 to {MAX_SIGNATURES} signatures")
    note = SignedNote(text, tuple(_parse_line(line) for line in lines))
    if format(note) != data:
        raise LogFormatError("a note in another spelling")
    return note


def _parse_line(line: str) -> NoteSignature:
    if not line.startswith(_DASH):
        raise LogFormatError("a signature line starts with an em dash and a space")
    name, space, encoded = line[len(_DASH) :].partition(" ")
    if not space:
        raise LogFormatError("a signature line has a key name and a signature")
    blob = decode_base64(encoded)
    return NoteSignature(check_key_name(name), blob[:KEY_ID_SIZE], blob[KEY_ID_SIZE:])


def merge(data: bytes, other: bytes) -> bytes:
    """A note with the signature lines of another note over the same text behind its own.

    Lines by a key that it has already are left out, and all of them when there is no room. Nothing is verified.

    Raises:
        LogFormatError: Not notes, or over different texts.
    """
    first, second = parse(data), parse(other)
    if first.text != second.text:
        raise LogFormatError("notes over different texts")
    more = [line for line in second.signatures if not first.has(line)]
    if not more or len(first.signatures) + len(more) > MAX_SIGNATURES:
        return data
    return format(SignedNote(first.text, (*first.signatures, *more)))


def add_signature(data: bytes, signature: NoteSignature) -> bytes:
    """The note with one more signature line at its end; the lines before it stay as they are.

    Raises:
        LogFormatError: The bytes are no note, or it is full.
    """
    note = parse(data)
    return format(SignedNote(note.text, (*note.signatures, signature)))
