"""Seeds with some bytes changed, cut, doubled or mixed: what hypothesis tries where no coverage guides it."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fuzz.targets import Target

EDITS = 8
"""Edits of one input: enough to leave what the parser expects, few enough to get past its first check."""


@st.composite
def mutated(draw: st.DrawFn, target: Target) -> bytes:
    """An input for a target."""
    seeds = target.seeds()
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, EDITS))):
        at = draw(st.integers(0, len(data)))
        edit = draw(st.sampled_from(("put", "insert", "cut", "double", "mix")))
        if edit == "put" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif edit == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif edit == "cut":
            del data[at : at + draw(st.integers(1, 64))]
        elif edit == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 64))]
        else:
            other = draw(st.sampled_from(seeds))
            begin = draw(st.integers(0, len(other)))
            data[at:at] = other[begin : begin + 64]
    return bytes(data[: target.max_bytes])
