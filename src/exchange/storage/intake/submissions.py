"""Submissions and their keys: what an agency handed in, found again by key, record id or natural key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Connection, and_, bindparam, func, or_, select, update

from exchange.storage import schema
from exchange.storage.engine.prepared import Prepared
from exchange.storage.engine.transaction import LogHead, NewEntry, Transaction

CHUNK = 512
"""Values in one IN list: keeps the statement within every driver's limits and its plan cached."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an entry stands."""

    log_id: int
    index: int

    def __str__(self) -> str:
        return f"{self.log_id}:{self.index}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionRow:
    """One submission as stored."""

    seq: int
    key_tag: bytes
    request_tag: bytes
    agency: str | None
    idempotency_key: str | None
    record_id: bytes
    revision: int
    kind: int
    natural_tag: bytes
    content_tag: bytes
    authority: str
    state: int
    result: int
    accepted_at: int
    addresses: tuple[Address, ...]
    document_id: bytes | None
    document_row: int | None


class NewSubmission(NamedTuple):
    """A sealed record, ready to be appended to the logs of its addressees."""

    key_tag: bytes
    request_tag: bytes
    agency: str
    idempotency_key: str
    record_id: bytes
    revision: int
    kind: int
    natural_tag: bytes
    content_tag: bytes
    authority: str
    state: int
    result: int
    accepted_at: int
    logs: tuple[str, ...]
    entry: NewEntry
    document_id: bytes | None = None
    document_row: int | None = None
    # Newest revision that the door saw for the record, 0 for a new one: it must still be so.
    expected_revision: int = 0


class Stored(NamedTuple):
    """Appended."""

    seq: int
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same call was answered before."""

    row: SubmissionRow


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Between the door and this transaction another submission stated the record: prepare again."""


Answer = Stored | Repeated | KeyReused | Overtaken


_ROW = schema.submissions.c
_WANTED: BindParameter[Any] = bindparam("wanted", expanding=True)
_BY_KEY_TAG = Prepared(select(schema.submissions).where(_ROW.key_tag.in_(_WANTED)))
_BY_NATURAL_TAG = Prepared(select(schema.submissions).where(_ROW.natural_tag.in_(_WANTED)).order_by(_ROW.seq))
_BY_RECORD_ID = Prepared(
    select(schema.submissions).where(_ROW.record_id.in_(_WANTED)).order_by(_ROW.record_id, _ROW.revision)
)


def _row(row: Any) -> SubmissionRow:
    values = row._asdict()
    pairs = (part.split(":") for part in values["addresses"].split(",") if part)
    values["addresses"] = tuple(Address(int(log), int(index)) for log, index in pairs)
    return SubmissionRow(**values)


def _chunks(values: Iterable[bytes]) -> Iterable[list[bytes]]:
    unique = sorted(set(values))
    for start in range(0, len(unique), CHUNK):
        yield unique[start : start + CHUNK]


def by_key_tags(connection: Connection, tags: Iterable[bytes]) -> dict[bytes, SubmissionRow]:
    """Submissions by key tag."""
    found = {}
    for chunk in _chunks(tags):
        for row in _BY_KEY_TAG.rows(connection, {"wanted": chunk}):
            found[row.key_tag] = _row(row)
    return found


def newest_by_natural_tags(connection: Connection, tags: Iterable[bytes]) -> dict[bytes, SubmissionRow]:
    """The newest submission for each natural key."""
    found: dict[bytes, SubmissionRow] = {}
    for chunk in _chunks(tag for tag in tags if tag):
        for row in _BY_NATURAL_TAG.rows(connection, {"wanted": chunk}):
            found[row.natural_tag] = _row(row)
    return found


def newest_by_record_ids(connection: Connection, record_ids: Iterable[bytes]) -> dict[bytes, SubmissionRow]:
    """The newest revision of each record."""
    found: dict[bytes, SubmissionRow] = {}
    for chunk in _chunks(record_ids):
        for row in _BY_RECORD_ID.rows(connection, {"wanted": chunk}):
            found[row.record_id] = _row(row)
    return found


def of_record(connection: Connection, record_id: bytes, revision: int) -> SubmissionRow | None:
    """One revision of a record; revision 0 means the newest."""
    table = schema.submissions
    query = select(table).where(table.c.record_id == record_id)
    if revision:
        query = query.where(table.c.revision == revision)
    row = connection.execute(query.order_by(table.c.revision.desc()).limit(1)).first()
    return _row(row) if row else None


def by_seqs(connection: Connection, seqs: Sequence[int]) -> list[SubmissionRow]:
    """Submissions by number, in order of number."""
    table = schema.submissions
    query = select(table).where(table.c.seq.in_(list(seqs))).order_by(table.c.seq)
    return [_row(row) for row in connection.execute(query)]


def page(
    connection: Connection,
    agency: str,
    *,
    before: int | None,
    after: int | None = None,
    limit: int,
    kind: int = 0,
    document_id: bytes | None = None,
) -> list[SubmissionRow]:
    """An agency's submissions: newest first below ``before``, or oldest first above ``after``."""
    table = schema.submissions
    query = select(table).where(table.c.agency == agency)
    if before is not None:
        query = query.where(table.c.seq < before)
    if after is not None:
        query = query.where(table.c.seq > after)
    if kind:
        query = query.where(table.c.kind == kind)
    if document_id is not None:
        query = query.where(table.c.document_id == document_id)
    query = query.order_by(table.c.seq if after is not None else table.c.seq.desc()).limit(limit)
    return [_row(row) for row in connection.execute(query)]


def newest_seq(connection: Connection) -> int:
    """Number of the newest submission; 0 when there is none."""
    return connection.execute(select(func.max(schema.submissions.c.seq))).scalar() or 0


def claim(tx: Transaction, payloads: Sequence[tuple[int, str, str]]) -> list[None]:
    """Give rebuilt submissions back to the agency that showed their keys: (seq, agency, key)."""
    table = schema.submissions
    for seq, agency, key in payloads:
        tx.connection.execute(
            update(table)
            .where(and_(table.c.seq == seq, or_(table.c.agency.is_(None), table.c.agency == "")))
            .values(agency=agency, idempotency_key=key)
        )
    return [None] * len(payloads)


def store(tx: Transaction, payloads: Sequence[Sequence[NewSubmission]]) -> list[list[Answer]]:
    """Append sealed records to the logs of their addressees, each at most once per key.

    True afterwards, for each ``Stored``: entry, body and submission are on disk together or not at all.
    """
    everything = [item for payload in payloads for item in payload]
    by_key = by_key_tags(tx.connection, (item.key_tag for item in everything))
    newest = newest_by_record_ids(tx.connection, (item.record_id for item in everything))
    natural = newest_by_natural_tags(tx.connection, (item.natural_tag for item in everything))
    revisions = {record_id: row.revision for record_id, row in newest.items()}
    holders = {tag: row.record_id for tag, row in natural.items()}
    keys = {tag: row.request_tag for tag, row in by_key.items()}

    accepted: list[NewSubmission] = []
    answers: list[list[Answer]] = []
    slots: list[tuple[int, int]] = []
    for position, payload in enumerate(payloads):
        answers.append([])
        for item in payload:
            known = keys.get(item.key_tag)
            if known is not None:
                row = by_key.get(item.key_tag)
                if known != item.request_tag:
                    answers[-1].append(KeyReused())
                else:
                    # Twice in one batch: the caller asks again and finds the row.
                    answers[-1].append(Repeated(row) if row else Overtaken())
            elif revisions.get(item.record_id, 0) != item.expected_revision or (
                item.natural_tag and holders.get(item.natural_tag, item.record_id) != item.record_id
            ):
                answers[-1].append(Overtaken())
            else:
                keys[item.key_tag] = item.request_tag
                revisions[item.record_id] = item.revision
                if item.natural_tag:
                    holders[item.natural_tag] = item.record_id
                slots.append((position, len(answers[-1])))
                answers[-1].append(Overtaken())
                accepted.append(item)
    if accepted:
        for (position, place), stored in zip(slots, _append(tx, accepted), strict=True):
            answers[position][place] = stored
    return answers


def _append(tx: Transaction, accepted: Sequence[NewSubmission]) -> list[Stored]:
    first_seq = tx.serial(schema.submissions, len(accepted))
    per_log: dict[str, list[int]] = {}
    for position, item in enumerate(accepted):
        for origin in item.logs:
            per_log.setdefault(origin, []).append(position)
    addresses: list[list[Address]] = [[] for _ in accepted]
    for origin, positions in sorted(per_log.items()):
        log = _open(tx, origin)
        first = tx.append(
            log.id,
            [
                NewEntry(each.entry, each.leaf, each.salt, each.body, first_seq + position)
                for position in positions
                for each in (accepted[position].entry,)
            ],
        )
        for offset, position in enumerate(positions):
            addresses[position].append(Address(log.id, first + offset))
    tx.insert(
        schema.submissions,
        [
            row_values(item, first_seq + position, ",".join(map(str, addresses[position])))
            for position, item in enumerate(accepted)
        ],
    )
    return [Stored(first_seq + position, tuple(addresses[position])) for position in range(len(accepted))]


def row_values(item: NewSubmission, seq: int, addresses: str, *, known_caller: bool = True) -> dict[str, object]:
    """The row of a submission; without agency and key where only their tag is left."""
    return {
        "seq": seq,
        "key_tag": item.key_tag,
        "request_tag": item.request_tag,
        "agency": item.agency if known_caller else None,
        "idempotency_key": item.idempotency_key if known_caller else None,
        "record_id": item.record_id,
        "revision": item.revision,
        "kind": item.kind,
        "natural_tag": item.natural_tag,
        "content_tag": item.content_tag,
        "authority": item.authority,
        "state": item.state,
        "result": item.result,
        "accepted_at": item.accepted_at,
        "addresses": addresses,
        "document_id": item.document_id,
        "document_row": item.document_row,
    }


def _open(tx: Transaction, origin: str) -> LogHead:
    log = tx.head(origin)
    if log is None:
        raise LookupError(f"log {origin} does not exist")
    return log


def entries_of(connection: Connection, record_id: bytes, revision: int) -> list[Address]:
    """Every entry that one revision of a record of ours has: one in the log of each addressee."""
    table = schema.submissions
    rows = connection.execute(select(table).where(table.c.record_id == record_id, table.c.revision == revision))
    return [address for row in rows for address in _row(row).addresses]
