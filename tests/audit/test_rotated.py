"""Folders behind rotations of every key, and behind the loss of one: what holds is proven, what does not is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from exchange.crypto.x509.pki import issue_crl
from tests.audit.rotated import Rotated
from tests.cli.conftest import Run, run
from tests.world import keyring, lane_origin, profile

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


def test_one_side_is_asked_for_more_than_the_other(rotated: Rotated) -> None:
    """Chongqing has to sign by both, Sichuan by one; asked of both, no key of Sichuan's is relied on."""
    folder = rotated.export("cq")
    both = verify(rotated, folder, "--require", "cq=ES256,SM2", "--require", "ES256")
    assert (both.json["findings"], outcomes(both)[4], outcomes(both)[5]) == ([], "PROVEN", "PROVEN")
    done = verify(rotated, folder, "--require", "ES256,SM2")
    assert outcomes(done)[4] == outcomes(done)[5] == "NOT_PROVABLE"
    assert claim(done, 4)["missing"]
    assert all(" sc.exchange.example/to/cq/" in each for each in claim(done, 4)["missing"])
    assert verify(rotated, folder, "--require", "cqq=SM2").status == 2
    assert verify(rotated, folder, "--require", "cq=RSA").status == 2


def test_each_authority_needs_a_list_of_its_own(rotated: Rotated) -> None:
    """A fresh list of one authority says nothing of the keys under the other one, nor does one that came too early."""
    folder = rotated.export("cq")
    without = run("audit", "verify", folder, *rotated.believing()[:-2], "--jobs", "1", "--json")
    (missing,) = claim(without, 5)["missing"]
    assert missing.startswith("REVOCATION_LIST cq CN=cq signing root SM2")
    assert outcomes(without)[5] == "NOT_PROVABLE"
    early = rotated.folder / "early.crl"
    early.write_bytes(issue_crl(profile(), keyring("cq").sm2[0], [], number=1, now=rotated.since))
    done = run("audit", "verify", folder, *rotated.believing()[:-1], early, "--jobs", "1", "--json")
    assert [each.rpartition(" ")[0] for each in claim(done, 5)["missing"]] == [missing.rpartition(" ")[0]]


def test_a_key_that_came_out_of_turn_counts_by_the_other_sides_officer(rotated: Rotated) -> None:
    """The one before it was gone; until the other side confirmed it, its certificate alone proves nothing."""
    done = verify(rotated, rotated.export("sc"))
    assert (done.json["findings"], outcomes(done)[4], outcomes(done)[5]) == ([], "PROVEN", "PROVEN")
    before = verify(rotated, rotated.unheard)
    assert [each for each in before.json["findings"] if each["no"] in (4, 5)] == []
    assert outcomes(before)[4] == outcomes(before)[5] == "NOT_PROVABLE"
    assert {each.split()[0] for each in claim(before, 4)["missing"]} == {"SUCCESSION"}
