"""Two real nodes, killed again and again at random moments while agencies submit to both."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from exchange.v1.submission_service_pb2 import SubmitRecordRequest
from tests.processes import laws
from tests.processes.load import Load
from tests.rigs.pair import Pair, running_pair

SEED = 20_260_302
"""Moments are the same in every run, as far as two busy cores let them be."""

EARLIEST, LATEST = 0.3, 2.5
"""When a node is killed, in times of its usual start: while it starts, while it greets, and while it delivers."""

ABSENT_EVERY = 5
"""Each fifth kill leaves the node away for a while, so that the other one gathers a backlog."""


def kill_at_random(pair: Pair, kills: int, usual: float) -> None:
    """Kill either side at random moments, and start it again at once; both run at the end."""
    moments = random.Random(SEED)
    due = {name: time.monotonic() + moments.uniform(EARLIEST, LATEST) * usual for name in pair.nodes}
    for number in range(kills):
        name = min(due, key=lambda each: due[each])
        time.sleep(max(0.0, due[name] - time.monotonic()))
        pair.kill(name)
        if number % ABSENT_EVERY == 0:
            time.sleep(moments.uniform(0, 0.5) * usual)
        # Not waited for: the next kill may come before it serves.
        pair.processes[name].start(wait=False)
        due[name] = time.monotonic() + moments.uniform(EARLIEST, LATEST) * usual
    for name in pair.nodes:
        pair.processes[name].wait_ready()


@pytest.mark.timeout(0)
def test_nothing_acknowledged_is_lost_or_doubled_by_kills(tmp_path: Path, kills: int) -> None:
    """Every acknowledged record is mirrored once, in order, with a receipt; both databases and journals agree."""
    with running_pair(tmp_path) as pair:
        began = time.monotonic()
        pair.kill("cq")
        pair.start("cq")
        usual = min(time.monotonic() - began, 3.0)
        with Load(pair.nodes["cq"]) as cq, Load(pair.nodes["sc"]) as sc:
            kill_at_random(pair, kills, usual)
            # What the kills kept from being answered is answered now.
            seen = [len(each.acknowledged) for each in (cq, sc)]
            laws.wait("answers", lambda: all(len(e.acknowledged) > n for e, n in zip((cq, sc), seen, strict=True)))
        loads = {"cq": cq, "sc": sc}
        laws.wait_at_rest(pair)
        assert {name: laws.alarms(pair, name) for name in pair.nodes} == {"cq": [], "sc": []}
        for name, load in loads.items():
            assert load.failures == []
            assert load.lost > 0, "no kill ever met a call"
            laws.assert_receipts(pair, name, load.acknowledged)
            with pair.nodes[name].client() as client:
                again = client.call(
                    client.submissions.SubmitRecord, SubmitRecordRequest(submission=load.submission(0))
                ).submitted
            assert (again.repeated_call, again.record_id) == (True, load.acknowledged[0].record_id)
        laws.assert_sound(pair)
        pair.stop()
        for name, load in loads.items():
            laws.assert_mirrored_once(pair, name, load.acknowledged)
        laws.assert_replays(pair)
