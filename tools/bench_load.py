"""The client of `make bench`: a process of its own that loads one node over mTLS and says what it saw.

Run by ``tools/bench.py`` with one JSON argument; writes JSON lines, the last of which has the result.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import quantiles
from typing import Any

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import grpc
import uvloop
from google.protobuf.message import Message

from exchange.rpc.profile import load_profile
from exchange.v1 import check_service_pb2 as checking
from exchange.v1 import matter_pb2 as matters
from exchange.v1 import operation_service_pb2 as operation
from exchange.v1 import submission_service_pb2 as submission
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange_forms.made import generate
from tests.domain.records import make_uscc, monitoring, penalty
from tools.bench_meter import Meter

BATCH = 256
"""Records of one call: the cost of a gRPC message is spread, and the request stays far below its 4 MiB."""

IN_FLIGHT = 8
"""Batches under way at once: the writer always finds the next one waiting."""

SEGMENT = 20_480
"""Records that are made before the clock goes on: making them is not part of what is measured."""

CHECKS_IN_FLIGHT = 64
CHECKS_A_CALL = 1_000
DOCUMENT_ROWS = 1_000
POLL_S = 0.5
"""Between two looks at what was delivered: a call that costs the node some milliseconds."""

STUCK_S = 120.0
"""Nothing delivered for so long: the run has failed."""

CALL_S = 60.0
STATIONS = 240
"""Stations that send in turns."""

FACTORS = ("w01018", "w21003", "w21011", "w21001")
HOURS = 4
"""Points of each factor in a monitoring batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to do.

    Attributes:
        task: ``flow``, ``single``, ``checks``, ``batch_checks`` or ``documents``.
        agency: Profile file of the agency.
        operator: Profile file of the operator.
        pids: Process of each node.
        count: Calls, records or documents.
        first: Number of the first record: no number is used twice in a run.
        kind: Of the flow: ``penalty`` or ``monitoring``.
        body_bytes: Size that registry records are filled up to.
        firms: Of checks: firms that are asked for in turn; 0 asks for those of the flow.
        per_second: Of checks: no more than that; 0 as fast as may be.
    """

    task: str
    agency: str
    operator: str
    pids: Mapping[str, int]
    count: int
    first: int = 0
    kind: str = "penalty"
    body_bytes: int = 1024
    firms: int = 0
    per_second: float = 0.0

    def argument(self) -> str:
        """As the command line carries it."""
        return json.dumps(asdict(self))


class Records:
    """Makes records from one template: a fact of its own for each number."""

    def __init__(self, kind: str, body_bytes: int) -> None:
        self.kind = kind
        self._template = registry_template(body_bytes) if kind == "penalty" else _monitoring_template()
        self.body_bytes = len(self._template.SerializeToString())

    def make(self, number: int) -> submission.RecordSubmission:
        """The submission of a number; always the same."""
        made = submission.RecordSubmission(idempotency_key=f"bench-{self.kind}-{number}", record=self._template)
        if self.kind == "penalty":
            notice = made.record.penalty_notice
            notice.subject.uscc = firm(number)
            notice.decision_no = f"演环罚〔2025〕{number:08d}号"
        else:
            batch = made.record.monitoring_batch
            turn, station = divmod(number, STATIONS)
            batch.station.station_id = f"01000001000B00000000{station:04X}"
            for series in batch.series:
                for point in series.points:
                    point.data_time.seconds += turn * HOURS * 3600
        return made

    def batches(self, first: int, count: int) -> Iterator[submission.BatchSubmitRecordsRequest]:
        """Requests with the records of ``count`` numbers."""
        for start in range(first, first + count, BATCH):
            numbers = range(start, min(start + BATCH, first + count))
            yield submission.BatchSubmitRecordsRequest(submissions=[self.make(number) for number in numbers])


def firm(number: int) -> str:
    """The firm of a record: two notices each."""
    return make_uscc(number // 2 % 1_000_000)


def registry_template(body_bytes: int) -> Record:
    """A penalty notice whose facts are told until it has the size."""
    record = penalty()
    record.penalty_notice.decision_no = f"演环罚〔2025〕{0:08d}号"
    facts = "经现场检查并采样监测,废水总排口化学需氧量超过排放限值;"
    # Two bytes of length become part of the field once it is longer than 127 bytes.
    room = max(0, body_bytes - 2 - len(record.SerializeToString()))
    text = (facts * (room // len(facts.encode()) + 1)).encode()[:room].decode("utf-8", "ignore")
    record.penalty_notice.violation_facts += text
    return record


def _monitoring_template() -> Record:
    record = monitoring()
    batch = record.monitoring_batch
    first = batch.series[0]
    start = first.points[0].data_time.seconds
    for code in FACTORS[len(batch.series) :]:
        batch.series.add().CopyFrom(first)
        batch.series[-1].factor_code = batch.series[-1].source_factor_code = code
    for series in batch.series:
        del series.points[1:]
        for hour in range(1, HOURS):
            series.points.add().CopyFrom(series.points[0])
            series.points[-1].data_time.seconds = start + 3600 * hour
    return record


class Caller:
    """One connection as one caller."""

    def __init__(self, profile_file: str) -> None:
        profile = load_profile(Path(profile_file))
        credentials = grpc.ssl_channel_credentials(
            root_certificates=profile.ca.read_bytes(),
            private_key=profile.key.read_bytes(),
            certificate_chain=profile.cert.read_bytes(),
        )
        self._channel = grpc.aio.secure_channel(
            profile.address, credentials, options=[("grpc.max_receive_message_length", 16 << 20)]
        )
        self.retried = 0

    async def call(self, path: str, request: Message, answer: type[Message]) -> Any:
        """One call; again after a pause when the node says that its queue is full."""
        method = self._channel.unary_unary(
            path, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        while True:
            try:
                return await method(request, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                self.retried += 1
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()


class Bench:
    """Carries one order out."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.agency = Caller(order.agency)
        self.operator = Caller(order.operator)

    async def run(self) -> dict[str, Any]:
        """The result of the order."""
        tasks: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
            "flow": self.flow,
            "single": self.single,
            "checks": self.checks,
            "batch_checks": self.batch_checks,
            "documents": self.documents,
        }
        try:
            await self.settled()
            return await tasks[self.order.task]()
        finally:
            await self.agency.close()
            await self.operator.close()

    async def counts(self) -> tuple[int, int]:
        """Records submitted to peers, and those of them whose receipts are stored."""
        status = await self.operator.call(
            "/exchange.v1.OperationService/GetStatus", operation.GetStatusRequest(), operation.GetStatusResponse
        )
        rows = [row for row in status.counts if row.kind == Kind.KIND_UNSPECIFIED]
        return sum(row.submitted for row in rows), sum(row.delivered for row in rows)

    async def settled(self) -> None:
        """Wait until every receipt is stored."""
        deadline = time.monotonic() + STUCK_S
        while True:
            submitted, delivered = await self.counts()
            if submitted == delivered:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{delivered} of {submitted} delivered")
            await asyncio.sleep(POLL_S)

    async def flow(self) -> dict[str, Any]:
        """Batches, several in flight, until every receipt is stored."""
        records = Records(self.order.kind, self.order.body_bytes)
        # What happens once per process (connections, key caches, first queries) is not what a record costs.
        await self._submit(deque(records.batches(self.order.first, BATCH)))
        await self.settled()
        meter = Meter(self.order.pids)
        base = (await self.counts())[1]
        first, end = self.order.first + BATCH, self.order.first + BATCH + self.order.count
        for start in range(first, end, SEGMENT):
            part = min(SEGMENT, end - start)
            queue = deque(records.batches(start, part))
            goal = start + part - first
            meter.go()
            sending = asyncio.create_task(self._submit(queue))
            await self._watch(meter, base, goal, sending)
            await sending
            meter.stop()
            meter.note_memory(goal)
            _tell({"done": goal, "total": self.order.count})
        return {"records": self.order.count, "body_bytes": records.body_bytes, **meter.result(self.agency.retried)}

    async def _submit(self, queue: deque[submission.BatchSubmitRecordsRequest]) -> None:
        async def work() -> None:
            while queue:
                answer = await self.agency.call(
                    "/exchange.v1.SubmissionService/BatchSubmitRecords",
                    queue.popleft(),
                    submission.BatchSubmitRecordsResponse,
                )
                _must_be_accepted(answer.submitted)

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(work())

    async def _watch(self, meter: Meter, base: int, goal: int, sending: asyncio.Task[None]) -> None:
        seen, since = -1, time.monotonic()
        while seen < goal:
            await asyncio.sleep(POLL_S)
            if sending.done():
                sending.result()
            submitted, delivered = await self.counts()
            delivered -= base
            meter.point(submitted - base, delivered)
            if delivered > seen:
                seen, since = delivered, time.monotonic()
            elif time.monotonic() > since + STUCK_S:
                raise TimeoutError(f"{delivered} of {goal} delivered")

    async def single(self) -> dict[str, Any]:
        """One durable record after the other, one in flight."""
        records = Records("penalty", self.order.body_bytes)
        taken: list[float] = []
        for number in range(self.order.first, self.order.first + self.order.count + 20):
            request = submission.SubmitRecordRequest(submission=records.make(number))
            begin = time.perf_counter()
            answer = await self.agency.call(
                "/exchange.v1.SubmissionService/SubmitRecord", request, submission.SubmitRecordResponse
            )
            taken.append(time.perf_counter() - begin)
            _must_be_accepted([answer.submitted])
        return latency(taken[20:])

    async def checks(self) -> dict[str, Any]:
        """Checks of firms that have notices, several in flight."""
        taken: list[float] = []
        numbers = iter(range(self.order.count))

        async def work() -> None:
            for number in numbers:
                if self.order.per_second:
                    await asyncio.sleep(max(0.0, start + number / self.order.per_second - time.perf_counter()))
                request = checking.CheckSubjectRequest(
                    uscc=self.checked(number),
                    matter_kind=matters.MatterKind.MATTER_KIND_PERMIT,
                    matter_no=f"bench-{number}",
                    purpose="行政许可审查",
                    officer_ref="0001",
                )
                begin = time.perf_counter()
                answer = await self.agency.call(
                    "/exchange.v1.CheckService/CheckSubject", request, checking.CheckSubjectResponse
                )
                taken.append(time.perf_counter() - begin)
                found.append(len(answer.notices))

        found: list[int] = []
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(CHECKS_IN_FLIGHT):
                group.create_task(work())
        seconds = time.perf_counter() - start
        return {
            "checks_per_s": self.order.count / seconds,
            "notices_found": sum(found),
            "in_flight": CHECKS_IN_FLIGHT,
            **latency(taken),
        }

    def checked(self, number: int) -> str:
        """The firm of a check: spread over all there are."""
        if self.order.firms:
            return make_uscc(number * 7_919 % self.order.firms)
        return firm(self.order.first + number * 7)

    async def batch_checks(self) -> dict[str, Any]:
        """Checks of a thousand firms a call, two calls in flight."""
        starts = iter(range(0, self.order.count, CHECKS_A_CALL))

        async def work() -> None:
            for first in starts:
                request = checking.BatchCheckSubjectsRequest(
                    usccs=dict.fromkeys(self.checked(first + place) for place in range(CHECKS_A_CALL)),
                    matter_kind=matters.MatterKind.MATTER_KIND_INSPECTION,
                    matter_no=f"bench-batch-{first}",
                    purpose="双随机检查",
                    officer_ref="0001",
                )
                answer = await self.agency.call(
                    "/exchange.v1.CheckService/BatchCheckSubjects", request, checking.BatchCheckSubjectsResponse
                )
                answered.append(len(answer.subjects))

        answered: list[int] = []
        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(work())
        return {"checks_per_s": sum(answered) / (time.perf_counter() - begin), "per_call": CHECKS_A_CALL}

    async def documents(self) -> dict[str, Any]:
        """CSV documents of the region's own form, two in flight."""
        side = generate.side_of("exchange_chongqing")
        kind = Kind.KIND_CREDIT_RESULT
        rows = generate.rows_of(side.tables, kind, self.order.count * DOCUMENT_ROWS, seed=1)
        contents: deque[submission.SubmitDocumentRequest] = deque()
        for number in range(self.order.count):
            request = submission.SubmitDocumentRequest(
                idempotency_key=f"bench-document-{number}",
                file_name=f"bench-{number}.csv",
                content=generate.document(side.tables, kind, list(islice(rows, DOCUMENT_ROWS)), "csv"),
                adapter="chongqing",
                kind=kind,
                purpose="两地信用评价结果互认",
            )
            request.authority.uscc, request.authority.name = generate.authority_of(side.tables)
            contents.append(request)

        async def work() -> None:
            while contents:
                answer = await self.agency.call(
                    "/exchange.v1.SubmissionService/SubmitDocument",
                    contents.popleft(),
                    submission.SubmitDocumentResponse,
                )
                _must_be_accepted([row.submitted for row in answer.rows])

        begin = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(work())
        seconds = time.perf_counter() - begin
        total = self.order.count * DOCUMENT_ROWS
        return {"rows": total, "rows_per_document": DOCUMENT_ROWS, "rows_per_s": total / seconds}


def latency(seconds: Sequence[float]) -> dict[str, Any]:
    """Median and 99th percentile in milliseconds."""
    cuts = quantiles(seconds, n=100)
    return {"calls": len(seconds), "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}


def _must_be_accepted(answers: Sequence[submission.SubmittedRecord]) -> None:
    for answer in answers:
        if answer.result != submission.SubmitResult.SUBMIT_RESULT_ACCEPTED:
            raise ValueError(f"not accepted: {answer}")


def _tell(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Carry out the order of the command line."""
    order = Order(**json.loads(sys.argv[1]))

    async def run() -> dict[str, Any]:
        return await Bench(order).run()

    _tell({"result": uvloop.run(run())})


if __name__ == "__main__":
    main()
