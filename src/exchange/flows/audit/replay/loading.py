"""Logs of a source, put into a database with their trees; what is put there hashes to what was cosigned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from typing import Final

from exchange.flows.audit.findings import Finding
from exchange.flows.audit.processes import Helpers
from exchange.flows.audit.sources.source import Apart, Part, PartRead, Source, SourceEntry, SourceLog
from exchange.flows.audit.verify.keys.statements import body_problem, read_entry
from exchange.flows.audit.watching import READING, Seen, Watch, unwatched
from exchange.storage.engine.transaction import LogHead, NewEntry, Transaction
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredCheckpoint
from exchange.storage.registers import registers
from exchange.tlog import checkpoint as checkpoints
from exchange.tlog import cosignature
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import COSIGNATURE_V1
from exchange.tlog.tree import Frontier, leaf_hash

CHUNK: Final = 512
"""Entries, notes or steps put at once."""

CHUNK_BYTES: Final = 8 << 20

PARTS_AHEAD: Final = 4
"""Parts that other processes read before they are put: 32 MiB at most."""

_TIMED_BYTES: Final = 8 + cosignature.SIGNATURE_SIZES[COSIGNATURE_V1]

KEPT_BACK: Final = frozenset({"MISSING", "WITHHELD", "OUT_OF_SCOPE"})
"""Why a body is not in the source although nothing was erased."""

Change = Callable[[], AbstractContextManager[Transaction]]
"""Opens what one chunk is written in."""

Number = Callable[[Transaction, LogHead, int, Sequence[NewEntry]], Sequence[NewEntry]]
"""Gives entries that are about to be put, from an index of a log on, the numbers of their submissions."""


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
        number: Says whose submissions entries are; nobody's when None.
        helpers: Other processes that read; None: this one does.

    Attributes:
        kept_back: Entries whose bodies exist and are not in the source: what follows from them can not be computed.
    """

    def __init__(
        self,
        source: Source,
        change: Change,
        *,
        trees: bool,
        number: Number | None = None,
        helpers: Helpers | None = None,
    ) -> None:
        self._source = source
        self._change = change
        self._trees = trees
        self._number = number
        self._helpers = helpers
        self._noted: dict[str, Frontier] = {}
        self._stepped: dict[str, int] = {}
        self.kept_back: set[tuple[str, int]] = set()

    def load(self, watch: Watch = unwatched) -> Iterator[Finding]:
        """Put what the source holds by now and the database does not.

        Args:
            watch: Told of entries that are read.

        Yields:
            ``NOTE_UNREADABLE`` and ``CHECKPOINT_ROOT``: the entries are not those that were cosigned; with trees also
            ``BODY_CHANGED``: a body is not the one that was signed. They are put all the same, so that what was made of
            them can be looked at.
        """
        logs = self._source.logs()
        seen = watch(READING, sum(log.size for log in logs))
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
            yield from self._load(log, head, seen)

    def _load(self, log: SourceLog, head: LogHead, seen: Seen) -> Iterator[Finding]:
        checked = self._noted.setdefault(log.origin, Frontier())
        notes = self._notes(log, checked.size)
        note = next(notes, None)
        if isinstance(note, _Note) and note.size <= head.size:
            # Of a source that grew: entries that were promised then are cosigned by now.
            yield from self._check_again(log, head, checked)
            notes = self._notes(log, self._noted[log.origin].size)
            note = next(notes, None)
        for chunk in self._chunks(log, head.size):
            fresh = [NewEntry.of(each.entry, each.salt, each.body) for each in chunk]
            self.kept_back |= {(log.origin, each.index) for each in chunk if each.absent in KEPT_BACK}
            if self._trees and log.use != "journal":
                yield from _bodies(log, chunk)
            first = chunk[0].index
            found: list[_Note] = []
            while note is not None and (isinstance(note, Finding) or note.size <= first + len(chunk)):
                if isinstance(note, Finding):
                    yield note
                else:
                    found.append(note)
                note = next(notes, None)
            with self._change() as tx:
                frontier = tx.heads[head.id].frontier
                put = self._number(tx, head, first, fresh) if self._number is not None else fresh
                tx.append(head.id, put, trees=self._trees)
                log_store.store_checkpoints(tx, head.id, [row for each in found for row in each.rows])
            yield from self._roots(log, frontier, [each.leaf for each in fresh], found)
            seen(len(chunk))
        if log.use == "journal":
            self._load_leaves(log, head)

    def _chunks(self, log: SourceLog, start: int) -> Iterator[list[SourceEntry]]:
        """Entries from ``start`` on: read by other processes, where there are some and the source lets them."""
        if self._helpers is not None and isinstance(self._source, Apart):
            for found, rest in self._helpers.in_order(_read, self._source.parts(log, start), PARTS_AHEAD):
                if found:
                    yield found
                    start = found[-1].index + 1
                if rest is not None:
                    break
        yield from _chunked(self._source.entries(log, start))

    def _check_again(self, log: SourceLog, head: LogHead, checked: Frontier) -> Iterator[Finding]:
        """Notes over entries that were put before: their leaves are read back."""
        found = [each for each in self._notes(log, checked.size) if isinstance(each, _Note) and each.size <= head.size]
        with self._change() as tx:
            entries = log_store.entries(tx.connection, head.id, checked.size, found[-1].size, bodies=False)
            log_store.store_checkpoints(tx, head.id, [row for each in found for row in each.rows])
        yield from self._roots(log, checked, [leaf_hash(each.entry) for each in entries], found)

    def _roots(
        self, log: SourceLog, frontier: Frontier, leaves: Sequence[bytes], notes: Sequence[_Note]
    ) -> Iterator[Finding]:
        """The tree at each note's size is the one that the note names."""
        base = frontier.size
        for note in notes:
            frontier, _ = frontier.extend(leaves[frontier.size - base : note.size - base])
            self._noted[log.origin] = frontier
            if frontier.root() != note.root:
                yield Finding(
                    code="CHECKPOINT_ROOT",
                    log=log.origin,
                    index=note.size,
                    evidence={"cosigned": note.root.hex(), "computed": frontier.root().hex()},
                )

    def _notes(self, log: SourceLog, above: int) -> Iterator[_Note | Finding]:
        for data in self._source.notes(log, above):
            try:
                yield _read_note(log, data)
            except LogFormatError as error:
                yield Finding(code="NOTE_UNREADABLE", log=log.origin, detail=str(error))

    def _load_leaves(self, log: SourceLog, head: LogHead) -> None:
        leaves = self._source.leaves(log, self._stepped.get(log.origin, 0))
        while page := list(islice(leaves, CHUNK)):
            with self._change() as tx:
                for index, packed in page:
                    registers.keep_leaves(tx, head.id, index, packed)
            self._stepped[log.origin] = page[-1][0] + 1


def _bodies(log: SourceLog, chunk: Sequence[SourceEntry]) -> Iterator[Finding]:
    """Bodies that are not the ones that their entries commit to: whoever only walks them leaves that to others."""
    for each in chunk:
        read = read_entry(each.entry) if each.body is not None else None
        problem = body_problem(read[1], each.body or b"", each.salt or b"") if read is not None else ""
        if problem:
            yield Finding(code="BODY_CHANGED", log=log.origin, index=each.index, detail=problem)


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


def _read(part: Part) -> PartRead:
    return part.read(CHUNK_BYTES)


def _chunked(entries: Iterator[SourceEntry]) -> Iterator[list[SourceEntry]]:
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
