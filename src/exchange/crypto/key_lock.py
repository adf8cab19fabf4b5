"""What opens and closes a node's key files: one passphrase for all of them, or none.

A file is opened once and stays so in memory; on disk it never stands open. A file without encryption is read as it is,
so that keys can be encrypted one after the other.
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ed25519

from exchange.crypto import pbes2
from exchange.crypto.keys import MAX_PEM_BYTES, KeyUnreadable, encode_private, load_private, load_seed, names_sm2
from exchange.crypto.sm2.key import SM2PrivateKey

KEPT_FILES: Final = 64
"""Files that stay open in memory: the generations of a handful of keys."""

MAX_PASSPHRASE: Final = 1024
"""Bytes of a passphrase."""

_ENCRYPTED: Final = b"ENCRYPTED PRIVATE KEY"
_BLOCK: Final = re.compile(
    rb"-----BEGIN ((?:ENCRYPTED |EC |RSA )?PRIVATE KEY)-----\r?\n(.*?)-----END \1-----[ \t]*(?:\r?\n|$)", re.DOTALL
)
_SEED: Final = re.compile(rb"[0-9a-f]{64}\s*")


class KeyLocked(KeyUnreadable):
    """A key is encrypted, and the passphrase that is there does not open it. Never carries the passphrase."""

    reason = "KEY_PASSPHRASE_WRONG"


class PassphraseMissing(KeyUnreadable):
    """A key is encrypted, or is to be, and no passphrase is there."""

    reason = "PASSPHRASE_MISSING"


class KeyLock:
    """Opens what is encrypted; encrypts what is written, once a passphrase is there.

    Args:
        ask: Gives the passphrase, once and not before it is needed; None where the node file names no source.
    """

    def __init__(self, ask: Callable[[], bytes] | None = None) -> None:
        self._ask = ask
        self._passphrase: bytes | None = None
        self._opened: dict[bytes, bytes] = {}
        self._guard = threading.Lock()

    @property
    def closes(self) -> bool:
        """Whether keys are written encrypted."""
        return self._ask is not None

    def ready(self) -> None:
        """Take the passphrase now: a prompt or a descriptor is there at the start and not later.

        Raises:
            PassphraseMissing: It is not there.
        """
        if self._ask is not None:
            self._take("")

    def open(self, content: bytes, place: str) -> bytes:
        """A key file with its private key in the open; whatever is not encrypted comes back as it is.

        Args:
            content: The file's bytes.
            place: Its name, for whoever has to mend it.

        Raises:
            KeyLocked: By another passphrase.
            PassphraseMissing: There is none.
            KeyUnreadable: Encrypted in a form that is not read.
        """
        if not is_encrypted(content) or len(content) > MAX_PEM_BYTES:
            return content
        digest = sha256(content).digest()
        with self._guard:
            held = self._opened.get(digest)
        if held is not None:
            return held
        passphrase = self._take(place)

        def opened(match: re.Match[bytes]) -> bytes:
            if match.group(1) != _ENCRYPTED:
                return match.group(0)
            try:
                return _pem(b"PRIVATE KEY", pbes2.decrypt(_binary(match.group(2)), passphrase))
            except pbes2.NotOpened:
                raise KeyLocked(f"{place}: the passphrase does not open this key") from None
            except (pbes2.NotUnderstood, KeyUnreadable) as error:
                raise KeyUnreadable(f"{place}: {error}") from None

        plain = _BLOCK.sub(opened, content)
        with self._guard:
            while len(self._opened) >= KEPT_FILES:
                del self._opened[next(iter(self._opened))]
            self._opened[digest] = plain
        return plain

    def close(self, content: bytes) -> bytes:
        """What a file may hold: its private key encrypted where a passphrase is named. Anything else stays as it is.

        A log seed becomes PKCS#8 as well, as an Ed25519 key of the same 32 bytes, by which nothing signs: so the tools
        for keys change its passphrase too.

        Raises:
            PassphraseMissing: The passphrase is named and not there.
        """
        if self._ask is None:
            return content
        if _SEED.fullmatch(content):
            content = encode_private(ed25519.Ed25519PrivateKey.from_private_bytes(load_seed(content)))
        if not any(match.group(1) != _ENCRYPTED for match in _BLOCK.finditer(content)):
            return content
        passphrase = self._take("")
        return _BLOCK.sub(lambda match: _closed(match, passphrase), content)

    def _take(self, place: str) -> bytes:
        with self._guard:
            if self._passphrase is None:
                if self._ask is None:
                    raise PassphraseMissing(f"{place}: encrypted, and the node file names no keys.passphrase")
                found = self._ask()
                if not 0 < len(found) <= MAX_PASSPHRASE:
                    raise PassphraseMissing(f"a passphrase has 1 to {MAX_PASSPHRASE} bytes")
                self._passphrase = found
            return self._passphrase


OPEN: Final = KeyLock()
"""For files that nobody encrypts."""


def is_encrypted(content: bytes) -> bool:
    """Whether a key file's private key is encrypted."""
    return b"-----BEGIN " + _ENCRYPTED in content


def _closed(match: re.Match[bytes], passphrase: bytes) -> bytes:
    label, block = match.group(1), match.group(0)
    if label == _ENCRYPTED:
        return block
    if label != b"PRIVATE KEY":  # SEC 1 and PKCS#1 have no encryption of their own that deserves the name
        key = SM2PrivateKey.from_pem(block).to_pem() if names_sm2(block) else encode_private(load_private(block))
        whole = _BLOCK.fullmatch(key)
        assert whole is not None
        match = whole
    return _pem(_ENCRYPTED, pbes2.encrypt(_binary(match.group(2)), passphrase))


def _binary(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        raise KeyUnreadable("no readable private key in PEM") from None


def _pem(label: bytes, data: bytes) -> bytes:
    text = base64.b64encode(data)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join((b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----", b""))
