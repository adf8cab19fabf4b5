"""Refused calls, folded: one journal line for each caller, reason and minute, however many calls there were."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import structlog

from exchange.flows.context import Node
from exchange.storage.engine.transaction import Transaction
from exchange.storage.engine.writer import WorkClass
from exchange.storage.logs import journal
from exchange.v1.journal_pb2 import JournalEntry, RefusalsFolded

MINUTE_S = 60

MAX_CALLERS = 1_024
"""Pairs of caller and reason counted apart; beyond, refusals are counted by reason under ``OTHERS``, so that a
flood of identities costs no more memory and no more journal than this."""

OTHERS = "*"
"""Caller under which the rest is counted."""

MAX_MISSING = 8
"""Missing grants that one line names: an officer who grants these sees the next ones a minute later."""

MAX_CALLER = 256
"""Characters of a caller's identity that are kept."""

_log = structlog.get_logger(__name__)


class RefusalFolder:
    """Counts refusals in memory and writes them once a minute. The thread runs between ``start`` and ``close``.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, str, str]] = Counter()
        self._missing: dict[tuple[int, str, str], dict[str, None]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def count(self, caller: str, reason: str, missing: Iterable[str] = ()) -> None:
        """One more refusal. Never blocks.

        Args:
            caller: Identity of the caller, as in ``spiffe://cq.exchange.example/agency/water``.
            reason: Reason code.
            missing: The grants that would have allowed it, as in ``SUBMIT CreditResult 500000``.
        """
        minute = int(self._node.clock().timestamp()) // MINUTE_S
        key = (minute, caller[:MAX_CALLER], reason)
        with self._lock:
            if key not in self._counts and len(self._counts) >= MAX_CALLERS:
                key = (minute, OTHERS, reason)
            self._counts[key] += 1
            self._name(key, missing)

    def _name(self, key: tuple[int, str, str], missing: Iterable[str]) -> None:
        for grant in missing:
            named = self._missing.setdefault(key, {})
            if len(named) < MAX_MISSING:
                named[grant[:MAX_CALLER]] = None

    def flush(self, *, everything: bool = False) -> None:
        """Write the minutes that are over; with ``everything`` also the one that is not.

        What could not be written stays counted for the next time.
        """
        minute = int(self._node.clock().timestamp()) // MINUTE_S
        with self._lock:
            ready = Counter({key: n for key, n in self._counts.items() if everything or key[0] < minute})
            for key in ready:
                del self._counts[key]
            named = {key: self._missing.pop(key) for key in ready if key in self._missing}
        if not ready:
            return
        events = [self._event(*key, count, sorted(named.get(key, ()))) for key, count in sorted(ready.items())]
        try:
            self._node.writer.call(append, tuple(events), WorkClass.BACKGROUND, rows=len(events))
        except Exception as error:  # noqa: BLE001 - whatever the database says, counting goes on
            _log.warning("refusals-unwritten", lines=len(events), error=str(error))
            with self._lock:
                self._counts.update(ready)
                for key, grants in named.items():
                    self._name(key, grants)

    def close(self) -> None:
        """Write everything and stop."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush(everything=True)

    def _run(self) -> None:
        while not self._closing.wait(MINUTE_S - self._node.clock().timestamp() % MINUTE_S + 0.1):
            self.flush()

    def _event(self, minute: int, caller: str, reason: str, count: int, missing: Sequence[str]) -> JournalEntry:
        folded = RefusalsFolded(caller=caller, reason=reason, count=count, missing=missing)
        event = JournalEntry(refusals_folded=folded)
        event.refusals_folded.minute.FromDatetime(datetime.fromtimestamp(minute * MINUTE_S, UTC))
        event.at.FromDatetime(self._node.clock())
        return event


def append(tx: Transaction, payloads: Sequence[Sequence[JournalEntry]]) -> list[int]:
    """Append journal entries that stand for themselves; returns the index of the first of each payload."""
    return [journal.append(tx, payload) for payload in payloads]
