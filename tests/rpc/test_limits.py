"""How much a caller may ask for at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from exchange.crypto.x509.certificates import Role
from exchange.flows.access import Caller
from exchange.rpc.client import failure_of
from exchange.rpc.limits import CallLimits, Room, TooMany
from exchange.rpc.message import Desk
from exchange.v1 import operation_service_pb2, record_service_pb2
from exchange.v1 import submission_service_pb2 as pb
from exchange.v1.operation_service_pb2 import NodeState
from exchange.v1.security_service_pb2 import Quotas
from tests.domain.records import make_uscc
from tests.rpc.conftest import two_doors
from tests.rpc.doors import AgencyDoor, CallFailed, Stubs, client_issued, full_agency
from tests.rpc.facts import credit_of, submit

LIMITS = CallLimits(
    message_bytes=200_000,
    batch_items=5,
    batch_bytes=50_000,
    document_bytes=20_000,
    watchers_per_caller=2,
    watchers=3,
    read_seconds=2.0,
    message_fields=50,
)


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgencyDoor]:
    """A node with small limits."""
    folder: Path = tmp_path_factory.mktemp("tight")
    with two_doors(folder, heartbeat=0.2, limits=LIMITS) as made:
        yield made["cq"]


def _refused(stubs: Stubs, method: object, request: object) -> tuple[str, str]:
    with pytest.raises(CallFailed) as failure:
        stubs.call(method, request)
    return failure.value.status, failure.value.reason


def test_batches_documents_and_messages_end_at_their_limits(tight: AgencyDoor) -> None:
    """Each limit has its reason, and what is refused is not stored."""
    stubs = tight.agency("limits")
    service = stubs.submission
    batch = pb.BatchSubmitRecordsRequest()
    assert _refused(stubs, service.BatchSubmitRecords, batch) == ("INVALID_ARGUMENT", "BATCH_EMPTY")
    for number in range(6):
        batch.submissions.add(idempotency_key=f"l-{number}", record=credit_of(make_uscc(50 + number)))
    assert _refused(stubs, service.BatchSubmitRecords, batch) == ("INVALID_ARGUMENT", "BATCH_TOO_LARGE")
    del batch.submissions[1:]
    batch.submissions[0].record.credit_result.objection = "x" * 60_000
    assert _refused(stubs, service.BatchSubmitRecords, batch) == ("INVALID_ARGUMENT", "BATCH_TOO_LARGE")
    document = pb.SubmitDocumentRequest(idempotency_key="d", file_name="a.csv", content=b"x" * 20_001)
    assert _refused(stubs, service.SubmitDocument, document) == ("INVALID_ARGUMENT", "DOCUMENT_TOO_LARGE")
    document.content = b"x" * 250_000
    assert _refused(stubs, service.SubmitDocument, document) == ("INVALID_ARGUMENT", "MESSAGE_TOO_LARGE")
    assert not stubs.call(service.ListSubmissions, pb.ListSubmissionsRequest()).submissions


def test_a_message_that_does_not_come_ends_the_call(tight: AgencyDoor) -> None:
    """Who opens a call and sends nothing is cut off with the reason, and holds no place any longer."""
    stubs = tight.agency("silent")
    path = "/exchange.v1.SubmissionService/SubmitRecord"
    method = stubs.channel.stream_unary(path, request_serializer=bytes, response_deserializer=bytes)
    held = threading.Event()

    def nothing() -> Iterator[bytes]:
        held.wait(20)
        yield b""

    begun = time.monotonic()
    with pytest.raises(grpc.RpcError) as raised:
        method(nothing(), timeout=20)
    held.set()
    failure = failure_of(raised.value)
    assert (failure.status, failure.reason) == ("DEADLINE_EXCEEDED", "REQUEST_TOO_SLOW")
    assert time.monotonic() - begun < 15


def test_many_small_fields_are_refused_before_they_are_unpacked(tight: AgencyDoor) -> None:
    """More repetitions than a batch may have: TOO_MANY_ITEMS, whatever they hold."""
    stubs = tight.agency("pieces")
    for fields in (51, 50_000):
        with pytest.raises(CallFailed) as failure:
            stubs.raw("SubmissionService/BatchSubmitRecords", b"\x0a\x00" * fields)
        assert (failure.value.status, failure.value.reason) == ("INVALID_ARGUMENT", "TOO_MANY_ITEMS")
    with pytest.raises(CallFailed) as failure:
        stubs.raw("SubmissionService/BatchSubmitRecords", b"\x0a\x00" * 50)
    assert failure.value.reason == "BATCH_TOO_LARGE"


def test_compressed_messages_are_not_unpacked(tight: AgencyDoor) -> None:
    """GRPC would unpack them without bound: it is told to take none."""
    stubs = tight.agency("compressed")
    method = stubs.channel.unary_unary(
        "/exchange.v1.SubmissionService/SubmitRecord", request_serializer=bytes, response_deserializer=bytes
    )
    with pytest.raises(grpc.RpcError) as raised:
        method(bytes(100_000), timeout=10, compression=grpc.Compression.Gzip)
    assert failure_of(raised.value).status == "UNIMPLEMENTED"


def test_large_messages_take_turns_in_order() -> None:
    """No more than the budget at one time; small ones pass by, and one larger than the budget is alone."""

    async def run() -> list[str]:
        desk, seen = Desk(100_000), []

        async def one(name: str, size: int) -> None:
            async with desk.place(size):
                seen.append(f"+{name}")
                await asyncio.sleep(0.01)
                seen.append(f"-{name}")

        waiting = asyncio.create_task(one("x", 90_000))
        await asyncio.sleep(0)
        dropped = asyncio.create_task(one("dropped", 90_000))
        await asyncio.sleep(0)
        dropped.cancel()
        await asyncio.gather(waiting, one("big", 500_000), one("a", 60_000), one("b", 60_000), one("small", 10))
        return seen

    seen = asyncio.run(run())
    assert seen.index("+small") < seen.index("-x")
    large = [each for each in seen if "small" not in each]
    assert large == ["+x", "-x", "+big", "-big", "+a", "-a", "+b", "-b"]


def test_page_sizes_and_tokens_are_checked(tight: AgencyDoor) -> None:
    """At most 500 rows, and only tokens that this question was answered with."""
    stubs = tight.agency("pages")
    listing = stubs.record.ListRecords
    request = record_service_pb2.ListRecordsRequest
    assert _refused(stubs, listing, request(page_size=501)) == ("INVALID_ARGUMENT", "PAGE_SIZE")
    assert _refused(stubs, listing, request(page_size=-1)) == ("INVALID_ARGUMENT", "PAGE_SIZE")
    for token in ("x", "AAAA", "=", "ä", "a" * 5_000, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"):
        assert _refused(stubs, listing, request(page_token=token)) == ("INVALID_ARGUMENT", "PAGE_TOKEN")


def test_watchers_are_limited_by_caller_and_over_all(tight: AgencyDoor) -> None:
    """Two streams for one caller, three for all; a stream that ended makes room."""
    first, second = tight.agency("watch-a"), tight.agency("watch-b")

    def watch(stubs: Stubs) -> grpc.Call:
        call = stubs.stream(stubs.record.WatchRecords, record_service_pb2.WatchRecordsRequest())
        next(call)
        return call  # type: ignore[no-any-return]

    def refused(stubs: Stubs) -> str:
        try:
            watch(stubs).cancel()
        except grpc.RpcError as error:
            failure = failure_of(error)
            assert failure.retry_after
            return failure.reason
        return ""

    open_streams = [watch(first), watch(first)]
    assert refused(first) == "TOO_MANY_WATCHERS"
    open_streams.append(watch(second))
    assert refused(second) == "TOO_MANY_WATCHERS"
    open_streams[0].cancel()
    tight.world.wait(lambda: refused(second) == "", seconds=5)
    for call in open_streams:
        call.cancel()


def test_calls_in_flight_are_counted_by_caller_and_over_all() -> None:
    """One too many is refused, and every end makes room, an error's too."""
    room = Room(CallLimits(calls_per_caller=2, watchers_per_caller=1, watchers=1, calls=3))
    caller, other = Caller(Role.AGENCY, "a"), Caller(Role.AGENCY, "b")
    with room.call(caller), room.call(caller):
        with pytest.raises(TooMany, match="calls_in_flight 2"), room.call(caller):
            pass
        with room.call(other), pytest.raises(TooMany, match=r"limits\.calls 3"), room.call(other):
            pass
    with pytest.raises(ZeroDivisionError), room.call(caller):
        _ = 1 / 0
    with room.call(caller), room.call(caller):
        pass
    with room.watcher(caller), pytest.raises(TooMany, match=r"limits\.watchers 1"), room.watcher(other):
        pass


def test_what_an_agency_was_granted_stands_in_the_place_of_the_nodes_own_limit() -> None:
    """More or less than the node's own, for this agency alone; an officer of the same name has the node's."""
    granted = {"a": Quotas(calls_in_flight=1, watchers=2, records_per_minute=10)}
    room = Room(CallLimits(calls_per_caller=2, watchers_per_caller=1), lambda agency: granted.get(agency, Quotas()))
    a, b, officer = Caller(Role.AGENCY, "a"), Caller(Role.AGENCY, "b"), Caller(Role.OPERATOR, "a")
    with room.call(a), pytest.raises(TooMany, match="calls_in_flight 1"), room.call(a):
        pass
    for caller in (b, officer):
        with room.call(caller), room.call(caller):
            pass
    with room.watcher(a), room.watcher(a):
        pass
    room.charge(a, 10)
    with pytest.raises(TooMany, match="records_per_minute 10"):
        room.charge(a, 1)
    room.charge(b, 1_000)


def test_a_minutes_records_come_back_evenly() -> None:
    """The bucket fills by the clock, never beyond a minute's worth; the delay that is told is the one that helps."""
    at = [0.0]
    granted = Quotas(records_per_minute=60)
    room = Room(CallLimits(), lambda _agency: granted, lambda: at[0])
    caller = Caller(Role.AGENCY, "a")
    room.charge(caller, 50)
    with pytest.raises(TooMany) as refused:
        room.charge(caller, 20)
    assert refused.value.retry_after.total_seconds() == pytest.approx(10)
    at[0] += 9.9
    with pytest.raises(TooMany):
        room.charge(caller, 20)
    at[0] += 0.2
    room.charge(caller, 20)
    at[0] += 3_600
    room.charge(caller, 60)
    with pytest.raises(TooMany):
        room.charge(caller, 0)


def test_more_than_a_minute_holds_is_paid_back_before_the_next() -> None:
    """A document of more rows than the quota passes a full bucket; then the average holds."""
    at = [0.0]
    granted = Quotas(records_per_minute=10)
    room = Room(CallLimits(), lambda _agency: granted, lambda: at[0])
    caller = Caller(Role.AGENCY, "a")
    room.charge(caller, 30)
    with pytest.raises(TooMany) as refused:
        room.charge(caller, 1)
    assert refused.value.retry_after.total_seconds() == pytest.approx(21 * 6)
    at[0] += 21 * 6 + 0.1
    room.charge(caller, 1)
    with pytest.raises(TooMany):
        room.charge(caller, 30)


def test_records_are_counted_at_every_door(tight: AgencyDoor) -> None:
    """One by one and in batches: refused with the quota's name and a delay, and nothing is stored."""
    agency = full_agency("metered")
    agency.quotas.records_per_minute = 5
    tight.put(agency)
    stubs = tight.stubs(client_issued("cq", Role.AGENCY, "metered"))
    service = stubs.submission
    batch = pb.BatchSubmitRecordsRequest()
    for number in range(4):
        batch.submissions.add(idempotency_key=f"m-{number}", record=credit_of(make_uscc(90 + number)))
    stubs.call(service.BatchSubmitRecords, batch)
    submit(stubs, credit_of(make_uscc(95)), "m-5")
    for method, request in (
        (service.BatchSubmitRecords, batch),
        (service.SubmitRecord, pb.SubmitRecordRequest(submission=batch.submissions[0])),
    ):
        with pytest.raises(CallFailed) as failure:
            stubs.call(method, request)
        assert (failure.value.status, failure.value.reason) == ("RESOURCE_EXHAUSTED", "TOO_MANY_RECORDS")
        assert failure.value.retry_after
        assert "records_per_minute 5" in failure.value.problems[0].detail
    assert len(stubs.call(service.ListSubmissions, pb.ListSubmissionsRequest()).submissions) == 5


def test_agencies_wait_while_the_node_recovers_and_officers_do_not(tight: AgencyDoor) -> None:
    """RECOVERING and AWAITING_ACKNOWLEDGEMENT for agencies, with a delay; operators see the state."""
    stubs, operator = tight.agency("waits"), tight.officer(Role.OPERATOR)
    for state, reason in (
        (NodeState.NODE_STATE_FETCHING, "RECOVERING"),
        (NodeState.NODE_STATE_AWAITING_ACKNOWLEDGEMENT, "AWAITING_ACKNOWLEDGEMENT"),
    ):
        tight.status.forced = state
        try:
            with pytest.raises(CallFailed) as failure:
                submit(stubs, credit_of(make_uscc(60)), "waits-1")
            assert (failure.value.status, failure.value.reason) == ("UNAVAILABLE", reason)
            assert failure.value.retry_after
            status = operator.call(operator.operation.GetStatus, operation_service_pb2.GetStatusRequest())
            assert status.state == state
        finally:
            tight.status.forced = None


def test_a_watcher_ends_when_the_node_begins_to_recover(tight: AgencyDoor) -> None:
    """An open stream is told why within moments, and where it stood was in its last message."""
    tight.put(full_agency("ends"))
    stubs = tight.stubs(client_issued("cq", Role.AGENCY, "ends"))
    call = stubs.stream(stubs.record.WatchRecords, record_service_pb2.WatchRecordsRequest())
    next(call)
    threading.Timer(0.2, lambda: setattr(tight.status, "forced", NodeState.NODE_STATE_FETCHING)).start()
    begun = time.monotonic()
    try:
        with pytest.raises(grpc.RpcError) as raised:
            for _message in call:
                pass
        assert failure_of(raised.value).reason == "RECOVERING"
        assert time.monotonic() - begun < 3
    finally:
        tight.status.forced = None
