"""Alarms: raised and cleared by the code that sees the condition, from any thread, without waiting for anything.

What a caller changes is the picture in memory, at once. One thread brings the table after it, in order, and a second
one runs the operator's command, so that neither a stuck disk nor a stuck command holds the other or the caller.
A crash loses at most what was not yet written; the condition is seen again by the code that watches it.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog

from exchange.domain.problems import ExchangeError, Problem, Refused
from exchange.flows.context import Node
from exchange.flows.instants import instant, micros, timestamp
from exchange.storage.engine.writer import WorkClass
from exchange.storage.node import alarms
from exchange.storage.node.alarms import CLEARED, OPENED, SEEN, Acknowledgement, AlarmChange, AlarmRow
from exchange.v1.operation_service_pb2 import Alarm

SEEN_EVERY_S = 60
"""Seconds between two updates of an open alarm's "last seen": a condition that is seen a thousand times a second
costs one row a minute."""

MAX_WAITING = 1_024
"""Changes that wait to be written; far more than there are conditions. Beyond, the picture is written instead."""

CHUNK_CHANGES = 100
"""Changes written in one transaction: each takes two statements, and others wait meanwhile."""

MAX_COMMANDS = 256
"""Runs of the operator's command that wait; beyond, the oldest are dropped and logged: the table has them all."""

MAX_DETAIL = 1_000
"""Characters of an alarm's detail."""

RETRY_S = 1.0
"""Seconds between two tries to write while the database does not take it."""

MAX_PAGE = 500
DEFAULT_PAGE = 100
SECURITY_ONLY = frozenset({"RESTORED"})
"""Alarms that only a security officer acknowledges."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Open:
    detail: str
    since: int
    last_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmCommand:
    """Who is told.

    Attributes:
        argv: Program and arguments, run without a shell, the alarm as JSON on its input; empty: nobody.
        timeout_s: Seconds after which it is killed, with all that it started.
        lang: Language of message and remedy.
    """

    argv: tuple[str, ...] = ()
    timeout_s: float = 10
    lang: str = "zh"


@dataclass(frozen=True, slots=True)
class AlarmPage:
    """Alarms, newest first, and the token of the next page; empty on the last one."""

    rows: tuple[AlarmRow, ...]
    next_page_token: str


class Alarms:
    """The node's alarms. Threads run between ``start`` and ``close``.

    Args:
        node: The node.
        command: Who is told.
    """

    def __init__(self, node: Node, command: AlarmCommand | None = None) -> None:
        self._node = node
        self._command = command or AlarmCommand()
        self._condition = threading.Condition()
        self._open: dict[tuple[str, str], _Open] = {}
        self._waiting: deque[AlarmChange] = deque()
        self._overflowed = False
        self._closing = False
        self._writing = False
        self._runs: queue.Queue[AlarmChange | None] = queue.Queue(MAX_COMMANDS)
        self._threads: tuple[threading.Thread, ...] = ()

    def start(self) -> None:
        """Take over what the table holds open, and begin to write."""
        with self._node.database.read() as connection:
            rows = alarms.open_alarms(connection)
        with self._condition:
            for row in rows:
                self._open.setdefault((row.code, row.object), _Open(row.detail, row.since, row.last_seen))
        self._threads = (
            threading.Thread(target=self._write, name="alarms", daemon=True),
            threading.Thread(target=self._run_commands, name="alarm-command", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Write what waits, as far as the database takes it, run the commands for it, and stop."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        for thread in self._threads[:1]:
            thread.join()
        self._hand_over(None)
        for thread in self._threads[1:]:
            thread.join(self._command.timeout_s + RETRY_S)

    # -- the code that sees the condition --------------------------------------------------------------------

    def raise_(self, code: str, about: str = "", detail: str = "") -> None:
        """The condition stands. Opens an alarm, or says of the open one that it was seen. Never blocks.

        Args:
            code: Reason code.
            about: What it is about: a lane, a peer, a file. Code and object name the alarm.
            detail: Facts, without secrets.
        """
        at = micros(self._node.clock())
        detail = detail[:MAX_DETAIL]
        with self._condition:
            known = self._open.get((code, about))
            if known is None:
                self._open[code, about] = _Open(detail, at, at)
                change = OPENED
            elif at - known.last_seen >= SEEN_EVERY_S * 1_000_000:
                known.detail, known.last_seen = detail, at
                change = SEEN
            else:
                return
            self._wait_for_writing(AlarmChange(change=change, code=code, object=about, detail=detail, at=at))

    def clear(self, code: str, about: str = "") -> None:
        """The condition is over. Costs nothing when no such alarm is open. Never blocks."""
        # Reading a dict needs no lock, and loops clear in every round what was never raised.
        if (code, about) not in self._open:
            return
        at = micros(self._node.clock())
        with self._condition:
            known = self._open.pop((code, about), None)
            if known is not None:
                self._wait_for_writing(AlarmChange(change=CLEARED, code=code, object=about, detail=known.detail, at=at))

    def is_open(self, code: str, about: str = "") -> bool:
        """Whether such an alarm is open."""
        return (code, about) in self._open

    def open_names(self) -> tuple[tuple[str, str], ...]:
        """Code and object of every open alarm, sorted: what the metric counts."""
        with self._condition:
            return tuple(sorted(self._open))

    def flush(self, timeout_s: float = 5) -> bool:
        """Wait until what was raised or cleared before is in the table; False when it took too long."""
        with self._condition:
            return self._condition.wait_for(lambda: not self._waiting and not self._writing, timeout_s)

    # -- operators -------------------------------------------------------------------------------------------

    def list(self, *, include_cleared: bool = False, page_size: int = 0, page_token: str = "") -> AlarmPage:
        """Alarms, newest first.

        Args:
            include_cleared: Also those that were cleared.
            page_size: At most 500; 0 means 100.
            page_token: From the page before.

        Raises:
            Refused: ``PAGE_SIZE`` or ``PAGE_TOKEN``.
        """
        if not 0 <= page_size <= MAX_PAGE:
            raise Refused([Problem("PAGE_SIZE", "page_size", str(page_size))])
        if page_token and not (page_token.isascii() and page_token.isdecimal() and len(page_token) < 19):
            raise Refused([Problem("PAGE_TOKEN", "page_token")])
        limit = page_size or DEFAULT_PAGE
        before = int(page_token) if page_token else None
        with self._node.database.read() as connection:
            rows = alarms.page(connection, before=before, limit=limit + 1, include_cleared=include_cleared)
        more = len(rows) > limit
        rows = rows[:limit]
        return AlarmPage(tuple(rows), str(rows[-1].id) if more else "")

    def open_rows(self) -> Sequence[AlarmRow]:
        """Every open alarm as stored, oldest first: what ``status`` shows."""
        with self._node.database.read() as connection:
            return alarms.open_alarms(connection)

    def acknowledge(self, alarm_id: int, *, actor: str, role: str, reason: str, now: datetime) -> AlarmRow:
        """Take note of an alarm, open or cleared. Who did so first stays.

        Args:
            alarm_id: Number.
            actor: Identity of who does it.
            role: ``operator`` or ``security``; RESTORED needs the latter.
            reason: Why; goes into the journal.
            now: Aware instant.

        Raises:
            Refused: ``NOT_FOUND``, or ``ROLE_NOT_ALLOWED``; nothing was changed.
        """
        with self._node.database.read() as connection:
            row = alarms.get(connection, alarm_id)
        if row is None:
            raise Refused([Problem("NOT_FOUND", "id", str(alarm_id))])
        if row.code in SECURITY_ONLY and role != "security":
            raise Refused([Problem("ROLE_NOT_ALLOWED", "id", f"{row.code}: security")])
        payload = Acknowledgement(id=alarm_id, actor=actor, reason=reason[:MAX_DETAIL], at=micros(now))
        done: AlarmRow | None = self._node.writer.call(alarms.acknowledge, payload)
        if done is None:
            raise Refused([Problem("NOT_FOUND", "id", str(alarm_id))])
        self._node.events.notify(ALARM_ACKNOWLEDGED)
        return done

    def to_message(self, row: AlarmRow, lang: str) -> Alarm:
        """An alarm as it travels, with message and remedy in that language."""
        words = self._node.tables.reasons.text(row.code, lang)
        message = Alarm(
            id=row.id,
            code=row.code,
            object=row.object,
            since=timestamp(row.since),
            last_seen=timestamp(row.last_seen),
            detail=row.detail,
            message=words.message,
            remedy=words.remedy,
            acknowledged_by=row.acknowledged_by,
        )
        if row.cleared_at is not None:
            message.cleared_at.CopyFrom(timestamp(row.cleared_at))
        return message

    # -- the thread that writes ------------------------------------------------------------------------------

    def _wait_for_writing(self, change: AlarmChange) -> None:
        """Queue a change, under the lock."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(change)
        elif change.change != SEEN:
            self._overflowed = True
        self._condition.notify_all()

    def _write(self) -> None:
        while True:
            with self._condition:
                self._writing = False
                self._condition.notify_all()
                self._condition.wait_for(lambda: self._waiting or self._overflowed or self._closing)
                if not self._waiting and not self._overflowed:
                    return
                self._writing = True
                changes = list(self._waiting)
                self._waiting.clear()
                picture = dict(self._open) if self._overflowed else None
                self._overflowed = False
            for change in changes:
                if change.change != SEEN:
                    self._hand_over(change)
            self._store(changes)
            if picture is not None:
                self._store(self._differences(picture))

    def _store(self, changes: Sequence[AlarmChange]) -> None:
        """Write until it is written; once we are closing, one failure is the last."""
        while changes:
            some = tuple(changes[:CHUNK_CHANGES])
            try:
                self._node.writer.call(alarms.record, some, WorkClass.INTERACTIVE, rows=2 * len(some))
            except Exception as error:  # noqa: BLE001 - whatever the database says, the alarm must not be lost by it
                _log.warning("alarms-unwritten", count=len(changes), error=str(error), kind=type(error).__name__)
                with self._condition:
                    if self._condition.wait_for(lambda: self._closing, RETRY_S):
                        return
            else:
                changes = changes[CHUNK_CHANGES:]

    def _differences(self, picture: dict[tuple[str, str], _Open]) -> Sequence[AlarmChange]:
        """What brings the table to the picture, when so much changed that the changes themselves were not kept."""
        at = micros(self._node.clock())
        try:
            standing = {(row.code, row.object): row for row in self.open_rows()}
        except Exception as error:  # noqa: BLE001 - as above; the next overflow tries again
            _log.warning("alarms-unread", error=str(error))
            return []
        opened = [
            AlarmChange(change=OPENED, code=name[0], object=name[1], detail=state.detail, at=state.since)
            for name, state in picture.items()
            if name not in standing
        ]
        cleared = [
            AlarmChange(change=CLEARED, code=name[0], object=name[1], detail=row.detail, at=at)
            for name, row in standing.items()
            if name not in picture
        ]
        for change in (*opened, *cleared):
            self._hand_over(change)
        return [*opened, *cleared]

    # -- the thread that tells -------------------------------------------------------------------------------

    def _hand_over(self, change: AlarmChange | None) -> None:
        if change is not None:
            _log.warning("alarm", code=change.code, object=change.object, change=change.change, detail=change.detail)
            if not self._command.argv:
                return
        while True:
            try:
                self._runs.put_nowait(change)
            except queue.Full:
                with suppress(queue.Empty):
                    dropped = self._runs.get_nowait()
                    _log.warning("alarm-command-dropped", code=dropped.code if dropped else "")
            else:
                return

    def _run_commands(self) -> None:
        while (change := self._runs.get()) is not None:
            try:
                run_command(self._command, self._told(change))
            except (OSError, ExchangeError) as error:
                _log.warning("alarm-command-failed", program=self._command.argv[0], error=str(error))

    def _told(self, change: AlarmChange) -> bytes:
        words = self._node.tables.reasons.text(change.code, self._command.lang)
        told = {
            "node": self._node.name,
            "change": change.change,
            "code": change.code,
            "object": change.object,
            "detail": change.detail,
            "at": instant(change.at).isoformat(),
            "message": words.message,
            "remedy": words.remedy,
        }
        return json.dumps(told, ensure_ascii=False).encode() + b"\n"


ALARM_ACKNOWLEDGED = "alarm-acknowledged"
"""Topic: somebody acknowledged an alarm."""


class CommandFailed(ExchangeError):
    """The operator's command ended with another status than 0, or not in time."""

    reason = "ALARM_COMMAND_FAILED"


def run_command(command: AlarmCommand, told: bytes) -> None:
    """Run the operator's command, with one alarm on its input, and wait for it.

    Raises:
        OSError: It could not be started.
        CommandFailed: It failed, or was killed because it took too long.
    """
    process = subprocess.Popen(
        command.argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A session of its own, so that what it started can be ended with it.
        start_new_session=True,
    )
    with process:
        try:
            process.communicate(told, timeout=command.timeout_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise CommandFailed(f"killed after {command.timeout_s} s") from None
    if process.returncode:
        raise CommandFailed(f"status {process.returncode}")
