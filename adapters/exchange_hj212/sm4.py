"""SM4 (GB/T 32907-2016) in ECB mode over whole blocks, as HJ 212-2025 encrypts the content of CP.

Written out here because adapters may not reach the product's cryptography layer, and because what HJ 212 asks
for (no padding, the incomplete last block stays clear) is no mode of a library. It is not constant-time: the
gateway decrypts recorded packets, it does not answer an attacker's chosen ones with a key worth timing. ECB
without authentication protects nobody against changes; only the gateway's own signature does.
"""

from __future__ import annotations

import struct

BLOCK_BYTES = 16
"""Bytes of one block; also the length of a key."""

_SBOX = bytes.fromhex(
    "d690e9fecce13db716b614c228fb2c052b679a762abe04c3aa44132649860699"
    "9c4250f491ef987a33540b43edcfac62e4b31ca9c908e89580df94fa758f3fa6"
    "4707a7fcf37317ba83593c19e6854fa8686b81b27164da8bf8eb0f4b70569d35"
    "1e240e5e6358d1a225227c3b01217887d40046579fd327524c3602e7a0c4c89e"
    "eabf8ad240c738b5a3f7f2cef96115a1e0ae5da49b341a55ad933230f58cb1e3"
    "1df6e22e8266ca60c02923ab0d534e6fd5db3745defd8e2f03ff6a726d6c5b51"
    "8d1baf92bbddbc7f11d95c411f105ad80ac13188a5cd7bbd2d74d012b8e5b4b0"
    "8969974a0c96777e65b9f109c56ec68418f07dec3adc4d2079ee5f3ed7cb3948"
)
_FK = (0xA3B1BAC6, 0x56AA3350, 0x677D9197, 0xB27022DC)
_MASK = 0xFFFFFFFF


def _rotate(word: int, bits: int) -> int:
    return ((word << bits) | (word >> (32 - bits))) & _MASK


def _constant(index: int) -> int:
    return int.from_bytes(bytes((4 * index + offset) * 7 & 0xFF for offset in range(4)), "big")


def _round_table(shift: int) -> tuple[int, ...]:
    """S-box and linear transformation L together, for the byte that stands ``shift`` bits up in its word."""
    table = []
    for value in _SBOX:
        word = value << shift
        table.append(word ^ _rotate(word, 2) ^ _rotate(word, 10) ^ _rotate(word, 18) ^ _rotate(word, 24))
    return tuple(table)


_T0, _T1, _T2, _T3 = (_round_table(shift) for shift in (24, 16, 8, 0))


class Sm4:
    """One key, ready for use. Its repr shows nothing of the key."""

    __slots__ = ("_decrypting", "_encrypting")

    def __init__(self, key: bytes) -> None:
        """Expand a key.

        Args:
            key: 16 bytes.

        Raises:
            ValueError: The key has another length.
        """
        if len(key) != BLOCK_BYTES:
            raise ValueError("an SM4 key has 16 bytes")
        words = [word ^ fk for word, fk in zip(struct.unpack(">4I", key), _FK, strict=True)]
        for index in range(32):
            mixed = words[index + 1] ^ words[index + 2] ^ words[index + 3] ^ _constant(index)
            mixed = int.from_bytes(mixed.to_bytes(4, "big").translate(_SBOX), "big")
            words.append(words[index] ^ mixed ^ _rotate(mixed, 13) ^ _rotate(mixed, 23))
        self._encrypting = tuple(words[4:])
        self._decrypting = self._encrypting[::-1]

    def encrypt_whole_blocks(self, data: bytes) -> bytes:
        """Encrypt all whole blocks; what is left over at the end stays as it is (HJ 212-2025 Annex A.2).

        Args:
            data: Any number of bytes.

        Returns:
            As many bytes.
        """
        return _whole_blocks(data, self._encrypting)

    def decrypt_whole_blocks(self, data: bytes) -> bytes:
        """Undo ``encrypt_whole_blocks``.

        Args:
            data: Any number of bytes.

        Returns:
            As many bytes.
        """
        return _whole_blocks(data, self._decrypting)


def _whole_blocks(data: bytes, round_keys: tuple[int, ...]) -> bytes:
    whole = len(data) - len(data) % BLOCK_BYTES
    words = struct.unpack(f">{whole // 4}I", data[:whole])
    out: list[int] = []
    for start in range(0, len(words), 4):
        w0, w1, w2, w3 = words[start : start + 4]
        for key in round_keys:
            mixed = w1 ^ w2 ^ w3 ^ key
            mixed = _T0[mixed >> 24] ^ _T1[mixed >> 16 & 0xFF] ^ _T2[mixed >> 8 & 0xFF] ^ _T3[mixed & 0xFF]
            w0, w1, w2, w3 = w1, w2, w3, w0 ^ mixed
        out += (w3, w2, w1, w0)
    return struct.pack(f">{len(out)}I", *out) + data[whole:]
