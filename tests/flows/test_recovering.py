"""A node whose database is older than it was: it heals from its peer's mirror, and nothing mirrored is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import Message

from exchange.flows.apply.again.replay import epochs, events
from exchange.flows.link import recover
from exchange.flows.link.recover import RecoverFlow
from exchange.flows.status import UNACKNOWLEDGED, read_flag
from exchange.storage.logs import log_store
from exchange.v1.operation_service_pb2 import NodeState
from exchange.v1.record_pb2 import Record
from exchange.v1.relay_service_pb2 import DeliverResponse, DeliverResult
from exchange.v1.submission_service_pb2 import SubmitResult, SubmittedRecord
from tests import evidence
from tests.backups import copy_of, put_back
from tests.domain import records
from tests.test_walk import of_region
from tests.world import World, lane_origin

OUT = lane_origin("cq", "sc")
BACK = lane_origin("sc", "cq")


def credit(number: int, name: str = "cq") -> Record:
    """A credit result of another firm."""
    record = of_region(records.credit(), name)
    uscc = records.make_uscc(1000 + number)
    record.credit_result.subject.uscc = uscc
    record.credit_result.subject.permit_code = f"{uscc}001P"
    return record


def submit(world: World, numbers: range, name: str = "cq") -> dict[int, SubmittedRecord]:
    """Submit one credit result for each number, under a key of that number."""
    answers = {number: world.submit(name, credit(number, name), f"key-{number}") for number in numbers}
    assert all(
        each.result in (SubmitResult.SUBMIT_RESULT_ACCEPTED, SubmitResult.SUBMIT_RESULT_UNCHANGED)
        for each in answers.values()
    ), answers
    return answers


def healed(world: World, name: str) -> Callable[[], bool]:
    """Whether a node has its own entries back, and waits for the security officer."""
    return lambda: world.nodes[name].core.status.state == NodeState.NODE_STATE_AWAITING_ACKNOWLEDGEMENT


def ids_in(world: World, name: str, origin: str) -> list[str]:
    """Record ids of a log, in order."""
    return [evidence.statement_of(each.entry).record_id for each in evidence.entries(world, name, origin)]


def assert_no_fork(world: World) -> None:
    """Nothing was taken for a fork, and no lane stopped."""
    for runtime in world.nodes.values():
        assert not runtime.bell.ever & {"FORK", "BAD_CHECKPOINT", "LANE_STOPPED", "MISMATCH", "CONFLICT"}


def test_what_the_peer_had_comes_back(local_world: World) -> None:
    """The sender's older copy is put back: fetched entries, bodies, receipts and decisions are as they were."""
    world = local_world
    world.start()
    before = submit(world, range(10))
    world.wait(world.settled)
    copy = copy_of(world, "cq")
    lost = submit(world, range(10, 20))
    world.wait(world.settled)
    old_rows = {row.record_id: row for row in world.rows("sc")}
    old_entries = evidence.entries(world, "cq", OUT)
    old_back = [each.entry for each in evidence.entries(world, "sc", BACK)]

    put_back(world, "cq", copy)
    world.start("cq")
    world.wait(healed(world, "cq"), what="healed")
    world.wait(world.settled)

    assert_no_fork(world)
    assert "RESTORED" in world.nodes["cq"].bell.codes()
    with world.nodes["cq"].database.read() as connection:
        assert read_flag(connection, UNACKNOWLEDGED) == "1"
    now = evidence.entries(world, "cq", OUT)
    assert [(each.entry, each.salt, each.body) for each in now] == [
        (each.entry, each.salt, each.body) for each in old_entries
    ]
    for index in range(len(now)):
        assert evidence.receipt(world, "cq", OUT, index).index == index
    # the same calls with the same keys find the same records, and a rebuilt submission knows its agency again
    for number, answer in (before | lost).items():
        again = world.submit("cq", credit(number), f"key-{number}")
        assert (again.record_id, again.envelope, again.repeated_call) == (answer.record_id, answer.envelope, True)
        row = evidence.submission(world, "cq", answer.record_id)
        assert row is not None
        assert (row.agency, row.idempotency_key) == ("agency", f"key-{number}")
    # nothing was decided again by the peer, and its decisions are known again here
    assert {row.record_id: row for row in world.rows("sc") if row.record_id in old_rows} == old_rows
    assert [each.entry for each in evidence.entries(world, "sc", BACK)][: len(old_back)] == old_back
    evidence.assert_laws(world)

    # acknowledged, the node goes on as before
    world.nodes["cq"].core.acknowledge_restore()
    assert world.nodes["cq"].core.status.state == NodeState.NODE_STATE_SERVING
    submit(world, range(20, 25))
    world.wait(world.settled)
    evidence.assert_laws(world)


def test_the_journal_goes_on_in_a_new_epoch(local_world: World) -> None:
    """Entry 0 of the second epoch names the first one and the size up to which its steps hold; peers witness it."""
    world = local_world
    world.start()
    submit(world, range(5))
    world.wait(world.settled)
    copy = copy_of(world, "cq")
    submit(world, range(5, 9))
    world.wait(world.settled)
    put_back(world, "cq", copy)
    world.start("cq")
    world.wait(healed(world, "cq"))
    world.wait(world.settled)
    with world.nodes["cq"].database.read() as connection:
        (first, holds), (second, _) = epochs(connection)
        opened = next(events(connection, second, 0, 1))[1].opened
    assert (opened.continues.origin, opened.continues.reason) == (first.origin, "RESTORED")
    assert opened.continues.size == holds <= first.size
    assert (first.retired, second.retired, second.epoch) == (True, False, 2)
    peer = world.nodes["sc"].node.peers.get("cq")
    assert peer is not None
    assert second.origin in peer.logs


def test_submissions_go_on_while_the_peer_is_away(local_world: World) -> None:
    """Restored with the peer away: what is accepted meanwhile is appended again behind what the peer had."""
    world = local_world
    world.start()
    submit(world, range(6))
    world.wait(world.settled)
    copy = copy_of(world, "cq")
    lost = submit(world, range(6, 12))
    world.wait(world.settled)
    world.stop("sc")
    put_back(world, "cq", copy)
    world.start("cq")
    assert world.nodes["cq"].core.status.state == NodeState.NODE_STATE_AWAITING_HELLO
    meanwhile = submit(world, range(12, 18))
    world.wait(lambda: len(world.rows("cq")) >= 12 + 6, what="apply goes on")
    assert world.delivered("cq", OUT) < world.log_size("cq", OUT)

    world.start("sc")
    world.wait(healed(world, "cq"))
    world.wait(world.settled)
    assert_no_fork(world)
    order = [each for each in ids_in(world, "sc", OUT) if each in {a.record_id for a in (lost | meanwhile).values()}]
    assert order == [answer.record_id for answer in (*lost.values(), *meanwhile.values())]
    assert len(ids_in(world, "sc", OUT)) == len(set(ids_in(world, "sc", OUT)))
    for number, answer in (lost | meanwhile).items():
        assert world.submit("cq", credit(number), f"key-{number}").record_id == answer.record_id
    evidence.assert_laws(world)


def test_the_same_key_used_again_before_the_peer_is_back(local_world: World) -> None:
    """An agency that repeats a lost call gets a new record, and the fact that came back keeps its place."""
    world = local_world
    world.start()
    world.wait(world.settled)
    copy = copy_of(world, "cq")
    (first,) = submit(world, range(1)).values()
    world.wait(world.settled)
    world.stop("sc")
    put_back(world, "cq", copy)
    world.start("cq")
    (second,) = submit(world, range(1)).values()
    assert first.record_id != second.record_id
    world.start("sc")
    world.wait(healed(world, "cq"))
    world.wait(world.settled)
    assert world.submit("cq", credit(0), "key-0").record_id == second.record_id
    rows = {evidence.statement_of(each.entry).record_id for each in evidence.entries(world, "sc", OUT)}
    assert {first.record_id, second.record_id} <= rows
    outcomes = {row.record_id.hex(): row.decision for row in world.rows("sc") if row.kind == 1}
    assert "NATURAL_KEY_TAKEN" in outcomes[second.record_id.replace("-", "")]
    assert "NATURAL_KEY_TAKEN" not in outcomes[first.record_id.replace("-", "")]
    evidence.assert_laws(world)


def test_the_receiving_side_is_filled_again(local_world: World) -> None:
    """The mirror's older copy is put back: it gets what it lacks, with the very notes that it once cosigned."""
    world = local_world
    world.start()
    for sender in world.nodes["cq"].core.senders.values():
        sender._pace = replace(sender._pace, first_batch=5)
    submit(world, range(8))
    world.wait(world.settled)
    copy = copy_of(world, "sc")
    for number in range(8, 20):
        submit(world, range(number, number + 1))
        world.wait(world.settled)
    times = {row.record_id: row.mirrored_at for row in world.rows("sc")}
    with world.nodes["sc"].database.read() as connection:
        log = log_store.head(connection, OUT)
        assert log is not None
        notes = [each.note for each in log_store.checkpoints(connection, log.id, 0, 1000)]
    decisions = [each.entry for each in evidence.entries(world, "sc", BACK)]

    put_back(world, "sc", copy)
    stored: list[int] = []

    def note(verb: str, _request: Message, response: Message) -> Message:
        if isinstance(response, DeliverResponse) and verb == "deliver":
            stored.append(response.result)
        return response

    world.wires["cq"].after = note
    world.start("sc")
    world.wait(healed(world, "sc"))
    world.wait(world.settled)
    assert_no_fork(world)
    assert "RESTORED" in world.nodes["sc"].bell.codes()
    with world.nodes["sc"].database.read() as connection:
        log = log_store.head(connection, OUT)
        assert log is not None
        assert [each.note for each in log_store.checkpoints(connection, log.id, 0, 1000)] == notes
    assert {row.record_id: row.mirrored_at for row in world.rows("sc") if row.record_id in times} == times
    assert DeliverResult.DELIVER_RESULT_STORED in stored
    # decisions are facts: those that came back stand, none was made twice
    now = [each.entry for each in evidence.entries(world, "sc", BACK)]
    assert now[: len(decisions)] == decisions
    ranges = [
        (each.recognition.first, each.recognition.end)
        for each in evidence.records(world, "sc", BACK)
        if each.recognition.answered_log == OUT
    ]
    assert len(ranges) == len(set(ranges))
    evidence.assert_laws(world)


def test_restored_under_load(local_world: World) -> None:
    """Either side is put back, again and again, while both sides submit: every acknowledged record is mirrored once."""
    world = local_world
    world.start()
    acknowledged: dict[str, dict[int, SubmittedRecord]] = {"cq": {}, "sc": {}}
    stop = threading.Event()
    pause = threading.Lock()

    def load(name: str) -> None:
        number = 0
        while not stop.is_set():
            with pause:
                if name in world.nodes:
                    acknowledged[name][number] = world.submit(name, credit(number, name), f"load-{number}")
                    number += 1
            time.sleep(0.002)

    threads = [threading.Thread(target=load, args=(name,)) for name in ("cq", "sc")]
    for thread in threads:
        thread.start()
    survivors: dict[str, set[int]] = {}
    try:
        for name in ("cq", "sc", "cq"):
            time.sleep(0.3)
            with pause:
                copy = copy_of(world, name)
            time.sleep(0.4)
            with pause:
                # what the peer has not mirrored when the copy is put back may be lost, and nothing else
                out = lane_origin(name, "sc" if name == "cq" else "cq")
                mirrored = set(ids_in(world, "sc" if name == "cq" else "cq", out))
                put_back(world, name, copy)
                kept = {n for n, answer in acknowledged[name].items() if answer.record_id in mirrored}
                survivors[name] = survivors.get(name, kept) & kept | kept
                acknowledged[name] = {n: answer for n, answer in acknowledged[name].items() if n in kept}
                world.start(name)
            world.wait(lambda name=name: world.nodes[name].core.status.may_apply(), what="healed")  # type: ignore[misc]
        time.sleep(0.3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    world.wait(world.settled, 60)
    assert_no_fork(world)
    for name, other in (("cq", "sc"), ("sc", "cq")):
        mirrored_ids = ids_in(world, other, lane_origin(name, other))
        assert len(mirrored_ids) == len(set(mirrored_ids))
        for number, answer in acknowledged[name].items():
            assert answer.record_id in mirrored_ids, (name, number)
    evidence.assert_laws(world)


class Crash(Exception):
    """The process ended here."""


@pytest.mark.parametrize("step", ["_fetch", "_adopt", "_adopted", "_clear_registers", "write_replayed", "_set_all"])
def test_a_crash_in_the_middle_of_recovering_is_repaired(
    local_world: World, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever step recovery dies in, the next start goes on and ends with the same registers."""
    world = local_world
    world.start()
    submit(world, range(6))
    world.wait(world.settled)
    copy = copy_of(world, "cq")
    submit(world, range(6, 12))
    world.wait(world.settled)
    entries = [each.entry for each in evidence.entries(world, "cq", OUT)]
    put_back(world, "cq", copy)

    crashed = threading.Event()

    def crash(*_args: Any, **_kwargs: Any) -> Any:
        crashed.set()
        raise Crash

    with monkeypatch.context() as patch:
        target: Any = RecoverFlow if hasattr(RecoverFlow, step) else recover
        patch.setattr(target, step, crash)
        world.start("cq")
        world.wait(crashed.is_set, what=f"the crash in {step}")
        world.stop("cq")
    world.start("cq")
    world.wait(healed(world, "cq"))
    world.wait(world.settled)
    assert_no_fork(world)
    assert [each.entry for each in evidence.entries(world, "cq", OUT)][: len(entries)] == entries
    evidence.assert_laws(world)


def test_a_restore_that_lost_nothing_says_so(local_world: World) -> None:
    """The newest copy put back by the command: nothing is missing, and the officer still looks."""
    world = local_world
    world.start()
    submit(world, range(4))
    world.wait(world.settled)
    world.stop("cq")
    world.start("cq")
    world.wait(world.settled)
    put_back(world, "cq", copy_of(world, "cq"), say_so=True)
    world.start("cq")
    world.wait(healed(world, "cq"))
    assert not world.nodes["cq"].core.status.restored
    world.nodes["cq"].core.acknowledge_restore()
    submit(world, range(4, 6))
    world.wait(world.settled)
    evidence.assert_laws(world)
