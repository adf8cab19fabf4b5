"""A few seconds of what ``make fuzz`` does for hours: every parser takes its seeds, and some hundred changed ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutating import mutated
from tests.fuzz.targets import TARGETS, Target

FOUND = Path(__file__).parent / "found"


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_seeds_and_old_findings_are_answered(target: Target) -> None:
    """No seed, and no input that once was a finding, breaks a law of its parser."""
    seeds = target.seeds()
    assert seeds
    for data in seeds:
        target.run(data)
    for path in sorted((FOUND / target.name).glob("*")):
        target.run(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_changed_seeds_are_answered(target: Target) -> None:
    """A parser gives a value or an error of ours, whatever was done to an input."""

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(st.data())
    def check(data: st.DataObject) -> None:
        target.run(data.draw(mutated(target)))

    check()
