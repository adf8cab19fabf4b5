"""DER: one spelling of each element, and nothing else is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.crypto.x509 import der
from exchange.crypto.x509.der import DerUnreadable


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_what_was_written_is_read(contents: list[bytes]) -> None:
    """A sequence of elements, short and long, comes apart into the same elements."""
    parts = tuple(der.encode(der.BIT_STRING, content) for content in contents)
    assert der.elements(der.sequence(*parts)) == parts
    assert [der.content_of(part, der.BIT_STRING) for part in parts] == contents


@given(st.binary(max_size=80))
def test_other_bytes_are_read_in_their_one_spelling_or_not_at_all(data: bytes) -> None:
    """Whatever is accepted gives the same bytes when it is written again; nothing else is raised."""
    try:
        parts = der.elements(data)
    except DerUnreadable:
        return
    assert der.sequence(*parts) == data


@given(st.integers(min_value=0, max_value=2**264))
def test_a_number_has_one_spelling(number: int) -> None:
    """The shortest form is read; with one zero byte more it is not."""
    content = number.to_bytes(number.bit_length() // 8 + 1, "big")
    assert der.natural(der.encode(der.INTEGER, content)) == number
    with pytest.raises(DerUnreadable):
        der.natural(der.encode(der.INTEGER, b"\0" + content))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x30", id="no length"),
        pytest.param(b"\x30\x01", id="cut off"),
        pytest.param(b"\x30\x00\x00", id="bytes behind"),
        pytest.param(b"\x30\x80\x00\x00", id="indefinite length"),
        pytest.param(b"\x30\x81\x02\x05\x00", id="long length where a short one does"),
        pytest.param(b"\x30\x82\x00\x80" + bytes(128), id="length with a leading zero"),
        pytest.param(b"\x30\x85\x01\x00\x00\x00\x00", id="length of five bytes"),
        pytest.param(b"\x31\x00", id="another tag"),
        pytest.param(b"\x30\x03\x1f\x01\x00", id="tag of two bytes inside"),
        pytest.param(b"\x30\x02\x02\x01", id="element that leaves its sequence"),
    ],
)
def test_other_forms_are_not_read(data: bytes) -> None:
    """BER, and what is cut off or too long."""
    with pytest.raises(DerUnreadable):
        der.elements(data)


@pytest.mark.parametrize("content", [b"", b"\x80", b"\xff\x01"])
def test_a_negative_or_empty_number_is_none(content: bytes) -> None:
    """What would be read as a large number elsewhere."""
    with pytest.raises(DerUnreadable):
        der.natural(der.encode(der.INTEGER, content))
