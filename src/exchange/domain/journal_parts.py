"""Events of the journal that are too large for one entry of a log: pieces, and behind them the line that joins them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

from google.protobuf.message import DecodeError

from exchange.v1.journal_pb2 import EventJoined, EventPart, JournalEntry

MAX_ENTRY_BYTES: Final = 65_535
"""Bytes of an entry: its length fits the two bytes of C2SP tlog-tiles."""

PART_BYTES: Final = 60_000
"""Bytes of the event in one piece: time and framing have room beside them."""

MAX_PARTS: Final = 4_096
"""Pieces that are joined: 240 MB, more than any edition has."""


class PartsUnreadable(LookupError):
    """The pieces do not make the event that the line names."""


def split(event: JournalEntry, data: bytes) -> list[JournalEntry]:
    """The pieces of a serialized event.

    Args:
        event: The event.
        data: Its bytes.
    """
    pieces = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
    if len(pieces) > MAX_PARTS:
        raise ValueError(f"an event of {len(data)} bytes")
    return [JournalEntry(version=event.version, at=event.at, part=EventPart(content=piece)) for piece in pieces]


def joining(event: JournalEntry, data: bytes, first: int, parts: int) -> JournalEntry:
    """The line that stands for the event.

    Args:
        event: The event.
        data: Its bytes.
        first: Index of its first piece.
        parts: How many there are.
    """
    name = event.WhichOneof("event") or ""
    joined = EventJoined(first=first, parts=parts, digest=sha256(data).digest(), event=name)
    return JournalEntry(version=event.version, at=event.at, joined=joined)


def pieces_of(line: JournalEntry, index: int) -> range:
    """Indices of the pieces that a line names; empty for every other line.

    Args:
        line: The line.
        index: Where it stands.

    Raises:
        PartsUnreadable: It names pieces that do not stand before it.
    """
    if not line.HasField("joined"):
        return range(0)
    first, parts = line.joined.first, line.joined.parts
    if not 0 <= first < first + parts <= index or parts > MAX_PARTS:
        raise PartsUnreadable(f"pieces {first} to {first + parts} of line {index}")
    return range(first, first + parts)


def join(line: JournalEntry, entries: Sequence[bytes]) -> JournalEntry:
    """The event.

    Args:
        line: The line that names it.
        entries: The entries at ``pieces_of`` the line.

    Raises:
        PartsUnreadable: They are not its pieces.
    """
    data = b"".join(_contents(entries))
    if sha256(data).digest() != line.joined.digest:
        raise PartsUnreadable("the pieces do not have the digest that the line names")
    try:
        event = JournalEntry.FromString(data)
    except DecodeError:
        raise PartsUnreadable("the pieces are no event") from None
    if event.WhichOneof("event") != line.joined.event or event.HasField("joined") or event.HasField("part"):
        raise PartsUnreadable("the pieces are another event")
    return event


def _contents(entries: Sequence[bytes]) -> Iterator[bytes]:
    for entry in entries:
        try:
            event = JournalEntry.FromString(entry)
        except DecodeError:
            raise PartsUnreadable("no piece of an event") from None
        if not event.HasField("part"):
            raise PartsUnreadable("no piece of an event")
        yield event.part.content
