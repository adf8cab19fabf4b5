"""Checking a whole database: what every table says is computed again from the bytes it stands on.

Everything is read in chunks, each in a short transaction of its own, so memory stays flat and a running node is not
held up. Logs are checked up to the sizes that they have when the check begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from google.protobuf.message import DecodeError
from sqlalchemy import func, select, text

from exchange.domain.record_index import raw_id
from exchange.storage import schema
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import require_newest
from exchange.storage.engine.transaction import LogHead
from exchange.storage.intake import attachments, submissions
from exchange.storage.logs import log_store
from exchange.storage.logs.verify_log import Finding, LogCheck
from exchange.storage.node import alarms
from exchange.v1.common_pb2 import Attachment
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

CHUNK_ATTACHMENTS = 50
"""Attachments whose rows are looked at in one transaction."""

CHUNK_ROWS = 500
"""Submissions, or entries, looked at in one transaction."""


def verify(url: str) -> list[Finding]:
    """Check a database; an empty list says that all of it holds.

    Raises:
        Refused: ``DATABASE_SCHEMA``: the tables are not those of this program.
    """
    database = Database(url)
    try:
        return list(findings(database))
    finally:
        database.dispose()


def findings(database: Database) -> Iterator[Finding]:
    """Findings, as they are found.

    1. the database's own integrity check (SQLite)
    2. every log: entries, tree, frontier, checkpoints, bodies
    3. submissions stand where they say, and every entry's submission is there
    4. cursors do not run ahead
    5. at most one open alarm of a name
    6. rows in quarantine have their document
    7. attachments: pieces without a gap, digests of what is whole, none of an erased body
    """
    require_newest(database)
    yield from _integrity(database)
    with database.read() as connection:
        # Of both, the submissions are read first: what is appended meanwhile is on neither side.
        newest = submissions.newest_seq(connection)
        heads = log_store.heads(connection)
    for head in heads:
        yield from LogCheck(database, head).findings()
    yield from _submissions(database, {head.id: head for head in heads}, newest)
    yield from _cursors(database)
    yield from _alarms(database)
    yield from _quarantine(database)
    yield from _attachments(database)


def _integrity(database: Database) -> Iterator[Finding]:
    """1."""
    if not database.is_sqlite:
        return
    with database.read() as connection:
        for (line,) in connection.execute(text("PRAGMA integrity_check(100)")):
            if line != "ok":
                yield Finding("DATABASE_ERROR", "integrity_check", line)


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a submission says of an entry."""

    seq: int
    record_id: bytes
    revision: int


def _submissions(database: Database, heads: dict[int, LogHead], newest: int) -> Iterator[Finding]:
    """3: by address from the submissions' side, by count from the entries' side."""
    claimed: Counter[int] = Counter()
    last = 0
    while last < newest:
        with database.read() as connection:
            rows = submissions.by_seqs(connection, range(last + 1, min(newest, last + CHUNK_ROWS) + 1))
            last += CHUNK_ROWS
            places: dict[int, dict[int, _Claim]] = {}
            for row in rows:
                if not row.addresses:
                    yield Finding("SUBMISSION_ADDRESS", f"submission {row.seq}", "no address")
                for address in row.addresses:
                    claim = _Claim(row.seq, row.record_id, row.revision)
                    known = places.setdefault(address.log_id, {}).setdefault(address.index, claim)
                    if known is not claim:
                        yield _misplaced(heads, address.log_id, address.index, f"submissions {known.seq}, {row.seq}")
            for log_id, claims in places.items():
                found = log_store.entries_at(connection, log_id, list(claims))
                for index, claim in claims.items():
                    wrong = _wrong(found.get(index), claim)
                    if wrong:
                        yield _misplaced(heads, log_id, index, f"submission {claim.seq}: {wrong}")
                claimed[log_id] += len(claims)
    for head in heads.values():
        with database.read() as connection:
            table = schema.entries.c
            query = select(func.count()).where(
                table.log_id == head.id, table.submission.is_not(None), table.submission <= newest
            )
            held = connection.execute(query).scalar_one()
        if held != claimed[head.id]:
            yield Finding(
                "SUBMISSION_ADDRESS", head.origin, f"{held} entries have a submission, {claimed[head.id]} are claimed"
            )


def _wrong(stored: log_store.StoredEntry | None, claim: _Claim) -> str:
    if stored is None:
        return "no entry"
    if stored.submission != claim.seq:
        return f"the entry names submission {stored.submission}"
    try:
        statement = Statement.FromString(Envelope.FromString(LogEntry.FromString(stored.entry).envelope).payload)
    except DecodeError:
        return "the entry can not be read"
    if raw_id(statement.record_id) != claim.record_id:
        return f"the entry states record {statement.record_id}"
    if statement.revision != claim.revision:
        return f"the entry states revision {statement.revision}, not {claim.revision}"
    return ""


def _misplaced(heads: dict[int, LogHead], log_id: int, index: int, detail: str) -> Finding:
    origin = heads[log_id].origin if log_id in heads else f"log {log_id}"
    return Finding("SUBMISSION_ADDRESS", f"{origin}#{index}", detail)


def _cursors(database: Database) -> Iterator[Finding]:
    """4. Row 0 counts row changes and names no log."""
    with database.read() as connection:
        heads = {head.id: head for head in log_store.heads(connection)}
        for row in connection.execute(select(schema.cursors).where(schema.cursors.c.log_id != 0)):
            head = heads.get(row.log_id)
            if head is None:
                yield Finding("CURSOR_RANGE", f"cursor of log {row.log_id}", "no such log")
            elif not 0 <= row.next <= head.size:
                yield Finding("CURSOR_RANGE", head.origin, f"next {row.next}, size {head.size}")


def _alarms(database: Database) -> Iterator[Finding]:
    """5."""
    with database.read() as connection:
        names = Counter((row.code, row.object) for row in alarms.open_alarms(connection))
    for (code, about), count in names.items():
        if count > 1:
            yield Finding("ALARM_TWICE", f"{code} {about}".strip(), f"{count} open")


def _quarantine(database: Database) -> Iterator[Finding]:
    """6."""
    held, files = schema.quarantine.c, schema.documents.c
    query = (
        select(held.quarantine_id)
        .outerjoin_from(schema.quarantine, schema.documents, held.document_id == files.document_id)
        .where(files.document_id.is_(None))
        .limit(CHUNK_ROWS)
    )
    with database.read() as connection:
        for quarantine_id in connection.execute(query).scalars():
            yield Finding("DOCUMENT_MISSING", f"quarantine {quarantine_id.hex()}", "")


def _attachments(database: Database) -> Iterator[Finding]:
    """7. One after the other: each may be 20 MiB."""
    last = b""
    while True:
        with database.read() as connection:
            rows = list(attachments.faults(connection, last, CHUNK_ATTACHMENTS))
        if not rows:
            break
        for digest, fault, listed in rows:
            last = digest
            detail = fault or _spoilt(database, digest, listed)
            if detail:
                yield Finding("ATTACHMENT_SPOILT", f"attachment {digest.hex()}", detail)
    with database.read() as connection:
        for log_id, index in attachments.orphans(connection, CHUNK_ROWS):
            yield Finding("ATTACHMENT_SPOILT", f"log {log_id}#{index}", "listed by an entry without a body")


def _spoilt(database: Database, digest: bytes, listed: Attachment) -> str:
    with database.read() as connection:
        held = attachments.held(connection, digest)
        if held is None or not held.complete:
            return ""
        content = attachments.whole(connection, digest)
    sound = all(sha256(each.salt + content).digest() == each.digest for each in listed.digests)
    return "" if sound else "the bytes do not give the digest"
