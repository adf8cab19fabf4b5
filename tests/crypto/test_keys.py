"""Key files."""

from __future__ import annotations

import hmac

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto import keys
from exchange.crypto.keys import KeyFile, KeyUnreadable
from exchange.crypto.mac import hmac_sha256, mac_by
from exchange.crypto.x509.certificates import to_pem
from tests.crypto.region import region

SMALL_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused


def test_keys_survive_their_pem() -> None:
    """Ed25519, P-256 and RSA keys are written as PKCS#8 and read back."""
    for key in (keys.generate_ed25519(), keys.generate_p256(), keys.generate_rsa(2048)):
        pem = keys.encode_private(key)
        assert pem.startswith(b"-----BEGIN PRIVATE KEY-----")
        assert keys.encode_private(keys.load_private(pem)) == pem


def test_short_and_strange_keys_are_refused() -> None:
    """RSA of 1,024 bits, X25519 and rubbish are no keys here."""
    x = x25519.X25519PrivateKey.generate()
    foreign = x.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for pem in (keys.encode_private(SMALL_RSA), foreign, b"", b"-----BEGIN PRIVATE KEY-----\n"):
        with pytest.raises(KeyUnreadable):
            keys.load_private(pem)


def test_a_mirror_key_is_ed25519() -> None:
    """Another kind of key is refused for mirror and witness."""
    assert isinstance(keys.load_ed25519(keys.encode_private(keys.generate_ed25519())), ed25519.Ed25519PrivateKey)
    with pytest.raises(KeyUnreadable):
        keys.load_ed25519(keys.encode_private(keys.generate_p256()))


def test_an_encrypted_key_opens_with_its_password_only() -> None:
    """No password and a wrong one are refused in the same words, which carry nothing of the key."""
    pem = keys.generate_p256().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"right")
    )
    assert isinstance(keys.load_private(pem, b"right"), ec.EllipticCurvePrivateKey)
    for password in (None, b"wrong"):
        with pytest.raises(KeyUnreadable, match="no readable private key"):
            keys.load_private(pem, password)


def test_a_seed_survives_its_file() -> None:
    """A seed is 64 hex digits and a newline."""
    seed = keys.generate_seed()
    assert keys.load_seed(keys.encode_seed(seed)) == seed


@pytest.mark.parametrize("data", [b"", b"0" * 63, b"0" * 65, b"G" * 64, b"A" * 64, bytes(32), b" " + b"0" * 64])
def test_what_is_no_seed_is_refused(data: bytes) -> None:
    """Other lengths, capitals and raw bytes are refused."""
    with pytest.raises(KeyUnreadable):
        keys.load_seed(data)


def test_a_key_file_is_taken_apart() -> None:
    """Key and certificates come out apart, in whatever order and with text around them."""
    key = keys.encode_private(keys.generate_p256())
    chain = to_pem(region().signing) + to_pem(region().intermediate.certificate)
    for pem in (key + chain, b"Bag Attributes\n" + chain + b"\n" + key):
        file = KeyFile.parse(pem)
        assert (file.key, file.chain) == (key, chain)
        assert KeyFile.parse(file.to_pem()) == file


def test_a_key_file_holds_one_key() -> None:
    """None, two, and blocks of another kind are refused."""
    key = keys.encode_private(keys.generate_p256())
    crl = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"
    for pem in (to_pem(region().signing), key + key, key + crl, b"", bytes(keys.MAX_PEM_BYTES + 1)):
        with pytest.raises(KeyUnreadable):
            KeyFile.parse(pem)


def test_a_key_file_does_not_show_its_key() -> None:
    """Printing one, as a trace would, prints nothing secret."""
    file = KeyFile.parse(keys.encode_private(keys.generate_p256()))
    assert "PRIVATE" not in repr(file)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    """Arbitrary bytes are refused by our own error."""
    for read in (keys.load_private, keys.load_seed, KeyFile.parse):
        with pytest.raises(KeyUnreadable):
            read(data)


@given(st.binary(max_size=150), st.binary(max_size=300))
def test_the_short_message_code_is_hmac(key: bytes, message: bytes) -> None:
    """It equals the standard library's for every length of key and message."""
    assert hmac_sha256(key, message) == hmac.digest(key, message, "sha256")
    for again in (message, message[:40], message):
        assert mac_by(key).of(again) == hmac.digest(key, again, "sha256")
