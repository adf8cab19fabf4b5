"""Records written as frames."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.domain.problems import Refused
from exchange.v1 import monitoring_batch_pb2 as pb
from exchange.v1.record_pb2 import Record
from exchange_hj212 import decode, frame_bytes, write_document
from exchange_hj212.generate import generate
from exchange_hj212.write import MAX_SEGMENT_BYTES
from tests.adapters.hj212.cases import frame, read


def records(content: bytes) -> list[Record]:
    """The records of a recording."""
    return [row.record for row in read(content).rows if row.record is not None]


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_what_is_written_is_read_again(seed: int) -> None:
    """Clean recordings of 2017: station, medium, interval, series, times, values and flags come back whole."""
    originals = [
        each
        for each in records(b"".join(generate(4, seed, clean=True)))
        if each.monitoring_batch.protocol_edition == pb.PROTOCOL_EDITION_HJ212_2017
    ]
    written = write_document(originals)
    again = records(written.content)
    assert [each.monitoring_batch for each in again] == [each.monitoring_batch for each in originals]
    assert all(place.place.startswith(("header.", "monitoring_batch.station.")) for place in written.lost)


def test_frames_are_in_good_order_and_hold_no_password() -> None:
    """Lengths and checksums are right, the edition is 2017, the password is the marker."""
    written = write_document(records(b"".join(generate(50, 3))))
    packets = list(decode(written.content))
    assert packets
    for packet in packets:
        assert packet.problems == ()
        assert packet.header["PW"] == "******"
        assert packet.actual_length <= MAX_SEGMENT_BYTES
        assert packet.flag is not None
        assert packet.flag.value in {4, 6}


def test_long_data_is_split_and_joined_again() -> None:
    """More than 1,024 bytes become parts; no factor is torn apart."""
    codes = [f"w200{number:02d}" for number in (12, 23, 38, 61)] + ["w01018", "w21003", "w21011", "w21001", "w01012"]
    content = "DataTime=20260301080000;" + ";".join(
        ",".join(f"{code}-{item}=123456789.123456789" for item in ("Min", "Avg", "Max")) + f",{code}-Flag=N"
        for code in codes
    )
    (original,) = records(frame(content))
    written = write_document([original])
    packets = list(decode(written.content))
    assert len(packets) > 1
    assert {packet.header["PNUM"] for packet in packets} == {str(len(packets))}
    (again,) = records(written.content)
    assert again.monitoring_batch == original.monitoring_batch


def test_a_batch_of_several_times_becomes_one_packet_for_each() -> None:
    """In order of time."""
    (original,) = records(frame())
    later = copy.deepcopy(original.monitoring_batch.series[0].points[0])
    later.data_time.seconds += 3600
    original.monitoring_batch.series[0].points.append(later)
    assert [packet.data_time for packet in decode(write_document([original]).content)] == [
        "20260301080000",
        "20260301090000",
    ]


@pytest.mark.parametrize(
    ("data", "lost"),
    [
        (frame(flag="8", more="RF=1;"), {"monitoring_batch.resend", "monitoring_batch.protocol_edition"}),
        (frame("DataTime=20260301080000;011-Avg=1,011-Flag=N"), {"monitoring_batch.series.source_factor_code"}),
        (frame(), set()),
    ],
)
def test_what_a_frame_can_not_carry_is_listed(data: bytes, lost: set[str]) -> None:
    """By the record's field paths, each once; the header and the station's data have no place in any frame."""
    written = write_document(records(data) * 2)
    places = [problem.place for problem in written.lost]
    assert len(places) == len(set(places))
    always = {"header.authority.uscc", "header.authority.name", "header.area_code", "header.purpose"}
    assert always <= set(places)
    assert {place for place in places if place.startswith("monitoring_batch.")} - {
        "monitoring_batch.station.area_code"
    } == lost


def test_two_flags_of_one_factor_are_neither_written() -> None:
    """A frame has one flag for all statistics of a factor."""
    (original,) = records(frame("DataTime=20260301080000;w01018-Avg=1,w01018-Max=2,w01018-Flag=N"))
    original.monitoring_batch.series[1].points[0].source_flag = "D"
    written = write_document([original])
    assert b"-Flag" not in written.content
    assert "monitoring_batch.series.points.source_flag" in {problem.place for problem in written.lost}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("station_id", "A;CN=1072", "STATION_ID_FORMAT"),
        ("station_id", "A\r\n##", "STATION_ID_FORMAT"),
        ("factor_code", "w01018-Avg=1,w", "FACTOR_UNMAPPED"),
        ("value", "1&&2F80\r\n##", "VALUE_NOT_DECIMAL"),
        ("medium_code", "32;CN=3011", "MEDIUM_UNKNOWN"),
        ("interval", pb.INTERVAL_MANUAL_SAMPLE, "LAYOUT_UNKNOWN"),
        ("seconds", 10**12, "TIME_RANGE"),
    ],
)
def test_texts_that_would_break_a_frame_open_are_refused(field: str, value: str | int, reason: str) -> None:
    """No record can write a second field, or a command to a device, into a frame."""
    (original,) = records(frame())
    batch = original.monitoring_batch
    series = batch.series[0]
    owner = {
        "station_id": batch.station,
        "factor_code": series,
        "value": series.points[0],
        "seconds": series.points[0].data_time,
    }.get(field, batch)
    setattr(owner, field, value)
    with pytest.raises(Refused) as refused:
        write_document([original])
    assert refused.value.reason == reason


def test_other_kinds_have_no_frames() -> None:
    """Only monitoring batches can be written."""
    with pytest.raises(Refused):
        write_document([Record()])


def test_a_segment_has_at_most_four_digits_of_length() -> None:
    """Longer data can not be declared."""
    assert frame_bytes(b"x" * 9999).startswith(b"##9999")
    with pytest.raises(ValueError, match="four digits"):
        frame_bytes(b"x" * 10_000)
