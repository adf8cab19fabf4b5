"""A whole recording: read into rows, recognised, cut into parts that can be sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exchange.domain.adapter import DocumentReading, MappedRow, NativeDocument
from exchange.domain.problems import Problem
from exchange.v1.common_pb2 import SaltedDigest
from exchange_hj212.decode import decode_frame
from exchange_hj212.frame import MAX_FRAME_BYTES, Event, Frame, Skipped, read_frames
from exchange_hj212.join import Joined, Joiner
from exchange_hj212.mapping import MappingContext, map_row
from exchange_hj212.profiles import StationProfiles
from exchange_hj212.redact import HEADER, is_redacted, read_redacted, redacted_packet, redacted_skip
from exchange_hj212.segment import parse_segment
from exchange_hj212.sm4 import Sm4
from exchange_hj212.tables import CatalogueEntry, MonitoringTables, catalogue

DIALECT = "hj212"
"""Dialect of a whole document; each record names the edition of its own packet."""

LOOK_BYTES = 65536
"""Bytes at the start of a file that are looked at to recognise it: a long log header fits."""

PART_BYTES = 2_000_000
"""Bytes of a part after which the next place is taken where no split packet is under way."""

MAX_PART_BYTES = 2_900_000
"""Bytes after which a part is cut wherever a frame ends: below the 3 MiB of one document by more than a frame."""

MAX_REMARKS = 1000
"""Remarks of one document that are listed one by one; a further one says that there were more."""

_FRAME = re.compile(rb"##(?:[0-9]{4}|[0-9]{0,8}(?=(?:QN|ST|CN|PW|MN)=))[^\r\n]{0,200}?(?:QN|ST|CN|PW|MN)=")
_HEADLESS = re.compile(rb"(?:QN|ST|CN|PW)=[^\r\n]{1,200};MN=[^\r\n]{1,200}CP=&&")


def recognises(content: bytes) -> bool:
    """Whether a file is a recording of HJ 212 packets, or the redacted form of one. Cheap; raises nothing."""
    look = content[:LOOK_BYTES]
    return is_redacted(look) or _FRAME.search(look) is not None or _HEADLESS.search(look) is not None


def read_document(
    document: NativeDocument,
    *,
    tables: MonitoringTables,
    profiles: StationProfiles,
    adapter_name: str,
    adapter_edition: str,
    sm4_keys: Mapping[str, bytes] | None = None,
    catalogue_entry: CatalogueEntry | None = None,
) -> DocumentReading:
    """Map a recording, or its redacted form: both give the same rows.

    Args:
        document: The recording. Its clock is not used: packets carry their own times.
        tables: Factors and flags.
        profiles: What packets do not say about their stations.
        adapter_name: Name of the regional adapter, for provenance.
        adapter_edition: Its edition.
        sm4_keys: Keys of encrypted stations by MN, 16 bytes each.
        catalogue_entry: The region's own entry in the sharing catalogue.

    Returns:
        One row for each packet or joined set, in the order in which they were complete; incomplete sets last.

    Raises:
        DocumentRefused: A redacted document is not in its form.
        ValueError: A key has not 16 bytes.
    """
    ciphers = {station: Sm4(key) for station, key in (sm4_keys or {}).items()}
    redacted = [HEADER]
    remarks: list[Problem] = []
    joiner = Joiner()
    rows: list[Joined] = []
    for event in _events(document.content):
        if isinstance(event, Skipped):
            redacted.append(redacted_skip(event))
            remarks.append(Problem("BYTES_SKIPPED", f"byte {event.offset}", f"{event.length}"))
            continue
        decoded = decode_frame(event, ciphers.get)
        redacted.append(redacted_packet(event, decoded))
        remarks += _remarks(event)
        rows += joiner.add(decoded.packet)
    rows += joiner.close()
    content = b"".join(redacted)
    context = MappingContext(
        tables=tables,
        profiles=profiles,
        catalogue=catalogue_entry or catalogue(),
        adapter=adapter_name,
        adapter_edition=adapter_edition,
        authority=document.authority,
        purpose=document.purpose,
        document=SaltedDigest(
            algorithm="SHA-256", digest=hashlib.sha256(document.salt + content).digest(), salt=document.salt
        ),
    )
    mapped: list[MappedRow] = []
    for number, joined in enumerate(rows, start=document.first_row):
        mapped.append(map_row(joined, number, context))
        remarks += [Problem("PACKET_PART_REPEATED", f"byte {offset}") for offset in joined.repeated]
    if len(remarks) > MAX_REMARKS:
        remarks[MAX_REMARKS:] = [Problem("REMARKS_CUT", "", f"{len(remarks) - MAX_REMARKS}")]
    return DocumentReading(
        adapter=adapter_name,
        adapter_edition=adapter_edition,
        dialect=DIALECT,
        redacted=content,
        rows=tuple(mapped),
        remarks=tuple(remarks),
    )


def _events(content: bytes) -> Iterator[Event]:
    return read_redacted(content) if is_redacted(content) else read_frames(content)


def _remarks(frame: Frame) -> Iterator[Problem]:
    if "length_mismatch" in frame.problems or "len_not_4_digits" in frame.problems:
        declared = "?" if frame.declared is None else str(frame.declared)
        yield Problem("FRAME_LENGTH", f"byte {frame.offset}", f"{declared} / {frame.actual}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A part of a recording.

    Attributes:
        first_row: Number of its first row in the whole recording.
        offset: Byte of the recording at which the part starts.
    """

    first_row: int
    offset: int
    content: bytes


def cut(content: bytes, *, limit: int = PART_BYTES, hard_limit: int = MAX_PART_BYTES) -> Iterator[Part]:
    """Cut a recording between frames, where no split packet is under way.

    Args:
        content: The recording; a redacted one is one part.
        limit: Bytes after which the next good place is taken.
        hard_limit: Bytes after which a part ends with its frame, complete or not: then two rows say which parts
            of the packet are missing.

    Yields:
        The parts in order; together they are the recording. Rows are numbered with gaps: each part starts behind
        the most rows that the ones before it can have, so that a row's number is never used twice.
    """
    if is_redacted(content) or len(content) <= hard_limit:
        yield Part(first_row=1, offset=0, content=content)
        return
    under_way: set[tuple[str, str]] = set()
    start = 0
    first_row = row = 1
    for event in read_frames(content):
        if isinstance(event, Skipped):
            continue
        size = event.offset - start
        if size >= hard_limit or (size >= limit and not under_way):
            yield from _pieces(content, start, event.offset, first_row, hard_limit)
            start, first_row = event.offset, row
            under_way.clear()
        _follow(parse_segment(event.segment).header, under_way)
        row += 1
    yield from _pieces(content, start, len(content), first_row, hard_limit)


def _follow(header: Mapping[str, str], under_way: set[tuple[str, str]]) -> None:
    """Keep track of split packets by the header alone: content may be encrypted."""
    total, number = header.get("PNUM", ""), header.get("PNO", "")
    if not (total + number).isascii() or not (total.isdigit() and number.isdigit()):
        return
    key = (header.get("MN", ""), header.get("CN", ""))
    if int(number) < int(total):
        under_way.add(key)
    else:
        under_way.discard(key)


def _pieces(content: bytes, start: int, end: int, first_row: int, hard_limit: int) -> Iterator[Part]:
    """One part; several where garbage without a single row makes it too long behind its last frame."""
    size = hard_limit + MAX_FRAME_BYTES
    for offset in range(start, end, size):
        yield Part(first_row=first_row, offset=offset, content=content[offset : min(end, offset + size)])
