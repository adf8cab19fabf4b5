"""Registers: tables of current state, made only by apply, thrown away and made again at will.

A row change is a ``Put`` or a ``Drop``. Each leaves one digest leaf, ``SHA-256(row salt ‖ row)`` with
``row salt = HMAC-SHA-256(body salt, table ‖ key)``: without the body's salt nobody can test a guess against it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from sqlalchemy import BindParameter, Connection, Delete, Table, and_, bindparam, delete, func, insert, select, update

from exchange.crypto.mac import hmac_sha256
from exchange.storage import schema
from exchange.storage.engine.prepared import Prepared
from exchange.storage.engine.transaction import Transaction, values_of

CHUNK = 500
LEAF_SIZE = 36
"""Bytes kept for each row change: the entry's place within its step (4) and the leaf (32)."""

NO_ENTRY = 0xFFFFFFFF
"""Place of a change that no single entry made."""

SEQ_CURSOR = 0
"""Row of ``cursors`` that holds the number of the next row change instead of an index."""

BODY = "BODY"
"""What an entry waits for whose body did not come."""

RECORD_BLOCKS = "record-blocks"
"""All blocks that one revision of a record made, which are only ever dropped: whoever replays behind an Erasure makes
the same change, and never had the blocks.
"""

RECORD_FEEDBACK = "record-feedback"
"""Likewise, everything that one revision of a record says of measures."""

RECORD_LABS = "record-labs"
"""Likewise, every run of days of one revision of a laboratory's record."""

SOURCE_DECISIONS = "source-decisions"
"""Everything that one Recognition of a peer said of our records, which is only ever dropped."""

TABLES: dict[str, tuple[Table, tuple[str, ...]]] = {
    "records": (schema.records, ("origin", "record_id", "revision")),
    "decisions": (schema.decisions, ("seq",)),
    "made_decisions": (schema.made_decisions, ("seq",)),
    SOURCE_DECISIONS: (schema.decisions, ("source_log", "source_idx")),
    "blocks": (schema.blocks, ("seq",)),
    RECORD_BLOCKS: (schema.blocks, ("origin", "record_id", "revision")),
    "feedback": (schema.feedback, ("seq",)),
    RECORD_FEEDBACK: (schema.feedback, ("origin", "record_id", "revision")),
    "labs": (schema.labs, ("seq",)),
    RECORD_LABS: (schema.labs, ("origin", "record_id", "revision")),
    "dues": (schema.dues, ("agency", "source_origin", "source", "catalogue", "code", "matter_no")),
    "keys": (schema.keys, ("origin", "key_id")),
    "key_decisions": (schema.key_decisions, ("origin", "fingerprint")),
    "key_answers": (schema.key_answers, ("peer", "key_id")),
    "agencies": (schema.agencies, ("name",)),
    "actions": (schema.actions, ("action_id",)),
    "rule_editions": (schema.rule_editions, ("edition",)),
    "rule_orders": (schema.rule_orders, ("order_id",)),
    "rotations": (schema.rotations, ("number",)),
    "rotation_steps": (schema.rotation_steps, ("number", "seq")),
    "waits": (schema.waits, ("log_id", "idx")),
    "copies": (schema.copies, ("log_id", "idx")),
    "notice_readers": (schema.notice_readers, ("record_id", "origin", "agency")),
    "parked": (schema.parked, ("log_id", "idx")),
}
"""Registers by name, with the columns that name a row."""

RECORD_PARTS: dict[str, str] = {RECORD_BLOCKS: "blocks", RECORD_FEEDBACK: "feedback", RECORD_LABS: "labs"}
"""Registers of what stands within a record: the name that drops all of a revision, and the register it drops from."""


class Change(NamedTuple):
    """One row change.

    Attributes:
        table: Name of the register.
        key: Values of the columns that name the row.
        row: The whole row after the change; None when it is dropped.
        salt: Salt of the body that the row was made of; empty when it was made of none.
        place: Place of the entry within the step, or ``NO_ENTRY``.
        fresh: True when no row of that key can exist yet.
        follows: True when it follows from another change of the step and has no leaf of its own. What a revision does
            to the rows of earlier ones is such: a leaf would hold what their bodies said, under another body's salt.
        made: The leaf, where it was made before; else empty.
    """

    table: str
    key: tuple[Any, ...]
    row: Mapping[str, Any] | None
    salt: bytes = b""
    place: int = NO_ENTRY
    fresh: bool = False
    follows: bool = False
    made: bytes = b""

    def leaf(self, origins: Mapping[int, str]) -> bytes:
        """The digest leaf; log ids are written as origins, so that two databases agree."""
        if self.made:
            return self.made
        name, logs = _leaf_name(self.table)
        salt = hmac_sha256(self.salt, name + _encode(_named(self.key, logs, origins) if logs else self.key))
        row = self.row
        if row is None:
            return sha256(salt + b"-").digest()
        values_of, logs = _leaf_columns(*row)
        values = values_of(row)
        return sha256(salt + _encode(_named(values, logs, origins) if logs else values)).digest()


LOG_COLUMNS = frozenset(("log_id", "source_log"))
"""Columns that hold a log's number; outside of the database its origin stands for it."""


# Few orders of columns there are, and each is asked for with every row change.
def _log_places(columns: Sequence[str]) -> tuple[int, ...]:
    return tuple(at for at, name in enumerate(columns) if name in LOG_COLUMNS)


@cache
def _leaf_name(table: str) -> tuple[bytes, tuple[int, ...]]:
    """A register's name as leaves have it, and where log numbers stand in its keys."""
    return table.encode(), _log_places(TABLES[table][1])


@lru_cache(256)
def _leaf_columns(*names: str) -> tuple[Callable[[Mapping[str, Any]], tuple[Any, ...]], tuple[int, ...]]:
    """Takes the values of a row that its leaf is made of; and where log numbers stand among them."""
    columns = [name for name in names if name != "seq"]
    return values_of(columns), _log_places(columns)


def _named(values: Sequence[Any], logs: Sequence[int], origins: Mapping[int, str]) -> Sequence[Any]:
    """Values with a log's origin in place of its number."""
    named = list(values)
    for at in logs:
        named[at] = origins[named[at]]
    return named


def _bytes_as_hex(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(type(value).__name__)


def _encode(values: Sequence[Any]) -> bytes:
    """JSON without blanks, in UTF-8, bytes in hex: some of this passes with every row change."""
    return orjson.dumps(values, _bytes_as_hex)


def pack_leaves(leaves: Iterable[tuple[int, bytes]]) -> bytes:
    """Leaves with their places, as kept beside the step."""
    return b"".join(place.to_bytes(4, "big") + leaf for place, leaf in leaves)


def unpack_leaves(packed: bytes) -> list[tuple[int, bytes]]:
    """What ``pack_leaves`` wrote."""
    return [
        (int.from_bytes(packed[at : at + 4], "big"), packed[at + 4 : at + LEAF_SIZE])
        for at in range(0, len(packed), LEAF_SIZE)
    ]


def fold(digest: bytes, leaves: Iterable[bytes]) -> bytes:
    """The running digest after some more leaves."""
    return sha256(digest + b"".join(leaves)).digest()


def write(tx: Transaction, changes: Sequence[Change]) -> None:
    """Carry out row changes: of several for one key, the last one counts."""
    last: dict[tuple[str, tuple[Any, ...]], Change] = {}
    fresh: set[tuple[str, tuple[Any, ...]]] = set()
    for change in changes:
        name = (change.table, change.key)
        if change.table in RECORD_PARTS:
            _forget_parts(last, change.table, change.key)
        if change.fresh:
            fresh.add(name)
        last[name] = change
    drops: dict[str, list[dict[str, Any]]] = defaultdict(list)
    puts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for name, change in last.items():
        if name not in fresh:
            columns = TABLES[change.table][1]
            drops[change.table].append({f"k_{column}": part for column, part in zip(columns, change.key, strict=True)})
        if change.row is not None:
            puts[change.table].append(change.row)
    for table_name, keys in drops.items():
        tx.write_now(TABLES[table_name][0])
        tx.connection.execute(_drop(table_name), keys)
    for table_name, rows in puts.items():
        tx.insert(TABLES[table_name][0], rows)


@cache
def _drop(name: str) -> Delete:
    """Drops rows of a register by their keys; made once."""
    table, columns = TABLES[name]
    return delete(table).where(and_(*(table.c[column] == bindparam(f"k_{column}") for column in columns)))


def _forget_parts(last: dict[tuple[str, tuple[Any, ...]], Change], name: str, dropped: tuple[Any, ...]) -> None:
    """Parts of a record that the same step made and dropped are never written."""
    columns = TABLES[name][1]
    made = [
        each
        for each, change in last.items()
        if each[0] == RECORD_PARTS[name]
        and change.row is not None
        and tuple(change.row[column] for column in columns) == dropped
    ]
    for each in made:
        del last[each]


def clear(tx: Transaction) -> None:
    """Throw every projection away."""
    for table in schema.PROJECTIONS:
        tx.connection.execute(delete(table))


# Made once: putting a statement together costs several times what a short one takes to run.
_WANTED: BindParameter[Any] = bindparam("wanted", expanding=True)
_RECORD, _COPY, _CURSOR_ROW, _WAIT = schema.records.c, schema.copies.c, schema.cursors.c, schema.waits.c
_RECORDS = Prepared(
    select(schema.records).where(_RECORD.record_id.in_(_WANTED)).order_by(_RECORD.record_id, _RECORD.revision)
)
_ACTS = Prepared(
    select(_RECORD.origin, _RECORD.record_id, _RECORD.about_origin, _RECORD.about).where(
        # By the index of what records are about: not by that of kinds, which lists every repair that there is.
        _RECORD.about.in_(_WANTED),
        (_RECORD.kind + 0).in_(bindparam("kinds", expanding=True)),
    )
)
_COPIES = Prepared(
    select(schema.copies)
    .where(_COPY.record_id.in_(_WANTED), _COPY.origin == bindparam("origin"))
    .order_by(_COPY.log_id, _COPY.idx)
)
_HOLDERS = Prepared(
    select(_RECORD.origin, _RECORD.natural_key, _RECORD.record_id).where(
        _RECORD.natural_key.in_(_WANTED), _RECORD.newest.is_(True)
    )
)
_CURSORS = Prepared(select(_CURSOR_ROW.log_id, _CURSOR_ROW.next))
_CURSOR = Prepared(select(_CURSOR_ROW.next).where(_CURSOR_ROW.log_id == bindparam("log")))
_SET_CURSOR = update(schema.cursors).where(_CURSOR_ROW.log_id == bindparam("log")).values(next=bindparam("end"))
_PUT_CURSOR = insert(schema.cursors)
_MISSING_BODIES = (
    select(_WAIT.idx)
    .join(schema.entries, and_(schema.entries.c.log_id == _WAIT.log_id, schema.entries.c.idx == _WAIT.idx))
    .where(_WAIT.log_id == bindparam("log"), _WAIT.token == BODY, schema.entries.c.body.is_(None))
    .order_by(_WAIT.idx)
    .limit(bindparam("most"))
)
_WAIT_TOKENS = select(_WAIT.log_id, _WAIT.token).distinct().order_by(_WAIT.log_id, _WAIT.token)


# -- reading ----------------------------------------------------------------------------------------------------


def records_of(connection: Connection, pairs: Iterable[tuple[str, bytes]]) -> dict[tuple[str, bytes], list[Any]]:
    """Register rows of records, all revisions in order, by (origin, record id); those of other origins too."""
    found: dict[tuple[str, bytes], list[Any]] = defaultdict(list)
    ids = sorted({record_id for _, record_id in pairs})
    for start in range(0, len(ids), CHUNK):
        for row in _RECORDS.rows(connection, {"wanted": ids[start : start + CHUNK]}):
            found[row.origin, row.record_id].append(row._asdict())
    return found


def acts_on(
    connection: Connection, records: Iterable[tuple[str, bytes]], kinds: Sequence[int]
) -> dict[tuple[str, bytes], set[tuple[str, bytes]]]:
    """Records of some kinds, by (origin, record id), about each of some records."""
    found: dict[tuple[str, bytes], set[tuple[str, bytes]]] = defaultdict(set)
    wanted = set(records)
    ids = sorted({record_id for _, record_id in wanted})
    for start in range(0, len(ids), CHUNK):
        asked = {"wanted": ids[start : start + CHUNK], "kinds": list(kinds)}
        for row in _ACTS.rows(connection, asked):
            if (row.about_origin, row.about) in wanted:
                found[row.about_origin, row.about].add((row.origin, row.record_id))
    return found


def records_named(connection: Connection, record_id: bytes) -> int:
    """How many register rows a record id has, of any origin."""
    query = select(func.count()).select_from(schema.records).where(_RECORD.record_id == record_id)
    return connection.execute(query).scalar() or 0


def copies_of(connection: Connection, origin: str, record_ids: Iterable[bytes]) -> dict[bytes, list[Any]]:
    """Entries of records that no register row points at, in log order, by record id."""
    found: dict[bytes, list[Any]] = defaultdict(list)
    ids = sorted(set(record_ids))
    for start in range(0, len(ids), CHUNK):
        for row in _COPIES.rows(connection, {"wanted": ids[start : start + CHUNK], "origin": origin}):
            found[row.record_id].append(row)
    return found


def holders_of(connection: Connection, natural_keys: Iterable[str]) -> dict[tuple[str, str], bytes]:
    """Which record states a natural key, by (origin, natural key)."""
    wanted = sorted({key for key in natural_keys if key})
    found: dict[tuple[str, str], bytes] = {}
    for start in range(0, len(wanted), CHUNK):
        for row in _HOLDERS.rows(connection, {"wanted": wanted[start : start + CHUNK]}):
            found[row.origin, row.natural_key] = row.record_id
    return found


def waits_for(connection: Connection, log_id: int, token: str, limit: int) -> list[Any]:
    """Deferred entries of a log that wait for something, in log order."""
    table = schema.waits
    query = select(table).where(table.c.log_id == log_id, table.c.token == token).order_by(table.c.idx).limit(limit)
    return list(connection.execute(query))


def arrived_bodies(connection: Connection, log_id: int, limit: int) -> list[Any]:
    """Entries of a log that wait for a body which is there by now, in log order."""
    table, entry = schema.waits, schema.entries.c
    query = (
        select(table)
        .join(schema.entries, and_(entry.log_id == table.c.log_id, entry.idx == table.c.idx))
        .where(table.c.log_id == log_id, table.c.token == BODY, entry.body.is_not(None))
        .order_by(table.c.idx)
        .limit(limit)
    )
    return list(connection.execute(query))


def missing_bodies(connection: Connection, log_id: int, limit: int) -> list[int]:
    """Entries of a log that wait for a body which has not come, in log order."""
    return list(connection.execute(_MISSING_BODIES, {"log": log_id, "most": limit}).scalars())


def still_missing(tx: Transaction, places: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Of some entries (log, index), those whose bodies are waited for: not applied yet, or deferred for it."""
    tx.write_now(schema.waits)
    table = schema.waits
    wanted = set()
    positions = next_indices(tx.connection)
    for log_id in {log_id for log_id, _ in places}:
        indices = [index for log, index in places if log == log_id]
        query = select(table.c.idx).where(table.c.log_id == log_id, table.c.idx.in_(indices), table.c.token == BODY)
        waiting = set(tx.connection.execute(query).scalars())
        ahead = positions.get(log_id, 0)
        wanted |= {(log_id, index) for index in indices if index >= ahead or index in waiting}
    return wanted


def wait_tokens(connection: Connection) -> list[tuple[int, str]]:
    """What deferred entries wait for, by log."""
    return [(row.log_id, row.token) for row in connection.execute(_WAIT_TOKENS)]


def decided_by(connection: Connection, log_id: int, indices: Sequence[int]) -> set[int]:
    """Which entries of a peer's log are Recognitions that were taken."""
    table = schema.decisions
    query = select(table.c.source_idx).distinct()
    query = query.where(table.c.source_log == log_id, table.c.source_idx.in_(list(indices)))
    return set(connection.execute(query).scalars())


def waits_at(connection: Connection, log_id: int, indices: Sequence[int]) -> dict[int, Any]:
    """Deferred entries among some indices of a log."""
    table = schema.waits
    query = select(table).where(table.c.log_id == log_id, table.c.idx.in_(list(indices)))
    return {row.idx: row for row in connection.execute(query)}


def keys_of(connection: Connection) -> dict[tuple[str, str], Any]:
    """Announced keys by (origin, key id)."""
    return {(row.origin, row.key_id): row for row in connection.execute(select(schema.keys))}


def keys_announced_by(connection: Connection, origin: str) -> dict[str, Mapping[str, Any]]:
    """What an origin announced of its keys, by key id."""
    table = schema.keys
    rows = connection.execute(select(table).where(table.c.origin == origin).order_by(table.c.key_id))
    return {row.key_id: dict(row._mapping) for row in rows}


def key_decisions_on(connection: Connection, origin: str) -> dict[str, bool]:
    """What officers decided on an origin's keys: whether they are relied on, by fingerprint."""
    table = schema.key_decisions
    rows = connection.execute(select(table.c.fingerprint, table.c.accepted).where(table.c.origin == origin))
    return {row.fingerprint: row.accepted for row in rows}


def key_answered_at(connection: Connection, peer: str, key_id: str) -> int:
    """When a peer last said something of a key, in microseconds; 0 when it never did."""
    table = schema.key_answers.c
    query = select(table.answered_at).where(table.peer == peer, table.key_id == key_id)
    return connection.execute(query).scalar() or 0


def key_answers(connection: Connection, key_ids: Sequence[str]) -> list[Any]:
    """What peers say of some keys, in order of peer."""
    table = schema.key_answers
    query = select(table).where(table.c.key_id.in_(list(key_ids))).order_by(table.c.peer, table.c.key_id)
    return list(connection.execute(query))


def next_indices(connection: Connection) -> dict[int, int]:
    """For each log, the index that apply reads next."""
    return {row.log_id: row.next for row in _CURSORS.rows(connection)}


def count_waiting(connection: Connection, log_id: int, token: str) -> int:
    """Deferred entries of a log that wait for one thing."""
    table = schema.waits
    query = select(func.count()).select_from(table).where(table.c.log_id == log_id, table.c.token == token)
    return connection.execute(query).scalar() or 0


def set_cursor(tx: Transaction, log_id: int, position: int) -> None:
    """Put a cursor where apply goes on."""
    if tx.connection.execute(_SET_CURSOR, {"log": log_id, "end": position}).rowcount == 0:
        tx.connection.execute(_PUT_CURSOR, [{"log_id": log_id, "next": position}])


def move_cursor(tx: Transaction, log_id: int, first: int, end: int) -> bool:
    """Move a cursor from ``first`` to ``end``; False when it does not stand there."""
    found = _CURSOR.first(tx.connection, {"log": log_id})
    stands = found.next if found is not None else 0
    if stands != first:
        return False
    set_cursor(tx, log_id, end)
    return True


def parked_entries(connection: Connection) -> dict[int, dict[int, str]]:
    """Entries whose apply kept failing, with the trace, by log and index."""
    found: dict[int, dict[int, str]] = defaultdict(dict)
    for row in connection.execute(select(schema.parked)):
        found[row.log_id][row.idx] = row.trace
    return found


def announcing(connection: Connection) -> list[str]:
    """Every origin that announced keys."""
    return list(connection.execute(select(schema.keys.c.origin).distinct().order_by(schema.keys.c.origin)).scalars())


def announced_key(connection: Connection, origin: str, key_id: str) -> bytes | None:
    """The serialized AnnouncedKey of one key, as last announced; None when none was."""
    table = schema.keys.c
    query = select(table.announced).where(table.origin == origin, table.key_id == key_id)
    return connection.execute(query).scalar()


def keep_leaves(tx: Transaction, log_id: int, index: int, packed: bytes) -> None:
    """Keep a step's digest leaves beside it."""
    tx.insert(schema.steps, [{"log_id": log_id, "idx": index, "leaves": packed}])


def leaves_of(connection: Connection, log_id: int, index: int) -> bytes | None:
    """The digest leaves kept beside a step."""
    table = schema.steps.c
    return connection.execute(select(table.leaves).where(table.log_id == log_id, table.idx == index)).scalar()


def kept_leaves(connection: Connection, log_id: int, start: int, limit: int) -> list[tuple[int, bytes]]:
    """The digest leaves kept beside the steps of a journal from an index on, in order."""
    table = schema.steps.c
    query = select(table.idx, table.leaves).where(table.log_id == log_id, table.idx >= start)
    return [(row.idx, row.leaves) for row in connection.execute(query.order_by(table.idx).limit(limit))]
