"""Archives of bodies in the hands of somebody else: no byte of one can be changed without being told."""

from __future__ import annotations

from io import BytesIO

import pytest

from exchange.flows.audit.folder import ustar
from exchange.flows.audit.folder.bodies import Absent, Body, BodyArchive, write_absent, write_body
from exchange.flows.audit.folder.errors import FolderUnreadable

FIRST, END = 256, 261
ABSENT = {258: Absent(258, "ERASED", "01890a5d-ac96-774b-bcce-b302099a8057")}
BODIES = {256: b"a", 257: bytes(512), 259: b"", 260: bytes(range(256)) * 3}


def archive() -> bytes:
    """Four bodies and one that was erased: one byte, a whole block, none at all, and a block and a half."""
    written = [write_body(index, body, bytes([index % 256]) * 32) for index, body in BODIES.items()]
    return write_absent(ABSENT) + b"".join(written) + ustar.END


def read(data: bytes) -> list[Body]:
    """Every body."""
    return list(BodyArchive(BytesIO(data), "bodies/001.tar", FIRST, END).bodies())


def test_what_was_written_is_read() -> None:
    """Bodies, salts and places are those that were written; what is absent is told with its reason."""
    data = archive()
    found = read(data)
    assert {each.index: each.body for each in found} == BODIES
    for each in found:
        assert each.salt == bytes([each.index % 256]) * 32
        assert data[each.offset : each.offset + len(each.body)] == each.body
        assert data[each.salt_offset : each.salt_offset + 32] == each.salt
    assert BodyArchive(BytesIO(data), "", FIRST, END).absent == ABSENT


def test_a_changed_byte_is_told_wherever_it_stands() -> None:
    """A byte of a body or salt comes back changed at its place; any other makes the archive unreadable from there."""
    data, sound = archive(), read(archive())
    content = {
        place: (each.index, "body" if place < each.offset + len(each.body) else "salt")
        for each in sound
        for place in (
            *range(each.offset, each.offset + len(each.body)),
            *range(each.salt_offset, each.salt_offset + 32),
        )
    }
    # What the list of absent bodies says of a record is compared with the log, not here.
    listed = len(write_absent(ABSENT).rstrip(b"\0"))
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        if place in content:
            index, part = content[place]
            differing = [(a.index, b) for a, b in zip(sound, read(changed), strict=True) if a != b]
            assert [index] == [each for each, _ in differing]
            one = next(each for each in sound if each.index == index)
            other = differing[0][1]
            assert getattr(one, part) != getattr(other, part)
            assert (one.body == other.body) == (part == "salt")
        elif not ustar.BLOCK <= place < listed:
            with pytest.raises(FolderUnreadable):
                read(changed)


def test_a_cut_archive_is_told_wherever_it_ends() -> None:
    """Whatever is missing at the end, nothing of it passes for the whole."""
    data = archive()
    for end in range(len(data)):
        with pytest.raises(FolderUnreadable):
            read(data[:end])


def test_members_in_another_order_are_refused() -> None:
    """A body that stands twice, is left out, or stands behind the last entry has no place in the archive."""
    listed, salt = write_absent(ABSENT), bytes(32)
    whole = {index: write_body(index, body, salt) for index, body in BODIES.items()}
    for order in ((256, 257, 259), (256, 257, 257, 259, 260), (257, 256, 259, 260), (256, 259, 260)):
        with pytest.raises(FolderUnreadable):
            read(listed + b"".join(whole[index] for index in order) + ustar.END)
    with pytest.raises(FolderUnreadable):
        read(listed + b"".join(whole.values()) + write_body(261, b"", salt) + ustar.END)
    with pytest.raises(FolderUnreadable):
        read(listed + ustar.member("256.body", b"a") + ustar.member("256.salt", bytes(31)) + ustar.END)
