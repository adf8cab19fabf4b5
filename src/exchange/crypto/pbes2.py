"""Private keys under a passphrase: PKCS#8 EncryptedPrivateKeyInfo (RFC 5958) by PBES2 (RFC 8018).

    EncryptedPrivateKeyInfo ::= SEQUENCE { { id-PBES2, { { id-PBKDF2, { salt, count, [length], [prf] } },
                                                         { cipher, iv } } }, OCTET STRING }

Works on the bytes, whatever key they hold: the libraries behind EC, SM2 and ML-DSA keys each read their own kinds only.
`openssl pkcs8` reads what is written here, and writes what is read here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from exchange.crypto.x509 import der

ITERATIONS: Final = 600_000
"""Rounds of PBKDF2-HMAC-SHA-256 for what is written here (OWASP): a fifth of a second, once for each key and start."""

MAX_ITERATIONS: Final = 10_000_000
"""Rounds: some seconds. A file that asks for more is a mistake."""

SALT_SIZE: Final = 16
"""Bytes of a salt (RFC 8018 asks for 8 at least)."""

BLOCK: Final = 16
"""Bytes of a block, and so of an iv, of every cipher here."""

MAX_KEY_BYTES: Final = 16 * 1024
"""Bytes of an encrypted key: an RSA key of 8,192 bits has less than 5,000."""

_OCTETS: Final = 0x04
_NULL: Final = b"\x05\x00"

_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_SHA1: Final = bytes.fromhex("06082a864886f70d0207")
_SHA256: Final = bytes.fromhex("06082a864886f70d0209")
_AES256: Final = bytes.fromhex("060960864801650304012a")

_PRFS: Final[dict[bytes, type[hashes.HashAlgorithm]]] = {
    _SHA1: hashes.SHA1,  # what RFC 8018 has where none is named; HMAC does not rest on collisions
    _SHA256: hashes.SHA256,
    bytes.fromhex("06082a864886f70d020a"): hashes.SHA384,
    bytes.fromhex("06082a864886f70d020b"): hashes.SHA512,
    bytes.fromhex("06092a811ccf5501831102"): hashes.SM3,
}
_CIPHERS: Final[dict[bytes, tuple[type[CipherAlgorithm], int]]] = {
    bytes.fromhex("0609608648016503040102"): (algorithms.AES, 16),
    bytes.fromhex("0609608648016503040116"): (algorithms.AES, 24),
    _AES256: (algorithms.AES, 32),
    bytes.fromhex("06082a811ccf55016802"): (algorithms.SM4, 16),
}


class NotOpened(Exception):
    """The passphrase does not open the key."""


class NotUnderstood(Exception):
    """Not an EncryptedPrivateKeyInfo of the form above; the text says what."""


@dataclass(frozen=True, slots=True)
class _Scheme:
    salt: bytes
    iterations: int
    prf: type[hashes.HashAlgorithm]
    cipher: type[CipherAlgorithm]
    key_size: int
    iv: bytes

    def cipher_by(self, passphrase: bytes) -> Cipher[modes.CBC]:
        derive = PBKDF2HMAC(self.prf(), self.key_size, self.salt, self.iterations)
        made: CipherAlgorithm = self.cipher(derive.derive(passphrase))  # type: ignore[call-arg]
        return Cipher(made, modes.CBC(self.iv))


def encrypt(key: bytes, passphrase: bytes) -> bytes:
    """An EncryptedPrivateKeyInfo: AES-256-CBC by a key of PBKDF2-HMAC-SHA-256.

    Args:
        key: PrivateKeyInfo in DER.
        passphrase: Any bytes but none.
    """
    if not passphrase:
        raise ValueError("an empty passphrase protects nothing")
    scheme = _Scheme(
        salt=secrets.token_bytes(SALT_SIZE),
        iterations=ITERATIONS,
        prf=hashes.SHA256,
        cipher=algorithms.AES,
        key_size=32,
        iv=secrets.token_bytes(BLOCK),
    )
    padder = padding.PKCS7(BLOCK * 8).padder()
    cipher = scheme.cipher_by(passphrase).encryptor()
    data = cipher.update(padder.update(key) + padder.finalize()) + cipher.finalize()
    kdf = der.sequence(
        _PBKDF2,
        der.sequence(
            der.encode(_OCTETS, scheme.salt),
            der.encode(der.INTEGER, ITERATIONS.to_bytes(3, "big")),
            der.sequence(_SHA256, _NULL),
        ),
    )
    parameters = der.sequence(kdf, der.sequence(_AES256, der.encode(_OCTETS, scheme.iv)))
    return der.sequence(der.sequence(_PBES2, parameters), der.encode(_OCTETS, data))


def decrypt(data: bytes, passphrase: bytes) -> bytes:
    """The PrivateKeyInfo within.

    Raises:
        NotUnderstood: Another form, scheme or cipher than those above.
        NotOpened: By another passphrase.
    """
    if len(data) > MAX_KEY_BYTES:
        raise NotUnderstood(f"an encrypted key has at most {MAX_KEY_BYTES} bytes")
    try:
        scheme, content = _read(data)
    except der.DerUnreadable as error:
        raise NotUnderstood(str(error)) from None
    if not content or len(content) % BLOCK:
        raise NotUnderstood("cut off")
    cipher = scheme.cipher_by(passphrase).decryptor()
    unpadder = padding.PKCS7(BLOCK * 8).unpadder()
    try:
        plain = unpadder.update(cipher.update(content) + cipher.finalize()) + unpadder.finalize()
        # The padding is right by chance once in 256 times: what comes out has to be a PrivateKeyInfo too.
        version = der.natural(der.elements(plain)[0])
    except (ValueError, IndexError, der.DerUnreadable):
        raise NotOpened from None
    if version > 1:
        raise NotOpened
    return plain


def _read(data: bytes) -> tuple[_Scheme, bytes]:
    algorithm, content = _two(data, "EncryptedPrivateKeyInfo")
    name, parameters = _two(algorithm, "its algorithm")
    if name != _PBES2:
        raise NotUnderstood("encrypted by another scheme than PBES2: openssl pkcs8 -topk8 -v2 aes-256-cbc")
    kdf, encryption = _two(parameters, "PBES2")
    name, parameters = _two(kdf, "key derivation")
    if name != _PBKDF2:
        raise NotUnderstood("a key derivation other than PBKDF2")
    salt, count, *others = der.elements(parameters)
    iterations = der.natural(count)
    if not 1 <= iterations <= MAX_ITERATIONS:
        raise NotUnderstood(f"PBKDF2 with {iterations} rounds; at most {MAX_ITERATIONS}")
    length = der.natural(others.pop(0)) if others and others[0][0] == der.INTEGER else 0
    prf = der.elements(others.pop(0))[0] if others else _SHA1
    cipher, iv = _two(encryption, "cipher")
    if others or prf not in _PRFS or cipher not in _CIPHERS:
        raise NotUnderstood("PBES2 with AES-CBC or SM4-CBC, and HMAC of SHA-1, SHA-2 or SM3, is read; nothing else")
    made, key_size = _CIPHERS[cipher]
    scheme = _Scheme(
        salt=der.content_of(salt, _OCTETS),
        iterations=iterations,
        prf=_PRFS[prf],
        cipher=made,
        key_size=key_size,
        iv=der.content_of(iv, _OCTETS),
    )
    if length not in (0, key_size) or len(scheme.iv) != BLOCK:
        raise NotUnderstood("a key length or an iv that does not fit its cipher")
    return scheme, der.content_of(content, _OCTETS)


def _two(data: bytes, what: str) -> tuple[bytes, bytes]:
    found = der.elements(data)
    if len(found) != 2:
        raise NotUnderstood(f"{what} has {len(found)} parts, not two")
    return found[0], found[1]
