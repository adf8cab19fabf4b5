"""A folder behind a day on which its node's clock was an hour fast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from exchange.crypto.x509.pki import issue_crl
from exchange.flows.audit.export.run import Export
from exchange.flows.audit.export.scope import Scope
from exchange.flows.trust.compromise import CompromiseFlow
from tests.audit.material import NAMES, OTHER
from tests.cli.conftest import Run, run
from tests.rotation.officers import OFFICER, credit
from tests.world import FEDERATION, World, keyring, lane_origin, profile


def verify(folder: Path, name: str) -> Run:
    """Verify a node's folder by both cards and lists that are younger than all of it."""
    believing: list[object] = []
    for each in NAMES:
        card = keyring(each).card_for(OTHER[each])
        card_file, listed = folder / f"{name}-{each}.card", folder / f"{name}-{each}.crl"
        card_file.write_text(card.to_text(), "utf-8")
        later = datetime.now(UTC) + timedelta(seconds=2)
        listed.write_bytes(issue_crl(profile(), keyring(each).root, [], number=1, now=later))
        believing += ["--card", card_file, "--fingerprint", card.fingerprint(), "--crl", listed]
    return run("audit", "verify", folder / name, *believing, "--jobs", "1", "--json")


def export(world: World, folder: Path) -> None:
    """Chongqing's folder as it is now."""
    made = Export(world.nodes["cq"].database, "cq", FEDERATION, folder, Scope())
    made.write(made.plan(), datetime.now(UTC))


def test_what_a_wrong_clock_dated_counts_once_it_is_stated_again(tmp_path: Path) -> None:
    """Until then each entry that claims a time behind its own mirroring is told of, and nothing else."""
    world = World({name: f"sqlite:///{tmp_path}/{name}.db" for name in NAMES})
    try:
        world.start()
        world.wait(world.settled)
        world.stop("cq")
        world.skew["cq"] = timedelta(hours=1)
        since = datetime.now(UTC)
        world.start("cq")
        for number in range(3):
            world.submit("cq", credit(number), f"early-{number}")
        world.wait(world.settled)
        world.stop("cq")
        world.skew["cq"] = timedelta()
        world.start("cq")
        world.wait(world.settled)
        export(world, tmp_path / "before")
        node = world.nodes["cq"].node
        CompromiseFlow(node).confirm(
            node.keys.signers[0].keyid, since, (), "the clock was an hour fast", OFFICER, node.clock()
        )
        world.wait(world.settled)
        export(world, tmp_path / "after")
    finally:
        world.close()
    before, after = (verify(tmp_path, name).json for name in ("before", "after"))
    told = [each for each in before["findings"] if each["log"] == lane_origin("cq", "sc")]
    assert (len(told), {each["code"] for each in before["findings"]}) == (3, {"LOGGED_TOO_LATE"})
    assert (after["findings"], after["claims"][4]["outcome"]) == ([], "PROVEN")
    assert after["claims"][4]["facts"]["confirmed"] == len(before["findings"])
