"""Putting our own logs back to what a peer proved: one transaction, so that a crash leaves the old state or the new.

Two sorts of entries wait in ``moved_entries`` until they are adopted: fetched ones under the negative number of their
slot, and our own tail, set aside while its log is cut, under the log's id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from exchange.storage import schema
from exchange.storage.engine.transaction import LogHead, NewEntry, Transaction
from exchange.storage.intake import submissions
from exchange.storage.intake.submissions import NewSubmission
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredCheckpoint, StoredEntry
from exchange.tlog.origin import LogName
from exchange.tlog.tree import leaf_hash

PAGE = 512
"""Rows moved at once inside the transaction: bounds memory, not the transaction."""

SubmissionOf = Callable[[StoredEntry], NewSubmission | None]
"""The submission that an entry's own tag tells of; None for records that the node made itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedLog:
    """One of our logs, as the peer's mirror proved it.

    Attributes:
        name: Its name.
        slot: Number under which its fetched entries wait.
        log: As it stood when it was compared; None for an epoch that this database does not know.
        keep: Entries of ours that agree with the peer's.
    """

    name: LogName
    lane: int
    slot: int
    log: LogHead | None
    keep: int
    notes: Sequence[StoredCheckpoint]


def stage(tx: Transaction, payloads: Sequence[tuple[int, int, Sequence[StoredEntry]]]) -> list[None]:
    """Keep fetched entries: (slot, first index, entries); those of an earlier try from there on are gone."""
    table = schema.moved_entries
    for slot, first, fetched in payloads:
        tx.connection.execute(delete(table).where(table.c.log_id == -slot, table.c.idx >= first))
        if fetched:
            rows = [
                {
                    "log_id": -slot,
                    "idx": entry.index,
                    "entry": entry.entry,
                    "salt": entry.salt,
                    "body": entry.body,
                    "submission": None,
                }
                for entry in fetched
            ]
            tx.connection.execute(insert(table), rows)
    return [None] * len(payloads)


def staged(connection: Connection, slot: int, start: int, end: int) -> list[StoredEntry]:
    """Fetched entries of a log."""
    return _waiting(connection, -slot, start, end)


def _waiting(connection: Connection, number: int, start: int, end: int) -> list[StoredEntry]:
    table = schema.moved_entries.c
    rows = connection.execute(
        select(schema.moved_entries)
        .where(table.log_id == number, table.idx >= start, table.idx < end)
        .order_by(table.idx)
    )
    return [StoredEntry(row.idx, row.entry, row.salt, row.body, row.submission) for row in rows]


def first_difference(connection: Connection, log: LogHead, slot: int, start: int, end: int) -> int:
    """First index in a range at which our entry is not the fetched one."""
    for begin in range(start, end, PAGE):
        stop = min(end, begin + PAGE)
        ours = log_store.entries(connection, log.id, begin, stop, bodies=False)
        theirs = staged(connection, slot, begin, stop)
        for mine, other in zip(ours, theirs, strict=False):
            if mine.entry != other.entry:
                return mine.index
        if len(ours) != len(theirs):
            return begin + min(len(ours), len(theirs))
    return end


def still_as_compared(tx: Transaction, adopted: Sequence[AdoptedLog]) -> bool:
    """Whether nothing was appended to these logs since they were compared."""
    return all((each.log.size if each.log else None) == _size(tx, each.name) for each in adopted)


def _size(tx: Transaction, name: LogName) -> int | None:
    log = tx.head(str(name))
    return log.size if log is not None else None


def adopt(tx: Transaction, adopted: Sequence[AdoptedLog], submission_of: SubmissionOf) -> None:
    """Cut each log where it stops agreeing, put the fetched entries behind, then our own tail again.

    What only we had goes to the newest epoch of its lane, with the same bytes, so under the same record ids.
    """
    again: list[tuple[LogHead, set[int]]] = []
    for each in sorted(adopted, key=lambda one: one.name.epoch):
        log = each.log or _open(tx, each)
        if each.log is not None:
            _set_aside(tx, log, each.keep)
            log = log_store.truncate(tx, log, each.keep)
        found = _append_staged(tx, log, each.slot, submission_of)
        log_store.store_checkpoints(tx, log.id, each.notes)
        again.append((log, found))
    for log, found in again:
        target = max(
            (one for one in tx.heads.values() if (one.use, one.peer, one.lane) == (log.use, log.peer, log.lane)),
            key=lambda one: one.epoch,
        )
        for page in _pages(tx.connection, log.id):
            _append_again(tx, log.id, target.id, [entry for entry in page if entry.submission not in found])
        tx.connection.execute(delete(schema.moved_entries).where(schema.moved_entries.c.log_id == log.id))


def _open(tx: Transaction, each: AdoptedLog) -> LogHead:
    """An epoch that the backup does not know: the older ones of its lane are retired by it."""
    log = tx.open_log(str(each.name), use="outbound", peer=each.name.peer or "", lane=each.lane, epoch=each.name.epoch)
    for other in list(tx.heads.values()):
        older = (other.use, other.peer, other.lane) == (log.use, log.peer, log.lane) and other.epoch < log.epoch
        if older and not other.retired:
            tx.retire_log(other.id)
    return log


def _set_aside(tx: Transaction, log: LogHead, keep: int) -> None:
    """Our own tail, as far as it was submitted; the node's own decisions are made anew where they are missing."""
    table, entry = schema.moved_entries, schema.entries.c
    tx.connection.execute(delete(table).where(table.c.log_id == log.id))
    names = ["log_id", "idx", "entry", "salt", "body", "submission"]
    tail = select(*(entry[name] for name in names)).where(
        entry.log_id == log.id, entry.idx >= keep, entry.submission.is_not(None)
    )
    tx.connection.execute(insert(table).from_select(names, tail))


def _pages(connection: Connection, number: int) -> Iterator[list[StoredEntry]]:
    table = schema.moved_entries.c
    last = -1
    while True:
        rows = connection.execute(
            select(schema.moved_entries).where(table.log_id == number, table.idx > last).order_by(table.idx).limit(PAGE)
        ).all()
        if not rows:
            return
        yield [StoredEntry(row.idx, row.entry, row.salt, row.body, row.submission) for row in rows]
        last = rows[-1].idx


def _append_staged(tx: Transaction, log: LogHead, slot: int, submission_of: SubmissionOf) -> set[int]:
    """Append what was fetched, with the submissions that it tells of.

    Returns:
        Submissions of ours that were found again among it.
    """
    position = log.size
    found: set[int] = set()
    while True:
        page = staged(tx.connection, slot, position, position + PAGE)
        if not page:
            break
        told = [submission_of(entry) for entry in page]
        numbers = _submissions(tx, log.id, position, told, found)
        tx.append(
            log.id,
            [
                NewEntry(entry.entry, leaf_hash(entry.entry), entry.salt, entry.body, number)
                for entry, number in zip(page, numbers, strict=True)
            ],
        )
        tx.write_now(schema.entries)
        tx.write_now(schema.tree_nodes)
        position += len(page)
    tx.connection.execute(delete(schema.moved_entries).where(schema.moved_entries.c.log_id == -slot))
    return found


def _submissions(
    tx: Transaction, log_id: int, first: int, told: Sequence[NewSubmission | None], found: set[int]
) -> list[int | None]:
    """Number of each entry's submission: a known one points at its entry again, an unknown one is made."""
    table = schema.submissions
    known = submissions.by_key_tags(tx.connection, [new.key_tag for new in told if new is not None])
    numbers: list[int | None] = []
    moved, made = [], []
    for index, new in enumerate(told, first):
        row = known.get(new.key_tag) if new is not None else None
        if new is None:
            numbers.append(None)
        elif row is None:
            numbers.append(tx.serial(table))
            made.append(submissions.row_values(new, numbers[-1] or 0, f"{log_id}:{index}", known_caller=False))
        elif (row.record_id, row.revision, row.request_tag) == (new.record_id, new.revision, new.request_tag):
            numbers.append(row.seq)
            found.add(row.seq)
            others = [str(each) for each in row.addresses if each.log_id != log_id]
            moved.append({"number": row.seq, "new": ",".join([*others, f"{log_id}:{index}"])})
        else:
            numbers.append(None)  # the agency sent it again after the restore, and holds that answer
    if made:
        tx.insert(table, made)
        tx.write_now(table)
    if moved:
        tx.connection.execute(
            update(table).where(table.c.seq == bindparam("number")).values(addresses=bindparam("new")), moved
        )
    return numbers


def _append_again(tx: Transaction, moved_from: int, target: int, entries: Sequence[StoredEntry]) -> None:
    """The same bytes at the end of a log; each submission points at its new place."""
    if not entries:
        return
    first = tx.append(
        target,
        [NewEntry(each.entry, leaf_hash(each.entry), each.salt, each.body, each.submission) for each in entries],
    )
    tx.write_now(schema.entries)
    places = {each.submission: first + at for at, each in enumerate(entries) if each.submission is not None}
    moved = []
    for row in submissions.by_seqs(tx.connection, list(places)):
        others = [str(each) for each in row.addresses if each.log_id != moved_from]
        moved.append({"number": row.seq, "new": ",".join([*others, f"{target}:{places[row.seq]}"])})
    if moved:
        table = schema.submissions
        tx.connection.execute(
            update(table).where(table.c.seq == bindparam("number")).values(addresses=bindparam("new")), moved
        )


def move_tail(tx: Transaction, old: LogHead, position: int, target: int) -> None:
    """Entries of a log that goes on in another one, from a position on, go to that one's end.

    The old log keeps them, as entries that nobody's submission stands for any more.
    """
    start = position
    while position < old.size:
        page = log_store.entries(tx.connection, old.id, position, position + PAGE)
        _append_again(tx, old.id, target, page)
        position += len(page)
    table = schema.entries
    tx.connection.execute(update(table).where(table.c.log_id == old.id, table.c.idx >= start).values(submission=None))
    tx.retire_log(old.id)
