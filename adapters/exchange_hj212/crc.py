"""Checksums of HJ 212 frames: the one of Annex A, and the wrong ones that devices send instead.

The register of Annex A is shifted right by eight before each byte is mixed in, so only its high byte survives
from byte to byte: the checksum is a function of an 8-bit state and only 256 of its 65,536 values can occur. It
notices line noise and is never evidence that nobody changed the data.
"""

from __future__ import annotations

import struct

from exchange.v1.monitoring_batch_pb2 import (
    CRC_VERDICT_ANNEX_A,
    CRC_VERDICT_BAD,
    CRC_VERDICT_MODBUS,
    CRC_VERDICT_MODBUS_BYTESWAPPED,
    CrcVerdict,
)

POLYNOMIAL = 0xA001
"""Reflected generator polynomial that Annex A shares with MODBUS."""

INITIAL = 0xFFFF
"""Register before the first byte, in both checksums."""

HEX_DIGITS = frozenset(b"0123456789abcdefABCDEF")


def _shift_out(register: int) -> int:
    for _ in range(8):
        carry = register & 1
        register >>= 1
        if carry:
            register ^= POLYNOMIAL
    return register


_STEP = tuple(_shift_out(index) for index in range(256))
"""Register after eight shifts, for each of its 256 possible values before them."""

_HIGH = bytes(value >> 8 for value in _STEP)


def _two_steps() -> bytes:
    """High byte after two data bytes, indexed by (first ^ high byte) | second << 8."""
    return b"".join(bytes(_HIGH[high ^ second] for high in _HIGH) for second in range(256))


_PAIR = _two_steps()


def annex_a(data: bytes) -> int:
    """Checksum of HJ 212-2017 Annex A over the data segment alone.

    Args:
        data: The data segment, without ``##``, length, checksum and line end.

    Returns:
        The 16-bit register; the frame carries it as ``%04X``.
    """
    size = len(data)
    if size == 0:
        return INITIAL
    # All bytes but the last one or two go through the table of byte pairs: half the steps of the interpreter.
    even = (size - 1) & ~1
    high = INITIAL >> 8
    pair = _PAIR
    for word in struct.unpack_from(f"<{even // 2}H", data):
        high = pair[word ^ high]
    register = high << 8
    for byte in data[even:]:
        register = _STEP[(register >> 8) ^ byte]
    return register


def run_on(change: int, count: int) -> int:
    """How a change of the register appears in the checksum after more bytes (the checksum is linear).

    Args:
        change: Exclusive or of two registers at the same place.
        count: Bytes that follow, the same in both.

    Returns:
        Exclusive or of the two checksums.
    """
    for _ in range(count):
        change = _STEP[change >> 8]
    return change


def modbus(data: bytes) -> int:
    """CRC-16/MODBUS, which many devices send by mistake.

    Args:
        data: The data segment.

    Returns:
        The 16-bit register.
    """
    register = INITIAL
    for byte in data:
        register = (register >> 8) ^ _STEP[(register ^ byte) & 0xFF]
    return register


def verdict(data: bytes, given: bytes) -> CrcVerdict.ValueType:
    """Say which checksum, if any, a frame carries.

    Letter case does not matter here: the standard prints upper case and devices send both. A checksum whose
    leading zeros were lost counts by its number.

    Args:
        data: The data segment.
        given: The characters after it, one to four hex digits; anything else is BAD.

    Returns:
        ``ANNEX_A``, ``MODBUS``, ``MODBUS_BYTESWAPPED`` or ``BAD``.
    """
    if not 1 <= len(given) <= 4 or not HEX_DIGITS.issuperset(given):
        return CRC_VERDICT_BAD
    number = int(given, 16)
    if number == annex_a(data):
        return CRC_VERDICT_ANNEX_A
    wrong = modbus(data)
    if number == wrong:
        return CRC_VERDICT_MODBUS
    if number == (wrong >> 8) | ((wrong & 0xFF) << 8):
        return CRC_VERDICT_MODBUS_BYTESWAPPED
    return CRC_VERDICT_BAD
