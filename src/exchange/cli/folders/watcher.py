"""The watcher: drops in one thread, arrivals in another, until it is told to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from exchange.cli.folders.arrivals import Arrivals
from exchange.cli.folders.drops import Drops
from exchange.cli.folders.events import Events
from exchange.cli.folders.layout import Layout
from exchange.cli.folders.pruning import prune
from exchange.cli.folders.state import State
from exchange.domain.problems import Problem
from exchange.rpc.failure import CallFailed
from exchange.v1.record_service_pb2 import WatchRecordsRequest

if TYPE_CHECKING:
    from exchange.cli.sending.send import Sender
    from exchange.rpc.client import Client

RETRY_S: Final = 3.0
"""Seconds until the node or the disk is tried again."""

PRUNE_PAUSE_S: Final = 600.0
"""Seconds between two looks for what is too old: it is a matter of days."""

_FORGOTTEN: Final = "CURSOR_INVALID"


@dataclass(slots=True)
class Watcher:
    """What watches one folder.

    Attributes:
        settle: Seconds between two looks; a file that two of them see the same is whole.
        min_free: Bytes that stay free: with less, nothing is sent or written.
        keep: How long answers and arrivals stay; None: for ever.
        connect: Makes a connection.
        sender: Makes what submits over one.
    """

    layout: Layout
    state: State
    drops: Drops
    arrivals: Arrivals
    events: Events
    connect: Callable[[], Client]
    sender: Callable[[Client], Sender]
    settle: float
    min_free: int
    keep: timedelta | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    _broken: list[BaseException] = field(default_factory=list)
    _said: dict[str, str] = field(default_factory=dict)
    _prune_at: float = 0.0

    def once(self) -> None:
        """Handle what lies there, write what arrived, and come back.

        Raises:
            CallFailed: The node does not answer, or refuses to show records.
            OSError: Something can not be written.
        """
        self._prune()
        self.drops.settled()
        self.stopping.wait(self.settle)
        with self.connect() as client:
            self._round(client)
            if not self.stopping.is_set() and self._room():
                self._follow(client, until_caught_up=True)
                self.arrivals.attached.fetch(client, self._room)

    def run(self) -> None:
        """Watch until ``stopping`` is set.

        Raises:
            BaseException: What neither a node nor a disk explains.
        """
        with self.connect() as client, self.connect() as followed:
            follower = threading.Thread(target=self._arrivals, args=(followed,), name="arrivals")
            follower.start()
            try:
                while not self.stopping.is_set():
                    try:
                        self._prune()
                        self._round(client)
                    except OSError as error:
                        self._trouble("drops", Problem("FOLDER_TROUBLE", str(error.filename or ""), str(error)))
                    self.stopping.wait(self.settle)
            finally:
                self.stopping.set()
                followed.close()  # ends the stream that the other thread waits on
                follower.join()
        if self._broken:
            raise self._broken[0]

    def _round(self, client: Client) -> None:
        for path, seen in self.drops.settled():
            if self.stopping.is_set() or not self._room():
                return
            if not self.drops.handle(path, seen, self.sender(client)):
                held = self.state.files.get(path.name)
                if held is not None and held.reason == "NODE_AWAY":
                    return  # the others would wait for the same answer
        self._said.pop("drops", None)

    def _arrivals(self, client: Client) -> None:
        while not self.stopping.is_set():
            try:
                if self._room():
                    self._follow(client, until_caught_up=False)
            except CallFailed as failure:
                self._trouble("arrivals", Problem(failure.reason, "", failure.message))
            except OSError as error:
                self._trouble("arrivals", Problem("FOLDER_TROUBLE", str(error.filename or ""), str(error)))
            # Anything else is a fault of ours: the process ends with it, and is started anew.
            except BaseException as error:  # noqa: BLE001
                self._broken.append(error)
                self.stopping.set()
            self.stopping.wait(RETRY_S)

    def _follow(self, client: Client, *, until_caught_up: bool) -> None:
        """Write what arrives; the cursor is kept when it is on disk."""
        while True:
            request = WatchRecordsRequest(cursor=self.state.cursor, from_start=not self.state.cursor)
            try:
                for message in client.stream(client.records.WatchRecords, request):
                    self._said.pop("arrivals", None)
                    if not self._room():
                        return
                    event = message.WhichOneof("event")
                    if event == "record":
                        self.arrivals.take(message.record)
                    if message.cursor and event != "heartbeat":
                        self.state.keep_cursor(message.cursor)
                    if not until_caught_up:
                        self.arrivals.attached.fetch(client, self._room)
                    if self.stopping.is_set() or (event == "caught_up" and until_caught_up):
                        return
            except CallFailed as failure:
                if failure.reason != _FORGOTTEN or not self.state.cursor:
                    raise
                # The node was restored, or another one answers: everything once more, over what is there.
                self.events.trouble(Problem(failure.reason, "", failure.message))
                self.state.keep_cursor("")
                continue
            return

    def _prune(self) -> None:
        """Take away what is too old, now and then."""
        if self.keep is None or time.monotonic() < self._prune_at:
            return
        self._prune_at = time.monotonic() + PRUNE_PAUSE_S
        count = prune(self.layout, self.keep, datetime.now(UTC), self.drops.reasons())
        if count:
            self.events.pruned(count)

    def _room(self) -> bool:
        """Whether there is room on the disk; says it when that changes."""
        free = self.layout.free()
        if free >= self.min_free:
            if self.state.pause("", ""):
                self.events.resumed()
            return True
        detail = f"{free >> 20} MiB < {self.min_free >> 20} MiB"
        if self.state.pause(datetime.now(UTC).isoformat(timespec="seconds"), detail):
            self.events.trouble(Problem("DISK_LOW", str(self.layout.root), detail))
        return False

    def _trouble(self, part: str, problem: Problem) -> None:
        """Said once, and again when it is another one."""
        if not self.stopping.is_set() and self._said.get(part) != problem.reason:
            self._said[part] = problem.reason
            self.events.trouble(problem)
