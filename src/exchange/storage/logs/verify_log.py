"""Checking one log: entries without a gap, tree, frontier, checkpoints and bodies, computed again in chunks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from sqlalchemy import and_, func, or_, select, tuple_

from exchange.crypto.sealing import matches
from exchange.domain.record_index import raw_id
from exchange.storage import schema
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import STORED_LEVEL, LogHead
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredEntry
from exchange.storage.registers import registers
from exchange.tlog import checkpoint
from exchange.tlog.errors import LogFormatError
from exchange.tlog.tree import Frontier, leaf_hash
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

CHUNK_ENTRIES = 1_024
CHUNK_BYTES = 4 << 20
"""Entries and bytes read in one transaction: some milliseconds, and the memory that the check needs."""

CHECKPOINTS = 256
"""Checkpoints read ahead."""

_OWN = ("outbound", "local")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the database that contradicts something else in it.

    Attributes:
        reason: Code from the table of reasons.
        place: Where: a log with an index, a table with a key.
        detail: What was found.
    """

    reason: str
    place: str
    detail: str


@dataclass(frozen=True, slots=True)
class _Note:
    """A stored checkpoint, and the log's size when it was read: a log that is in use grows while it is checked."""

    size: int
    text: bytes
    log_size: int


class LogCheck:
    """One log, up to the size that its head had.

    Args:
        database: Where it lies.
        head: Its head.
    """

    def __init__(self, database: Database, head: LogHead) -> None:
        self._database = database
        self._head = head
        self._frontier = Frontier()
        self._nodes = 0

    def findings(self) -> Iterator[Finding]:
        """Everything that does not hold."""
        head = self._head
        notes = self._checkpoints()
        note = next(notes, None)
        while self._frontier.size < head.size:
            start = self._frontier.size
            with self._database.read() as connection:
                chunk = log_store.entries(
                    connection, head.id, start, min(head.size, start + CHUNK_ENTRIES), max_bytes=CHUNK_BYTES
                )
            expected = range(start, start + len(chunk))
            gap = next((at for at, entry in zip(expected, chunk, strict=True) if entry.index != at), None)
            if not chunk or gap is not None:
                yield self._at("LOG_GAP", start if gap is None else gap, "the entry is not there")
                return
            leaves = [leaf_hash(entry.entry) for entry in chunk]
            built: dict[tuple[int, int], bytes] = {}
            end = chunk[-1].index + 1
            while note is not None and note.size <= end:
                self._extend(leaves[self._frontier.size - start : note.size - start], built)
                yield from self._check_note(note)
                note = next(notes, None)
            self._extend(leaves[self._frontier.size - start :], built)
            yield from self._check_nodes(built)
            yield from self._check_bodies(chunk)
        while note is not None:
            if note.size > note.log_size:
                yield self._at("CHECKPOINT_ROOT", note.size, f"beyond the log's size, {note.log_size}")
            note = next(notes, None)
        if self._frontier != head.frontier:
            yield self._at("LOG_TREE", head.size, "the frontier in the head row is another one")
        yield from self._check_counts()

    def _at(self, reason: str, position: int, detail: str) -> Finding:
        return Finding(reason, f"{self._head.origin}#{position}", detail)

    def _extend(self, leaves: Sequence[bytes], built: dict[tuple[int, int], bytes]) -> None:
        if leaves:
            self._frontier, nodes = self._frontier.extend(leaves)
            built.update({(level, index): digest for level, index, digest in nodes if level >= STORED_LEVEL})

    def _checkpoints(self) -> Iterator[_Note]:
        """Checkpoints by size, then cosigner, read a page at a time."""
        table = schema.checkpoints.c
        last = (-1, "")
        while True:
            query = (
                select(table.size, table.cosigner, table.note)
                .where(table.log_id == self._head.id, tuple_(table.size, table.cosigner) > last)
                .order_by(table.size, table.cosigner)
                .limit(CHECKPOINTS)
            )
            with self._database.read() as connection:
                page = connection.execute(query).all()
                head = log_store.head_by_id(connection, self._head.id)
            if not page:
                return
            last = (page[-1].size, page[-1].cosigner)
            log_size = head.size if head else 0
            for row in page:
                yield _Note(row.size, row.note, log_size)

    def _check_note(self, stored: _Note) -> Iterator[Finding]:
        """The tree that is rebuilt stands at the note's size."""
        try:
            _, parsed = checkpoint.parse_note(stored.text)
        except LogFormatError as error:
            yield self._at("BAD_CHECKPOINT", stored.size, str(error))
            return
        if parsed.origin != self._head.origin or parsed.size != stored.size:
            yield self._at("CHECKPOINT_ROOT", stored.size, f"the note is of {parsed.origin}, size {parsed.size}")
        elif parsed.root != self._frontier.root():
            yield self._at(
                "CHECKPOINT_ROOT", stored.size, f"note {parsed.root.hex()}, tree {self._frontier.root().hex()}"
            )

    def _check_nodes(self, built: dict[tuple[int, int], bytes]) -> Iterator[Finding]:
        """What is stored of the subtrees that this chunk completed."""
        self._nodes += len(built)
        if not built:
            return
        table = schema.tree_nodes.c
        spans: dict[int, list[int]] = {}
        for level, index in built:
            spans.setdefault(level, []).append(index)
        within = [and_(table.level == level, table.idx.between(min(at), max(at))) for level, at in spans.items()]
        query = select(table.level, table.idx, table.hash).where(table.log_id == self._head.id, or_(*within))
        with self._database.read() as connection:
            stored = {(row.level, row.idx): row.hash for row in connection.execute(query)}
        for name in sorted(built.keys() | stored.keys()):
            if stored.get(name) != built.get(name):
                place = f"{self._head.origin} node {name[0]}/{name[1]}"
                yield Finding("LOG_TREE", place, "missing" if name not in stored else "another hash")

    def _check_counts(self) -> Iterator[Finding]:
        """Nothing lies beyond the log's size. The log may have grown meanwhile, but only with its head."""
        log_id = self._head.id
        with self._database.read() as connection:
            head = log_store.head_by_id(connection, log_id)
            size = head.size if head else 0
            beyond = connection.execute(
                select(func.count()).where(schema.entries.c.log_id == log_id, schema.entries.c.idx >= size)
            ).scalar_one()
            nodes = connection.execute(select(func.count()).where(schema.tree_nodes.c.log_id == log_id)).scalar_one()
        if beyond:
            yield self._at("LOG_GAP", size, f"{beyond} entries beyond the log's size")
        grown = sum(size >> level for level in range(STORED_LEVEL, size.bit_length()))
        if nodes != grown:
            yield Finding("LOG_TREE", self._head.origin, f"{nodes} subtree hashes stored, {grown} wanted")

    # -- entries and bodies ----------------------------------------------------------------------------------

    def _check_bodies(self, chunk: Sequence[StoredEntry]) -> Iterator[Finding]:
        if self._head.use == "journal":
            yield from self._check_journal(chunk)
            return
        own = self._head.use in _OWN
        missing: list[tuple[int, Statement]] = []
        for entry in chunk:
            try:
                envelope = Envelope.FromString(LogEntry.FromString(entry.entry).envelope)
                statement = Statement.FromString(envelope.payload)
            except DecodeError:
                # A peer's entry is kept as it came, whatever it is; one of ours is always an envelope.
                if own:
                    yield self._at("ENTRY_MALFORMED", entry.index, "")
                continue
            if (entry.body is None) != (entry.salt is None):
                yield self._at("BODY_MISMATCH", entry.index, "a body without salt, or a salt without body")
            elif entry.body is None or entry.salt is None:
                missing.append((entry.index, statement))
            elif not matches(statement, entry.body, entry.salt):
                yield self._at("BODY_MISMATCH", entry.index, "the body is not the one that was committed to")
        if own and missing:
            yield from self._check_missing(missing)

    def _check_missing(self, missing: Sequence[tuple[int, Statement]]) -> Iterator[Finding]:
        """A body of our own is absent only when the register says that it was erased."""
        names = {(each.origin, raw_id(each.record_id)) for _, each in missing}
        with self._database.read() as connection:
            rows = registers.records_of(connection, names)
        erased = {
            (record_id, row["revision"])
            for (origin, record_id), revisions in rows.items()
            if (origin, record_id) in names
            for row in revisions
            if row["tombstone"] == "ERASED"
        }
        for index, statement in missing:
            if (raw_id(statement.record_id), statement.revision) not in erased:
                yield self._at("BODY_MISSING", index, "not erased by any record")

    def _check_journal(self, chunk: Sequence[StoredEntry]) -> Iterator[Finding]:
        for entry in chunk:
            try:
                event = JournalEntry.FromString(entry.entry)
            except DecodeError:
                yield self._at("ENTRY_MALFORMED", entry.index, "")
                continue
            if event.WhichOneof("event") is None:
                yield self._at("ENTRY_MALFORMED", entry.index, "no event that this program knows")
