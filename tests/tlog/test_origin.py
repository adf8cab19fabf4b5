"""Names of logs and cosigning keys."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tlog.errors import LogFormatError
from exchange.tlog.origin import LANES, LogName, OriginUse, mirror_name, witness_name

LABEL = st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True)


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        (LogName.outbound("cq", "exchange.example", "sc", "registry"), "cq.exchange.example/to/sc/registry/1"),
        (LogName.journal("cq", "exchange.example", 3), "cq.exchange.example/journal/3"),
        (LogName.local("cq", "exchange.example"), "cq.exchange.example/local/1"),
    ],
)
def test_origins_are_spelled_as_agreed(name: LogName, origin: str) -> None:
    """Each use of a log has its form, which ends in the epoch."""
    assert str(name) == name.format() == origin
    assert LogName.parse(origin) == name


def test_cosigning_keys_have_names_of_their_own() -> None:
    """Mirror and witness are named below the node."""
    assert mirror_name("cq", "exchange.example") == "cq.exchange.example/mirror"
    assert witness_name("cq", "exchange.example") == "cq.exchange.example/witness"


def test_a_log_goes_on_in_the_next_epoch() -> None:
    """Only the epoch changes."""
    assert str(LogName.parse("cq.x/to/sc/urgent/9").next_epoch()) == "cq.x/to/sc/urgent/10"


@given(LABEL, LABEL, LABEL, st.sampled_from(LANES), st.integers(1, 2**63 - 1))
def test_a_written_origin_is_read_back(node: str, domain: str, peer: str, lane: str, epoch: int) -> None:
    """Whatever can be written is read back unchanged."""
    if node != peer:
        name = LogName.outbound(node, domain, peer, lane, epoch)
        assert LogName.parse(str(name)) == name
    assert LogName.parse(str(LogName.journal(node, domain, epoch))).use is OriginUse.JOURNAL


@given(st.text(max_size=60))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Arbitrary text is an origin in its one spelling, or a format error."""
    with contextlib.suppress(LogFormatError):
        assert str(LogName.parse(text)) == text


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "cq.x",
        "cq/journal/1",
        "cq.x/journal",
        "cq.x/journal/0",
        "cq.x/journal/01",
        "cq.x/journal/1/",
        "cq.x/journal/sc/registry/1",
        "CQ.x/journal/1",
        "cq.X/journal/1",
        "cq..x/journal/1",
        "cq.x./journal/1",
        "-cq.x/journal/1",
        "1cq.x/journal/1",
        "cq.x/other/1",
        "cq.x/to/sc/1",
        "cq.x/to/sc/other/1",
        "cq.x/to/cq/registry/1",
        "cq.x/to/sc.x/registry/1",
        "cq.x/to/sc/registry/-1",
        "cq.x/journal/1\n",
        "重庆.x/journal/1",
        f"cq.{'a' * 61}.{'a' * 61}.{'a' * 61}/journal/1",
    ],
)
def test_what_is_no_origin_is_refused(origin: str) -> None:
    """Other spellings, unknown uses and lanes, and a log towards itself are format errors."""
    with pytest.raises(LogFormatError):
        LogName.parse(origin)


def test_names_leave_no_part_open() -> None:
    """A journal names no peer, and an outbound log does."""
    with pytest.raises(LogFormatError):
        LogName("cq", "x", OriginUse.JOURNAL, peer="sc")
    with pytest.raises(LogFormatError):
        LogName("cq", "x", OriginUse.OUTBOUND)
