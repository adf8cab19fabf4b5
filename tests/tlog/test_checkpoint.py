"""Checkpoints and cosignatures: the published example, and one spelling."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tlog import checkpoint, cosignature
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.errors import LogFormatError
from exchange.tlog.tree import EMPTY_ROOT

BODY = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
COSIGNED = (
    BODY + "\n— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()


def test_the_published_checkpoint_is_read() -> None:
    """Origin, size and root of the specification's example come out, and its text again."""
    signed, found = checkpoint.parse_note(COSIGNED)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert found.body() == BODY.encode() == signed.text_bytes
    assert signed.to_bytes() == COSIGNED


def test_the_published_cosignature_is_read() -> None:
    """The time of the specification's example comes out, and the bytes it signs are those printed there."""
    signed, _ = checkpoint.parse_note(COSIGNED)
    timed = cosignature.parse(signed.signatures[1].signature)
    assert timed.time == 1679315147
    assert cosignature.message(signed.text_bytes, timed.time) == b"cosignature/v1\ntime 1679315147\n" + BODY.encode()
    assert timed.to_bytes() == signed.signatures[1].signature


@given(st.integers(1, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_written_checkpoint_is_read_back(size: int, root: bytes) -> None:
    """Whatever can be written is read back unchanged."""
    one = Checkpoint("cq.exchange.example/journal/1", size, root)
    assert checkpoint.parse(one.body()) == one == checkpoint.parse(one.text())


@given(st.one_of(st.text(max_size=90), st.binary(max_size=90)))
def test_nothing_breaks_the_parser(data: str | bytes) -> None:
    """Arbitrary input is a checkpoint in its one spelling, or a format error."""
    with contextlib.suppress(LogFormatError):
        assert checkpoint.parse(data).text() == data


@pytest.mark.parametrize(
    "text",
    [
        BODY + "extension\n",
        BODY[:-1],
        BODY + "\n",
        BODY.replace("20852163", "020852163"),
        BODY.replace("20852163", "+20852163"),
        BODY.replace("20852163", "20_852_163"),
        BODY.replace("20852163", ""),
        BODY.replace("20852163", "9223372036854775808"),
        BODY.replace("20852163", "0"),
        BODY.replace("q2I=", "q2J="),
        BODY.replace("q2I=", "q2I"),
        BODY.replace("CsUY", ""),
        BODY.replace("example.com/", "example.com /"),
        BODY.replace("example.com/behind-the-sofa", ""),
        BODY.replace("\n", "\r\n"),
        b"\xff" + BODY.encode(),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str | bytes) -> None:
    """Extension lines, other spellings and an empty tree with another root are format errors."""
    with pytest.raises(LogFormatError):
        checkpoint.parse(text)


def test_the_empty_tree_has_its_root() -> None:
    """A checkpoint of size 0 carries the root of the empty tree."""
    assert checkpoint.parse(Checkpoint("a", 0, EMPTY_ROOT).text()).size == 0


@pytest.mark.parametrize("payload", [b"", bytes(71), bytes(73), b"\x80" + bytes(71)])
def test_what_is_no_cosignature_is_refused(payload: bytes) -> None:
    """A wrong length and a time beyond 2**63 - 1 are format errors."""
    with pytest.raises(LogFormatError):
        cosignature.parse(payload)


@pytest.mark.parametrize("time", [-1, 2**63])
def test_a_time_out_of_range_is_not_signed(time: int) -> None:
    """The bytes to sign exist only for times that can be carried."""
    with pytest.raises(LogFormatError):
        cosignature.message(b"text\n", time)
