"""What apply makes of the recorded history is what it made when that was recorded, or it has another name."""

from __future__ import annotations

import pytest

from exchange.flows.apply.again.replay import ReplayedStep
from exchange.flows.audit.findings import Finding
from exchange.storage.registers import projection
from exchange.storage.registers.canonical import REGISTERS
from exchange.storage.registers.registers import RECORD_PARTS, SOURCE_DECISIONS, TABLES
from tests.recorded.history import editions, replayed, unpacked

RECORD_AGAIN = "python -m tests.recorded.history, and commit what it writes"
OTHER_EDITION = f"the history was recorded by another edition of the projection: {RECORD_AGAIN}"
OTHER_ROWS = (
    "apply, or a table that it reads, gives other rows for the same entries than when the history was recorded. "
    "Where that is meant, raise NAME in src/exchange/storage/registers/projection.py, so that whoever replays an older "
    f"journal is told so and nobody is accused; then {RECORD_AGAIN}"
)
APART = {
    "parked",  # only an apply that fails makes one
    SOURCE_DECISIONS,  # only a decision that is taken again
    "dues",  # checks, actions and orders are carried over from the journal's lines as they stand
    "actions",
    "rule_orders",
    "key_decisions",
}
"""Registers that the history does not touch."""


@pytest.fixture(scope="module")
def walked() -> tuple[list[Finding], list[ReplayedStep], dict[str, bool]]:
    """Findings, steps, and which registers have rows in the end."""
    with unpacked() as folder:
        findings, steps = replayed(folder)
        filled = {path.stem: path.stat().st_size > 0 for path in (folder / "registers").glob("*.jsonl")}
    return findings, steps, filled


def test_the_same_entries_give_the_same_rows_under_the_same_name(
    walked: tuple[list[Finding], list[ReplayedStep], dict[str, bool]],
) -> None:
    """Every step's digest and every row; where not, the edition of the projection has to have another name."""
    findings, steps, _ = walked
    assert steps
    assert editions(steps) == {projection.DIGEST}, OTHER_EDITION
    assert findings == [], OTHER_ROWS


def test_the_history_touches_what_apply_makes(
    walked: tuple[list[Finding], list[ReplayedStep], dict[str, bool]],
) -> None:
    """A change to a register that it never touches would not be seen: such are listed."""
    _, steps, filled = walked
    touched = {change.table for step in steps for change in step.plan.changes}
    by_journal = TABLES.keys() - RECORD_PARTS.keys() - {SOURCE_DECISIONS}
    touched |= {name for name in by_journal if filled[TABLES[name][0].name]}
    assert TABLES.keys() - touched == APART
    assert filled.keys() == REGISTERS.keys()
