"""Load on a node as an agency makes it: batches, and after a lost answer the same batch with the same keys again."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from exchange.rpc.failure import CallFailed
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import BatchSubmitRecordsRequest, RecordSubmission, SubmitResult
from tests.domain.records import make_uscc
from tests.rigs.pair import NodeFolder
from tests.rpc.facts import of_sichuan, penalty_of

BATCH = 10
"""Records of one batch: small, so that kills fall between many commits."""

PAUSE_S = 0.05
"""Seconds between batches: the load leaves the cores to the nodes."""

CALL_S = 5.0
"""Seconds until an answer counts as lost."""

LATER = frozenset({"RECOVERING", "AWAITING_ACKNOWLEDGEMENT", "SHUTTING_DOWN", "RESOURCE_EXHAUSTED", "OUTCOME_UNKNOWN"})
"""Answers of a living node that say: again."""

STORED = (
    SubmitResult.SUBMIT_RESULT_ACCEPTED,
    SubmitResult.SUBMIT_RESULT_UNCHANGED,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledged:
    """One record that the node said it holds."""

    key: str
    record_id: str
    revision: int
    envelope: bytes


class Load:
    """A thread that submits to one node until it is told to stop; a context manager.

    Attributes:
        acknowledged: What was answered, in the order of the answers.
        repeated: Answers that an earlier call had earned, though nobody had heard them.
        lost: Calls without an answer.
        failures: Answers that should never come.
    """

    def __init__(self, node: NodeFolder, name: str = "load") -> None:
        self.acknowledged: list[Acknowledged] = []
        self.repeated = 0
        self.lost = 0
        self.failures: list[str] = []
        self._node = node
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{name} {node.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """No further batch; the one under way is given up when it finds no node."""
        self._stop.set()
        self._thread.join(timeout=CALL_S * 2)

    def record(self, number: int) -> Record:
        """The record of a number: a fact of its own."""
        made = penalty_of(make_uscc(100_000 + number), f"演环罚〔2025〕{self._name}-{number}号")
        return of_sichuan(made) if self._node.name == "sc" else made

    def submission(self, number: int) -> RecordSubmission:
        """The submission of a number: always the same."""
        return RecordSubmission(idempotency_key=f"{self._name}-{number}", record=self.record(number))

    def _run(self) -> None:
        first = 0
        while not self._stop.is_set():
            if self._batch([self.submission(number) for number in range(first, first + BATCH)]):
                first += BATCH
            self._stop.wait(PAUSE_S)

    def _batch(self, items: list[RecordSubmission]) -> bool:
        """One batch, until it is answered. False when told to stop before that."""
        request = BatchSubmitRecordsRequest(submissions=items)
        while not self._stop.is_set():
            try:
                # A new connection each time: an old one would wait before it looks for the node again.
                with self._node.client() as client:
                    answer = client.call(client.submissions.BatchSubmitRecords, request, timeout=CALL_S)
            except CallFailed as failure:
                self.lost += 1
                if not failure.away and failure.reason not in LATER:
                    self.failures.append(f"{failure.status} {failure.reason}: {failure}")
                    return True
                self._stop.wait(PAUSE_S)
                continue
            for item, submitted in zip(items, answer.submitted, strict=True):
                if submitted.result not in STORED:
                    self.failures.append(f"{item.idempotency_key}: {submitted}")
                    continue
                self.repeated += submitted.repeated_call
                self.acknowledged.append(
                    Acknowledged(
                        key=item.idempotency_key,
                        record_id=submitted.record_id,
                        revision=submitted.revision,
                        envelope=submitted.envelope,
                    )
                )
            return True
        return False
