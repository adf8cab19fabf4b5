"""An agency's system as a process of its own: it calls without a pause, and counts at its own end what failed.

``python -m tests.processes.caller PROFILE REPORT``; it writes a dot for each call, good or bad, and a bar for each
stream that was cut, ends when its standard input does, and writes its report then.

One connection that stays and submits, one that stays and checks firms, one that is made anew for each call, and one
watcher that goes on by its cursor when its stream is cut. A call that fails is counted and not made again: nothing is
retried but what gRPC itself may retry because no byte of it was ever processed.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import grpc

from exchange.rpc.client import Client, failure_of
from exchange.rpc.profile import Profile, load_profile
from exchange.v1.check_service_pb2 import CheckSubjectRequest
from exchange.v1.matter_pb2 import MatterKind
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import (
    ListSubmissionsRequest,
    RecordSubmission,
    SubmitRecordRequest,
    WatchSubmissionsRequest,
)
from tests.domain.records import make_uscc
from tests.rpc.facts import of_sichuan, penalty_of

PAUSE_S = 0.02
"""Seconds between two calls of one thread: the load leaves the cores to the nodes."""

CALL_S = 20.0
"""Seconds for a call: whatever takes longer has failed."""

REST_S = 20.0
"""Seconds that the watcher gets at the end to see what was submitted last."""


class Caller:
    """The agency's system."""

    def __init__(self, profile: Profile, *, sichuan: bool) -> None:
        self._profile = profile
        self._sichuan = sichuan
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()
        self.failures: list[str] = []
        self.submitted: set[str] = set()
        self.watched: set[str] = set()
        self.cuts: Counter[str] = Counter()

    def run(self) -> None:
        """Call until standard input ends."""
        threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._stay, self._check, self._come_anew, self._watch)
        ]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        self._stop.set()
        for thread in threads[:3]:
            thread.join(CALL_S)
        deadline = time.monotonic() + REST_S
        while self.submitted - self.watched and time.monotonic() < deadline:
            time.sleep(0.05)

    @property
    def report(self) -> dict[str, object]:
        """What was counted."""
        return {
            "calls": dict(self.calls),
            "failures": self.failures,
            "submitted": len(self.submitted),
            "records": sorted(self.submitted),
            "unseen": len(self.submitted - self.watched),
            "cuts": dict(self.cuts),
        }

    def _stay(self) -> None:
        number = 0
        with Client(self._profile) as client:
            while not self._stop.wait(PAUSE_S):
                number += 1
                record = penalty_of(make_uscc(200_000 + number), f"演环罚〔2025〕caller-{number}号")
                self._submit(client, f"caller-{number}", of_sichuan(record) if self._sichuan else record)

    def _submit(self, client: Client, key: str, record: Record) -> None:
        request = SubmitRecordRequest(submission=RecordSubmission(idempotency_key=key, record=record))
        try:
            answer = client.submissions.SubmitRecord(request, timeout=CALL_S)
        except grpc.RpcError as error:
            self._failed("stay", error)
        else:
            self._done("stay")
            self.submitted.add(answer.submitted.record_id)

    def _check(self) -> None:
        number = 0
        with Client(self._profile) as client:
            while not self._stop.wait(PAUSE_S * 2):
                number += 1
                request = CheckSubjectRequest(
                    uscc=make_uscc(200_000 + number),
                    matter_kind=MatterKind.MATTER_KIND_PERMIT,
                    matter_no=f"演环准〔2026〕{number}号",
                    purpose="排污许可证延续审查",
                    officer_ref="A-1072",
                    area_code="510100" if self._sichuan else "500107",
                )
                try:
                    client.checks.CheckSubject(request, timeout=CALL_S)
                except grpc.RpcError as error:
                    self._failed("check", error)
                else:
                    self._done("check")

    def _come_anew(self) -> None:
        while not self._stop.wait(PAUSE_S):
            with Client(self._profile) as client:
                try:
                    client.submissions.ListSubmissions(ListSubmissionsRequest(page_size=1), timeout=CALL_S)
                except grpc.RpcError as error:
                    self._failed("anew", error)
                else:
                    self._done("anew")

    def _watch(self) -> None:
        cursor = ""
        with Client(self._profile) as client:
            while True:
                request = WatchSubmissionsRequest(cursor=cursor, from_start=not cursor)
                try:
                    for message in client.submissions.WatchSubmissions(request):
                        cursor = message.cursor or cursor
                        if message.HasField("submission"):
                            self.watched.add(message.submission.record_id)
                    self._cut("ended")
                except grpc.RpcError as error:
                    self._cut(failure_of(error).status)

    def _done(self, what: str) -> None:
        with self._lock:
            self.calls[what] += 1
            self._tick()

    def _failed(self, what: str, error: grpc.RpcError) -> None:
        failure = failure_of(error)
        with self._lock:
            self.failures.append(f"{what}: {failure.status} {failure.reason} {failure}")
            self._tick()

    def _cut(self, how: str) -> None:
        with self._lock:
            self.cuts[how] += 1
            self._tick("|")

    def _tick(self, mark: str = ".") -> None:
        sys.stdout.write(mark)
        sys.stdout.flush()


def main() -> None:
    """Run as a process."""
    profile, report = Path(sys.argv[1]), Path(sys.argv[2])
    caller = Caller(load_profile(profile), sichuan="sc" in profile.parent.parent.name)
    caller.run()
    report.write_text(json.dumps(caller.report))


if __name__ == "__main__":
    main()
