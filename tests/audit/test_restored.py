"""An export of a node that was restored: its journal goes on in a second epoch, under a key that no card names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from exchange.flows.audit.folder.reading import Folder
from exchange.v1.operation_service_pb2 import NodeState
from tests.audit.material import NAMES, Material, hand_over, witnessed
from tests.backups import copy_of, put_back
from tests.cli.conftest import run
from tests.domain import records
from tests.rpc.facts import credit_of
from tests.world import World

FIRST = "cq.exchange.example/journal/1"
SECOND = "cq.exchange.example/journal/2"


@pytest.fixture(scope="module")
def restored(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Material:
    """Chongqing lost what it did after a copy, healed from its peer's mirror, and went on."""
    made = Material(tmp_path_factory.mktemp("restored"))
    for name in NAMES:
        shutil.copy(migrated_file, made.folder / f"{name}.db")
    world = World({name: f"sqlite:///{made.folder}/{name}.db" for name in NAMES})
    try:
        world.start()
        _state(world, range(4))
        older = copy_of(world, "cq")
        _state(world, range(4, 8))
        put_back(world, "cq", older)
        world.start("cq")
        waits = NodeState.NODE_STATE_AWAITING_ACKNOWLEDGEMENT
        world.wait(lambda: world.nodes["cq"].core.status.state == waits, 30, "healed")
        world.nodes["cq"].core.acknowledge_restore()
        _state(world, range(8, 12))
    finally:
        world.close()
    hand_over(made)
    return made


def _state(world: World, numbers: range) -> None:
    """Credit results that are answered, and the journals that tell of it witnessed."""
    for number in numbers:
        world.submit("cq", credit_of(records.make_uscc(9_000 + number)), f"c-{number}")
    world.wait(world.settled, 60)
    world.wait(lambda: all(witnessed(world, name) for name in NAMES), 30, "witnessed journals")


def test_a_new_epoch_of_a_journal_is_proven_by_the_key_that_its_region_announced(restored: Material) -> None:
    """All of it is unchanged, whole and signed; that the older epoch is shorter than it was, the other side knows."""
    (second,) = (log for log in Folder(restored.export("cq")).logs if log.about.origin == SECOND)
    assert second.about.size > 0
    verified = run("audit", "verify", restored.export("cq"), *restored.believing(), "--registers", "--json").json
    outcomes = {claim["no"]: claim["outcome"] for claim in verified["claims"]}
    assert [no for no in (1, 2, 4, 5, 6, 7) if outcomes[no] != "PROVEN"] == []
    assert [(each["code"], each["log"]) for each in verified["findings"]] == [
        ("LOG_CUT", "cq.exchange.example/journal/1")
    ]
    assert outcomes[3] == "REFUTED"
