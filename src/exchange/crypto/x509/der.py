"""DER (X.690) as far as it takes to find and to replace the parts of what a library has parsed or built."""

from __future__ import annotations

from typing import Final

from exchange.domain.problems import ExchangeError

SEQUENCE: Final = 0x30
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03

MAX_LENGTH_BYTES: Final = 4
"""Bytes of a length: no element here has 4 GiB."""


class DerUnreadable(ExchangeError):
    """Bytes that are not DER of the form that is needed."""

    reason = "CERTIFICATE_UNREADABLE"


def encode(tag: int, content: bytes) -> bytes:
    """One element: tag of one byte, length in its shortest form, content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*parts: bytes) -> bytes:
    """A SEQUENCE of elements."""
    return encode(SEQUENCE, b"".join(parts))


def bit_string(content: bytes) -> bytes:
    """A BIT STRING of whole bytes."""
    return encode(BIT_STRING, b"\0" + content)


def content_of(data: bytes, tag: int) -> bytes:
    """Content of the one element that the bytes are.

    Raises:
        DerUnreadable: Another tag, a length that is not in its shortest form, or bytes behind the element.
    """
    start, end = _bounds(data, 0)
    if data[0] != tag or end != len(data):
        raise DerUnreadable(f"not one element of tag {tag:#04x}")
    return data[start:end]


def elements(data: bytes) -> tuple[bytes, ...]:
    """The elements of the one SEQUENCE that the bytes are, each with its tag and length.

    Raises:
        DerUnreadable: Not one SEQUENCE whose elements fill it.
    """
    content = content_of(data, SEQUENCE)
    found, at = [], 0
    while at < len(content):
        _, end = _bounds(content, at)
        found.append(content[at:end])
        at = end
    return tuple(found)


def natural(data: bytes) -> int:
    """The number, at least 0, of the one INTEGER that the bytes are.

    Raises:
        DerUnreadable: Not an INTEGER, a negative one, or one in a longer form than needed.
    """
    content = content_of(data, INTEGER)
    number = int.from_bytes(content, "big")
    if not content or content[0] & 0x80 or (content[0] == 0 and len(content) > 1 and not content[1] & 0x80):
        raise DerUnreadable("not a number from 0 in its shortest form")
    return number


def _bounds(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at a place begins and ends."""
    if at + 2 > len(data) or data[at] & 0x1F == 0x1F:
        raise DerUnreadable("cut off, or a tag of more than one byte")
    size, start = data[at + 1], at + 2
    if size & 0x80:
        count = size & 0x7F
        length = data[start : start + count]
        size = int.from_bytes(length, "big")
        shortest = 0 < count == len(length) <= MAX_LENGTH_BYTES and length[0] != 0 and size >= 0x80
        if not shortest:
            raise DerUnreadable("a length that is not in its shortest form")
        start += count
    if start + size > len(data):
        raise DerUnreadable("cut off")
    return start, start + size
