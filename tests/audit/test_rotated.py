"""Folders behind rotations of every key, and behind the loss of one: what holds is proven, what does not is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.audit.rotated import Rotated
from tests.cli.conftest import Run, run
from tests.world import lane_origin

LANE = lane_origin("cq", "sc")


def verify(rotated: Rotated, folder: Path, *more: object) -> Run:
    """Verify a folder by the cards from before every rotation, and all lists."""
    return run("audit", "verify", folder, *rotated.believing(), "--jobs", "1", "--json", *more)


def outcomes(done: Run) -> dict[int, str]:
    """Outcome by claim."""
    return {claim["no"]: claim["outcome"] for claim in done.json["claims"]}


def claim(done: Run, no: int) -> Any:
    """One claim."""
    return done.json["claims"][no - 1]


@pytest.mark.parametrize("name", ["cq", "sc"])
def test_what_was_stated_again_after_a_loss_is_proven(rotated: Rotated, name: str) -> None:
    """Under a key that was lost, and confirmed under its successor; announcements by it are vouched for otherwise."""
    done = verify(rotated, rotated.export(name), "--registers")
    assert (done.json["findings"], outcomes(done)[5]) == ([], "PROVEN")
    assert {no for no, outcome in outcomes(done).items() if outcome != "PROVEN"} <= {3, 8, 9}
    assert claim(done, 5)["facts"]["confirmed"] >= len(rotated.stated)


def test_what_nobody_stated_again_is_open(rotated: Rotated) -> None:
    """A region that has not looked at what its lost key signed is not refuted: each entry that waits is named."""
    done = verify(rotated, rotated.unconfirmed)
    assert [each for each in done.json["findings"] if each["no"] == 5] == []
    assert outcomes(done)[5] == "NOT_PROVABLE"
    owed = [each for each in claim(done, 5)["missing"] if each.startswith("CONFIRMATION")]
    assert len(owed) == len(rotated.stated)
    assert all(each.startswith(f"CONFIRMATION {LANE}#") for each in owed)


def test_what_a_lost_key_signs_when_its_end_is_known_is_refuted(rotated: Rotated) -> None:
    """One entry, in its place; nobody confirmed it, and nothing else is doubted."""
    done = verify(rotated, rotated.stolen)
    (found,) = [each for each in done.json["findings"] if each["no"] == 5]
    assert (found["code"], found["log"]) == ("KEY_REVOKED_BEFORE", LANE)
    assert rotated.lost in found["evidence"]["keys"]
    assert outcomes(done)[5] == "REFUTED"
