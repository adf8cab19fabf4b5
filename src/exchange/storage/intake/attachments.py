"""Bytes of attachments beside the logs: pieces without a gap, by digest, for as long as an entry lists them.

They stand in tables and not in files, so that one transaction erases them with the body, one backup has both, and a
node on PostgreSQL needs no disk of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.message import DecodeError
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from exchange.domain.problems import Problem, Refused
from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.v1.common_pb2 import Attachment

PART_BYTES = 1 << 20
"""Most bytes of one piece: a few milliseconds of the writer's time."""

_CHUNK = 500
"""Values in one IN list."""


@dataclass(frozen=True, slots=True)
class Held:
    """How much of an attachment is there.

    Attributes:
        agency: Who handed it in; empty where it is fetched.
    """

    digest: bytes
    listed: bytes
    size: int
    received: int
    complete: bool
    agency: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece to store.

    Attributes:
        agency: Who hands it in; empty where it was fetched.
        staged_bytes: Bytes that the agency may have here without a record that lists them.
    """

    attachment: Attachment
    offset: int
    content: bytes
    agency: str
    at: int
    staged_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the bytes that are there are what the digests say."""

    digest: bytes
    sound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An entry whose record lists an attachment."""

    log_id: int
    index: int
    attachment: Attachment


@dataclass(frozen=True, slots=True)
class Missing:
    """An attachment that a record lists and that is not there: where to ask for it."""

    digest: bytes
    listed: bytes
    received: int
    peer: str
    origin: str
    index: int


@dataclass(frozen=True, slots=True)
class MissingCount:
    """What is missing of one side's records.

    Attributes:
        peer: Whose records; empty: our own.
        since: Since when the oldest is missing, in microseconds.
    """

    peer: str
    count: int
    size: int
    since: int


def name_of(attachment: Attachment) -> bytes:
    """What names an attachment: its first digest."""
    return attachment.digests[0].digest


def held(connection: Connection, digest: bytes) -> Held | None:
    """What is there of an attachment; None where nothing is known of it."""
    row = connection.execute(select(schema.attachments).where(schema.attachments.c.digest == digest)).first()
    return Held(**row._mapping) if row else None


def read(connection: Connection, digest: bytes, offset: int, limit: int) -> bytes:
    """Bytes from an offset on, at most ``limit``; fewer at the end."""
    table = schema.attachment_parts.c
    rows = connection.execute(
        select(table.start, table.content)
        .where(table.digest == digest, table.start > offset - PART_BYTES, table.start < offset + limit)
        .order_by(table.start)
    ).all()
    if not rows:
        return b""
    first = rows[0].start
    whole = b"".join(row.content for row in rows)
    return whole[max(offset - first, 0) : offset - first + limit]


def whole(connection: Connection, digest: bytes) -> bytes:
    """All pieces that are there, joined."""
    table = schema.attachment_parts.c
    rows = connection.execute(select(table.content).where(table.digest == digest).order_by(table.start))
    return b"".join(rows.scalars())


def listed_by(connection: Connection, log_id: int, index: int, digest: bytes) -> bool:
    """Whether the record of an entry lists an attachment, and is not withheld."""
    use, row = schema.attachment_uses.c, schema.records.c
    query = (
        select(use.digest)
        .outerjoin_from(schema.attachment_uses, schema.records, and_(row.log_id == use.log_id, row.idx == use.idx))
        .where(use.log_id == log_id, use.idx == index, use.digest == digest, _shown())
    )
    return connection.execute(query).first() is not None


def _shown() -> ColumnElement[bool]:
    tombstone = schema.records.c.tombstone
    return or_(tombstone.is_(None), tombstone == "")


def whole_ones(connection: Connection, after: bytes, limit: int, *, withheld: bool) -> list[Held]:
    """Attachments that are all there, in order of digest, that some entry lists.

    Args:
        connection: Where.
        after: Digest that the first one stands behind.
        limit: Most of them.
        withheld: Those, too, whose records are all withheld.
    """
    file, use, row = schema.attachments.c, schema.attachment_uses.c, schema.records.c
    uses = (
        select(use.digest)
        .outerjoin_from(schema.attachment_uses, schema.records, and_(row.log_id == use.log_id, row.idx == use.idx))
        .where(use.digest == file.digest, true() if withheld else _shown())
        .exists()
    )
    query = select(schema.attachments).where(file.complete.is_(True), file.digest > after, uses)
    return [Held(**row._mapping) for row in connection.execute(query.order_by(file.digest).limit(limit))]


@cache
def _missing() -> Select[tuple[Any, ...]]:
    file, use, log, row = schema.attachments.c, schema.attachment_uses.c, schema.logs.c, schema.records.c
    return (
        select(file.digest, file.listed, file.received, log.peer, log.origin, use.idx)
        .join_from(schema.attachments, schema.attachment_uses, file.digest == use.digest)
        .join(schema.logs, log.id == use.log_id)
        .outerjoin(schema.records, and_(row.log_id == use.log_id, row.idx == use.idx))
        .where(file.complete.is_(False), log.peer == bindparam("peer"), log.use.in_(("mirror", "outbound")), _shown())
        .order_by(file.since, file.digest)
        .limit(bindparam("most"))
    )


def missing(connection: Connection, peer: str, limit: int) -> list[Missing]:
    """Attachments that are missing and may be asked of a peer: of its records, and of ours that it mirrors.

    Oldest first. Withheld records are left out: what is not shown is not fetched.
    """
    found: dict[bytes, Missing] = {}
    rows = connection.execute(_missing(), {"peer": peer, "most": limit})
    for digest, listed, received, owner, origin, index in rows:
        found.setdefault(digest, Missing(digest, listed, received, owner, origin, index))
    return list(found.values())


def missing_counts(connection: Connection) -> list[MissingCount]:
    """What is missing, by the side that states the records; withheld records are left out."""
    file, use, log, row = schema.attachments.c, schema.attachment_uses.c, schema.logs.c, schema.records.c
    query = (
        select(file.digest, file.size, file.received, file.since, log.use, log.peer)
        .join_from(schema.attachments, schema.attachment_uses, file.digest == use.digest)
        .join(schema.logs, log.id == use.log_id)
        .outerjoin(schema.records, and_(row.log_id == use.log_id, row.idx == use.idx))
        .where(file.complete.is_(False), _shown())
    )
    found: dict[tuple[str, bytes], tuple[int, int]] = {}
    for digest, size, received, since, place, peer in connection.execute(query):
        found[peer if place == "mirror" else "", digest] = (size - received, since)
    peers = sorted({peer for peer, _ in found})
    counts = []
    for each in peers:
        values = [value for (peer, _), value in found.items() if peer == each]
        counts.append(MissingCount(each, len(values), sum(v[0] for v in values), min(v[1] for v in values)))
    return counts


# -- writing ----------------------------------------------------------------------------------------------------


def put_pieces(tx: Transaction, payloads: Sequence[Piece]) -> list[Held | Exception]:
    """Store pieces: each from where the attachment ends here, whatever of it is there already is passed over.

    A piece that begins beyond that stores nothing, and one that would make the file larger than listed stores what
    fits. ``Refused`` where the agency has as much here as it may without a record that lists it, and for what was
    erased while it was fetched. What a crash leaves behind is a shorter file without a gap.
    """
    return [_put(tx, piece) for piece in payloads]


def _put(tx: Transaction, piece: Piece) -> Held | Exception:
    digest = name_of(piece.attachment)
    now = held(tx.connection, digest)
    if piece.agency and piece.content and (now is None or not now.complete):
        room = piece.staged_bytes - _staged(tx.connection, piece.agency)
        if len(piece.content) > room and not _is_used(tx.connection, digest):
            return Refused([Problem("ATTACHMENT_QUOTA", "content", f"{piece.staged_bytes >> 20} MiB")])
    if now is None and not piece.agency:
        # Erased while it was fetched: it must not come back.
        return Refused([Problem("ERASED", "attachment")])
    if now is None:
        now = _open(tx, piece.attachment, piece.agency, piece.at)
    new = piece.content[now.received - piece.offset :] if piece.offset <= now.received else b""
    new = new[: now.size - now.received]
    if now.complete or not new:
        return now
    tx.connection.execute(insert(schema.attachment_parts), [{"digest": digest, "start": now.received, "content": new}])
    return _set(tx, now, received=now.received + len(new), complete=False)


def _open(tx: Transaction, attachment: Attachment, agency: str, at: int) -> Held:
    listed = Attachment()
    listed.CopyFrom(attachment)
    listed.name = ""
    row = Held(
        name_of(attachment),
        listed.SerializeToString(deterministic=True),
        attachment.size,
        0,
        complete=False,
        agency=agency,
        since=at,
    )
    tx.connection.execute(
        insert(schema.attachments), [{name: getattr(row, name) for name in Held.__dataclass_fields__}]
    )
    return row


def _set(tx: Transaction, now: Held, *, received: int, complete: bool) -> Held:
    table = schema.attachments
    tx.connection.execute(
        update(table).where(table.c.digest == now.digest).values(received=received, complete=complete)
    )
    return Held(now.digest, now.listed, now.size, received, complete, now.agency, now.since)


def _staged(connection: Connection, agency: str) -> int:
    file, use = schema.attachments.c, schema.attachment_uses.c
    query = select(func.coalesce(func.sum(file.received), 0)).where(
        file.agency == agency, ~exists().where(use.digest == file.digest)
    )
    return int(connection.execute(query).scalar_one())


def _is_used(connection: Connection, digest: bytes) -> bool:
    use = schema.attachment_uses.c
    return connection.execute(select(use.digest).where(use.digest == digest).limit(1)).first() is not None


def finish(tx: Transaction, payloads: Sequence[Verdict]) -> list[bool]:
    """Take what is there for the whole attachment, or throw it away to be sent anew."""
    done = []
    for verdict in payloads:
        now = held(tx.connection, verdict.digest)
        if now is None or now.complete or now.received != now.size:
            done.append(now is not None and now.complete)
        elif verdict.sound:
            _set(tx, now, received=now.received, complete=True)
            done.append(True)
        else:
            parts = schema.attachment_parts
            tx.connection.execute(delete(parts).where(parts.c.digest == verdict.digest))
            _set(tx, now, received=0, complete=False)
            done.append(False)
    return done


def use(tx: Transaction, uses: Iterable[Use], at: int) -> None:
    """Keep that records list attachments; those that are not here are missing from now on."""
    table = schema.attachment_uses.c
    for each in uses:
        digest = name_of(each.attachment)
        if held(tx.connection, digest) is None:
            _open(tx, each.attachment, "", at)
        known = select(table.digest).where(table.log_id == each.log_id, table.idx == each.index, table.digest == digest)
        if tx.connection.execute(known).first() is None:
            tx.connection.execute(
                insert(schema.attachment_uses), [{"log_id": each.log_id, "idx": each.index, "digest": digest}]
            )


def release(tx: Transaction, log_id: int, indices: Sequence[int]) -> None:
    """The bodies of some entries are erased: so is every attachment that no other entry lists, with its salts."""
    table = schema.attachment_uses.c
    found: set[bytes] = set()
    for start in range(0, len(indices), _CHUNK):
        here = and_(table.log_id == log_id, table.idx.in_(indices[start : start + _CHUNK]))
        found |= set(tx.connection.execute(select(table.digest).where(here)).scalars())
        tx.connection.execute(delete(schema.attachment_uses).where(here))
    _drop(tx, [digest for digest in found if not _is_used(tx.connection, digest)])


def expire(tx: Transaction, payloads: Sequence[int]) -> list[int]:
    """Drop what agencies handed in before some instant and no record lists; gives how many."""
    file, listed = schema.attachments.c, schema.attachment_uses.c
    dropped = []
    for before in payloads:
        query = (
            select(file.digest).where(file.since < before, ~exists().where(listed.digest == file.digest)).limit(_CHUNK)
        )
        digests = list(tx.connection.execute(query).scalars())
        _drop(tx, digests)
        dropped.append(len(digests))
    return dropped


def _drop(tx: Transaction, digests: Sequence[bytes]) -> None:
    for table in (schema.attachment_parts, schema.attachments):
        if digests:
            tx.connection.execute(delete(table).where(table.c.digest.in_(digests)))


# -- checking ---------------------------------------------------------------------------------------------------


def faults(connection: Connection, after: bytes, limit: int) -> Iterator[tuple[bytes, str, Attachment]]:
    """Attachments in order of digest, each with what is wrong with its row and pieces; empty where nothing is."""
    file = schema.attachments.c
    query = select(schema.attachments).where(file.digest > after).order_by(file.digest).limit(limit)
    for row in connection.execute(query).all():
        try:
            listed = Attachment.FromString(row.listed)
        except DecodeError:
            yield row.digest, "what is listed can not be read", Attachment()
            continue
        yield row.digest, _fault(connection, Held(**row._mapping), listed), listed


def _fault(connection: Connection, row: Held, listed: Attachment) -> str:
    if not listed.digests or name_of(listed) != row.digest or listed.size != row.size:
        return "the row is of another attachment"
    table = schema.attachment_parts.c
    pieces = connection.execute(
        select(table.start, func.length(table.content)).where(table.digest == row.digest).order_by(table.start)
    ).all()
    end = 0
    for start, size in pieces:
        if start != end:
            return f"a gap at {end}"
        end += size
    if end != row.received or (row.complete and end != row.size):
        return f"{end} bytes, {row.received} received of {row.size}"
    return ""


def orphans(connection: Connection, limit: int) -> list[tuple[int, int]]:
    """Entries without a body that still list an attachment, or uses of an entry that is not there."""
    listed, entry = schema.attachment_uses.c, schema.entries.c
    query = (
        select(listed.log_id, listed.idx)
        .outerjoin_from(
            schema.attachment_uses,
            schema.entries,
            and_(entry.log_id == listed.log_id, entry.idx == listed.idx),
        )
        .where(entry.body.is_(None))
        .limit(limit)
    )
    return [(row.log_id, row.idx) for row in connection.execute(query)]
