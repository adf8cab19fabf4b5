"""Reading logs: heads, entries, subtree hashes, checkpoints, receipts' material."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from sqlalchemy import BindParameter, Connection, bindparam, delete, func, select, update

from exchange.storage import schema
from exchange.storage.engine.prepared import Prepared
from exchange.storage.engine.transaction import STORED_LEVEL, LogHead, Transaction, head_of
from exchange.storage.intake import attachments
from exchange.storage.intake.submissions import SubmissionRow
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import merge
from exchange.tlog.tree import Frontier, NodeReader, frontier_at, leaf_hash, node_hash, root_at


# Not frozen: a frozen one takes four times as long to make, and one is made for every entry.
@dataclass(slots=True)
class StoredEntry:
    """One entry as it lies on disk; ``body`` and ``salt`` are None when erased or missing."""

    index: int
    entry: bytes
    salt: bytes | None
    body: bytes | None
    submission: int | None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A cosigned note. ``cosigned_at`` is the time inside the cosignature, in microseconds."""

    size: int
    cosigner: str
    note: bytes
    cosigned_at: int


_LOG, _ENTRY, _NODE, _NOTE = schema.logs.c, schema.entries.c, schema.tree_nodes.c, schema.checkpoints.c
_LOG_ID: BindParameter[int] = bindparam("log_id")
_SIZE: BindParameter[int] = bindparam("size")
_HEADS = Prepared(select(schema.logs).order_by(_LOG.id))
_BY_ORIGIN = Prepared(select(schema.logs).where(_LOG.origin == bindparam("origin")))
_BY_ID = Prepared(select(schema.logs).where(_LOG.id == _LOG_ID))
_CURRENT = Prepared(
    select(schema.logs)
    .where(
        _LOG.use == bindparam("use"),
        _LOG.peer == bindparam("peer"),
        _LOG.lane == bindparam("lane"),
        _LOG.retired.is_(False),
    )
    .order_by(_LOG.epoch.desc())
    .limit(1)
)
_OF_LANE = Prepared(
    select(schema.logs)
    .where(_LOG.use == bindparam("use"), _LOG.peer == bindparam("peer"), _LOG.lane == bindparam("lane"))
    .order_by(_LOG.epoch)
)
_OWN = Prepared(
    select(_LOG.id, _LOG.origin, _LOG.use, _LOG.peer, _LOG.lane, _LOG.epoch, _LOG.retired)
    .where(_LOG.use.in_(("outbound", "local")))
    .order_by(_LOG.epoch)
)
_RUN = (_ENTRY.log_id == _LOG_ID, _ENTRY.idx >= bindparam("start"), _ENTRY.idx < bindparam("end"))
_ENTRIES = Prepared(
    select(_ENTRY.idx, _ENTRY.entry, _ENTRY.submission, _ENTRY.salt, _ENTRY.body).where(*_RUN).order_by(_ENTRY.idx)
)
_BARE_ENTRIES = Prepared(select(_ENTRY.idx, _ENTRY.entry, _ENTRY.submission).where(*_RUN).order_by(_ENTRY.idx))
_ENTRIES_AT = Prepared(
    select(_ENTRY.idx, _ENTRY.entry, _ENTRY.salt, _ENTRY.body, _ENTRY.submission).where(
        _ENTRY.log_id == _LOG_ID, _ENTRY.idx.in_(bindparam("wanted", expanding=True))
    )
)
_ABSENT_BODIES = Prepared(
    select(_ENTRY.idx)
    .where(
        _ENTRY.log_id == bindparam("log"),
        _ENTRY.idx >= bindparam("first"),
        _ENTRY.idx < bindparam("end"),
        _ENTRY.body.is_(None),
    )
    .order_by(_ENTRY.idx)
)
# Not by pairs of level and index: for those SQLite looks at every node of the log.
_NODES = Prepared(
    select(_NODE.level, _NODE.idx, _NODE.hash).where(
        _NODE.log_id == _LOG_ID,
        _NODE.level.in_(bindparam("levels", expanding=True)),
        _NODE.idx.in_(bindparam("indices", expanding=True)),
    )
)
_NOTES = select(schema.checkpoints).where(_NOTE.log_id == _LOG_ID)
_NOTES_OF = Prepared(
    select(_NOTE.size, _NOTE.cosigner, _NOTE.note).where(
        _NOTE.log_id == bindparam("log"), _NOTE.size.in_(bindparam("sizes", expanding=True))
    )
)
_NEWEST_NOTE = Prepared(_NOTES.order_by(_NOTE.size.desc()).limit(1))
_NEWEST_NOTE_BY = Prepared(_NOTES.where(_NOTE.cosigner == bindparam("cosigner")).order_by(_NOTE.size.desc()).limit(1))
_NOTE_OF_SIZE = Prepared(_NOTES.where(_NOTE.size == _SIZE).limit(1))
_NOTES_FROM = Prepared(_NOTES.where(_NOTE.size >= _SIZE).order_by(_NOTE.size))


def heads(connection: Connection) -> list[LogHead]:
    """Every log, in order of id."""
    return [head_of(row) for row in _HEADS.rows(connection)]


def head(connection: Connection, origin: str) -> LogHead | None:
    """The log of that origin."""
    row = _BY_ORIGIN.first(connection, {"origin": origin})
    return head_of(row) if row else None


def head_by_id(connection: Connection, log_id: int) -> LogHead | None:
    """The log of that id."""
    row = _BY_ID.first(connection, {"log_id": log_id})
    return head_of(row) if row else None


def current(connection: Connection, use: str, peer: str = "", lane: int = 0) -> LogHead | None:
    """The log of the newest epoch for one use."""
    row = _CURRENT.first(connection, {"use": use, "peer": peer, "lane": lane})
    return head_of(row) if row else None


def of_lane(connection: Connection, use: str, peer: str, lane: int) -> list[LogHead]:
    """The logs of one use, peer and lane, oldest epoch first."""
    return [head_of(row) for row in _OF_LANE.rows(connection, {"use": use, "peer": peer, "lane": lane})]


@dataclass(frozen=True, slots=True)
class CurrentOrigins:
    """Our logs of the current epochs.

    Attributes:
        outbound: Origin by (peer, lane).
        local: Origin of the local log.
    """

    outbound: Mapping[tuple[str, int], str]
    local: str
    by_id: Mapping[int, tuple[str, int]]

    def peers_of(self, row: SubmissionRow) -> set[str]:
        """Nodes that a submission went to."""
        return {peer for address in row.addresses if (peer := self.by_id[address.log_id][0])}

    def lanes_of(self, row: SubmissionRow) -> set[int]:
        """Lanes that a submission went in; empty for the local log."""
        return {lane for address in row.addresses if (lane := self.by_id[address.log_id][1])}


def current_origins(connection: Connection) -> CurrentOrigins:
    """Where submissions are appended now, and where those of every epoch went."""
    rows = _OWN.all(connection)
    live = [row for row in rows if not row.retired]
    return CurrentOrigins(
        outbound={(row.peer, row.lane): row.origin for row in live if row.use == "outbound"},
        local=next((row.origin for row in reversed(live) if row.use == "local"), ""),
        by_id={row.id: (row.peer, row.lane) for row in rows},
    )


def entries(
    connection: Connection,
    log_id: int,
    start: int,
    end: int,
    *,
    bodies: bool = True,
    max_bytes: int | None = None,
) -> list[StoredEntry]:
    """Entries ``start`` up to, not including, ``end``, in order; stops before ``max_bytes`` but after at least one."""
    found: list[StoredEntry] = []
    size = 0
    query = _ENTRIES if bodies else _BARE_ENTRIES
    with closing(query.rows(connection, {"log_id": log_id, "start": start, "end": end})) as rows:
        for index, entry, submission, *rest in rows:
            salt, body = rest or (None, None)
            size += len(entry) + len(body or b"") + 64
            if max_bytes is not None and found and size > max_bytes:
                break
            found.append(StoredEntry(index, entry, salt, body, submission))
    return found


def entries_at(connection: Connection, log_id: int, indices: Sequence[int]) -> dict[int, StoredEntry]:
    """The entries at some indices."""
    if not indices:
        return {}
    rows = _ENTRIES_AT.rows(connection, {"log_id": log_id, "wanted": list(indices)})
    return {row.idx: StoredEntry(row.idx, row.entry, row.salt, row.body, row.submission) for row in rows}


def node_reader(connection: Connection, log_id: int) -> NodeReader:
    """Subtree hashes of one log: stored ones, and lower ones from their leaves."""

    def read(wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        stored = [key for key in wanted if key[0] >= STORED_LEVEL]
        found: dict[tuple[int, int], bytes] = {}
        if stored:
            levels, indices = {level for level, _ in stored}, {index for _, index in stored}
            asked = {"log_id": log_id, "levels": sorted(levels), "indices": sorted(indices)}
            found = {(row.level, row.idx): row.hash for row in _NODES.rows(connection, asked)}
        lower: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for level, index in wanted:
            if level < STORED_LEVEL:
                lower[index << level >> STORED_LEVEL].append((level, index))
        for nodes in lower.values():
            # All below one stored node: a run of at most 16 leaves.
            start, end = min(i << level for level, i in nodes), max((i + 1) << level for level, i in nodes)
            rows = _BARE_ENTRIES.rows(connection, {"log_id": log_id, "start": start, "end": end})
            leaves = {row.idx: leaf_hash(row.entry) for row in rows}
            for level, index in nodes:
                hashes = [leaves[leaf] for leaf in range(index << level, (index + 1) << level)]
                while len(hashes) > 1:
                    hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
                found[level, index] = hashes[0]
        return [found[key] for key in wanted]

    return read


def root(connection: Connection, log: LogHead, size: int) -> bytes:
    """Root of the first ``size`` entries."""
    return log.frontier.root() if size == log.size else root_at(size, node_reader(connection, log.id))


def frontier(connection: Connection, log: LogHead, size: int) -> Frontier:
    """Frontier of the first ``size`` entries."""
    return log.frontier if size == log.size else frontier_at(size, node_reader(connection, log.id))


# -- checkpoints ------------------------------------------------------------------------------------------------


def _checkpoint(row: object) -> StoredCheckpoint:
    return StoredCheckpoint(row.size, row.cosigner, row.note, row.cosigned_at)  # type: ignore[attr-defined]


def last_checkpoint(connection: Connection, log_id: int, cosigner: str | None = None) -> StoredCheckpoint | None:
    """The largest cosigned checkpoint of a log."""
    if cosigner is None:
        row = _NEWEST_NOTE.first(connection, {"log_id": log_id})
    else:
        row = _NEWEST_NOTE_BY.first(connection, {"log_id": log_id, "cosigner": cosigner})
    return _checkpoint(row) if row else None


def first_checkpoint_covering(
    connection: Connection, log_id: int, size: int, cosigner: str | None = None
) -> StoredCheckpoint | None:
    """The smallest cosigned checkpoint of at least ``size`` entries: the one a receipt uses."""
    table = schema.checkpoints.c
    query = select(schema.checkpoints).where(table.log_id == log_id, table.size >= size)
    if cosigner is not None:
        query = query.where(table.cosigner == cosigner)
    row = connection.execute(query.order_by(table.size).limit(1)).first()
    return _checkpoint(row) if row else None


def checkpoints(connection: Connection, log_id: int, above: int, limit: int) -> list[StoredCheckpoint]:
    """Cosigned checkpoints of sizes beyond ``above``, smallest first."""
    table = schema.checkpoints.c
    rows = connection.execute(
        select(schema.checkpoints).where(table.log_id == log_id, table.size > above).order_by(table.size).limit(limit)
    )
    return [_checkpoint(row) for row in rows]


def checkpoints_between(connection: Connection, log_id: int, low: int, high: int) -> list[StoredCheckpoint]:
    """Cosigned checkpoints of at least ``low`` entries up to the first of at least ``high``, smallest first."""
    found = []
    with closing(_NOTES_FROM.rows(connection, {"log_id": log_id, "size": low})) as rows:
        for row in rows:
            found.append(_checkpoint(row))
            if row.size >= high:
                break
    return found


def size_before(connection: Connection, log_id: int, at: int) -> int:
    """Entries that were cosigned before an instant, in microseconds: the others were mirrored at or after it."""
    table = schema.checkpoints
    query = select(func.max(table.c.size)).where(table.c.log_id == log_id, table.c.cosigned_at < at)
    return connection.execute(query).scalar() or 0


def checkpoint_of(connection: Connection, log_id: int, size: int) -> StoredCheckpoint | None:
    """The cosigned checkpoint of exactly that size."""
    row = _NOTE_OF_SIZE.first(connection, {"log_id": log_id, "size": size})
    return _checkpoint(row) if row else None


def store_checkpoints(tx: Transaction, log_id: int, notes: Sequence[StoredCheckpoint]) -> None:
    """Keep cosigned notes; one already held stays as it is, and gets the lines of keys that it lacks."""
    if not notes:
        return
    table = schema.checkpoints.c
    tx.write_now(schema.checkpoints)
    held = {
        (row.size, row.cosigner): row.note
        for row in _NOTES_OF.rows(tx.connection, {"log": log_id, "sizes": [note.size for note in notes]})
    }
    fresh: dict[tuple[int, str], StoredCheckpoint] = {}
    for note in notes:
        place = (note.size, note.cosigner)
        known = held.get(place) or (fresh[place].note if place in fresh else None)
        if known is None:
            fresh[place] = note
            continue
        merged = known if known == note.note else _merged(known, note.note)
        if place in fresh:
            fresh[place] = replace(fresh[place], note=merged)
        elif merged != known:
            held[place] = merged
            tx.connection.execute(
                update(schema.checkpoints)
                .where(table.log_id == log_id, table.size == note.size, table.cosigner == note.cosigner)
                .values(note=merged)
            )
    if fresh:
        tx.insert(
            schema.checkpoints,
            [
                {
                    "log_id": log_id,
                    "size": at.size,
                    "cosigner": at.cosigner,
                    "note": at.note,
                    "cosigned_at": at.cosigned_at,
                }
                for at in fresh.values()
            ],
        )


def _merged(held: bytes, other: bytes) -> bytes:
    try:
        return merge(held, other)
    except LogFormatError:
        return held


# -- late bodies, erasing, recovering ---------------------------------------------------------------------------


def put_body(tx: Transaction, log_id: int, index: int, salt: bytes, body: bytes) -> bool:
    """Put a body that was missing; returns whether it was."""
    table = schema.entries.c
    changed = tx.connection.execute(
        update(schema.entries)
        .where(table.log_id == log_id, table.idx == index, table.body.is_(None))
        .values(salt=salt, body=body)
    )
    return changed.rowcount == 1


def erase_bodies(tx: Transaction, addresses: Sequence[tuple[int, int]]) -> None:
    """Destroy bodies and salts, and attachments that no other entry lists; the entries stay."""
    table = schema.entries.c
    for log_id in {log for log, _ in addresses}:
        indices = [index for log, index in addresses if log == log_id]
        tx.write_now(schema.entries)
        tx.connection.execute(
            update(schema.entries).where(table.log_id == log_id, table.idx.in_(indices)).values(salt=None, body=None)
        )
        attachments.release(tx, log_id, indices)


def absent_bodies(connection: Connection, log_id: int, start: int, end: int) -> list[int]:
    """Indices in a range whose bodies are absent."""
    return [row.idx for row in _ABSENT_BODIES.rows(connection, {"log": log_id, "first": start, "end": end})]


def truncate(tx: Transaction, log: LogHead, size: int) -> LogHead:
    """Cut a log of ours back to ``size``: only recovery does this, with entries that nobody cosigned.

    What a crash here leaves behind is the log as it was: the cut is part of one transaction.
    """
    cut = frontier(tx.connection, log, size)
    entry, node, note = schema.entries.c, schema.tree_nodes.c, schema.checkpoints.c
    tx.connection.execute(delete(schema.entries).where(entry.log_id == log.id, entry.idx >= size))
    listed = schema.attachment_uses.c
    # The bytes stay: the entries are applied again where they are appended.
    tx.connection.execute(delete(schema.attachment_uses).where(listed.log_id == log.id, listed.idx >= size))
    # A stored node (level, idx) is complete only while its last leaf is below the size.
    top = tx.connection.execute(select(func.max(node.level)).where(node.log_id == log.id)).scalar() or 0
    for level in range(STORED_LEVEL, top + 1):
        tx.connection.execute(
            delete(schema.tree_nodes).where(node.log_id == log.id, node.level == level, node.idx >= size >> level)
        )
    tx.connection.execute(delete(schema.checkpoints).where(note.log_id == log.id, note.size > size))
    stamp = schema.timestamps.c
    tx.connection.execute(delete(schema.timestamps).where(stamp.log_id == log.id, stamp.size > size))
    shorter = LogHead(log.id, log.origin, log.use, log.peer, log.lane, log.epoch, size, cut, log.retired)
    tx.replace_head(shorter)
    return shorter
