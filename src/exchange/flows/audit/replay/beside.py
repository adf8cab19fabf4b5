"""What a node needs beside its logs, made again from what they say of it; what nothing says is counted.

  1 submissions   each entry's own tag names agency and key to whoever holds the log seed: the first answer again
  2 quarantine    the journal has each row's going in and out, and why; not what the row said
  3 alarms        the journal has each one's opening, clearing and acknowledgement
  4 lanes         the journal has each pause and stop, and what ended it

A row of quarantine comes back as a line that officers can discard: whoever sent it sends its document again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from exchange.crypto.ed25519 import NoteSigner, verify_note
from exchange.crypto.keys import derive_log_key, derive_submission_key
from exchange.domain.problems import Problem
from exchange.flows.apply.again.replay import epochs, events
from exchange.flows.audit.replay.lane_states import LaneStates
from exchange.flows.audit.sources.source import Source
from exchange.flows.instants import micros_of
from exchange.flows.intake.ids import parse_id
from exchange.flows.intake.submitted import submission_of
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead, NewEntry, Transaction
from exchange.storage.intake import quarantine, rebuilt
from exchange.storage.intake.quarantine import QuarantineRow, pack_problems
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredEntry
from exchange.storage.node import alarms, links
from exchange.storage.node.alarms import AlarmRow
from exchange.storage.node.links import LinkRow
from exchange.v1.journal_pb2 import AlarmChanged, JournalEntry, QuarantineChanged

_OWN: Final = frozenset({"outbound", "local"})
_ROWS: Final = 500
"""Rows written at once."""


@dataclass(slots=True, kw_only=True)
class Beside:
    """What came back beside the logs, and what did not.

    Attributes:
        submissions: Entries that a caller's key finds again; None without the log seed, which alone makes the tags.
        lanes: Lanes that are paused, stopped, or go on in an epoch that was agreed on.
        timestamps: Time stamps that were verified again.
        timestamps_left: Those that the source has beside them.
        documents: Native documents that were received: their bytes and first answers lie in no export.
        attachments: Attachments that the source has, and that are what their records list.
        attachments_missing: The others.
    """

    submissions: int | None = None
    quarantined: int = 0
    alarms: int = 0
    lanes: int = 0
    timestamps: int = 0
    timestamps_left: int = 0
    documents: int = 0
    attachments: int = 0
    attachments_missing: int = 0


def is_seed_of(seed: bytes, source: Source) -> bool:
    """Whether a log seed is the source's own: it signed the first checkpoint of a log. True where none is cosigned."""
    looked = False
    for log in source.logs():
        note = next(source.notes(log, 0), None) if log.use != "mirror" else None
        if note is not None:
            looked = True
            key = NoteSigner(log.origin, derive_log_key(seed, log.origin)).key
            if verify_note(note, (key,)) is not None:
                return True
    return not looked


class Submissions:
    """Makes the submissions of a node's own entries while they are put into an empty database.

    Args:
        seed: The node's first log seed.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = derive_submission_key(seed)
        self.count = 0

    def number(self, tx: Transaction, log: LogHead, first: int, fresh: Sequence[NewEntry]) -> list[NewEntry]:
        """The entries with the numbers of their submissions."""
        if log.use not in _OWN:
            return list(fresh)
        told = [
            submission_of(self._key, StoredEntry(index, each.entry, each.salt, each.body, None))
            for index, each in enumerate(fresh, first)
        ]
        numbers = rebuilt.number(tx, log, first, told)
        self.count += sum(each is not None for each in numbers)
        return [each._replace(submission=given) for each, given in zip(fresh, numbers, strict=True)]


class FromJournal:
    """What the lines of a journal leave open."""

    def __init__(self) -> None:
        self.documents = 0
        self._senders: dict[bytes, str] = {}
        self._rows: dict[bytes, QuarantineRow] = {}
        self._alarms: dict[tuple[str, str], AlarmRow] = {}
        self._lanes = LaneStates()
        self._links: list[LinkRow] = []

    def read(self, connection: Connection) -> None:
        """Every line of every epoch: what is beside the registers happened, also where later steps do not hold."""
        for book, _ in epochs(connection):
            for _, event in events(connection, book, 0, book.size):
                self.take(event)
        self._links = self._lanes.rows(log_store.heads(connection))

    def take(self, event: JournalEntry) -> None:
        """The next line."""
        at = micros_of(event.at)
        if event.HasField("document_received"):
            self.documents += 1
            received = event.document_received
            self._senders[parse_id(received.document_id) or b""] = received.agency
        elif event.HasField("quarantine_changed"):
            self._quarantine(event.quarantine_changed, at)
        elif event.HasField("alarm_changed"):
            self._alarm(event.alarm_changed, at)
        else:
            self._lanes.take(event)

    def _quarantine(self, changed: QuarantineChanged, at: int) -> None:
        quarantine_id, document_id = parse_id(changed.quarantine_id), parse_id(changed.document_id)
        if quarantine_id is None or document_id is None:
            return
        if changed.change != "IN":
            self._rows.pop(quarantine_id, None)
            return
        self._rows[quarantine_id] = QuarantineRow(
            quarantine_id=quarantine_id,
            document_id=document_id,
            file_name="",
            agency="",  # told when all rows of the document are
            row=changed.row,
            place="",
            problems=pack_problems([Problem(each, "", "") for each in changed.reasons]),
            content="",
            since=at,
            state=quarantine.OPEN,
        )

    def _alarm(self, changed: AlarmChanged, at: int) -> None:
        name = (changed.code, changed.object)
        if changed.change == alarms.CLEARED:
            self._alarms.pop(name, None)
        elif changed.change == alarms.OPENED:
            self._alarms[name] = AlarmRow(
                id=0,
                code=changed.code,
                object=changed.object,
                detail=changed.detail,
                since=at,
                last_seen=at,
                cleared_at=None,
                acknowledged_by="",
            )
        elif name in self._alarms and not self._alarms[name].acknowledged_by:
            self._alarms[name] = replace(self._alarms[name], acknowledged_by=changed.actor)

    def put(self, run: Callable[[Callable[[Transaction], None]], None], done: Beside) -> None:
        """Write what is open, and count it."""
        rows = [replace(row, agency=self._senders.get(row.document_id, "")) for row in self._rows.values()]
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            run(lambda tx, part=part: rebuilt.put_quarantine(tx, part))  # type: ignore[misc]
        numbered = [replace(each, id=at) for at, each in enumerate(self._alarms.values(), 1)]
        run(lambda tx: rebuilt.put_alarms(tx, numbered))
        for link in self._links:
            run(lambda tx, link=link: links.put(tx, link))  # type: ignore[misc]
        done.quarantined, done.alarms, done.documents = len(rows), len(numbered), self.documents
        done.lanes = len(self._links)
