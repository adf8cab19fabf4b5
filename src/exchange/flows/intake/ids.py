"""Record ids: UUIDv7 (RFC 9562 §5.7), in order of time, so that an index on them grows at its right edge."""

from __future__ import annotations

import threading
import uuid
from datetime import datetime

from exchange.crypto.keys import generate_salt
from exchange.domain.record_index import raw_id

ID_BYTES = 16

_COUNTER_BITS = 12
_lock = threading.Lock()
_last = (0, 0)


def new_id(now: datetime) -> uuid.UUID:
    """A new UUIDv7; within one process later ones sort behind earlier ones."""
    return uuid.UUID(bytes=new_raw_id(now))


def new_raw_id(now: datetime) -> bytes:
    """The 16 bytes of a new UUIDv7."""
    global _last  # noqa: PLW0603 - one counter per process is what orders ids of the same millisecond
    milliseconds = int(now.timestamp() * 1000)
    drawn = generate_salt()
    with _lock:
        last_milliseconds, counter = _last
        if milliseconds > last_milliseconds:
            counter = drawn[0]
        else:
            milliseconds, counter = last_milliseconds, counter + 1
            if counter >> _COUNTER_BITS:
                milliseconds, counter = milliseconds + 1, 0
        _last = (milliseconds, counter)
    value = milliseconds << 80 | 7 << 76 | counter << 64 | 2 << 62 | int.from_bytes(drawn[1:9], "big") >> 2
    return value.to_bytes(ID_BYTES, "big")


def parse_id(text: str) -> bytes | None:
    """The 16 bytes of a UUID in its one canonical spelling; None for anything else."""
    return raw_id(text) or None


def format_id(raw: bytes) -> str:
    """The 36-character form."""
    if len(raw) != ID_BYTES:
        raise ValueError("a record id has 16 bytes")
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
