"""A node's database replaced by an older copy while agencies submit to both: it heals, and nothing is missing."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from exchange.rpc.failure import CallFailed
from exchange.storage.engine.maintenance import backup, restore
from exchange.v1.operation_service_pb2 import AcknowledgeAlarmRequest, NodeState
from exchange.v1.submission_service_pb2 import GetReceiptRequest, SubmitRecordRequest
from tests.processes import laws
from tests.processes.load import Acknowledged, Load
from tests.rigs.pair import Pair, running_pair

SETTLE_S = 0.3
"""Seconds after a kill until an answer that was on its way has been counted."""

LOAD_S = 2.0
"""Seconds of load before and after the copy is taken: some hundred records on each side of it."""


def put_back(pair: Pair, name: str, copy: Path, *, by_command: bool) -> None:
    """Put the copy in the place of a killed node's database: by ``db restore``, or by hand, as in haste."""
    database = pair.nodes[name].database
    if by_command:
        restore(copy, laws.url_of(pair, name))
        return
    for left in database.parent.glob(f"{database.name}*"):
        left.unlink()
    shutil.copy(copy, database)


def delivered(pair: Pair, name: str, acknowledged: list[Acknowledged]) -> list[Acknowledged]:
    """Those that the peer has on its disk, by its own word: they have a receipt."""
    with pair.nodes[name].client() as client:
        low, high = 0, len(acknowledged)
        # Lanes are mirrored in order: all of them up to some point.
        while low < high:
            middle = (low + high) // 2
            asked = GetReceiptRequest(record_id=acknowledged[middle].record_id)
            try:
                client.call(client.submissions.GetReceipt, asked)
            except CallFailed:
                high = middle
            else:
                low = middle + 1
    return acknowledged[:low]


def repeat(pair: Pair, name: str, load: Load, acknowledged: list[Acknowledged]) -> None:
    """The same calls again give the same records; by them an agency gets back what the mirror does not know of it."""
    with pair.nodes[name].client() as client:
        for each in acknowledged:
            request = SubmitRecordRequest(submission=load.submission(int(each.key.rpartition("-")[2])))
            again = client.call(client.submissions.SubmitRecord, request).submitted
            assert (again.repeated_call, again.record_id, again.revision) == (True, each.record_id, each.revision)


def acknowledge(pair: Pair, name: str) -> None:
    """The security officer has looked at what was healed."""
    (alarm,) = [each for each in laws.alarms(pair, name) if each.code == "RESTORED"]
    with pair.nodes[name].client("security") as client:
        client.call(client.operation.AcknowledgeAlarm, AcknowledgeAlarmRequest(id=alarm.id, reason="test"))


@pytest.mark.slow
@pytest.mark.parametrize("by_command", [True, False], ids=["db restore", "by hand"])
@pytest.mark.parametrize("name", ["cq", "sc"])
def test_an_older_copy_heals_from_the_peers_mirror(tmp_path: Path, name: str, by_command: bool) -> None:
    """Everything that the peer had mirrored is back, in its place; no fork is seen; the other side's records too."""
    copy = tmp_path / "older.db"
    with running_pair(tmp_path / "pair") as pair:
        other = laws.other_of(pair, name)
        with Load(pair.nodes[name]) as mine, Load(pair.nodes[other]) as theirs:
            time.sleep(LOAD_S)
            backup(laws.url_of(pair, name), copy)
            before = len(mine.acknowledged)
            laws.wait("load after the copy", lambda: len(mine.acknowledged) > before + 50)
            safe = delivered(pair, name, list(mine.acknowledged))
            assert len(safe) > before, "the peer mirrored nothing that the copy lacks"
            pair.kill(name)
            time.sleep(SETTLE_S)
            since = len(mine.acknowledged)
            put_back(pair, name, copy, by_command=by_command)
            pair.start(name)
            laws.wait(
                "healed",
                lambda: laws.status(pair, name).state == NodeState.NODE_STATE_AWAITING_ACKNOWLEDGEMENT,
            )
            acknowledge(pair, name)
            served = len(mine.acknowledged)
            laws.wait("served again", lambda: len(mine.acknowledged) > served)
        laws.wait_at_rest(pair)
        for each in pair.nodes:
            assert [alarm.code for alarm in laws.alarms(pair, each) if alarm.code != "RESTORED"] == []
        assert [*mine.failures, *theirs.failures] == []
        after = mine.acknowledged[since:]
        repeat(pair, name, mine, safe)
        laws.assert_receipts(pair, name, [*safe, *after])
        laws.assert_receipts(pair, other, theirs.acknowledged)
        laws.assert_sound(pair)
        pair.stop()
        laws.assert_mirrored_once(pair, name, [*safe, *after])
        laws.assert_mirrored_once(pair, other, theirs.acknowledged)
        laws.assert_replays(pair)
