"""What auditors read of the journal and of registers, in the journal: folded, so that it does not grow it endlessly.

The first read of a minute by a caller, of a log or register, is a line on disk before its answer leaves; the others of
that minute follow it in one more line, with the range that they were given. Who follows the journal reads these lines
too, and leaves at most two more in each minute in which he does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from exchange.flows.context import Node
from exchange.flows.intake.refusals import MAX_CALLER, MAX_CALLERS, MINUTE_S, OTHERS, append
from exchange.storage.engine.writer import WorkClass
from exchange.v1.journal_pb2 import AuditRead, JournalEntry

ENTRIES = "ENTRIES"
PROOF = "PROOF"
SUBJECT_HISTORY = "SUBJECT_HISTORY"
REGISTER = "REGISTER"
REGISTER_DIGESTS = "REGISTER_DIGESTS"
"""What was read."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _What:
    minute: int
    caller: str
    log: str
    what: str


@dataclass(frozen=True, slots=True)
class _Seen:
    first: int
    end: int
    count: int

    def joined(self, other: _Seen) -> _Seen:
        return _Seen(min(self.first, other.first), max(self.end, other.end), self.count + other.count)


class ReadFolder:
    """Journals the first read of each minute at once, counts the others in memory and writes them once a minute.

    The thread runs between ``start`` and ``close``. A crash loses how much more was read in the minute that runs, never
    who read what in it.

    Args:
        node: The node.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._seen: dict[_What, _Seen] = {}
        self._begun: set[_What] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit reads", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def note(self, caller: str, what: str, log: str = "", first: int = 0, end: int = 0) -> None:
        """One more answer that is about to leave to an auditor. Returns once the journal tells of his reading.

        Args:
            caller: Identity, as in ``spiffe://cq.exchange.example/auditor/li``.
            what: ``ENTRIES``, ``PROOF``, ``SUBJECT_HISTORY``, ``REGISTER`` or ``REGISTER_DIGESTS``.
            log: Origin of the journal that was read, or the register.
            first: First index that was given.
            end: Index after the last one.

        Raises:
            ExchangeError: The journal could not take the line: the answer must not leave.
        """
        minute = int(self._node.clock().timestamp()) // MINUTE_S
        key = _What(minute, caller[:MAX_CALLER], log, what)
        seen = _Seen(first, end, 1)
        with self._lock:
            if key not in self._begun and len(self._begun) >= MAX_CALLERS:
                key = _What(minute, OTHERS, log, what)
            if key in self._begun:
                self._fold(key, seen)
                return
        # Begun only behind the commit: who reads the same meanwhile writes a line of his own, and waits for it.
        self._node.writer.call(append, (self._event(key, seen),), WorkClass.INTERACTIVE)
        with self._lock:
            self._begun.add(key)

    def _fold(self, key: _What, seen: _Seen) -> None:
        known = self._seen.get(key)
        self._seen[key] = known.joined(seen) if known is not None else seen

    def flush(self, *, everything: bool = False) -> None:
        """Write the minutes that are over; with ``everything`` also the one that is not.

        What could not be written stays for the next time.
        """
        minute = int(self._node.clock().timestamp()) // MINUTE_S
        with self._lock:
            ready = {key: seen for key, seen in self._seen.items() if everything or key.minute < minute}
            for key in ready:
                del self._seen[key]
            self._begun = {key for key in self._begun if key.minute >= minute}
        if not ready:
            return
        ordered = sorted(ready.items(), key=lambda item: (item[0].minute, item[0].caller, item[0].log, item[0].what))
        events = tuple(self._event(key, seen) for key, seen in ordered)
        try:
            self._node.writer.call(append, events, WorkClass.BACKGROUND, rows=len(events))
        except Exception as error:  # noqa: BLE001 - whatever the database says, counting goes on
            _log.warning("audit-reads-unwritten", lines=len(events), error=str(error))
            with self._lock:
                for key, seen in ready.items():
                    self._fold(key, seen)

    def close(self) -> None:
        """Write everything and stop."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self.flush(everything=True)

    def _run(self) -> None:
        while not self._closing.wait(MINUTE_S - self._node.clock().timestamp() % MINUTE_S + 0.1):
            self.flush()

    def _event(self, key: _What, seen: _Seen) -> JournalEntry:
        read = AuditRead(
            caller=key.caller, log=key.log, what=key.what, first=seen.first, end=seen.end, count=seen.count
        )
        event = JournalEntry(audit_read=read)
        event.audit_read.minute.FromDatetime(datetime.fromtimestamp(key.minute * MINUTE_S, UTC))
        event.at.FromDatetime(self._node.clock())
        return event
