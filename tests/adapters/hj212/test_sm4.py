"""SM4 over whole blocks."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import SM4 as LIBRARY_SM4
from hypothesis import given
from hypothesis import strategies as st

from exchange_hj212.sm4 import Sm4
from tests.adapters.hj212.cases import packets


@pytest.mark.parametrize("vector", packets()["sm4"], ids=lambda each: each["id"])
def test_the_examples_of_the_2025_edition_come_out(vector: dict[str, str]) -> None:
    """Both official examples encrypt to the printed bytes, the incomplete block staying clear, and back."""
    cipher = Sm4(bytes.fromhex(vector["key_hex"]))
    plain = vector["plaintext"].encode()
    encrypted = bytes.fromhex(vector["ciphertext_hex"]) + vector["clear_tail"].encode()
    assert cipher.encrypt_whole_blocks(plain) == encrypted
    assert cipher.decrypt_whole_blocks(encrypted) == plain


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=100))
def test_it_agrees_with_an_independent_implementation(key: bytes, data: bytes) -> None:
    """Whole blocks are what the library makes of them; the rest is untouched."""
    whole = len(data) - len(data) % 16
    encryptor = Cipher(LIBRARY_SM4(key), modes.ECB()).encryptor()  # noqa: S305 - the mode that HJ 212-2025 prescribes
    expected = encryptor.update(data[:whole]) + encryptor.finalize() + data[whole:]
    cipher = Sm4(key)
    assert cipher.encrypt_whole_blocks(data) == expected
    assert cipher.decrypt_whole_blocks(expected) == data


def test_a_key_has_16_bytes_and_is_not_shown() -> None:
    """Another length is refused, and nothing prints the key."""
    with pytest.raises(ValueError, match="16 bytes"):
        Sm4(b"short")
    assert "30" not in repr(Sm4(b"0" * 16)).partition(" at ")[0]
