"""Clients that mean harm: each form of message that costs its sender little and its reader much."""

from __future__ import annotations

from exchange.rpc import tls_floor  # noqa: F401  isort: skip  (before grpc: it sets the TLS floor)

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc

from exchange.rpc.client import connect, failure_of
from exchange.rpc.profile import Profile
from tests.rigs.processes import NodeProcess

MIB = 1 << 20
CALL_S = 120.0
"""Seconds of one hostile call: on a busy machine a hundred of them take their time."""


def length_delimited(field_number: int, body: bytes) -> bytes:
    """One field of a protobuf message."""
    size, out = len(body), bytearray([field_number << 3 | 2])
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + body


def _record(header: bytes) -> bytes:
    """A SubmitRecordRequest whose record has these bytes for its header."""
    return length_delimited(1, length_delimited(1, b"k") + length_delimited(2, length_delimited(1, header)))


@dataclass(frozen=True, slots=True)
class Form:
    """One way to do harm.

    Attributes:
        rpc: Below ``exchange.v1``.
        body: The message.
        compressed: Whether gRPC compresses it on the way.
        reasons: With which reasons it may be refused.
    """

    rpc: str
    body: Callable[[], bytes]
    reasons: frozenset[str]
    compressed: bool = False


FORMS: Mapping[str, Form] = {
    "a bomb of zeros": Form(
        "SubmissionService/SubmitRecord", lambda: bytes(64 * MIB), frozenset({"UNIMPLEMENTED"}), compressed=True
    ),
    "a little too large": Form(
        "SubmissionService/SubmitRecord", lambda: bytes(4 * MIB + 300 * 1024), frozenset({"MESSAGE_TOO_LARGE"})
    ),
    "far too large": Form("SubmissionService/SubmitRecord", lambda: bytes(32 * MIB), frozenset({"RESOURCE_EXHAUSTED"})),
    "nested without end": Form(
        "SubmissionService/SubmitRecord", lambda: b"\x0b" * (4 * MIB), frozenset({"MALFORMED_MESSAGE"})
    ),
    "no text at all": Form(
        "SubmissionService/SubmitRecord",
        lambda: length_delimited(1, length_delimited(1, b"\xff" * (4 * MIB))),
        frozenset({"MALFORMED_MESSAGE"}),
    ),
    "two million records": Form(
        "SubmissionService/BatchSubmitRecords", lambda: b"\x0a\x00" * (2 * MIB), frozenset({"TOO_MANY_ITEMS"})
    ),
    "two million pieces in one record": Form(
        "SubmissionService/SubmitRecord",
        lambda: _record(b"\x7a\x00" * (2 * MIB - 100)),
        frozenset({"BODY_NOT_SET", "UNKNOWN_FIELD", "BODY_TOO_LARGE", "TOO_MANY_ITEMS", "FIELD_MISSING"}),
    ),
    "a map of unknown fields": Form(
        "SubmissionService/SubmitRecord",
        lambda: b"\xfa\x07\x04\x0a\x00\x12\x00" * (MIB // 2),
        frozenset({"TOO_MANY_ITEMS"}),
    ),
}


@dataclass
class Attack:
    """Many clients, each with a connection of its own, all at once, and what it cost the node.

    Attributes:
        answers: How often each reason came back.
        peak: Most resident memory of the node meanwhile, in bytes above what it was before.
    """

    process: NodeProcess
    profile: Profile
    clients: int
    answers: Counter[str] = field(default_factory=Counter)
    before: int = 0
    peak: int = 0

    def run(self, form: Form) -> None:
        """Every client sends the form once."""
        body = form.body()
        over = threading.Event()
        self.before = self.process.resident_bytes()
        watch = threading.Thread(target=self._watch, args=(over,), daemon=True)
        watch.start()
        with ThreadPoolExecutor(self.clients) as threads:
            for reason in threads.map(lambda _number: self._send(form, body), range(self.clients)):
                self.answers[reason] += 1
        over.set()
        watch.join()

    def back_to_idle(self, room: int, seconds: float) -> bool:
        """Whether the node gives back what it took, but for ``room`` bytes, within some seconds."""
        deadline = time.monotonic() + seconds
        while self.process.resident_bytes() > self.before + room:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.5)
        return True

    def _send(self, form: Form, body: bytes) -> str:
        compression = grpc.Compression.Gzip if form.compressed else None
        with connect(self.profile) as channel:
            method = channel.unary_unary(
                f"/exchange.v1.{form.rpc}",
                request_serializer=lambda each: each,
                response_deserializer=lambda each: each,
            )
            try:
                method(body, timeout=CALL_S, compression=compression)
            except grpc.RpcError as error:
                return failure_of(error).reason
        return ""

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(0.01):
            self.peak = max(self.peak, self.process.resident_bytes() - self.before)
