"""How much one caller may have under way: calls in flight, watchers, bytes of a message."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.access import Caller

MIB = 1 << 20


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
    """

    message_bytes: int = 4 * MIB + 256 * 1024
    batch_items: int = 1_000
    batch_bytes: int = 4 * MIB
    document_bytes: int = 3 * MIB
    calls_per_caller: int = 64
    watchers_per_caller: int = 8
    watchers: int = 256


class TooManyCalls(ExchangeError):
    """The caller has as many calls in flight as it may have."""

    reason = "TOO_MANY_CALLS"


class TooManyWatchers(ExchangeError):
    """The caller, or all callers together, follow as many streams as they may."""

    reason = "TOO_MANY_WATCHERS"


class InFlight:
    """Counts what each caller has under way."""

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._calls: Counter[Caller] = Counter()
        self._watchers: Counter[Caller] = Counter()

    @contextmanager
    def call(self, caller: Caller) -> Iterator[None]:
        """One call, or one stream that ends by itself.

        Raises:
            TooManyCalls: One too many.
        """
        with self._lock:
            if self._calls[caller] >= self._limits.calls_per_caller:
                raise TooManyCalls
            self._calls[caller] += 1
        try:
            yield
        finally:
            self._release(self._calls, caller)

    @contextmanager
    def watcher(self, caller: Caller) -> Iterator[None]:
        """One stream that follows.

        Raises:
            TooManyWatchers: One too many.
        """
        with self._lock:
            full = self._watchers.total() >= self._limits.watchers
            if full or self._watchers[caller] >= self._limits.watchers_per_caller:
                raise TooManyWatchers
            self._watchers[caller] += 1
        try:
            yield
        finally:
            self._release(self._watchers, caller)

    def _release(self, counter: Counter[Caller], caller: Caller) -> None:
        with self._lock:
            counter[caller] -= 1
            if not counter[caller]:
                del counter[caller]


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
