"""Split packets."""

from __future__ import annotations

import pytest

from exchange_hj212 import decode
from exchange_hj212.join import MAX_OPEN_SETS, Joined, Joiner
from tests.adapters.hj212.cases import frame, outcomes, read


def part(number: int, total: int = 2, *, at: str = "20260301080000", value: str = "1", qn: str = "") -> bytes:
    """One part of a split packet; each has its own factor."""
    content = f"DataTime={at};w0101{number}-Avg={value},w0101{number}-Flag=N"
    return frame(content, flag="6", more=f"PNUM={total};PNO={number};", qn=qn or f"2026030109000000{number}")


def join(data: bytes) -> list[Joined]:
    """What comes out of a recording."""
    joiner = Joiner()
    return [joined for packet in decode(data) for joined in joiner.add(packet)] + list(joiner.close())


@pytest.mark.parametrize("qn", ["", "20260301090000001"])
@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_parts_are_joined_in_any_order_whether_or_not_they_share_qn(order: tuple[int, ...], qn: str) -> None:
    """Station, command, data time and number of parts say what belongs together."""
    (joined,) = join(b"".join(part(number, 3, qn=qn) for number in order))
    assert [packet.header["PNO"] for packet in joined.packets] == ["1", "2", "3"]
    assert joined.missing == ()


def test_sets_of_other_times_and_stations_may_lie_between() -> None:
    """Interleaved sets are kept apart."""
    other = "20260301090000"
    found = join(part(1) + part(1, at=other) + part(2, at=other) + part(2))
    assert [joined.packets[0].data_time for joined in found] == [other, "20260301080000"]


def test_a_part_without_a_data_time_follows_its_request_number() -> None:
    """It belongs to the open set with the same QN."""
    later = frame("w01001-Avg=7,w01001-Flag=N", flag="6", more="PNUM=2;PNO=2;", qn="20260301090000001")
    (joined,) = join(part(1, qn="20260301090000001") + later)
    assert len(joined.packets) == 2


def test_an_incomplete_set_is_reported_with_what_is_missing() -> None:
    """At the end of the recording; the numbers are named, at most twenty of them."""
    (joined,) = join(part(2, 4))
    assert joined.missing == (1, 3, 4)
    (joined,) = join(part(1, 900_000))
    assert len(joined.missing) == 20


def test_a_repeated_part_is_used_once_and_another_content_begins_a_new_set() -> None:
    """Sent again is not sent twice; other values under the same number are another message."""
    (joined,) = join(part(1) + part(1) + part(2))
    assert len(joined.repeated) == 1
    first, second = join(part(1) + part(1, value="2") + part(2))
    assert first.missing == (2,)
    assert second.missing == ()


@pytest.mark.parametrize("numbers", ["PNUM=2;PNO=3;", "PNUM=2;PNO=0;", "PNUM=0;PNO=0;", "PNUM=x;PNO=1;", "PNUM=2;"])
def test_numbers_that_make_no_sense_are_said(numbers: str) -> None:
    """Such a packet is a row of its own."""
    (joined,) = join(frame(flag="6", more=numbers))
    assert joined.ill_numbered


def test_one_of_one_is_a_packet() -> None:
    """PNUM=1 needs no waiting."""
    (joined,) = join(frame(flag="6", more="PNUM=1;PNO=1;"))
    assert not joined.ill_numbered
    assert joined.missing == ()


def test_a_part_with_a_bad_checksum_completes_nothing() -> None:
    """Its numbers are not to be relied on: a part sent again takes its place."""
    bad = part(2)[:-6] + b"0000\r\n"
    assert outcomes(read(part(1) + bad + part(2))) == ["CRC_BAD", "RECORD"]


def test_too_many_open_sets_give_way_and_are_reported() -> None:
    """Memory is bounded; the oldest is reported as incomplete, in order."""
    count = MAX_OPEN_SETS + 5
    joiner = Joiner()
    early = 0
    for number in range(count):
        at = f"2026030108{number // 60 % 60:02d}{number % 60:02d}"
        (packet,) = decode(part(1, at=at, value=str(number)))
        early += len(list(joiner.add(packet)))
    assert early == 5
    assert len(list(joiner.close())) == MAX_OPEN_SETS
    assert not joiner.waiting
