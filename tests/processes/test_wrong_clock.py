"""A clock that is an hour wrong on one side, in real processes; set right while they run, and what it dated mended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.processes import laws
from tests.processes.load import Load
from tests.processes.officers import Desk
from tests.processes.test_certificates import QUICK, codes
from tests.rigs.pair import Pair

LIBRARIES = ("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


@contextmanager
def pair_with_wrong_clock(folder: Path, name: str, offset: str) -> Iterator[tuple[Pair, Path]]:
    """Two running nodes, one with a wrong clock; writing ``+0`` into the file sets it right while the node runs."""
    library = next((each for each in LIBRARIES if Path(each).exists()), None)
    if library is None:
        pytest.skip("faketime-missing: Debian's libfaketime")
    clock = folder / "clock"
    clock.write_text(offset)
    pair = Pair(folder / "pair", settings=QUICK)
    pair.processes[name]._environment |= {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    try:
        pair.start()
        for each in pair.nodes:
            pair.grant(each)
        yield pair, clock
    finally:
        pair.kill()


def doubted(pair: Pair, name: str) -> list[str]:
    """Lanes whose time a node does not believe."""
    return [each.object for each in laws.alarms(pair, name) if each.code == "UNPROVEN_TIME"]


@pytest.mark.slow
def test_a_clock_an_hour_fast_is_seen_set_and_mended(tmp_path: Path) -> None:
    """Agencies' calls go on; both sides see the skew; one command behind it, and records and decisions count."""
    since = datetime.now(UTC).isoformat()
    with pair_with_wrong_clock(tmp_path, "sc", "+1h") as (pair, clock):
        with Load(pair.nodes["cq"]) as cq, Load(pair.nodes["sc"]) as sc:
            for name in pair.nodes:
                laws.wait(f"{name} sees the skew", lambda name=name: "CLOCK_SKEW" in codes(pair, name))  # type: ignore[misc]
            laws.wait("records on both sides", lambda: min(len(cq.acknowledged), len(sc.acknowledged)) >= 50)
            laws.wait("decisions that do not count", lambda: any("/registry/" in each for each in doubted(pair, "cq")))
        assert cq.failures == sc.failures == []
        assert len(doubted(pair, "cq")) == len(set(doubted(pair, "cq"))) <= 3, "one alarm for a lane"
        assert doubted(pair, "sc") == []

        clock.write_text("+0")
        for name in pair.nodes:
            laws.wait(f"{name} sees it right", lambda name=name: "CLOCK_SKEW" not in codes(pair, name))  # type: ignore[misc]
        desk = Desk(pair, "sc", tmp_path)
        (key,) = [
            each["fingerprint"]
            for each in desk.types("certs", "status").json["keys"]
            if (each["owner"], each["key"], each["state"]) == ("sc", "signing", "KEY_STATE_ACTIVE")
        ]
        done = desk.types("certs", "reconfirm", key, "--since", since, "--reason", "the clock was an hour fast")
        assert (done.status, done.json["confirmed"] >= 50) == (0, True), done.out
        laws.wait_at_rest(pair)
        for name in pair.nodes:
            laws.wait(f"no alarm at {name}", lambda name=name: codes(pair, name) == [])  # type: ignore[misc]
            assert [row.deferred for row in laws.status(pair, name).counts if row.deferred] == []
        again = desk.types("certs", "reconfirm", key, "--since", since, "--reason", "again")
        assert (again.status, again.json["confirmed"]) == (0, 0)
        laws.assert_receipts(pair, "cq", cq.acknowledged)
        pair.stop()
        laws.assert_sound(pair)
        laws.assert_replays(pair)


@pytest.mark.slow
def test_a_clock_an_hour_slow_meets_fresh_certificates(tmp_path: Path) -> None:
    """Certificates of this hour are not valid yet there: nobody gets in until the clock is set."""
    folder = tmp_path / "slow"
    folder.mkdir()
    with pair_with_wrong_clock(folder, "sc", "+0") as (pair, clock):
        laws.wait_at_rest(pair)
        clock.write_text("-1h")
        with Load(pair.nodes["cq"]) as load:
            laws.wait("cq misses its peer", lambda: "PEER_AWAY" in codes(pair, "cq"))
            laws.wait("cq takes records", lambda: len(load.acknowledged) >= 50)
        assert load.failures == []
        clock.write_text("+0")
        laws.wait_at_rest(pair)
        laws.assert_receipts(pair, "cq", load.acknowledged)
        for name in pair.nodes:
            laws.wait(f"no alarm at {name}", lambda name=name: codes(pair, name) == [])  # type: ignore[misc]
