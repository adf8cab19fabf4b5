"""What every hour of the day stands on: the two nodes, what they are asked all the time, and how a claim is shown."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from exchange.domain.catalogues.tables import Tables, load
from exchange.domain.kinds import KINDS, spec
from exchange.rpc.failure import CallFailed
from exchange.tables import read_all
from exchange.v1.kind_pb2 import Kind
from exchange.v1.operation_service_pb2 import Alarm, GetStatusRequest, GetStatusResponse, ListAlarmsRequest
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_pb2 import SubmissionState
from exchange.v1.submission_service_pb2 import (
    ListSubmissionsRequest,
    RecordSubmission,
    SubmitRecordRequest,
    SubmitResult,
    SubmittedRecord,
)
from tests.rigs.pair import Pair

NAMES = {"cq": "重庆 Chongqing", "sc": "四川 Sichuan"}
RESULTS = ("ACCEPTED", "REVISED", "UNCHANGED", "QUARANTINED", "REFUSED")

console = Console(width=118)


class ClaimFailed(Exception):
    """Something that the demo claims did not hold."""


def claim(holds: object, text: str) -> None:
    """Check a claim and say so."""
    if not holds:
        raise ClaimFailed(text)
    console.print(f"  [green]✓[/] {text}")


class progress:  # noqa: N801 - reads as a statement
    """A progress bar as a context: gives a function that advances it."""

    def __init__(self, text: str, total: int) -> None:
        self._bar = Progress(
            TextColumn(f"  {text}"), BarColumn(30), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task(text, total=total)

    def __enter__(self) -> Callable[[int], None]:
        self._bar.start()
        return lambda n: self._bar.advance(self._task, n)

    def __exit__(self, *_error: object) -> None:
        self._bar.stop()


def wait(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except CallFailed:
            pass
        if time.monotonic() > deadline:
            raise ClaimFailed(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)


class Stage:
    """The two nodes of the day.

    Attributes:
        totals: What each side submitted, by result, for the count at the end.
    """

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self.folder = folder
        self.tables: Tables = load(read_all())
        self.pair = Pair(folder, outlive=keep)
        self.totals = {name: Counter[str]() for name in NAMES}

    def submit(self, name: str, record: Record, key: str) -> SubmittedRecord:
        """Submit one record that must be accepted; counted."""
        request = SubmitRecordRequest(submission=RecordSubmission(idempotency_key=key, record=record))
        with self.pair.nodes[name].client() as client:
            answer = client.call(client.submissions.SubmitRecord, request).submitted
        result = SubmitResult.Name(answer.result).removeprefix("SUBMIT_RESULT_")
        self.totals[name].update({result: 1, "rows": 1})
        return answer

    def url(self, name: str) -> str:
        """Database URL of a node."""
        return f"sqlite:///{self.pair.nodes[name].database}"

    def status(self, name: str) -> GetStatusResponse:
        """A node's state."""
        with self.pair.nodes[name].client("operator") as client:
            return client.call(client.operation.GetStatus, GetStatusRequest())

    def alarms(self, name: str, code: str) -> list[Alarm]:
        """Open alarms of one code."""
        with self.pair.nodes[name].client("operator") as client:
            found = client.call(client.operation.ListAlarms, ListAlarmsRequest()).alarms
        return [each for each in found if each.code == code]

    def backlog(self, name: str) -> int:
        """Entries that the peer has not cosigned."""
        return sum(lane.size - lane.delivered for lane in self.status(name).lanes)

    def wait_answered(self, *names: str) -> None:
        """Until everything is delivered and answered."""
        for name in names:
            wait(
                f"{name} answered",
                partial(self._is_answered, name),
                60,
            )

    def _is_answered(self, name: str) -> bool:
        rows = self.status(name).counts
        return all(row.pending == 0 and (row.unanswered == 0 or not _is_decided(row.kind)) for row in rows)

    def submissions(self, name: str) -> list[tuple[str, int]]:
        """Every submission that was delivered."""
        found = []
        token = ""
        with self.pair.nodes[name].client() as client:
            while True:
                answer = client.call(
                    client.submissions.ListSubmissions, ListSubmissionsRequest(page_size=500, page_token=token)
                )
                found += [
                    (each.record_id, each.revision)
                    for each in answer.submissions
                    if each.addressees and each.addressees[0].state >= SubmissionState.SUBMISSION_STATE_DELIVERED
                ]
                token = answer.next_page_token
                if not token:
                    return found


def _is_decided(kind: Kind.ValueType) -> bool:
    """Whether records of a kind are recognised or not: others are answered in their own time, or not at all."""
    return kind in KINDS and spec(kind).answered_by == Kind.KIND_RECOGNITION
