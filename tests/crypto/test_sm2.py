"""SM2 with SM3: against the standard's own example, the ``openssl`` command and a second library."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gmalg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.crypto.keys import KeyUnreadable, encode_private, generate_p256
from exchange.crypto.sm2 import libcrypto
from exchange.crypto.sm2.key import SM2PrivateKey, SM2PublicKey, is_signature
from exchange.crypto.x509 import der

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl-missing")
ID = ["-sigopt", "distid:1234567812345678"]

# GM/T 0003.5-2012 and GB/T 32918.5-2017, annex A.2: the recommended curve, this id, this message.
EXAMPLE_PUBLIC = bytes.fromhex(
    "04"
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
EXAMPLE_R = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
EXAMPLE_S = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123

KEY = SM2PrivateKey.generate()
PUBLIC = KEY.public_key()
MESSAGE = "渝川互认".encode() * 40
SIGNED = KEY.sign(MESSAGE)
P256 = encode_private(generate_p256())


def write(r: int, s: int) -> bytes:
    """A signature in DER."""
    return der.sequence(*(der.encode(der.INTEGER, n.to_bytes(n.bit_length() // 8 + 1, "big")) for n in (r, s)))


def openssl(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command."""
    assert OPENSSL is not None
    return subprocess.run([OPENSSL, *map(str, arguments)], capture_output=True, check=False)


def test_the_example_of_the_standard_verifies() -> None:
    """Its signature is accepted over its message, and over no other."""
    public = SM2PublicKey(EXAMPLE_PUBLIC)
    assert public.verify(write(EXAMPLE_R, EXAMPLE_S), b"message digest")
    assert not public.verify(write(EXAMPLE_R, EXAMPLE_S), b"message digesT")
    assert not public.verify(write(EXAMPLE_S, EXAMPLE_R), b"message digest")


@needs_openssl
def test_openssl_verifies_ours(tmp_path: Path) -> None:
    """`openssl dgst -sm3 -verify` with the default id accepts the signature; over other bytes it does not."""
    (tmp_path / "key.pem").write_bytes(KEY.to_pem())
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "other").write_bytes(MESSAGE + b"!")
    (tmp_path / "sig").write_bytes(SIGNED)
    public = tmp_path / "public.pem"
    assert openssl("pkey", "-in", tmp_path / "key.pem", "-pubout", "-out", public).returncode == 0
    verify = ("dgst", "-sm3", "-verify", public, *ID, "-signature", tmp_path / "sig")
    assert openssl(*verify, tmp_path / "message").returncode == 0
    assert openssl(*verify, tmp_path / "other").returncode == 1


@needs_openssl
@pytest.mark.parametrize("make", [["genpkey", "-algorithm", "SM2"], ["ecparam", "-genkey", "-noout", "-name", "SM2"]])
def test_ours_verifies_openssl(tmp_path: Path, make: list[str]) -> None:
    """A key that openssl made, PKCS#8 or SEC 1, is read; its signature is accepted, one for another id is not."""
    key, message = tmp_path / "key.pem", tmp_path / "message"
    message.write_bytes(MESSAGE)
    assert openssl(*make, "-out", key).returncode == 0
    public = SM2PrivateKey.from_pem(key.read_bytes()).public_key()
    for name, distid, good in (("sig", "1234567812345678", True), ("other", "ALICE123@YAHOO.COM", False)):
        sigopt = ("-sigopt", f"distid:{distid}")
        assert openssl("dgst", "-sm3", "-sign", key, *sigopt, "-out", tmp_path / name, message).returncode == 0
        assert public.verify((tmp_path / name).read_bytes(), MESSAGE) is good


@settings(deadline=None, max_examples=10)
@given(st.binary(max_size=200))
def test_a_second_library_agrees_both_ways(message: bytes) -> None:
    """`gmalg` accepts our signature, and we accept its own."""
    mine, theirs = SM2PrivateKey.generate(), gmalg.SM2()
    secret, point = theirs.generate_keypair()
    oracle = gmalg.SM2(secret, b"1234567812345678", point)
    r, s = (int.from_bytes(part, "big") for part in oracle.sign(message))
    assert SM2PublicKey(point).verify(write(r, s), message)
    parts = [der.natural(part).to_bytes(32, "big") for part in der.elements(mine.sign(message))]
    assert gmalg.SM2(uid=b"1234567812345678", pk=mine.public_key().point).verify(message, *parts)


def test_raw_r_and_s_are_no_signature() -> None:
    """GB/T 35276 has DER: the 64 bytes r ‖ s that some devices give are refused, in either order."""
    r, s = (der.natural(part).to_bytes(32, "big") for part in der.elements(SIGNED))
    for raw in (r + s, s + r):
        assert not is_signature(raw)
        assert not PUBLIC.verify(raw, MESSAGE)


@given(st.one_of(st.binary(max_size=90), st.integers(0, 80).map(lambda size: SIGNED[:size])))
def test_garbage_is_no_signature(data: bytes) -> None:
    """Arbitrary and cut-off bytes only fail."""
    assert not PUBLIC.verify(data, MESSAGE) or data == SIGNED


@given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
def test_a_changed_byte_spoils_a_signature(place: int, change: int) -> None:
    """Wherever it stands."""
    data = bytearray(SIGNED)
    data[place] ^= change
    assert not PUBLIC.verify(bytes(data), MESSAGE)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SIGNED + b"\0", id="byte behind"),
        pytest.param(write(0, EXAMPLE_S), id="r is 0"),
        pytest.param(write(EXAMPLE_R, 0), id="s is 0"),
        pytest.param(write(N, EXAMPLE_S), id="r is n"),
        pytest.param(write(EXAMPLE_R, N), id="s is n"),
        pytest.param(write(EXAMPLE_R, EXAMPLE_S)[:-1], id="cut off"),
        pytest.param(der.sequence(write(1, 1), write(1, 1)), id="sequences inside"),
        pytest.param(der.sequence(*der.elements(write(1, 1)), *der.elements(write(1, 1))), id="four numbers"),
    ],
)
def test_a_signature_has_one_form(data: bytes) -> None:
    """Two numbers from 1 to n - 1 in DER, and nothing else."""
    assert not is_signature(data)


def test_a_key_survives_its_file() -> None:
    """PKCS#8 out and in: the same key, whose signatures its first public key accepts."""
    again = SM2PrivateKey.from_pem(KEY.to_pem())
    assert again.public_key() == PUBLIC
    assert PUBLIC.verify(again.sign(b"x"), b"x")


def test_another_key_is_no_sm2_key(tmp_path: Path) -> None:
    """P-256 keys, certificates, rubbish and nothing are refused, without a word of their bytes."""
    for pem in (b"", b"rubbish", KEY.to_pem()[:-40], KEY.to_pem().replace(b"\nM", b"\nA"), P256):
        with pytest.raises(KeyUnreadable, match="no readable SM2 private key"):
            SM2PrivateKey.from_pem(pem)


def test_a_public_key_is_a_point_of_the_curve() -> None:
    """Another length, a compressed point, coordinates beyond p and a point beside the curve are refused."""
    point = PUBLIC.point
    wrong = [b"", point[:-1], b"\x02" + point[1:33], point[:-1] + bytes((point[-1] ^ 1,)), b"\x04" + b"\xff" * 64]
    for each in wrong:
        with pytest.raises(KeyUnreadable):
            SM2PublicKey(each)
    with pytest.raises(KeyUnreadable):
        SM2PublicKey.from_spki(PUBLIC.spki[1:])
    assert SM2PublicKey.from_spki(PUBLIC.spki) == PUBLIC


def test_many_threads_share_a_key() -> None:
    """Signing and verifying by one key at the same time gives what it gives alone."""

    def both(number: int) -> bool:
        message = str(number).encode()
        return PUBLIC.verify(KEY.sign(message), message)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(both, range(200)))


def test_a_key_is_freed_with_its_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key that libcrypto made is given back once, also one of a kind that is refused."""
    freed: list[int] = []
    library = libcrypto._library()
    real = library.EVP_PKEY_free

    def counting(pointer: int) -> None:
        freed.append(pointer)
        real(pointer)

    monkeypatch.setattr(library, "EVP_PKEY_free", counting)
    key = SM2PrivateKey.generate()
    pointer = key._key.pointer
    del key
    assert freed == [pointer]
    with pytest.raises(KeyUnreadable):
        SM2PrivateKey.from_pem(P256)
    assert len(freed) == 2


def test_a_system_without_libcrypto_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the library, or with one of another name, the reason and the remedy are named."""
    libcrypto._library.cache_clear()
    try:
        for name, found in (("libnothing.so.9", None), ("libnothing.so.9", "libm.so.6")):
            monkeypatch.setattr(libcrypto, "SONAME", name)
            monkeypatch.setattr("ctypes.util.find_library", lambda _name, found=found: found)
            with pytest.raises(libcrypto.LibcryptoMissing):
                libcrypto.require_libcrypto()
    finally:
        libcrypto._library.cache_clear()
