"""Key files under a passphrase; `openssl` as the other side."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from exchange.crypto import keys
from exchange.crypto.key_lock import OPEN, KeyLock, KeyLocked, PassphraseMissing
from exchange.crypto.keys import KeyUnreadable
from exchange.crypto.sm2.key import SM2PrivateKey
from exchange.crypto.x509.certificates import to_pem
from tests.crypto.region import region

PASSPHRASE = "重庆 correct horse".encode()
LOCK = KeyLock(lambda: PASSPHRASE)


def openssl(*arguments: str, given: bytes) -> bytes:
    """What `openssl` says; the passphrase reaches it in a variable."""
    tool = shutil.which("openssl")
    assert tool is not None
    environment = {**os.environ, "PW": PASSPHRASE.decode(), "OTHER": "other"}
    return subprocess.run([tool, *arguments], input=given, env=environment, check=True, capture_output=True).stdout


@pytest.mark.parametrize(
    "plain",
    [
        keys.encode_private(keys.generate_p256()),
        keys.encode_private(keys.generate_rsa(2048)),
        keys.encode_private(keys.generate_ed25519()),
        SM2PrivateKey.generate().to_pem(),
        keys.encode_ml_dsa(keys.generate_ml_dsa()),
    ],
    ids=["P-256", "RSA", "Ed25519", "SM2", "ML-DSA-44"],
)
def test_every_kind_of_key_is_closed_and_opened(plain: bytes) -> None:
    """What a lock has closed holds no private key in the open, and comes back as it was."""
    closed = LOCK.close(plain + to_pem(region().signing))
    assert b"-----BEGIN PRIVATE KEY-----" not in closed
    assert keys.certificates_in(closed) == to_pem(region().signing)
    assert KeyLock(lambda: PASSPHRASE).open(closed, "tls.pem") == plain + to_pem(region().signing)


def test_openssl_opens_what_is_closed_here() -> None:
    """The form is PKCS#8 by PBES2, which any tool reads."""
    plain = keys.encode_private(keys.generate_p256())
    assert openssl("pkey", "-passin", "env:PW", given=LOCK.close(plain)) == plain


@pytest.mark.parametrize(
    "form",
    [
        ["-v2", "aes-256-cbc"],
        ["-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512", "-iter", "4096"],
        ["-v2", "aes-192-cbc", "-v2prf", "hmacWithSHA1"],
        ["-v2", "sm4-cbc", "-v2prf", "hmacWithSHA256"],
    ],
    ids=lambda form: form[1],
)
def test_what_openssl_closes_is_opened_here(form: list[str]) -> None:
    """AES and SM4, and the pseudo-random functions that `openssl pkcs8` offers."""
    plain = SM2PrivateKey.generate().to_pem()
    closed = openssl("pkcs8", "-topk8", *form, "-passout", "env:PW", given=plain)
    assert LOCK.open(closed, "sign.pem") == plain


def test_a_wrong_passphrase_names_the_file_and_nothing_else() -> None:
    """Neither what was typed nor what would be right is in the text, however often chance makes the padding right."""
    closed = LOCK.close(keys.encode_private(keys.generate_ed25519()))
    for number in range(4):
        with pytest.raises(KeyLocked, match=r"^keys/mirror\.pem: the passphrase does not open this key$"):
            KeyLock(lambda number=number: b"wrong %d" % number).open(closed, "keys/mirror.pem")  # type: ignore[misc]


def test_an_encrypted_key_without_a_passphrase_is_refused() -> None:
    """A node file without a source, and a source that gives nothing, are told apart from a wrong one."""
    closed = LOCK.close(keys.encode_private(keys.generate_ed25519()))
    with pytest.raises(PassphraseMissing, match=r"keys/mirror\.pem"):
        OPEN.open(closed, "keys/mirror.pem")
    for nothing in (b"", b"x" * 1025):
        with pytest.raises(PassphraseMissing):
            KeyLock(lambda nothing=nothing: nothing).ready()  # type: ignore[misc]


def test_a_seed_is_closed_as_a_key() -> None:
    """An encrypted log seed is PKCS#8 too, and the same seed behind it."""
    seed = keys.generate_seed()
    closed = LOCK.close(keys.encode_seed(seed))
    assert closed.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert keys.load_seed(LOCK.open(closed, "log.seed")) == seed
    assert b"ED25519" in openssl("pkey", "-passin", "env:PW", "-text", "-noout", given=closed)


def test_keys_of_older_forms_are_closed_as_pkcs8() -> None:
    """SEC 1 and PKCS#1 become PKCS#8: their own encryption is a single MD5."""
    for kind in (["ecparam", "-name", "prime256v1", "-genkey", "-noout"], ["genrsa", "-traditional", "2048"]):
        old = openssl(*kind, given=b"")
        assert b"BEGIN PRIVATE KEY" not in old
        opened = LOCK.open(LOCK.close(old), "")
        assert opened == keys.encode_private(keys.load_private(old))


def test_what_is_no_private_key_stays_as_it_is() -> None:
    """Certificates, requests and notes beside keys are not encrypted, and nobody is asked for a passphrase."""

    def never() -> bytes:
        raise AssertionError

    for content in (to_pem(region().signing), b'[\n {"generation": 1}\n]\n', b""):
        assert KeyLock(never).close(content) == content
        assert KeyLock(never).open(content, "") == content
    assert OPEN.close(keys.encode_seed(b"s" * 32)) == keys.encode_seed(b"s" * 32)


@pytest.mark.parametrize("cut", [40, 90, 150])
def test_a_spoiled_file_is_unreadable(cut: int) -> None:
    """A file that was cut is no wrong passphrase."""
    closed = LOCK.close(keys.encode_private(keys.generate_p256()))
    head, tail = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", b"\n-----END ENCRYPTED PRIVATE KEY-----\n"
    body = closed.removeprefix(head).removesuffix(tail).replace(b"\n", b"")
    with pytest.raises(KeyUnreadable) as failure:
        LOCK.open(head + body[:cut] + tail, "keys/tls.pem")
    assert type(failure.value) is KeyUnreadable
    assert "keys/tls.pem" in str(failure.value)


def test_a_scheme_of_old_days_is_named() -> None:
    """PKCS#12's own scheme and scrypt are refused with what is read instead."""
    plain = keys.encode_private(keys.generate_p256())
    for form in (["-v1", "PBE-SHA1-3DES"], ["-scrypt"]):
        closed = openssl("pkcs8", "-topk8", *form, "-passout", "env:PW", given=plain)
        with pytest.raises(KeyUnreadable, match=r"PBES2|PBKDF2"):
            LOCK.open(closed, "keys/tls.pem")
