"""Frames of HJ 212 in a byte stream (HJ 212-2017 section 6.2; the same in all three editions).

``## LLLL data CCCC CR LF``: the declared length says where the data ends. Encrypted data of the 2025 edition is
raw binary and may hold any delimiter, so a frame whose declared length leads to a checksum and a line end is
taken as it is, and nothing inside it is looked at. Only a frame whose length leads nowhere is searched for its
real end, within its own line; it comes out with a problem that says so, and reading goes on behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from exchange.v1.monitoring_batch_pb2 import CrcVerdict

LENGTH_DIGITS = 4
HEADER_BYTES = 6
"""Bytes of ``##`` and the declared length."""

TAIL_BYTES = 6
"""Bytes of the checksum and the line end."""

MAX_FRAME_BYTES = HEADER_BYTES + 9999 + TAIL_BYTES
"""Bytes of the longest frame that four digits can declare; how far the end of a broken frame is searched."""

MAX_LINE_BYTES = 4096
"""Bytes of a line without a frame that are looked at before it counts as garbage of no interest."""

CHUNK_BYTES = 65536
"""Bytes fed at a time when a whole document is read: bounds the copy that the reader keeps."""

_KEYS = rb"(?:QN|ST|CN|PW|MN|Flag|PNUM|PNO)="
_START = re.compile(rb"##(?:[0-9]{4}|[0-9]{0,8}(?=" + _KEYS + rb"))")
_START_BYTES = 2 + 8 + 5
"""Bytes that are enough to tell whether ``##`` starts a frame."""
_KEY = re.compile(_KEYS)
_ODD_LENGTH = re.compile(rb"##([0-9]*)(?=" + _KEYS + rb")")
_LINE_END = re.compile(rb"[\r\n]|##[0-9]{4}")
_CHECKSUM = re.compile(rb"&&([0-9A-Fa-f]{4})")
_POOR_CHECKSUM = re.compile(rb"&&([0-9A-Fa-f]{0,3})\s*\Z")
_POOR_TAIL = re.compile(rb"([0-9A-Fa-f]{0,3})(?=[\r\n]|##|\Z)")
_HEX = re.compile(rb"[0-9A-Fa-f]{4}")
_BLANK = b" \t\r\n\x00\x1a"


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One frame, or a line that must have been one. Its repr shows none of its data: that holds the password.

    Attributes:
        offset: Of its first byte in the stream.
        length: Bytes of the stream that it takes, line end included.
        declared: Length that it declares; None where that is not four digits.
        actual: Bytes of the data segment as received.
        segment: The data segment; its password is a marker where ``taken`` is set.
        crc_given: Characters in the checksum's place, as received.
        problems: What is wrong with the frame itself, in the words of ``exchange_hj212.decode``.
        taken: Verdict on the checksum that was taken before the password was removed; None: not taken yet.
        sealed_crc: For encrypted data that was redacted before its key was known: the Annex-A checksum that
            the plaintext has with the marker in it.
    """

    offset: int
    length: int
    declared: int | None
    actual: int
    segment: bytes = field(repr=False)
    crc_given: bytes = field(repr=False, default=b"")
    problems: tuple[str, ...] = ()
    taken: CrcVerdict.ValueType | None = None
    sealed_crc: int | None = field(repr=False, default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """Bytes that belong to no frame.

    Attributes:
        offset: Of the first byte that is no blank.
        length: Bytes up to the last one that is no blank.
    """

    offset: int
    length: int


Event = Frame | Skipped


class FrameReader:
    """Cut a stream into frames, whatever the sizes in which it arrives.

    The events depend only on the bytes, never on how they were chunked. At most one longest frame and one
    chunk are kept in memory.
    """

    def __init__(self) -> None:
        self._buffer = b""
        self._base = 0
        self._long_line = False
        self._run: tuple[int, int] | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes.

        Returns:
            What became certain by them, in the order of the stream.
        """
        self._buffer = self._buffer + data if self._buffer else bytes(data)
        return self._scan(final=False)

    def close(self) -> list[Event]:
        """Say that nothing follows.

        Returns:
            What was left, a cut frame included.
        """
        events = self._scan(final=True)
        self._flush_run(events)
        return events

    def _scan(self, *, final: bool) -> list[Event]:
        events: list[Event] = []
        buffer = self._buffer
        size = len(buffer)
        position = garbage = 0
        while True:
            found = _START.search(buffer, position)
            if found is None:
                # A start may still be incomplete at the very end.
                until = size if final else max(garbage, size - _START_BYTES)
                garbage = self._garbage(garbage, until, events, closed=final)
                break
            start = found.start()
            # The whole path of a frame in good order: everything else is in _broken.
            frame: Frame | None = None
            if found.end() - start == HEADER_BYTES:
                declared = int(buffer[start + 2 : start + HEADER_BYTES])
                end = start + HEADER_BYTES + declared
                if size < end + TAIL_BYTES and not final:
                    garbage = self._garbage(garbage, start, events, closed=False)
                    break
                frame = self._framed(start, declared, end)
            if frame is None:
                line_end = self._line_end(start, final=final)
                if line_end is None:
                    garbage = self._garbage(garbage, start, events, closed=False)
                    break
                frame = self._broken(start, line_end)
            if frame is None:
                # "##1234" that starts nothing: it stays in the garbage that it stands in.
                position = start + 2
                continue
            self._garbage(garbage, start, events, closed=True)
            self._flush_run(events)
            events.append(frame)
            position = garbage = frame.offset + frame.length - self._base
        self._buffer = buffer[garbage:]
        self._base += garbage
        return events

    def _framed(self, start: int, declared: int, end: int) -> Frame | None:
        """The frame whose declared length leads to a checksum; None where it does not."""
        buffer = self._buffer
        if buffer[end + 4 : end + 6] == b"\r\n":
            stop = end + 6
            crc = buffer[end : end + 4]
            if _HEX.fullmatch(crc):
                problems: tuple[str, ...] = ()
            elif buffer[end - 2 : end] == b"&&":
                problems = ("crc_not_hex",)
            else:
                return None
        else:
            if end > len(buffer):
                return None
            ends_cp = buffer[end - 2 : end] == b"&&" and buffer[end - 5 : end] != b"CP=&&"
            crc = buffer[end : end + 4]
            after = buffer[end + 4 : end + 6]
            if _HEX.fullmatch(crc) and (ends_cp or after == b"##" or after[:1] in (b"\n", b"\r", b"")):
                stop = end + 4
                problems = ("no_crlf",)
            elif ends_cp and (poor := _POOR_TAIL.match(buffer, end)):
                crc = poor[1]
                stop = poor.end()
                problems = ("crc_not_4_digits" if crc else "no_crc",)
                if buffer[stop : stop + 2] != b"\r\n":
                    problems += ("no_crlf",)
            else:
                return None
            stop = self._behind_line_end(stop)
        return Frame(
            offset=self._base + start,
            length=stop - start,
            declared=declared,
            actual=declared,
            segment=buffer[start + HEADER_BYTES : end],
            crc_given=crc,
            problems=problems,
        )

    def _behind_line_end(self, stop: int) -> int:
        after = self._buffer[stop : stop + 2]
        if after == b"\r\n":
            return stop + 2
        return stop + 1 if after[:1] in (b"\n", b"\r") else stop

    def _line_end(self, start: int, *, final: bool) -> int | None:
        """Where the line of a broken frame ends; None while that can not be known."""
        limit = start + MAX_FRAME_BYTES
        found = _LINE_END.search(self._buffer, start + 2, limit)
        line_end = found.start() if found else limit
        # Two bytes more decide what kind of line end it is.
        if final or line_end + 2 <= len(self._buffer):
            return min(line_end, len(self._buffer))
        return None

    def _broken(self, start: int, line_end: int) -> Frame | None:
        """The frame whose length leads nowhere, ended by its checksum or by its line; None where it is none."""
        line = self._buffer[start:line_end]
        if not _KEY.search(line):
            return None
        problems: list[str] = []
        declared: int | None = None
        odd = _ODD_LENGTH.match(line)
        if odd is not None and len(odd[1]) != LENGTH_DIGITS:
            problems.append("len_not_4_digits")
            first = odd.end()
        else:
            declared = int(line[2:HEADER_BYTES])
            first = HEADER_BYTES
        content = line.find(b"CP=&&", first)
        search_from = content + 5 if content >= 0 else first
        crc = b""
        if found := _CHECKSUM.search(line, search_from):
            last, stop, crc = found.start() + 2, found.end(), found[1]
        elif found := _POOR_CHECKSUM.search(line, search_from):
            last, crc = found.start() + 2, found[1]
            stop = found.end(1)
            problems.append("crc_not_4_digits" if crc else "no_crc")
        else:
            last = stop = len(line)
            problems.append("truncated")
        if declared is not None and declared != last - first:
            problems.append("length_mismatch")
        behind = start + stop
        if self._buffer[behind : behind + 2] != b"\r\n":
            problems.append("no_crlf")
        return Frame(
            offset=self._base + start,
            length=self._behind_line_end(behind) - start,
            declared=declared,
            actual=last - first,
            segment=line[first:last],
            crc_given=crc,
            problems=tuple(problems),
        )

    def _garbage(self, start: int, end: int, events: list[Event], *, closed: bool) -> int:
        """Sort bytes outside frames into lines that must have been frames, and the rest.

        Returns:
            Where the last line starts that may still go on; ``end`` where ``closed``.
        """
        while start < end:
            newline = self._buffer.find(b"\n", start, end)
            stop = newline + 1 if newline >= 0 else end
            if newline < 0 and not closed and stop - start <= MAX_LINE_BYTES and not self._long_line:
                return start
            line = self._buffer[start:stop]
            if self._long_line or len(line) > MAX_LINE_BYTES:
                self._long_line = newline < 0 and not closed
            elif b"MN=" in line and (b"CN=" in line or b"CP=" in line):
                self._headless(start, line, events)
                line = b""
            self._skip(start, line)
            start = stop
        if closed:
            self._long_line = False
        return start

    def _headless(self, start: int, line: bytes, events: list[Event]) -> None:
        found = _KEY.search(line)
        segment = line[found.start() :].rstrip(_BLANK) if found else b""
        # Without its checksum, which would tell about the password once that is masked.
        if checksum := _CHECKSUM.search(segment, max(0, segment.find(b"CP=&&")) + 5):
            segment = segment[: checksum.start() + 2]
        self._flush_run(events)
        events.append(
            Frame(
                offset=self._base + start,
                length=len(line),
                declared=None,
                actual=len(segment),
                segment=segment,
                problems=("bad_header",),
            )
        )

    def _skip(self, start: int, line: bytes) -> None:
        if not (kept := line.strip(_BLANK)):
            return
        first = self._base + start + line.index(kept)
        self._run = (self._run[0] if self._run else first, first + len(kept))

    def _flush_run(self, events: list[Event]) -> None:
        if self._run is not None:
            events.append(Skipped(offset=self._run[0], length=self._run[1] - self._run[0]))
            self._run = None


def read_frames(data: bytes) -> Iterator[Event]:
    """All frames of a whole stream, and what was skipped between them.

    Args:
        data: The stream.

    Yields:
        Frames and skipped runs in order of their offset.
    """
    yield from read_chunks(data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))


def read_chunks(chunks: Iterable[bytes]) -> Iterator[Event]:
    """As ``read_frames``, for a stream that arrives in pieces."""
    reader = FrameReader()
    for chunk in chunks:
        yield from reader.feed(chunk)
    yield from reader.close()
