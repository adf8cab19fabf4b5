"""The redacted form of a recording: what is stored and digested in place of the native document.

One header line, then for each packet one line of what can not be seen any more once the password is gone (where
it stood, how long it was, the verdict on its checksum), and its data segment with a marker in the password's
place. Bytes that belong to no packet are named by place and length only: they may hold anything. The checksum
itself is left out, because together with the rest of the packet it would tell about the password.

::

    #hj212-redacted 1
    S 0 26
    P 26 151 139 139 ANNEX_A - - 139
    QN=20260301080000000;ST=32;CN=2011;PW=******;MN=…;Flag=5;CP=&&…&&

``S offset length``; ``P offset length declared actual verdict sealed problems size``, ``-`` for none. The size
counts the bytes of the segment, which may be binary. Reading the form again gives the same packets, and making
it from what it was read into gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from exchange.domain.problems import DocumentRefused, Problem
from exchange.v1.monitoring_batch_pb2 import CRC_VERDICT_UNSPECIFIED, CrcVerdict
from exchange_hj212.decode import Decoded, verdict_name
from exchange_hj212.frame import Event, Frame, Skipped

HEADER = b"#hj212-redacted 1\n"
"""First line of a redacted document; the number is the edition of the form."""

MAX_LINE_BYTES = 400
"""Bytes of one descriptive line: eight numbers and every word there is for a frame's problems."""

FRAME_PROBLEMS = frozenset(
    {
        "bad_header",
        "crc_not_4_digits",
        "crc_not_hex",
        "len_not_4_digits",
        "length_mismatch",
        "no_crc",
        "no_crlf",
        "truncated",
    }
)
"""Problems that can only be seen in the frame as it was received."""

_SKIPPED = re.compile(rb"S ([0-9]{1,15}) ([0-9]{1,15})")
_PACKET = re.compile(
    rb"P ([0-9]{1,15}) ([0-9]{1,15}) (-|[0-9]{1,4}) ([0-9]{1,6}) (-|[A-Z_]{3,20}) (-|[0-9]{1,5}) (-|[a-z0-9_,]+)"
    rb" ([0-9]{1,6})"
)


def is_redacted(content: bytes) -> bool:
    """Whether a document is in the redacted form."""
    return content.startswith(HEADER)


def redacted_skip(run: Skipped) -> bytes:
    """The line for bytes that belong to no packet."""
    return b"S %d %d\n" % (run.offset, run.length)


def redacted_packet(frame: Frame, decoded: Decoded) -> bytes:
    """The line and the data of one packet.

    Args:
        frame: The frame that was decoded.
        decoded: What came out of it.
    """
    packet = decoded.packet
    declared = b"-" if frame.declared is None else b"%d" % frame.declared
    if frame.taken is not None:
        # Redacted before: the document stays the one that was digested, whatever keys have come since.
        taken, sealed_crc = frame.taken, frame.sealed_crc
    else:
        taken, sealed_crc = packet.crc_verdict, decoded.sealed_crc
    verdict = verdict_name(taken).encode() or b"-"
    sealed = b"-" if sealed_crc is None else b"%d" % sealed_crc
    problems = ",".join(frame.problems).encode() or b"-"
    fields = (frame.offset, frame.length, declared, frame.actual, verdict, sealed, problems, len(decoded.redacted))
    return b"P %d %d %b %d %b %b %b %d\n" % fields + decoded.redacted + b"\n"


def read_redacted(content: bytes) -> Iterator[Event]:
    """Frames of a redacted document, each with the verdict taken before.

    Args:
        content: The document; nothing in it is trusted beyond what a sender could state anyway.

    Yields:
        The frames and skipped runs from which it was made.

    Raises:
        DocumentRefused: It is not in the form (``REDACTED_FORM``).
    """
    if not is_redacted(content):
        raise _refused(0)
    position = len(HEADER)
    while position < len(content):
        end = content.find(b"\n", position, position + MAX_LINE_BYTES)
        if end < 0:
            raise _refused(position)
        line = content[position:end]
        if found := _SKIPPED.fullmatch(line):
            yield Skipped(offset=int(found[1]), length=int(found[2]))
            position = end + 1
            continue
        stop = end + 1
        found = _PACKET.fullmatch(line)
        if found is not None:
            stop += int(found[8])
        if found is None or content[stop : stop + 1] != b"\n":
            raise _refused(position)
        frame = _frame(found, content[end + 1 : stop])
        if frame is None:
            raise _refused(position)
        yield frame
        position = stop + 1


def _frame(found: re.Match[bytes], segment: bytes) -> Frame | None:
    problems = () if found[7] == b"-" else tuple(found[7].decode("ascii").split(","))
    if not FRAME_PROBLEMS.issuperset(problems) or len(set(problems)) != len(problems):
        return None
    verdict = CRC_VERDICT_UNSPECIFIED
    if found[5] != b"-":
        name = f"CRC_VERDICT_{found[5].decode('ascii')}"
        if name not in CrcVerdict.keys() or name == "CRC_VERDICT_UNSPECIFIED":  # noqa: SIM118 - an enum is no mapping
            return None
        verdict = CrcVerdict.Value(name)
    return Frame(
        offset=int(found[1]),
        length=int(found[2]),
        declared=None if found[3] == b"-" else int(found[3]),
        actual=int(found[4]),
        segment=segment,
        problems=problems,
        taken=verdict,
        sealed_crc=None if found[6] == b"-" else int(found[6]),
    )


def _refused(position: int) -> DocumentRefused:
    return DocumentRefused([Problem("REDACTED_FORM", f"byte {position}")])
