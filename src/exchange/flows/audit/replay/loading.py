"""Logs of a source, put into a database with their trees; what is put there hashes to what was cosigned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from exchange.flows.audit.findings import Finding
from exchange.flows.audit.sources.source import Source, SourceEntry, SourceLog
from exchange.storage import log_store, registers
from exchange.storage.log_store import StoredCheckpoint
from exchange.storage.transaction import LogHead, NewEntry, Transaction
from exchange.tlog import checkpoint as checkpoints
from exchange.tlog import cosignature
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_V1
from exchange.tlog.tree import Frontier

CHUNK: Final = 512
"""Entries, notes or steps put at once."""

CHUNK_BYTES: Final = 8 << 20

_TIMED_BYTES: Final = 8 + cosignature.SIGNATURE_SIZES[COSIGNATURE_V1]

Change = Callable[[], AbstractContextManager[Transaction]]
"""Opens what one chunk is written in."""


@dataclass(frozen=True, slots=True)
class _Note:
    size: int
    root: bytes
    rows: tuple[StoredCheckpoint, ...]


class Loader:
    """Puts the logs of a source into a database, from where the database's logs end.

    Args:
        source: The logs.
        change: Writes.
        trees: Whether the database gets subtree hashes for proofs; a walk needs none.
        seen: Told how many entries were put.
    """

    def __init__(
        self, source: Source, change: Change, *, trees: bool, seen: Callable[[int], None] = lambda _count: None
    ) -> None:
        self._source = source
        self._change = change
        self._trees = trees
        self._seen = seen
        self._noted: dict[str, int] = {}
        self._stepped: dict[str, int] = {}

    def load(self) -> Iterator[Finding]:
        """Put what the source holds by now and the database does not.

        Yields:
            ``NOTE_UNREADABLE`` and ``CHECKPOINT_ROOT``: the entries are not those that were cosigned. They are put all
            the same, so that what was made of them can be looked at.
        """
        logs = self._source.logs()
        # Journals last: whatever a step names is there before the step.
        for log in sorted(logs, key=lambda each: (each.use == "journal", each.number)):
            with self._change() as tx:
                head = tx.open_log(
                    log.origin,
                    use=log.use,
                    peer=log.peer,
                    lane=log.lane,
                    epoch=log.epoch,
                    number=log.number,
                )
                if log.retired and not head.retired:
                    tx.retire_log(head.id)
            yield from self._load(log, head)

    def _load(self, log: SourceLog, head: LogHead) -> Iterator[Finding]:
        notes = self._notes(log)
        note = next(notes, None)
        frontier = head.frontier
        for chunk in _chunks(self._source.entries(log, head.size)):
            fresh = [NewEntry.of(each.entry, each.salt, each.body) for each in chunk]
            first = chunk[0].index
            found: list[_Note] = []
            while note is not None and (isinstance(note, Finding) or note.size <= first + len(chunk)):
                if isinstance(note, Finding):
                    yield note
                else:
                    found.append(note)
                note = next(notes, None)
            yield from _roots(log, frontier, fresh, found)
            with self._change() as tx:
                tx.append(head.id, fresh, trees=self._trees)
                log_store.store_checkpoints(tx, head.id, [row for each in found for row in each.rows])
                frontier = tx.heads[head.id].frontier
            self._seen(len(chunk))
        if log.use == "journal":
            self._load_leaves(log, head)

    def _notes(self, log: SourceLog) -> Iterator[_Note | Finding]:
        for data in self._source.notes(log, self._noted.get(log.origin, 0)):
            try:
                read = _read_note(log, data)
            except LogFormatError as error:
                yield Finding(code="NOTE_UNREADABLE", log=log.origin, detail=str(error))
                continue
            self._noted[log.origin] = read.size
            yield read

    def _load_leaves(self, log: SourceLog, head: LogHead) -> None:
        leaves = self._source.leaves(log, self._stepped.get(log.origin, 0))
        while page := list(islice(leaves, CHUNK)):
            with self._change() as tx:
                for index, packed in page:
                    registers.keep_leaves(tx, head.id, index, packed)
            self._stepped[log.origin] = page[-1][0] + 1


def _read_note(log: SourceLog, data: bytes) -> _Note:
    """A note with a row for each of its cosigners.

    Raises:
        LogFormatError: It is none, or about another log.
    """
    signed, head = checkpoints.parse_note(data)
    if head.origin != log.origin:
        raise LogFormatError(f"a note about {head.origin}")
    rows = []
    for line in signed.signatures:
        if line.name != log.origin and len(line.signature) == _TIMED_BYTES:
            time = cosignature.parse(line.signature).time
            rows.append(StoredCheckpoint(head.size, line.name, data, time * 1_000_000))
    return _Note(head.size, head.root, tuple(rows))


def _roots(log: SourceLog, frontier: Frontier, fresh: Sequence[NewEntry], notes: Sequence[_Note]) -> Iterator[Finding]:
    """The tree at each note's size is the one that the note names."""
    at = frontier.size
    base = at
    for note in notes:
        frontier, _ = frontier.extend([each.leaf for each in fresh[at - base : note.size - base]])
        at = note.size
        if frontier.size == note.size and frontier.root() != note.root:
            yield Finding(
                code="CHECKPOINT_ROOT",
                log=log.origin,
                index=note.size,
                evidence={"cosigned": note.root.hex(), "computed": frontier.root().hex()},
            )


def _chunks(entries: Iterator[SourceEntry]) -> Iterator[list[SourceEntry]]:
    chunk: list[SourceEntry] = []
    size = 0
    for entry in entries:
        chunk.append(entry)
        size += len(entry.entry) + len(entry.body or b"")
        if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
