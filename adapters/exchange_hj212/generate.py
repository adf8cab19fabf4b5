"""Recordings for volume and benchmarks: ``python -m exchange_hj212.generate COUNT SEED [--clean]`` to standard output.

The same count and seed give the same bytes. Stations, values and passwords are made up. About one packet in five
is awkward in a way seen in the field; with ``--clean`` none is. Station ids follow from ``STATIONS``, so that one
``[default]`` profile, or profiles of these ids, map them all.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from exchange_hj212 import crc
from exchange_hj212.decode import CHINA_TIME
from exchange_hj212.sm4 import Sm4
from exchange_hj212.write import frame_bytes

STATIONS = tuple(f"01000001000A00000000{number:04X}" for number in range(240))
"""MN of the stations, in turns discharges to water, to air, and surface water."""

KEY = bytes(range(16))
"""SM4 key of every encrypted packet made here."""

START = datetime(2026, 3, 1, tzinfo=CHINA_TIME)
"""First data time."""

_AWKWARD_SHARE = 0.2
_MEDIA = ("32", "31", "21")
_STEPS = {
    "2011": timedelta(seconds=30),
    "2051": timedelta(minutes=10),
    "2061": timedelta(hours=1),
    "2031": timedelta(days=1),
}
_FACTORS = {
    "32": (("w00000", "B01"), ("w01001", "001"), ("w01018", "011"), ("w21003", "060"), ("w21011", "101")),
    "31": (("a00000", "B02"), ("a34013", "01"), ("a21026", "02"), ("a21002", "03"), ("a19001", "S01")),
    "21": (("w01010", ""), ("w01009", ""), ("w01014", ""), ("w01019", ""), ("w21001", "")),
}
_NORMALISED = ("a34013", "a21026", "a21002")
_EDITIONS = {"2005": 0, "2017": 4, "2025": 8}


@dataclass(kw_only=True)
class _Packet:
    """What a packet is made of, before something goes wrong with it."""

    medium: str
    command: str
    station: str
    edition: str
    at: datetime
    content: list[str]
    head: list[str]

    def segment(self) -> bytes:
        return (";".join(self.head) + ";CP=&&" + ";".join(self.content) + "&&").encode()


class _Generator:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made-up data must be the same again, not secret
        self._password = f"{self._random.randrange(10**6):06d}"
        self._steps: dict[tuple[str, str], int] = {}
        self._cipher = Sm4(KEY)

    def packet(self) -> _Packet:
        choose = self._random.choice
        index = self._random.randrange(len(STATIONS))
        medium = _MEDIA[index % len(_MEDIA)]
        command = self._random.choices(tuple(_STEPS), (2, 5, 3, 1))[0]
        edition = self._random.choices(tuple(_EDITIONS), (2, 6, 2))[0]
        step = self._steps[STATIONS[index], command] = self._steps.get((STATIONS[index], command), -1) + 1
        at = START + step * _STEPS[command]
        content = [f"DataTime={at:%Y%m%d%H%M%S}"]
        for code, legacy in _FACTORS[medium]:
            name = legacy if edition == "2005" and legacy else code
            flag = self._random.choices("NSTDM", (92, 2, 2, 2, 2))[0]
            content.append(self._items(name, code, command) + f",{name}-Flag={flag}")
        sent = f"{at:%Y%m%d%H%M%S}{choose(range(1000)):03d}"
        head = [f"QN={sent}", f"ST={medium}", f"CN={command}", f"PW={self._password}", f"MN={STATIONS[index]}"]
        head.append(f"Flag={_EDITIONS[edition] + choose((0, 1))}")
        return _Packet(
            medium=medium, command=command, station=STATIONS[index], edition=edition, at=at, content=content, head=head
        )

    def _items(self, name: str, code: str, command: str) -> str:
        low, middle, high = sorted(self._random.randrange(1, 90_000) for _ in range(3))
        if command == "2011":
            items = [f"{name}-Rtd={_decimal(middle)}"]
            items += [f"{name}-ZsRtd={_decimal(middle + 7)}"] if code in _NORMALISED else []
        else:
            items = [f"{name}-Min={_decimal(low)}", f"{name}-Avg={_decimal(middle)}", f"{name}-Max={_decimal(high)}"]
            items += [f"{name}-ZsAvg={_decimal(middle + 7)}"] if code in _NORMALISED else []
        return ",".join(items)

    def frames(self, *, clean: bool) -> Iterator[bytes]:
        packet = self.packet()
        if not clean and self._random.random() < _AWKWARD_SHARE:
            yield from self._random.choice(_AWKWARD)(self, packet)
        else:
            yield frame_bytes(packet.segment())

    def encrypted(self, packet: _Packet) -> Iterator[bytes]:
        packet.head[-1] = "Flag=8"
        plain = packet.segment()
        begin = plain.index(b"CP=&&") + 5
        content = self._cipher.encrypt_whole_blocks(plain[begin:-2])
        yield b"##%04d%b%b&&%04X\r\n" % (len(plain), plain[:begin], content, crc.annex_a(plain))

    def split(self, packet: _Packet) -> Iterator[bytes]:
        flag = int(packet.head.pop().removeprefix("Flag=")) | 2
        for number, items in enumerate((packet.content[1:3], packet.content[3:]), start=1):
            head = [*packet.head, f"Flag={flag}", "PNUM=2", f"PNO={number}"]
            head[0] = f"QN={packet.at:%Y%m%d%H%M%S}{number:03d}"
            content = ";".join([packet.content[0], *items])
            yield frame_bytes((";".join(head) + f";CP=&&{content}&&").encode())

    def other_checksum(self, packet: _Packet) -> Iterator[bytes]:
        segment = packet.segment()
        wrong = crc.modbus(segment)
        swapped = wrong >> 8 | (wrong & 0xFF) << 8
        right = b"%04x" % crc.annex_a(segment)
        given = self._random.choice((b"%04X" % wrong, b"%04X" % swapped, right, b"0000"))
        yield b"##%04d%b%b\r\n" % (len(segment), segment, given)

    def other_frame(self, packet: _Packet) -> Iterator[bytes]:
        segment = packet.segment()
        whole = frame_bytes(segment)
        yield self._random.choice(
            (
                b"##%04d" % (len(segment) + 6) + whole[6:],
                b"##%d" % len(segment) + whole[6:],
                whole[:-2] + b"\n",
                whole[:-2],
                whole[: len(whole) // 2] + b"\r\n",
                f"{packet.at:%Y-%m-%d %H:%M:%S} recv: ".encode() + whole,
                whole + self._random.randbytes(20).replace(b"#", b"+") + b"\r\n",
                whole[2:],
            )
        )

    def other_header(self, packet: _Packet) -> Iterator[bytes]:
        drop = self._random.choice(("QN", "ST", "PW", "Flag", "CN"))
        packet.head = [field for field in packet.head if not field.startswith(f"{drop}=")]
        yield frame_bytes(packet.segment())

    def other_content(self, packet: _Packet) -> Iterator[bytes]:
        code = packet.content[1].partition("-")[0]
        packet.content[1] = self._random.choice(
            (
                f"{code}-Avg=234.457859851307,{code}-Flag=N",
                "x99999-Avg=1.0,x99999-Flag=N",
                f"{code}-Avg=,{code}-Flag=N",
                f"{code}-Avg=7.1",
                f"{code}-SampleTime={packet.at:%Y%m%d%H%M%S},{code}-Avg=7.1,{code}-Flag=N,{code}-EFlag=A01",
            )
        )
        yield frame_bytes(packet.segment())

    def no_data(self, packet: _Packet) -> Iterator[bytes]:
        head = [f"QN={packet.at:%Y%m%d%H%M%S}000", "ST=91", "CN=9014", f"PW={self._password}", f"MN={packet.station}"]
        yield frame_bytes((";".join([*head, "Flag=4"]) + ";CP=&&&&").encode())
        head[1:3] = [f"ST={packet.medium}", "CN=2021"]
        content = f"{packet.content[0]};SB1-RS=1;SB2-RS=0"
        yield frame_bytes((";".join([*head, "Flag=4"]) + f";CP=&&{content}&&").encode())


_AWKWARD: tuple[Callable[[_Generator, _Packet], Iterator[bytes]], ...] = (
    _Generator.encrypted,
    _Generator.split,
    _Generator.other_checksum,
    _Generator.other_frame,
    _Generator.other_header,
    _Generator.other_content,
    _Generator.no_data,
)


def _decimal(thousandths: int) -> str:
    return f"{thousandths // 1000}.{thousandths % 1000:03d}"


def generate(count: int, seed: int, *, clean: bool = False) -> Iterator[bytes]:
    """Make a recording.

    Args:
        count: Frames to make.
        seed: Any whole number; the same one gives the same recording.
        clean: True: every frame is in good order and carries readings.

    Yields:
        The bytes of one frame at a time, with the garbage around it.
    """
    maker = _Generator(seed)
    made = 0
    while made < count:
        for frame in maker.frames(clean=clean):
            if made < count:
                made += 1
                yield frame


def main(arguments: list[str]) -> int:
    """Write a recording to standard output.

    Returns:
        0, or 2 when the arguments make no sense.
    """
    clean = "--clean" in arguments
    numbers = [each for each in arguments if each != "--clean"]
    if len(numbers) != 2 or not all(each.isascii() and each.isdigit() for each in numbers):
        sys.stderr.write("usage: python -m exchange_hj212.generate COUNT SEED [--clean]\n")
        return 2
    for frame in generate(int(numbers[0]), int(numbers[1]), clean=clean):
        sys.stdout.buffer.write(frame)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
