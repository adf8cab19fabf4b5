"""Private keys: making them, PKCS#8, and the secrets that follow from the log seed."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import threading
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.crypto.mac import mac_by
from exchange.domain.problems import ExchangeError

SEED_SIZE = 32
"""Bytes of a log seed: the strength of SHA-256."""

SALT_SIZE = 32
"""Bytes of a body's salt: nobody guesses it, and two bodies never share it."""

TAG_SIZE = 64
"""Bytes of a submission tag: two HMAC-SHA-256."""

MIN_RSA_BITS = 2048
"""Bits: shorter RSA keys are refused everywhere (NIST SP 800-131A)."""

MAX_RSA_BITS = 8192
"""Bits: verifying by a longer key costs milliseconds, and an attacker would choose it."""

MAX_PEM_BYTES = 256 * 1024
"""Bytes of one PEM file: some tens of certificates."""

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Ed25519Key = ed25519.Ed25519PrivateKey
SigningKey = ec.EllipticCurvePrivateKey
MlDsaKey = mldsa.MLDSA44PrivateKey

_PEM_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.*?-----END \1-----(?:\r?\n|$)", re.DOTALL)
_PRIVATE_LABELS = (b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PRIVATE KEY")


class KeyUnreadable(ExchangeError):
    """A key file holds no key of the kind that its use needs. Never carries any of its bytes."""

    reason = "KEY_UNREADABLE"


def generate_ed25519() -> Ed25519Key:
    """A key for logs, mirrors or witnesses."""
    return ed25519.Ed25519PrivateKey.generate()


def generate_p256() -> SigningKey:
    """A key for signing certificates and TLS."""
    return ec.generate_private_key(ec.SECP256R1())


def generate_rsa(bits: int = 3072) -> rsa.RSAPrivateKey:
    """An RSA key, for authorities and clients that need one."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def generate_seed() -> bytes:
    """A log seed of 32 random bytes."""
    return secrets.token_bytes(SEED_SIZE)


def generate_salt() -> bytes:
    """A body's salt of 32 random bytes."""
    return _salts.take()


class _Salts:
    """Random salts, drawn from the system many at a time: each draw gives up the interpreter lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawn: list[bytes] = []

    def take(self) -> bytes:
        with self._lock:
            if not self._drawn:
                drawn = secrets.token_bytes(SALT_SIZE * SALTS_AT_ONCE)
                self._drawn = [drawn[at : at + SALT_SIZE] for at in range(0, len(drawn), SALT_SIZE)]
            return self._drawn.pop()


SALTS_AT_ONCE = 256
"""Salts drawn at once: one system call for a batch."""

_salts = _Salts()


def encode_private(key: PrivateKey) -> bytes:
    """PKCS#8 in PEM, not encrypted: file permissions protect it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_private(pem: bytes, password: bytes | None = None) -> PrivateKey:
    """Read a private key: Ed25519, EC or RSA.

    Raises:
        KeyUnreadable: No such key, or the password does not open it.
    """
    try:
        key = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnreadable("no readable private key in PEM") from None
    if isinstance(key, rsa.RSAPrivateKey) and not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise KeyUnreadable(f"RSA keys have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, not {key.key_size}")
    if not isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise KeyUnreadable("keys are Ed25519, EC or RSA")
    return key


def load_ed25519(pem: bytes) -> Ed25519Key:
    """Read the key of a mirror or witness.

    Raises:
        KeyUnreadable: Not an Ed25519 key.
    """
    key = load_private(pem)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise KeyUnreadable("an Ed25519 key is needed here")
    return key


def generate_ml_dsa() -> MlDsaKey:
    """A second key for mirrors or witnesses, which a quantum computer does not break."""
    return mldsa.MLDSA44PrivateKey.generate()


def encode_ml_dsa(key: MlDsaKey) -> bytes:
    """PKCS#8 in PEM (RFC 9881, the seed), not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_ml_dsa(pem: bytes) -> MlDsaKey:
    """Read a second key of a mirror or witness.

    Raises:
        KeyUnreadable: Not an ML-DSA-44 key.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnreadable("no readable private key in PEM") from None
    if not isinstance(key, mldsa.MLDSA44PrivateKey):
        raise KeyUnreadable("an ML-DSA-44 key is needed here")
    return key


def encode_seed(seed: bytes) -> bytes:
    """A log seed as its file holds it: 64 hex digits and a newline."""
    if len(seed) != SEED_SIZE:
        raise ValueError(f"a log seed has {SEED_SIZE} bytes")
    return seed.hex().encode() + b"\n"


def load_seed(data: bytes) -> bytes:
    """Read a log seed: 64 hex digits, or PKCS#8 of an Ed25519 key of the same bytes, as an encrypted one comes.

    Raises:
        KeyUnreadable: Neither of both.
    """
    if data.startswith(b"-----BEGIN "):
        return load_ed25519(data).private_bytes_raw()
    if not re.fullmatch(rb"[0-9a-f]{64}\s*", data):
        raise KeyUnreadable("a log seed is 64 lower-case hex digits")
    return bytes.fromhex(data.decode().strip())


_SM2_CURVE = bytes.fromhex("06082a811ccf5501822d")
"""Object identifier 1.2.156.10197.1.301 in DER."""


def names_sm2(pem: bytes) -> bool:
    """Whether a private key in PEM names the curve sm2p256v1. Nothing is checked: whoever reads the key does."""
    block = _PEM_BLOCK.search(pem)
    content = block.group(0).split(b"-----")[2] if block else b""
    try:
        return _SM2_CURVE in base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return False


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class KeyFile:
    """A private key and its certificates, as one PEM file holds them.

    Attributes:
        key: The private key's PEM block.
        chain: The certificates' PEM blocks, leaf first; empty when the file has none.
    """

    key: bytes
    chain: bytes

    @classmethod
    def parse(cls, pem: bytes) -> KeyFile:
        """Take a file apart.

        Raises:
            KeyUnreadable: Not exactly one private key, or blocks of another kind.
        """
        if len(pem) > MAX_PEM_BYTES:
            raise KeyUnreadable(f"a key file has at most {MAX_PEM_BYTES} bytes")
        blocks = [(m.group(1), m.group(0).rstrip() + b"\n") for m in _PEM_BLOCK.finditer(pem)]
        private = [block for label, block in blocks if label in _PRIVATE_LABELS]
        certificates = [block for label, block in blocks if label == b"CERTIFICATE"]
        others = len(blocks) - len(private) - len(certificates)
        # `openssl ecparam -genkey` writes the curve as a block of its own.
        others -= sum(label == b"EC PARAMETERS" for label, _ in blocks)
        if len(private) != 1 or others:
            raise KeyUnreadable("a key file holds one private key and its certificates, nothing else")
        file = cls(key=private[0], chain=b"".join(certificates))
        if not file.is_sm2:
            file.load()
        return file

    def to_pem(self) -> bytes:
        """One file: key, then certificates."""
        return self.key + self.chain

    @property
    def is_sm2(self) -> bool:
        """Whether the private key is of the curve sm2p256v1; ``SM2PrivateKey.from_pem`` reads those."""
        return names_sm2(self.key)

    def load(self) -> PrivateKey:
        """The private key.

        Raises:
            KeyUnreadable: It is an SM2 key.
        """
        return load_private(self.key)


def certificates_in(pem: bytes) -> bytes:
    """The certificates' PEM blocks of a key file, whose private key may be encrypted and is not looked at."""
    return b"".join(m.group(0).rstrip() + b"\n" for m in _PEM_BLOCK.finditer(pem) if m.group(1) == b"CERTIFICATE")


def _hkdf(seed: bytes, info: bytes) -> bytes:
    if len(seed) != SEED_SIZE:
        raise ValueError(f"a log seed has {SEED_SIZE} bytes")
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(seed)


def derive_log_key(seed: bytes, origin: str, generation: int = 1) -> Ed25519Key:
    """The key of one log: HKDF-SHA-256 (RFC 5869, no salt) of the seed, info = origin ‖ 0A ‖ generation.

    Args:
        seed: 32 bytes.
        origin: Name of the log, epoch included: one key never serves two logs.
        generation: From 1, in decimal; the next one is another key of the same log.
    """
    if generation < 1:
        raise ValueError("generations count from 1")
    return ed25519.Ed25519PrivateKey.from_private_bytes(_hkdf(seed, f"{origin}\n{generation}".encode()))


def derive_submission_key(seed: bytes) -> bytes:
    """The secret k of submission tags, 32 bytes: HKDF-SHA-256 of the seed, info = ``submission``.

    No origin is ``submission`` and a newline follows every origin, so it can not be a log's key.
    """
    return _hkdf(seed, b"submission")


def submission_tag(k: bytes, agency: str, key: str, request: bytes) -> bytes:
    """Tag by which only the node finds a submission again after a restore.

    Args:
        k: From ``derive_submission_key``.
        agency: Name of the agency; holds no zero byte.
        key: Idempotency key.
        request: The request's bytes.

    Returns:
        HMAC-SHA-256(k, agency ‖ 00 ‖ key) ‖ HMAC-SHA-256(k, request), 64 bytes.
    """
    if "\0" in agency:
        raise ValueError("an agency's name has no zero byte")
    mac = mac_by(k)
    return mac.of(agency.encode() + b"\0" + key.encode()) + mac.of(request)
