"""Refusals are folded: one line for each caller, reason and minute."""

from __future__ import annotations

import pytest

from exchange.flows.intake import refusals
from exchange.flows.intake.refusals import RefusalFolder
from exchange.v1.journal_pb2 import RefusalsFolded
from tests.flows.node import START, TestNode


def folded(running: TestNode) -> list[RefusalsFolded]:
    """What the journal says of refusals."""
    return [event.refusals_folded for event in running.journal("refusals_folded")]


def lines(running: TestNode) -> list[tuple[str, str, int, int]]:
    """What the journal says: caller, reason, count, minutes since the start."""
    told = [event.refusals_folded for event in running.journal("refusals_folded")]
    begin = int(START.timestamp())
    return [(each.caller, each.reason, each.count, (each.minute.seconds - begin) // 60) for each in told]


def test_a_minute_becomes_one_line_for_each_caller_and_reason(running: TestNode) -> None:
    """The minute that is not over waits; the others are written, sorted."""
    folder = RefusalFolder(running.node)
    for _ in range(500):
        folder.count("water", "NO_GRANT")
    folder.count("air", "NO_GRANT")
    folder.count("water", "USCC_CHECK")
    folder.flush()
    assert lines(running) == []
    running.clock.forward(60)
    folder.count("water", "NO_GRANT")
    folder.flush()
    assert lines(running) == [("air", "NO_GRANT", 1, 0), ("water", "NO_GRANT", 500, 0), ("water", "USCC_CHECK", 1, 0)]
    folder.close()
    assert lines(running)[3:] == [("water", "NO_GRANT", 1, 1)]


def test_a_line_names_the_grants_that_were_missing(running: TestNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each grant once, and no more than a few; what could not be written is named the next time."""
    folder = RefusalFolder(running.node)
    for area in (500000, 500000, 510000):
        folder.count("water", "NO_GRANT", [f"SUBMIT CreditResult {area}"])
    folder.count("water", "USCC_CHECK")
    with monkeypatch.context() as patch:
        patch.setattr(running.node.writer, "call", lambda *args, **kwargs: 1 / 0)
        folder.flush(everything=True)
    for number in range(100):
        folder.count("air", "GRANT_AREA", [f"READ PenaltyNotice {number:06}"])
    folder.close()
    told = {each.caller + each.reason: list(each.missing) for each in folded(running)}
    assert told["waterNO_GRANT"] == ["SUBMIT CreditResult 500000", "SUBMIT CreditResult 510000"]
    assert told["waterUSCC_CHECK"] == []
    assert len(told["airGRANT_AREA"]) == refusals.MAX_MISSING


def test_a_flood_of_identities_is_bounded(running: TestNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit refusals are counted together: none is lost, and the journal does not grow with callers."""
    monkeypatch.setattr(refusals, "MAX_CALLERS", 10)
    folder = RefusalFolder(running.node)
    for number in range(1_000):
        folder.count(f"caller {number}", "IDENTITY_UNKNOWN")
    folder.close()
    found = lines(running)
    assert len(found) == 11
    assert sum(count for _, _, count, _ in found) == 1_000
    assert ("*", "IDENTITY_UNKNOWN", 990, 0) in found


def test_what_could_not_be_written_stays_counted(running: TestNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away for a minute costs no refusal."""
    folder = RefusalFolder(running.node)
    folder.count("water", "NO_GRANT")
    with monkeypatch.context() as patch:
        patch.setattr(running.node.writer, "call", lambda *args, **kwargs: 1 / 0)
        folder.flush(everything=True)
    folder.count("water", "NO_GRANT")
    folder.close()
    assert lines(running) == [("water", "NO_GRANT", 2, 0)]


def test_the_thread_ends_with_everything_written(running: TestNode) -> None:
    """A start, a refusal, a stop: the line is there."""
    folder = RefusalFolder(running.node)
    folder.start()
    folder.count("x" * 1_000, "NO_GRANT")
    folder.close()
    assert lines(running) == [("x" * 256, "NO_GRANT", 1, 0)]
