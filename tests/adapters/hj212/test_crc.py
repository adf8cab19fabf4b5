"""Checksums of HJ 212 frames."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.v1.monitoring_batch_pb2 import CrcVerdict
from exchange_hj212 import crc
from tests.adapters.hj212.cases import packets

FRAMED = [each for each in packets()["packets"] if each["expected"]]


def by_the_bit(data: bytes, *, modbus: bool) -> int:
    """Both checksums as the documents print them, one bit at a time."""
    register = 0xFFFF
    for byte in data:
        register = (register ^ byte) if modbus else (register >> 8) ^ byte
        for _ in range(8):
            register = (register >> 1) ^ 0xA001 if register & 1 else register >> 1
    return register


@pytest.mark.parametrize("packet", FRAMED, ids=lambda each: each["id"])
def test_published_packets_have_their_published_checksums(packet: dict[str, object]) -> None:
    """Both checksums of every known packet come out as printed."""
    expected = packet["expected"]
    assert isinstance(expected, dict)
    data = str(packet["raw"]).encode()[6 : 6 + expected["actual"]]
    assert f"{crc.annex_a(data):04X}" == expected["annex_a"]
    assert f"{crc.modbus(data):04X}" == expected["modbus"]


@given(st.binary(max_size=300))
def test_the_table_says_what_the_bits_say(data: bytes) -> None:
    """The fast checksum equals the one of the standard's own procedure, for any bytes."""
    assert crc.annex_a(data) == by_the_bit(data, modbus=False)
    assert crc.modbus(data) == by_the_bit(data, modbus=True)


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=60))
def test_a_change_before_runs_on_through_what_follows(first: bytes, second: bytes, rest: bytes) -> None:
    """What a changed beginning does to the checksum is known without knowing what follows."""
    change = crc.annex_a(first) ^ crc.annex_a(second)
    assert crc.annex_a(first + rest) ^ crc.run_on(change, len(rest)) == crc.annex_a(second + rest)


def test_each_known_mistake_has_its_verdict() -> None:
    """Annex A in any letter case and without leading zeros, MODBUS, its bytes swapped, and anything else."""
    data = b"QN=20260301080000001;CP=&&&&"
    right, wrong = crc.annex_a(data), crc.modbus(data)
    swapped = (wrong >> 8) | (wrong & 0xFF) << 8
    found = {
        given: CrcVerdict.Name(crc.verdict(data, given)).removeprefix("CRC_VERDICT_")
        for given in (b"%04X" % right, b"%04x" % right, b"%X" % right, b"%04X" % wrong, b"%04X" % swapped)
    }
    assert list(found.values())[-2:] == ["MODBUS", "MODBUS_BYTESWAPPED"]
    assert set(list(found.values())[:-2]) == {"ANNEX_A"}
    for given_bytes in (b"", b"2F80", b"+1C8", b"0x1C", b"1C_0", b"01C80", b"&&17"):
        assert crc.verdict(data, given_bytes) == CrcVerdict.CRC_VERDICT_BAD


def test_two_packets_with_different_values_share_a_checksum() -> None:
    """The checksum is no evidence: the published pair differs in its value and not in its checksum."""
    pair = [each for each in FRAMED if each["id"].startswith("crc-collision")]
    assert len({each["raw"] for each in pair}) == 2
    assert len({each["expected"]["annex_a"] for each in pair}) == 1
