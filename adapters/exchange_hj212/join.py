"""Split packets put together again (HJ 212-2017 section 6.6.1 and tables C.49, C.50).

The standard's own examples give each part a QN of its own, other devices give all parts the same: so parts
belong together by station, command, data time and number of parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exchange.v1.monitoring_batch_pb2 import CRC_VERDICT_BAD, CRC_VERDICT_UNSPECIFIED
from exchange_hj212.decode import DecodedPacket

MAX_OPEN_SETS = 1024
"""Sets of parts that wait at the same time: a recording of many stations interleaves some; more is an attack."""

MAX_OPEN_BYTES = 8 << 20
"""Bytes of frames that wait at the same time, for the same reason."""

_Key = tuple[str, str, str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """One row: a packet, or the parts of one.

    Attributes:
        packets: The parts that arrived, in the order of PNO.
        missing: Numbers of the parts that did not arrive, at most ``MISSING_SHOWN`` of them.
        expected: How many parts there should be.
        repeated: Offsets of parts that arrived again with the same content.
        ill_numbered: PNUM or PNO make no sense.
    """

    packets: tuple[DecodedPacket, ...]
    missing: tuple[int, ...] = ()
    expected: int = 1
    repeated: tuple[int, ...] = ()
    ill_numbered: bool = False


MISSING_SHOWN = 20
"""Numbers of missing parts that are listed; a declared total may be a million."""


@dataclass(kw_only=True, slots=True)
class _Open:
    parts: dict[int, DecodedPacket]
    expected: int
    repeated: list[int]

    def joined(self) -> Joined:
        missing: list[int] = []
        number = 1
        while number <= self.expected and len(missing) < MISSING_SHOWN:
            if number not in self.parts:
                missing.append(number)
            number += 1
        return Joined(
            packets=tuple(self.parts[number] for number in sorted(self.parts)),
            missing=tuple(missing),
            expected=self.expected,
            repeated=tuple(self.repeated),
        )


class Joiner:
    """Collects parts until a set is complete. Memory is bounded: the oldest set gives way, and is reported."""

    def __init__(self) -> None:
        self._open: dict[_Key, _Open] = {}
        self._bytes = 0

    @property
    def waiting(self) -> bool:
        """Whether a set is incomplete."""
        return bool(self._open)

    def add(self, packet: DecodedPacket) -> Iterator[Joined]:
        """Take the next packet.

        A packet whose checksum is bad or not known is a row of its own: its numbers are not to be relied on.

        Yields:
            What is complete now, or had to give way.
        """
        total, number = packet.header.get("PNUM", ""), packet.header.get("PNO", "")
        if packet.crc_verdict in (CRC_VERDICT_BAD, CRC_VERDICT_UNSPECIFIED) or not (total or number):
            yield Joined(packets=(packet,))
            return
        expected, part = _number(total), _number(number)
        if expected is None or part is None or not 1 <= part <= expected:
            yield Joined(packets=(packet,), ill_numbered=True)
            return
        if expected == 1:
            yield Joined(packets=(packet,))
            return
        key = self._key(packet, expected)
        waiting = self._open.get(key)
        if waiting is not None and part in waiting.parts:
            if waiting.parts[part].content == packet.content:
                waiting.repeated.append(packet.offset)
                return
            # Other content under the same number: another message has begun, and the first will not be complete.
            yield self._take(key)
            waiting = None
        if waiting is None:
            waiting = self._open[key] = _Open(parts={}, expected=expected, repeated=[])
        waiting.parts[part] = packet
        self._bytes += packet.length
        if len(waiting.parts) == expected:
            yield self._take(key)
        while len(self._open) > MAX_OPEN_SETS or self._bytes > MAX_OPEN_BYTES:
            yield self._take(next(iter(self._open)))

    def close(self) -> Iterator[Joined]:
        """Say that nothing follows.

        Yields:
            Every incomplete set, oldest first.
        """
        while self._open:
            yield self._take(next(iter(self._open)))

    def _key(self, packet: DecodedPacket, expected: int) -> _Key:
        station, command = packet.header.get("MN", ""), packet.header.get("CN", "")
        at = packet.data_time
        if not at:
            # A later part without a data time belongs to the set that shares its request number.
            request = packet.header.get("QN", "")
            for key, waiting in self._open.items():
                if key[0] == station and key[1] == command and key[3] == expected:
                    first = next(iter(waiting.parts.values()))
                    if request and first.header.get("QN") == request:
                        return key
        return station, command, at, expected

    def _take(self, key: _Key) -> Joined:
        taken = self._open.pop(key)
        self._bytes -= sum(part.length for part in taken.parts.values())
        return taken.joined()


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None
