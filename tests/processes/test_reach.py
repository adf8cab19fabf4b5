"""Two real nodes of which at most one can dial: everything arrives all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchange.v1.operation_service_pb2 import GetStatusRequest
from tests.processes import laws
from tests.processes.load import Load
from tests.rigs.courier import Courier
from tests.rigs.pair import Pair, running_pair


def _acknowledged(loads: dict[str, Load]) -> dict[str, int]:
    return {name: len(each.acknowledged) for name, each in loads.items()}


def _load_through(pair: Pair, *killed: str) -> dict[str, Load]:
    """Load on both while each named node is killed and started again; until both were answered behind it."""
    loads = {name: Load(pair.nodes[name]) for name in pair.nodes}
    with loads["cq"], loads["sc"]:
        for name in (*killed, ""):
            before = _acknowledged(loads)
            laws.wait("answers", lambda before=before: all(n > before[k] for k, n in _acknowledged(loads).items()))  # type: ignore[misc]
            if name:
                pair.kill(name)
                pair.start(name)
    return loads


def _assert_all_arrived(pair: Pair, loads: dict[str, Load]) -> None:
    laws.wait_at_rest(pair)
    for name, load in loads.items():
        assert load.failures == []
        # Each costs a call: the others are proven by what both disks hold.
        laws.assert_receipts(pair, name, load.acknowledged[::25])
    laws.assert_sound(pair)
    pair.stop()
    for name, load in loads.items():
        laws.assert_mirrored_once(pair, name, load.acknowledged)
    laws.assert_replays(pair)


@pytest.mark.timeout(240)
def test_two_processes_of_which_one_dials(tmp_path: Path) -> None:
    """Load on both, the dialled one killed once: all is mirrored once, in order, with receipts; status says how."""
    with running_pair(tmp_path, dialler="cq") as pair:
        loads = _load_through(pair, "sc")
        laws.wait_at_rest(pair)
        transports = {}
        for name, node in pair.nodes.items():
            with node.client("operator") as client:
                (peer,) = client.call(client.operation.GetStatus, GetStatusRequest()).peers
            transports[name] = peer.transport
        assert transports == {"cq": "pull", "sc": "pulled"}
        assert peer.HasField("last_taken")
        assert peer.HasField("last_given")
        _assert_all_arrived(pair, loads)


@pytest.mark.timeout(240)
def test_two_processes_that_nothing_joins_but_a_courier(tmp_path: Path) -> None:
    """Load on both, one killed with files on their way; a courier who loses, doubles, cuts: all arrives once."""
    quick = "[courier]\nlook_s = 1\nagain_s = 2\nsettle_s = 1\ngather_s = 1\n"
    with running_pair(tmp_path, courier=quick) as pair, Courier(pair.spools) as courier:
        courier.loss, courier.double, courier.cut = 0.05, 0.1, 0.05
        loads = _load_through(pair, "sc")
        courier.honest()
        laws.wait_at_rest(pair)
        with pair.nodes["cq"].client("operator") as client:
            (peer,) = client.call(client.operation.GetStatus, GetStatusRequest()).peers
        assert (peer.transport, peer.HasField("last_given"), peer.HasField("last_taken")) == ("folder", True, True)
        laws.wait("counted", lambda: laws.metric(pair.nodes["cq"], "exchange_courier_parcels_total", 'way="in"') > 0)
        assert laws.metric(pair.nodes["cq"], "exchange_courier_parcels_total", 'way="out"') > 0
        _assert_all_arrived(pair, loads)
