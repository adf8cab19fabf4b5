"""Frames in a byte stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange_hj212 import frame_bytes
from exchange_hj212.frame import MAX_FRAME_BYTES, MAX_LINE_BYTES, Event, Frame, FrameReader, Skipped, read_frames
from tests.adapters.hj212.cases import PASSWORD, frame, segment

GARBAGE = st.binary(max_size=60).map(lambda data: data.replace(b"#", b"").replace(b"=", b""))


def frames(data: bytes) -> list[Frame]:
    """The frames alone."""
    return [event for event in read_frames(data) if isinstance(event, Frame)]


def chunked(data: bytes, sizes: list[int]) -> list[Event]:
    """Events when the stream arrives in pieces of the given sizes, over and over."""
    reader = FrameReader()
    events: list[Event] = []
    position = turn = 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        events += reader.feed(data[position : position + size])
        position += size
        turn += 1
    return events + reader.close()


@given(st.lists(st.binary(max_size=400), max_size=6), st.lists(st.integers(1, 64), min_size=1, max_size=5))
def test_any_data_comes_back_whatever_it_holds_and_however_it_arrives(segments: list[bytes], sizes: list[int]) -> None:
    """Delimiters, line ends and starts inside the data are data: the declared length alone decides."""
    data = b"".join(frame_bytes(each) for each in segments)
    events = chunked(data, sizes)
    assert [event.segment for event in events if isinstance(event, Frame)] == segments
    assert not any(isinstance(event, Skipped) or event.problems for event in events)


def test_delimiters_inside_the_data_are_data() -> None:
    """A frame whose data looks like three frames with line ends is one frame."""
    inner = frame() + b"&&1C80\r\n##0004" + frame()
    assert [each.segment for each in frames(frame_bytes(inner))] == [inner]


@given(
    st.lists(
        st.one_of(
            GARBAGE,
            st.binary(max_size=40),
            st.sampled_from(
                [
                    frame(),
                    frame()[:-2],
                    frame()[1:],
                    frame()[:60],
                    b"##0900" + frame()[6:],
                    b"##",
                    b"##01",
                    b"##0005 ",
                    b"##139" + segment() + b"17C0\n",
                    b"\r\n",
                    b"x" * (MAX_LINE_BYTES + 5),
                    b"MN=1;CN=2",
                ]
            ),
        ),
        max_size=8,
    ),
    st.lists(st.integers(1, 4000), min_size=1, max_size=4),
)
def test_chunks_change_nothing(pieces: list[bytes], sizes: list[int]) -> None:
    """What is read depends on the bytes, never on how they were cut."""
    data = b"".join(pieces)
    assert chunked(data, sizes) == chunked(data, [max(1, len(data))])


@pytest.mark.parametrize(
    "data",
    [
        b"CN=1;MN=2 ##1234 pages\n" + b"x" * 1300 + frame(),
        b"##0001" + frame()[6:] + b"##9999" + frame()[6:] + frame()[:-6] + b"3\r\n" + frame(),
        frame()[:80] + b"\r\n" + frame()[1:] + frame()[:-2] + frame(),
    ],
)
def test_every_cut_gives_the_same(data: bytes) -> None:
    """Cut once at each place, and byte by byte."""
    whole = chunked(data, [len(data)])
    assert chunked(data, [1]) == whole
    for place in range(1, len(data)):
        assert chunked(data, [place, len(data)]) == whole


@given(st.lists(st.tuples(GARBAGE, st.binary(min_size=1, max_size=80)), min_size=1, max_size=5))
def test_garbage_is_named_and_hides_no_frame(pieces: list[tuple[bytes, bytes]]) -> None:
    """Every frame behind garbage is found at its offset, and every byte that is no blank is accounted for."""
    data = b""
    expected = []
    for garbage, content in pieces:
        data += garbage
        expected.append((len(data), content))
        data += frame_bytes(content)
    events = list(read_frames(data))
    assert [(each.offset, each.segment) for each in events if isinstance(each, Frame)] == expected
    covered = bytearray(len(data))
    for event in events:
        covered[event.offset : event.offset + event.length] = b"\1" * event.length
    missed = bytes(byte for byte, seen in zip(data, covered, strict=True) if not seen)
    assert not missed.strip(b" \t\r\n\0\x1a")


@given(st.binary(max_size=2000))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Arbitrary bytes end in events that lie within the stream, in order."""
    position = 0
    for event in read_frames(data):
        assert position <= event.offset
        assert event.length > 0
        position = event.offset + event.length
    assert position <= len(data)


@pytest.mark.parametrize(
    ("data", "problems"),
    [
        (frame(), ()),
        (frame()[:-2] + b"\n", ("no_crlf",)),
        (frame()[:-2] + b"\r", ("no_crlf",)),
        (frame()[:-2], ("no_crlf",)),
        (frame()[:-2] + b"**\n", ("no_crlf",)),
        (frame()[:-2] + b'\\r\\n"', ("no_crlf",)),
        (b"##0139" + frame()[6:], ("length_mismatch",)),
        (b"##0001" + frame()[6:], ("length_mismatch",)),
        (b"##9999" + frame()[6:], ("length_mismatch",)),
        (b"##0146" + frame()[6:-2] + b"\n", ("length_mismatch", "no_crlf")),
        (b"##140" + frame()[6:], ("len_not_4_digits",)),
        (b"##00140" + frame()[6:], ("len_not_4_digits",)),
        (b"##" + frame()[6:], ("len_not_4_digits",)),
        (frame()[:-6] + b"ZZZZ\r\n", ("crc_not_hex",)),
        (frame()[:-6] + b"3\r\n", ("crc_not_4_digits",)),
        (frame()[:-6] + b"3\n", ("crc_not_4_digits", "no_crlf")),
        (frame()[:-6] + b"\r\n", ("no_crc",)),
        (frame()[1:], ("bad_header",)),
        (segment() + b"\r\n", ("bad_header",)),
    ],
)
def test_each_fault_of_a_frame_is_named_and_its_data_found(data: bytes, problems: tuple[str, ...]) -> None:
    """One fault, one frame with that problem and the whole segment; the frame in the next line is unharmed."""
    (found,) = frames(data)
    assert (found.segment, found.problems) == (segment(), problems)
    separator = b"" if data.endswith(b"\n") else b"\r\n"
    following = frame("DataTime=20260301100000")
    assert [each.segment for each in frames(data + separator + following)] == [segment(), following[6:-6]]


def test_a_cut_frame_ends_with_its_line() -> None:
    """The rest of the line is kept as data with the problem named; the next line is read as usual."""
    cut = frame()[:90]
    found = frames(cut + b"\r\n2026-03-01 09:00:00 recv: " + frame())
    assert found[0].problems == ("truncated", "length_mismatch")
    assert found[0].segment == cut[6:]
    assert found[1].segment == segment()


def test_frames_without_any_line_end_are_told_apart() -> None:
    """Frames that follow each other directly are frames, each without its line end."""
    found = frames(frame()[:-2] * 3)
    assert [each.problems for each in found] == [("no_crlf",)] * 3
    assert [each.segment for each in found] == [segment()] * 3


def test_the_prefix_of_a_log_is_skipped_and_said() -> None:
    """Time stamps before frames are runs of their own, with place and length."""
    prefix = b"2026-03-01 09:00:00 recv: "
    events = list(read_frames((prefix + frame()) * 2))
    assert events[0] == Skipped(offset=0, length=len(prefix.rstrip()))
    assert [type(each) for each in events] == [Skipped, Frame, Skipped, Frame]


def test_two_hashes_that_start_nothing_are_garbage() -> None:
    """``##1234`` without a field behind it is no frame, and neither is a heading."""
    data = b"## report\r\n##1234 pages\r\n###\r\n"
    assert [type(each) for each in read_frames(data)] == [Skipped]
    assert [each.offset for each in frames(data + b"#" + frame())] == [len(data) + 1]


def test_endless_garbage_costs_no_memory() -> None:
    """A stream without frames, and one that declares the longest frame for ever, keep what one frame needs."""
    reader = FrameReader()
    for _ in range(50):
        assert not reader.feed(b"z" * 10_000)
        assert len(reader._buffer) <= MAX_LINE_BYTES + 10_000
    found = 0
    for _ in range(50):
        found += len(reader.feed(b"##9999QN=" * 1000))
        assert len(reader._buffer) <= MAX_FRAME_BYTES + 9000
    assert found > 10_000


def test_a_frame_shows_nothing_of_its_data() -> None:
    """Its repr can be logged: the password is in the data."""
    assert PASSWORD not in repr(frames(frame()))
