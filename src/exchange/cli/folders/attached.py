"""Attachments of arrivals: fetched beside their documents as soon as the node has them, until they are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from exchange.cli.folders.events import Events
from exchange.cli.folders.layout import Layout, write
from exchange.cli.folders.names import legal_name
from exchange.cli.folders.state import State, Wanted
from exchange.cli.sending.fetching import fetch_attachment
from exchange.domain.problems import Problem, Refused
from exchange.rpc.failure import CallFailed
from exchange.storage.files.spool import PART
from exchange.v1.common_pb2 import RecordRef

if TYPE_CHECKING:
    from exchange.rpc.client import Client
    from exchange.v1.record_service_pb2 import RecordView

PAUSE_S: Final = 30.0
"""Seconds until an attachment is asked for again that the node has not got yet."""

_NOT_YET: Final = "ATTACHMENT_MISSING"
_AWAY: Final = "NODE_AWAY"
_GONE: Final = frozenset({"ATTACHMENT_WITHHELD", "NOT_FOUND"})


@dataclass(slots=True)
class Attached:
    """Fetches into ``arrivals/``."""

    layout: Layout
    state: State
    events: Events
    _next: float = 0.0

    def want(self, view: RecordView, stem: str) -> list[str]:
        """Remember a record's attachments; the names under which they will lie, in their order.

        Args:
            view: The record.
            stem: What all names of it begin with: what takes its documents away takes these as well.
        """
        names: list[str] = []
        wanted: dict[str, Wanted] = {}
        for place, file in enumerate(view.record.header.attachments):
            # The name is somebody else's: no folder of it is followed.
            given = Path(file.name.replace("\\", "/"))
            name = legal_name(f"{stem}.{place + 1}.{given.stem}", given.suffix)
            names.append(name)
            if not (self.layout.arrivals / name).exists():
                wanted[name] = Wanted(
                    origin=view.ref.origin, record_id=view.ref.record_id, revision=view.ref.revision, place=place
                )
        self.state.want(wanted)
        if wanted:
            self._next = 0.0
        return names

    def forget(self, stems: tuple[str, ...]) -> None:
        """Records ended: their attachments are wanted no more."""
        names = [name for name in self.state.wanted if name.startswith(stems)]
        self._drop(*names)

    def fetch(self, client: Client, room: Callable[[], bool]) -> None:
        """Fetch what is wanted and there, unless it was tried just now.

        Args:
            client: A connection.
            room: Whether there is room on the disk.

        Raises:
            OSError: A file can not be written.
        """
        if time.monotonic() < self._next:
            return
        for name, wanted in self.state.wanted.items():
            if not room() or not self._one(client, name, wanted):
                break
        self._next = time.monotonic() + PAUSE_S

    def _one(self, client: Client, name: str, wanted: Wanted) -> bool:
        """Fetch one, if it is there; False when nobody answers, for this one or another."""
        begun = self.layout.fetched / name
        ref = RecordRef(origin=wanted.origin, record_id=wanted.record_id, revision=wanted.revision)
        try:
            fetch_attachment(client, ref, wanted.place, begun)
        except CallFailed as failure:
            if failure.reason in _GONE:
                self._drop(name)
            elif failure.reason not in (_NOT_YET, _AWAY):
                self.events.trouble(Problem(failure.reason, name, failure.message))
            return failure.reason != _AWAY
        except Refused as refused:
            self.events.trouble(refused.problems[0])
            return True
        write(self.layout.arrivals / name, begun.read_bytes())
        self._drop(name)
        self.events.attached(name)
        return True

    def _drop(self, *names: str) -> None:
        self.state.got(*names)
        for name in names:
            for begun in (self.layout.fetched / name, self.layout.fetched / f"{name}{PART}"):
                begun.unlink(missing_ok=True)
