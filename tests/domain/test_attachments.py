"""Attachments: which files are taken, and whether bytes are what a record lists."""

from __future__ import annotations

import io
import zipfile
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.catalogues.tables import Tables
from exchange.v1.common_pb2 import Attachment


def _ofd() -> bytes:
    """A package as GB/T 33190 has it: a ZIP archive with OFD.xml at its root."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("OFD.xml", "<ofd:OFD/>")
    return target.getvalue()


def _workbook() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as package:
        package.writestr("xl/workbook.xml", "<workbook/>")
    return target.getvalue()


FILES = {
    "a.ofd": ("application/ofd", _ofd()),
    "a.PDF": ("application/pdf", b"%PDF-1.4\n%\xe2\xe3\n"),
    "a.png": ("image/png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
    "a.jpeg": ("image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
}


def _listed(media_type: str, content: bytes) -> Attachment:
    found = Attachment(name="x", media_type=media_type, size=len(content))
    for salt in (b"s" * 32, b"t" * 16):
        found.digests.add(algorithm="SHA-256", digest=sha256(salt + content).digest(), salt=salt)
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_of_the_type_that_its_name_and_bytes_say(tables: Tables, name: str) -> None:
    """By the ending, whatever its case; listed as another type, its bytes give it away."""
    media_type, content = FILES[name]
    types = tables.attachment_types
    known = types.of_name(name)
    assert known is not None
    assert known.media_type == media_type
    for other in types.by_type:
        problem = types.problem(_listed(other, content), content)
        assert problem == ("" if other == media_type else "ATTACHMENT_TYPE")


@pytest.mark.parametrize("name", ["a.exe", "a.html", "a", "a.xlsx", "a.pdf.js"])
def test_other_files_are_not_taken(tables: Tables, name: str) -> None:
    """Nothing that a program might run, nor what is only packed like OFD."""
    types = tables.attachment_types
    assert types.of_name(name) is None
    assert types.problem(_listed("application/ofd", _workbook()), _workbook()) == "ATTACHMENT_TYPE"


@given(content=st.binary(max_size=64), change=st.integers(0, 10_000))
def test_one_changed_byte_is_seen(tables: Tables, content: bytes, change: int) -> None:
    """By each digest that is listed; a byte more or less by the size."""
    whole = b"%PDF-" + content
    listed = _listed("application/pdf", whole)
    assert not tables.attachment_types.problem(listed, whole)
    place = change % len(whole)
    spoilt = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    assert tables.attachment_types.problem(listed, spoilt) == "ATTACHMENT_DIGEST"
    assert tables.attachment_types.problem(listed, whole + b"x") == "ATTACHMENT_SIZE"
    listed.digests[1].digest = bytes(32)
    assert tables.attachment_types.problem(listed, whole) == "ATTACHMENT_DIGEST"
