"""What tables still say of a record that was erased, column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, and_, func, or_, select

from exchange.storage import schema
from exchange.storage.intake.submissions import entries_of
from exchange.storage.registers.registers import RECORD_PARTS, TABLES

ERASED = "ERASED"

BODIES_AT_ONCE = 200
"""Bodies held in memory while all are looked through."""

_BLANK = ("natural_key", "about_origin", "subject", "area", "authority", "sort_on", "own_end", "own_end_on")
"""Columns of a record's row that are empty once it is erased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something of the record that a table still has.

    Attributes:
        log: Id of the log, where it stands beside an entry.
        index: Index there.
        text: Table and column.
    """

    text: str
    log: int | None = None
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedRevision:
    """One revision of a record, with every entry that states it; ``tombstone`` is None where no row stands for it."""

    revision: int
    tombstone: str | None
    places: tuple[tuple[int, int], ...]


def revisions(connection: Connection, origin: str, record_id: bytes, *, own: bool) -> list[ErasedRevision]:
    """Every revision that this node knows of, by its registers and submissions.

    Args:
        connection: Where.
        origin: Node that stated it.
        record_id: The record.
        own: It is this node's own: submissions know its entries, too.
    """
    row, copy = schema.records.c, schema.copies.c
    places: dict[int, set[tuple[int, int]]] = {}
    tombstones: dict[int, str] = {}
    of_record = (row.record_id == record_id, row.origin == origin)
    for each in connection.execute(select(row.revision, row.tombstone, row.log_id, row.idx).where(*of_record)):
        tombstones[each.revision] = each.tombstone
        places.setdefault(each.revision, set()).add((each.log_id, each.idx))
    again = select(copy.revision, copy.log_id, copy.idx).where(copy.record_id == record_id, copy.origin == origin)
    for one in connection.execute(again):
        places.setdefault(one.revision, set()).add((one.log_id, one.idx))
    for revision in tuple(places) if own else ():
        found = entries_of(connection, record_id, revision)
        places[revision] |= {(address.log_id, address.index) for address in found}
    return [
        ErasedRevision(revision=revision, tombstone=tombstones.get(revision), places=tuple(sorted(places[revision])))
        for revision in sorted(places)
    ]


def stated_of(connection: Connection, subject: str) -> int:
    """Rows of records about a subject that are not erased."""
    row = schema.records.c
    return connection.execute(
        select(func.count()).select_from(schema.records).where(row.subject == subject)
    ).scalar_one()


def only_here(connection: Connection, pieces: Sequence[bytes]) -> list[bytes]:
    """Pieces of a body that stand in no body that is kept: authority and purpose are written alike in many records."""
    left = dict.fromkeys(pieces)
    entry = schema.entries.c
    query = select(entry.body).where(entry.body.is_not(None)).execution_options(yield_per=BODIES_AT_ONCE)
    for body in connection.execute(query).scalars():
        for piece in [each for each in left if each in body]:
            del left[piece]
    return list(left)


def in_log(connection: Connection, erased: ErasedRevision) -> Iterator[Leftover]:
    """Bodies, salts and attachments that stand beside its entries, and entries that are gone themselves."""
    entry, use = schema.entries.c, schema.attachment_uses.c
    for log_id, index in erased.places:
        here = and_(entry.log_id == log_id, entry.idx == index)
        row = connection.execute(select(entry.entry, entry.salt, entry.body).where(here)).first()
        if row is None or not row.entry:
            yield Leftover(text="entries.entry is gone", log=log_id, index=index)
            continue
        for name in ("salt", "body"):
            if getattr(row, name) is not None:
                yield Leftover(text=f"entries.{name}", log=log_id, index=index)
        listed = select(use.digest).where(use.log_id == log_id, use.idx == index)
        if connection.execute(listed).first() is not None:
            yield Leftover(text="attachment_uses", log=log_id, index=index)


def in_registers(connection: Connection, origin: str, record_id: bytes, revision: int) -> Iterator[Leftover]:
    """Columns of its row that are not empty, and rows of what stood within it."""
    row = schema.records.c
    mine = (row.record_id == record_id, row.origin == origin, row.revision == revision)
    for found in connection.execute(select(schema.records).where(*mine)):
        values = found._mapping
        for name in (*_BLANK, "about", "supersedes", "level", "state", "year"):
            if values[name]:
                yield Leftover(text=f"reg_records.{name}")
    for part in RECORD_PARTS.values():
        table: Table = TABLES[part][0]
        of_record = (table.c.record_id == record_id, table.c.origin == origin, table.c.revision == revision)
        if connection.execute(select(table.c.record_id).where(*of_record)).first() is not None:
            yield Leftover(text=table.name)


def in_intake(connection: Connection, record_id: bytes, revision: int) -> Iterator[Leftover]:
    """What came before the record: submissions' tags and keys, native documents, quarantined rows."""
    sent, file, kept = schema.submissions.c, schema.documents.c, schema.quarantine.c
    repeat = schema.document_repeats.c
    mine = (sent.record_id == record_id, sent.revision == revision)
    rows: list[tuple[bytes, int | None]] = []
    for each in connection.execute(select(schema.submissions).where(*mine)):
        for name in ("natural_tag", "content_tag", "idempotency_key"):
            if getattr(each, name):
                yield Leftover(text=f"submissions.{name} #{each.seq}")
        if each.document_id:
            rows.append((each.document_id, each.document_row))
    repeated = select(repeat.document_id).where(repeat.record_id == record_id, repeat.revision == revision)
    rows += [(document_id, None) for document_id in connection.execute(repeated).scalars()]
    for document_id, number in rows:
        stated = select(file.document_id).where(
            file.document_id == document_id, or_(file.redacted != b"", file.salt != b"", file.file_name != "")
        )
        if connection.execute(stated).first() is not None:
            yield Leftover(text=f"documents {document_id.hex()}")
        quarantined = select(kept.quarantine_id).where(
            kept.document_id == document_id, kept.row == number, or_(kept.content != "", kept.file_name != "")
        )
        if connection.execute(quarantined).first() is not None:
            yield Leftover(text=f"quarantine {document_id.hex()}")
