"""Tokens: what was put in comes out, and nothing else is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.domain.problems import Refused
from exchange.flows.queries.ground.paging import MAX_PAGE, Tokens, page_size

TOKENS = Tokens(b"secret")
POSITIONS = st.recursive(
    st.integers(-(2**60), 2**60) | st.text(max_size=30), lambda inner: st.lists(inner, max_size=4), max_leaves=6
)


@given(question=st.text(max_size=50), position=POSITIONS)
def test_a_token_brings_its_position_back(question: str, position: object) -> None:
    """For the question that it was made for."""
    token = TOKENS.make(question, position)
    assert TOKENS.read(question, token) == position
    assert token.isascii()


@given(position=POSITIONS, place=st.integers(0, 10_000), char=st.sampled_from("ABCxyz019-_=. é"))
def test_a_token_with_one_other_character_is_refused(position: object, place: int, char: str) -> None:
    """Wherever the change is, the tag notices."""
    token = TOKENS.make("question", position)
    at = place % len(token)
    changed = token[:at] + char + token[at + 1 :]
    if changed == token:
        return
    try:
        read = TOKENS.read("question", changed)
    except Refused as refused:
        assert refused.reason == "PAGE_TOKEN"  # noqa: PT017 - either outcome is right, and each is checked
    else:
        # The last character of base64 holds bits that mean nothing.
        assert at == len(token) - 1
        assert read == position


def test_a_token_of_another_question_or_node_is_refused() -> None:
    """The question and the node's secret are part of it."""
    token = TOKENS.make("one", 1)
    for reader, question in ((TOKENS, "two"), (TOKENS, "on"), (Tokens(b"other"), "one")):
        with pytest.raises(Refused):
            reader.read(question, token)


def test_no_token_is_the_first_page() -> None:
    """An empty token stands for the begin."""
    assert TOKENS.read("question", "") is None


def test_page_sizes() -> None:
    """0 means the usual size; beyond the limits is refused."""
    assert page_size(0) == 100
    assert page_size(MAX_PAGE) == MAX_PAGE
    for wrong in (-1, MAX_PAGE + 1):
        with pytest.raises(Refused) as refused:
            page_size(wrong)
        assert refused.value.reason == "PAGE_SIZE"
