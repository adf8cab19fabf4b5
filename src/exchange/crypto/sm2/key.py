"""SM2 keys, and signatures as GB/T 35276 writes them: DER, SEQUENCE {r, s}."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from exchange.crypto.keys import KeyUnreadable
from exchange.crypto.sm2 import libcrypto
from exchange.crypto.x509 import der

_P: Final = 0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFF_00000000_FFFFFFFF_FFFFFFFF
_A: Final = _P - 3
_B: Final = 0x28E9FA9E_9D9F5E34_4D5A9E4B_CF6509A7_F39789F5_15AB8F92_DDBCBD41_4D940E93
_N: Final = 0xFFFFFFFE_FFFFFFFF_FFFFFFFF_FFFFFFFF_7203DF6B_21C6052B_53BBF409_39D54123
"""The curve of GB/T 32918.5: y² = x³ + ax + b modulo p, and the order n of its points."""

POINT_SIZE: Final = 65
"""Bytes of a public key: 04, then x and y."""

_SPKI_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d034200")
"""What stands before the point in a SubjectPublicKeyInfo: id-ecPublicKey, sm2p256v1, a string of 66 bytes."""

KEPT_KEYS: Final = 256
"""Public keys that stay loaded: those of a federation's signing and issuing certificates."""

_PEM: Final = re.compile(rb"\s*-----BEGIN ((?:EC )?PRIVATE KEY)-----\r?\n(.*?)-----END \1-----\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SM2PublicKey:
    """A public key; its construction checks that the point is one of the curve.

    Attributes:
        point: 04 ‖ x ‖ y, 65 bytes.
    """

    point: bytes

    def __post_init__(self) -> None:
        x, y = int.from_bytes(self.point[1:33], "big"), int.from_bytes(self.point[33:], "big")
        whole = len(self.point) == POINT_SIZE and self.point[0] == 4 and x < _P and y < _P
        if not whole or (y * y - x * x * x - _A * x - _B) % _P:
            raise KeyUnreadable("not an uncompressed point of the curve sm2p256v1")

    @classmethod
    def from_spki(cls, spki: bytes) -> SM2PublicKey:
        """Read a SubjectPublicKeyInfo.

        Raises:
            KeyUnreadable: Of another kind of key, or no point of the curve.
        """
        if not is_sm2(spki):
            raise KeyUnreadable("not the public key of an SM2 key")
        return cls(spki[len(_SPKI_HEAD) :])

    @property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo in DER."""
        return _SPKI_HEAD + self.point

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether a signature in DER is by this key, for the distinguishing id 1234567812345678.

        Another form than DER, r ‖ s in 64 bytes as well, is no signature.

        Raises:
            LibcryptoMissing: It can not be computed here.
        """
        return is_signature(signature) and libcrypto.verify(_loaded(self.spki), signature, message)


class SM2PrivateKey:
    """A private key. It stays within libcrypto; only ``to_pem`` takes it out."""

    def __init__(self, key: libcrypto.SM2Key) -> None:
        self._key = key
        self._public = SM2PublicKey.from_spki(libcrypto.write_public(key))

    @classmethod
    def generate(cls) -> SM2PrivateKey:
        """A new one.

        Raises:
            LibcryptoMissing: It can not be made here.
        """
        return cls(libcrypto.generate())

    @classmethod
    def from_pem(cls, pem: bytes) -> SM2PrivateKey:
        """Read PKCS#8 (``PRIVATE KEY``) or SEC 1 (``EC PRIVATE KEY``) in PEM, not encrypted.

        Raises:
            KeyUnreadable: Not an SM2 key.
            LibcryptoMissing: It can not be used here.
        """
        block = _PEM.fullmatch(pem)
        try:
            data = base64.b64decode(b"".join(block.group(2).split()), validate=True) if block else b""
        except binascii.Error:
            data = b""
        key = libcrypto.read_private(data) if data else None
        if key is None:
            raise KeyUnreadable("no readable SM2 private key in PEM")
        return cls(key)

    def public_key(self) -> SM2PublicKey:
        """Its public key."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """Signature in DER for the distinguishing id 1234567812345678. May be called from many threads."""
        return libcrypto.sign(self._key, message)

    def to_pem(self) -> bytes:
        """PKCS#8 in PEM, not encrypted: file permissions protect it."""
        text = base64.encodebytes(libcrypto.write_private(self._key)).replace(b"\n", b"")
        lines = [text[at : at + 64] for at in range(0, len(text), 64)]
        return b"\n".join((b"-----BEGIN PRIVATE KEY-----", *lines, b"-----END PRIVATE KEY-----", b""))


def is_sm2(spki: bytes) -> bool:
    """Whether a SubjectPublicKeyInfo is that of an SM2 key, right or wrong."""
    return spki.startswith(_SPKI_HEAD)


def is_signature(data: bytes) -> bool:
    """Whether the bytes are a signature in its one DER form: two numbers from 1 to n - 1."""
    try:
        parts = der.elements(data)
        return len(parts) == 2 and all(0 < der.natural(part) < _N for part in parts)
    except der.DerUnreadable:
        return False


@lru_cache(maxsize=KEPT_KEYS)
def _loaded(spki: bytes) -> libcrypto.SM2Key:
    key = libcrypto.read_public(spki)
    if key is None:
        raise libcrypto.LibcryptoFailedError("d2i_PUBKEY")
    return key
