"""How much one caller may have under way and in a minute: calls in flight, watchers, records, bytes of a message."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from exchange.crypto.x509.certificates import Role
from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import Caller
from exchange.v1.security_service_pb2 import Quotas

MIB = 1 << 20
MINUTE_S = 60.0

KEPT_BUCKETS = 4_096
"""Callers whose buckets are kept: far more than a region has systems; who is forgotten begins with a full one."""

_SOON = timedelta(milliseconds=100)
"""How long a call takes, about."""

_WATCHER_SOON = timedelta(seconds=30)
"""A stream that was cut is noticed within the keepalive."""

_ROUNDING = 1e-6
"""Tokens that arithmetic may lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """What a caller may ask for.

    Attributes:
        message_bytes: Bytes of one request: 4 MiB of records, and the fields around them.
        batch_items: Records of one batch.
        batch_bytes: Bytes of one batch.
        document_bytes: Bytes of one native document.
        calls_per_caller: Calls in flight; more would only queue.
        watchers_per_caller: Streams that follow, for each system of an agency.
        watchers: Streams that follow, over all callers: each costs a cursor and queries for every change.
        calls: Calls in flight over all callers: each may hold a message.
        records_per_minute: Records that one caller may submit in a minute.
        calls_per_minute: Calls that one caller may make in a minute.
        message_fields: Fields of one request, each repetition counted: a batch, and the fields around it.
        read_seconds: How long a caller may take to send its message.
    """

    message_bytes: int = 4 * MIB + 256 * 1024
    batch_items: int = 1_000
    batch_bytes: int = 4 * MIB
    document_bytes: int = 3 * MIB
    calls_per_caller: int = 64
    watchers_per_caller: int = 8
    watchers: int = 256
    calls: int = 128
    records_per_minute: int = 600_000
    calls_per_minute: int = 120_000
    message_fields: int = 2_000
    read_seconds: float = 20.0


class TooMany(ExchangeError):
    """More than the caller may have now; later it may.

    Attributes:
        problem: Reason, and the limit with its number.
        retry_after: When it is worth trying again.
    """

    def __init__(self, reason: str, limit: str, retry_after: timedelta) -> None:
        self.reason = reason
        self.problem = Problem(reason, "", limit)
        self.retry_after = retry_after
        super().__init__(f"{reason} {limit}")


class Room:
    """Counts what each caller has under way and how much it asked for lately.

    An agency's quota, where it was granted one, stands in the place of the node's own limit for one caller; the
    limits over all callers hold whatever was granted.

    Args:
        limits: The node's own limits.
        quotas: What an agency was granted.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        limits: CallLimits,
        quotas: Callable[[str], Quotas] = lambda _agency: Quotas(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._quotas = quotas
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: Counter[Caller] = Counter()
        self._watchers: Counter[Caller] = Counter()
        self._records = Buckets()
        self._rate = Buckets()

    def _quota(self, caller: Caller, name: str, default: int) -> int:
        granted: int = getattr(self._quotas(caller.name), name) if caller.role is Role.AGENCY else 0
        return granted or default

    @contextmanager
    def call(self, caller: Caller) -> Iterator[None]:
        """One call, or one stream that ends by itself.

        Raises:
            TooMany: TOO_MANY_CALLS: in flight for this caller or over all, or in this minute.
        """
        most = self._quota(caller, "calls_in_flight", self._limits.calls_per_caller)
        with self._lock:
            if self._calls[caller] >= most:
                raise TooMany("TOO_MANY_CALLS", f"calls_in_flight {most}", _SOON)
            if self._calls.total() >= self._limits.calls:
                raise TooMany("TOO_MANY_CALLS", f"limits.calls {self._limits.calls}", _SOON)
            wait = self._rate.take(caller, 1, self._limits.calls_per_minute, self._clock())
            if wait is not None:
                raise TooMany("TOO_MANY_CALLS", f"limits.calls_per_minute {self._limits.calls_per_minute}", wait)
            self._calls[caller] += 1
        try:
            yield
        finally:
            self._release(self._calls, caller)

    @contextmanager
    def watcher(self, caller: Caller) -> Iterator[None]:
        """One stream that follows.

        Raises:
            TooMany: TOO_MANY_WATCHERS, for this caller or over all.
        """
        most = self._quota(caller, "watchers", self._limits.watchers_per_caller)
        with self._lock:
            if self._watchers[caller] >= most:
                raise TooMany("TOO_MANY_WATCHERS", f"watchers {most}", _WATCHER_SOON)
            if self._watchers.total() >= self._limits.watchers:
                raise TooMany("TOO_MANY_WATCHERS", f"limits.watchers {self._limits.watchers}", _WATCHER_SOON)
            self._watchers[caller] += 1
        try:
            yield
        finally:
            self._release(self._watchers, caller)

    def charge(self, caller: Caller, records: int) -> None:
        """Take records from the caller's minute; with 0, only look whether anything is left.

        Raises:
            TooMany: TOO_MANY_RECORDS; nothing was taken.
        """
        most = self._quota(caller, "records_per_minute", self._limits.records_per_minute)
        with self._lock:
            wait = self._records.take(caller, records, most, self._clock())
        if wait is not None:
            raise TooMany("TOO_MANY_RECORDS", f"records_per_minute {most}", wait)

    def _release(self, counter: Counter[Caller], caller: Caller) -> None:
        with self._lock:
            counter[caller] -= 1
            if not counter[caller]:
                del counter[caller]


class Buckets:
    """A token bucket for each caller: it holds one minute's worth and fills evenly.

    More than a minute's worth at once, as the rows of one document may be, is taken from a full bucket, which then
    lies below nothing: the next ones wait until it is paid back, so that the average holds.
    """

    def __init__(self) -> None:
        self._levels: OrderedDict[Caller, tuple[float, float]] = OrderedDict()

    def take(self, caller: Caller, count: int, per_minute: int, now: float) -> timedelta | None:
        """Take some; None when they were taken, else how long until they can be.

        Args:
            caller: Whose bucket.
            count: How many; 0 asks whether one could be taken.
            per_minute: What the bucket holds, and gains in a minute.
            now: Monotonic seconds.
        """
        level, since = self._levels.get(caller, (float(per_minute), now))
        level = min(float(per_minute), level + (now - since) * per_minute / MINUTE_S)
        needed = min(max(count, 1), per_minute)
        missing = needed - level
        if missing <= _ROUNDING:
            level, missing = level - count, 0.0
        self._levels[caller] = (level, now)
        self._levels.move_to_end(caller)
        while len(self._levels) > KEPT_BUCKETS:
            self._levels.popitem(last=False)
        return timedelta(seconds=missing * MINUTE_S / per_minute) if missing else None


def check_batch(items: int, size: int, limits: CallLimits) -> None:
    """Refuse a batch that is empty or beyond the limits.

    Raises:
        Refused: BATCH_EMPTY or BATCH_TOO_LARGE.
    """
    if items == 0:
        raise Refused([Problem("BATCH_EMPTY", "submissions")])
    if items > limits.batch_items:
        raise Refused([Problem("BATCH_TOO_LARGE", "submissions", f"{items} > {limits.batch_items}")])
    if size > limits.batch_bytes:
        raise Refused([Problem("BATCH_TOO_LARGE", "submissions", f"{size} > {limits.batch_bytes}")])
