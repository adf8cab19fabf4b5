"""Putting our own logs back to what a peer proved: one transaction, so that a crash leaves the old state or the new.

Fetched entries wait in ``moved_entries`` under the negative id of their log until they are adopted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, insert, select, update

from exchange.storage import log_store, schema
from exchange.storage.log_store import StoredCheckpoint, StoredEntry
from exchange.storage.submissions import NewSubmission
from exchange.storage.transaction import LogHead, NewEntry, Transaction
from exchange.tlog.tree import leaf_hash

PAGE = 512
"""Rows moved at once inside the transaction: bounds memory, not the transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedLog:
    """One of our logs, as the peer's mirror proved it.

    Attributes:
        keep: Entries of ours that agree with the peer's.
        rebuilt: Submissions that follow from fetched entries, with their index.
        again: Entries of ours that only we had, in order: appended again behind.
    """

    log: LogHead
    keep: int
    notes: Sequence[StoredCheckpoint]
    rebuilt: Sequence[tuple[int, NewSubmission]] = field(default=())
    again: Sequence[StoredEntry] = field(default=())


def stage(tx: Transaction, payloads: Sequence[tuple[int, int, Sequence[StoredEntry]]]) -> list[None]:
    """Keep fetched entries of a log: (log id, first index, entries)."""
    table = schema.moved_entries
    for log_id, first, fetched in payloads:
        tx.connection.execute(
            delete(table).where(
                table.c.log_id == -log_id, table.c.idx >= first, table.c.idx < first + len(fetched)
            )
        )
        if fetched:
            tx.connection.execute(insert(table), [_staged(-log_id, entry) for entry in fetched])
    return [None] * len(payloads)


def _staged(log_id: int, entry: StoredEntry) -> dict[str, object]:
    return {
        "log_id": log_id,
        "idx": entry.index,
        "entry": entry.entry,
        "salt": entry.salt,
        "body": entry.body,
        "submission": entry.submission,
    }


def staged(connection: Connection, log_id: int, start: int, end: int) -> list[StoredEntry]:
    """Fetched entries of a log."""
    table = schema.moved_entries.c
    rows = connection.execute(
        select(schema.moved_entries)
        .where(table.log_id == -log_id, table.idx >= start, table.idx < end)
        .order_by(table.idx)
    )
    return [StoredEntry(row.idx, row.entry, row.salt, row.body, None) for row in rows]


def first_difference(connection: Connection, log: LogHead, start: int, end: int) -> int:
    """First index in a range at which our entry is not the fetched one."""
    for begin in range(start, end, PAGE):
        stop = min(end, begin + PAGE)
        ours = log_store.entries(connection, log.id, begin, stop, bodies=False)
        theirs = staged(connection, log.id, begin, stop)
        for mine, other in zip(ours, theirs, strict=False):
            if mine.entry != other.entry:
                return mine.index
        if len(ours) != len(theirs):
            return begin + min(len(ours), len(theirs))
    return end


def adopt(tx: Transaction, adopted: Sequence[AdoptedLog]) -> None:
    """Cut each log where it stops agreeing, put the fetched entries behind, then our own tail again."""
    for each in adopted:
        log = log_store.truncate(tx, each.log, each.keep)
        _append_staged(tx, log)
        log_store.store_checkpoints(tx, log.id, each.notes)
        _rebuild(tx, each)
        for entry in each.again:
            append_again(tx, log.id, entry, moved_from=log.id)
        tx.connection.execute(delete(schema.moved_entries).where(schema.moved_entries.c.log_id == -log.id))


def _append_staged(tx: Transaction, log: LogHead) -> None:
    position = log.size
    while True:
        page = staged(tx.connection, log.id, position, position + PAGE)
        if not page:
            return
        tx.append(log.id, [NewEntry.of(entry.entry, entry.salt, entry.body) for entry in page])
        tx.write_now(schema.entries)
        position += len(page)


def _rebuild(tx: Transaction, each: AdoptedLog) -> None:
    """Submissions whose entries came back: known ones point at them again, unknown ones are rebuilt from the tag."""
    table, entries = schema.submissions, schema.entries
    for index, new in each.rebuilt:
        known = tx.connection.execute(
            select(table.c.seq, table.c.record_id).where(table.c.key_tag == new.key_tag)
        ).first()
        if known is not None and known.record_id != new.record_id:
            continue  # the agency sent it again after the restore, and holds that answer
        address = f"{each.log.id}:{index}"
        if known is not None:
            seq = known.seq
            tx.connection.execute(update(table).where(table.c.seq == seq).values(addresses=address))
        else:
            seq = tx.serial(table)
            tx.connection.execute(
                insert(table),
                [
                    {
                        "seq": seq,
                        "key_tag": new.key_tag,
                        "request_tag": new.request_tag,
                        "agency": None,
                        "idempotency_key": None,
                        "record_id": new.record_id,
                        "revision": new.revision,
                        "kind": new.kind,
                        "natural_tag": new.natural_tag,
                        "content_tag": new.content_tag,
                        "authority": new.authority,
                        "state": new.state,
                        "result": new.result,
                        "accepted_at": new.accepted_at,
                        "addresses": address,
                        "document_id": None,
                        "document_row": None,
                    }
                ],
            )
        tx.connection.execute(
            update(entries)
            .where(entries.c.log_id == each.log.id, entries.c.idx == index)
            .values(submission=seq)
        )


def append_again(tx: Transaction, log_id: int, entry: StoredEntry, *, moved_from: int) -> None:
    """The same bytes at the end of a log; the submission points at its new place."""
    table = schema.submissions
    again = NewEntry(entry.entry, leaf_hash(entry.entry), entry.salt, entry.body, entry.submission)
    index = tx.append(log_id, [again])
    if entry.submission is None:
        return
    row = tx.connection.execute(select(table.c.addresses).where(table.c.seq == entry.submission)).first()
    if row is not None:
        others = [part for part in row.addresses.split(",") if part and part.split(":")[0] != str(moved_from)]
        others.append(f"{log_id}:{index}")
        tx.connection.execute(
            update(table).where(table.c.seq == entry.submission).values(addresses=",".join(others))
        )
