"""Following: at least once, in order, from any cursor, nothing that may not be read, and a prompt end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from exchange.rpc.client import failure_of
from exchange.v1.kind_pb2 import Kind
from exchange.v1.penalty_notice_pb2 import PenaltyState
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import WatchRecordsRequest
from exchange.v1.submission_pb2 import SubmissionState
from exchange.v1.submission_service_pb2 import WatchSubmissionsRequest
from tests.rpc.doors import AgencyDoor, Stubs, full_agency
from tests.rpc.facts import batch_of, credit_of, firm, penalty_of, submit, wait_settled


def _until(call: Any, done: Callable[[list[Any]], bool]) -> list[Any]:
    """Messages of a stream until they suffice; the stream is cancelled then."""
    seen: list[Any] = []
    try:
        for message in call:
            seen.append(message)
            if done(seen):
                return seen
    finally:
        call.cancel()
    raise AssertionError("the stream ended")


def _caught_up(seen: list[Any]) -> bool:
    return bool(seen[-1].WhichOneof("event") == "caught_up")


def _records(stubs: Stubs, **options: Any) -> Any:
    return stubs.stream(stubs.record.WatchRecords, WatchRecordsRequest(**options))


def _submissions(stubs: Stubs, **options: Any) -> Any:
    return stubs.stream(stubs.submission.WatchSubmissions, WatchSubmissionsRequest(**options))


def test_from_the_first_record_on_in_lane_order_and_then_what_comes(doors: dict[str, AgencyDoor]) -> None:
    """Everything once, a mark when caught up, then the next one as it arrives from the other side."""
    cq, sc = doors["cq"].agency("follow"), doors["sc"].agency("follow")
    about = firm(30)
    ids = [submit(cq, credit_of(about, year=2015 + n), f"follow-{n}").record_id for n in range(5)]
    wait_settled(doors["cq"])
    call = _records(sc, from_start=True, kinds=[Kind.KIND_CREDIT_RESULT])
    seen: list[Any] = []
    sent = ""
    for message in call:
        seen.append(message)
        if message.WhichOneof("event") == "caught_up":
            sent = submit(cq, credit_of(about, year=2021), "follow-next").record_id
        if message.record.ref.record_id and message.record.ref.record_id == sent:
            break
    call.cancel()
    arrived = [message.record.ref.record_id for message in seen if message.HasField("record")]
    assert [each for each in arrived if each in ids] == ids
    assert all(message.record.kind in (0, Kind.KIND_CREDIT_RESULT) for message in seen)
    events = [message.WhichOneof("event") for message in seen]
    assert events.index("caught_up") == events.count("record") - 1


def test_a_cursor_goes_on_behind_its_message(doors: dict[str, AgencyDoor]) -> None:
    """Whatever message a watcher handled last, the next stream begins behind it and misses nothing."""
    cq = doors["cq"].agency("cursor")
    about = firm(31)
    for number in range(4):
        submit(cq, credit_of(about, year=2015 + number), f"cursor-{number}")
    wait_settled(doors["cq"])
    everything = _until(_records(cq, from_start=True, kinds=[Kind.KIND_CREDIT_RESULT]), _caught_up)
    refs = [message.record.ref.record_id for message in everything[:-1]]
    assert len(refs) >= 4
    for place in (0, 2, len(everything) - 1):
        rest = _until(_records(cq, cursor=everything[place].cursor, kinds=[Kind.KIND_CREDIT_RESULT]), _caught_up)
        assert [message.record.ref.record_id for message in rest[:-1]] == refs[place + 1 :]


def test_from_now_on_shows_nothing_old(doors: dict[str, AgencyDoor]) -> None:
    """Without cursor and from_start the first message is the mark."""
    cq = doors["cq"].agency("now")
    submit(cq, credit_of(firm(32)), "now-1")
    wait_settled(doors["cq"])
    assert len(_until(_records(cq), _caught_up)) == 1
    assert len(_until(_submissions(cq), _caught_up)) == 1


def test_an_idle_stream_says_that_it_is_alive(doors: dict[str, AgencyDoor]) -> None:
    """Heartbeats come while nothing happens, each with a cursor that works."""
    cq = doors["cq"].agency("idle")
    wait_settled(doors["cq"])
    for watch in (_records, _submissions):
        seen = _until(watch(cq), lambda seen: [m.WhichOneof("event") for m in seen].count("heartbeat") == 2)
        assert _until(watch(cq, cursor=seen[-1].cursor), _caught_up)


def test_what_may_not_be_read_is_skipped(doors: dict[str, AgencyDoor]) -> None:
    """A watcher for one county sees its county and nothing else."""
    cq, county = doors["cq"].agency("skip"), doors["cq"].agency("skip-county", ("500107",))
    near = submit(cq, credit_of(firm(33)), "skip-1").record_id
    far = submit(cq, credit_of(firm(34), area="500108"), "skip-2").record_id
    wait_settled(doors["cq"])
    seen = _until(_records(county, from_start=True), _caught_up)
    found = {message.record.ref.record_id for message in seen}
    assert near in found
    assert far not in found


def test_a_tombstone_comes_when_a_notice_is_repaired(doors: dict[str, AgencyDoor]) -> None:
    """The other side's watcher learns that a notice ended, and an old cursor shows only the tombstone."""
    cq, sc = doors["cq"].agency("ends"), doors["sc"].agency("ends")
    about = firm(35)
    record = penalty_of(about, "演环罚〔2025〕3501号")
    sent = submit(cq, record, "ends-1")
    wait_settled(doors["cq"])
    call = _records(sc, kinds=[Kind.KIND_PENALTY_NOTICE])
    assert next(call).WhichOneof("event") == "caught_up"
    revoked = Record()
    revoked.CopyFrom(record)
    revoked.header.record_id = sent.record_id
    revoked.penalty_notice.state = PenaltyState.PENALTY_STATE_REVOKED
    submit(cq, revoked, "ends-2")
    seen = _until(call, lambda seen: len({m.record.ref.revision for m in seen if m.HasField("record")}) == 2)
    assert {m.record.tombstone.reason for m in seen if m.HasField("record")} == {"REVOKED"}
    again = _until(_records(sc, from_start=True, kinds=[Kind.KIND_PENALTY_NOTICE]), _caught_up)
    own = [m for m in again if m.record.ref.record_id == sent.record_id]
    assert own
    assert not any(m.record.HasField("record") for m in own)


def test_submissions_come_as_accepted_delivered_and_decided(fresh_doors: dict[str, AgencyDoor]) -> None:
    """Towards a peer that is away a submission stays accepted; when it is back, it comes as delivered and decided."""
    door = fresh_doors["cq"]
    cq = door.agency("steps")
    wait_settled(door)
    target, door.world.wires["cq"].target = door.world.wires["cq"].target, None
    call = _submissions(cq, from_start=True)
    assert next(call).WhichOneof("event") == "caught_up"
    sent = submit(cq, credit_of(firm(36)), "steps-1")
    states = []
    for message in call:
        if message.HasField("submission"):
            assert message.submission.record_id == sent.record_id
            states.append(message.submission.addressees[0].state)
            if len(states) == 1:
                assert states == [SubmissionState.SUBMISSION_STATE_ACCEPTED]
                door.world.wires["cq"].target = target
            if states[-1] >= SubmissionState.SUBMISSION_STATE_RECOGNISED:
                break
    call.cancel()
    assert states == sorted(states)


def test_the_cursor_of_submissions_misses_nothing(doors: dict[str, AgencyDoor]) -> None:
    """From every message's cursor on, the final state of every later submission is seen."""
    cq = doors["cq"].agency("again")
    sent = {submit(cq, batch_of(f"ST{number:020d}"), f"again-{number}").record_id for number in range(6)}
    wait_settled(doors["cq"])
    everything = _until(_submissions(cq, from_start=True), _caught_up)
    assert {m.submission.record_id for m in everything[:-1]} == sent
    last_seen = {m.submission.record_id: place for place, m in enumerate(everything[:-1])}
    for place in range(0, len(everything), 3):
        rest = _until(_submissions(cq, cursor=everything[place].cursor), _caught_up)
        found = {m.submission.record_id for m in rest[:-1]}
        assert found >= {record_id for record_id, at in last_seen.items() if at > place}


def test_other_agencies_submissions_are_not_shown(doors: dict[str, AgencyDoor]) -> None:
    """A watcher follows its own, and nobody else's."""
    mine, other = doors["cq"].agency("own"), doors["cq"].agency("own-other")
    submit(other, credit_of(firm(37)), "own-1")
    wait_settled(doors["cq"])
    assert len(_until(_submissions(mine, from_start=True), _caught_up)) == 1


def test_a_watcher_ends_at_once_when_its_agency_is_suspended(doors: dict[str, AgencyDoor]) -> None:
    """The open stream is refused with the reason, within moments."""
    door = doors["cq"]
    for number, watch in enumerate((_records, _submissions)):
        stubs = door.agency(f"ending-{number}")
        call = watch(stubs)
        next(call)
        door.agencies.suspend(f"ending-{number}", "audit", "test", datetime.now(UTC), suspended=True)
        begun = time.monotonic()
        with pytest.raises(grpc.RpcError) as raised:
            _drain(call)
        assert failure_of(raised.value).reason == "AGENCY_SUSPENDED"
        assert time.monotonic() - begun < 2


def test_a_watcher_ends_when_its_agencys_time_is_over(doors: dict[str, AgencyDoor]) -> None:
    """The last valid day was yesterday all of a sudden: the open stream says so."""
    door = doors["cq"]
    stubs = door.agency("expiring")
    call = _records(stubs)
    next(call)
    agency = full_agency("expiring")
    agency.valid_until = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    door.put(agency)
    with pytest.raises(grpc.RpcError) as raised:
        _drain(call)
    assert failure_of(raised.value).reason == "AGENCY_NO_LONGER_VALID"


def _drain(call: Iterator[Any]) -> None:
    for _message in call:
        pass


def test_a_cursor_that_is_not_ours_is_refused(doors: dict[str, AgencyDoor]) -> None:
    """Made up, of another agency, or of another stream: CURSOR_INVALID."""
    first, second = doors["cq"].agency("cursors-a"), doors["cq"].agency("cursors-b")
    of_records = _until(_records(first), _caught_up)[-1].cursor
    for watch, stubs, cursor in (
        (_records, first, "made-up"),
        (_records, second, of_records),
        (_submissions, first, of_records),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            _drain(watch(stubs, cursor=cursor))
        failure = failure_of(raised.value)
        assert (failure.status, failure.reason) == ("INVALID_ARGUMENT", "CURSOR_INVALID")
