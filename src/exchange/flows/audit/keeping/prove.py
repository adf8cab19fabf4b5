"""Proving that an erased record is gone from a node's disk, and that every proof about it still holds.

The claims, each PROVEN, REFUTED or NOT_PROVABLE with what is missing:
  1 TOMBSTONE  each revision is erased by the registers
  2 BODY       neither body nor salt nor attachment stands beside any of its entries
  3 PROOFS     each entry is where it was: under the newest cosigned checkpoint of its log
  4 COPIES     registers, submissions, native documents and quarantine say nothing of it
  5 FILES      its bytes are in no file of the node: tables, freed pages, write-ahead log, couriers' folders
On SQLite, 5 is shown by writing the database anew from its live rows (secure_delete, VACUUM, an emptied log) and then
looking through the raw files. PostgreSQL keeps old row versions, its write-ahead log and archives where no client sees
them: there 5 is not provable, and the claim names what to run. Backups, snapshots, and blocks that a file system or a
disk set aside, are outside of every claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exchange.domain import kinds
from exchange.domain.problems import Problem, Refused
from exchange.domain.record_index import raw_id
from exchange.storage.engine.database import Connection, Database
from exchange.storage.engine.migrate import sqlite_path
from exchange.storage.erasing import leftovers, raw_scan
from exchange.storage.erasing.leftovers import ErasedRevision, Leftover
from exchange.storage.erasing.raw_scan import Needle
from exchange.storage.logs import log_store
from exchange.tlog.checkpoint import parse_note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.tree import inclusion_proof, leaf_hash, verify_inclusion
from exchange.v1.record_pb2 import Record

PROVEN, REFUTED, NOT_PROVABLE = "PROVEN", "REFUTED", "NOT_PROVABLE"

LEFT_BEHIND = "ERASED_LEFT_BEHIND"
NOT_ERASED = "NOT_ERASED"
PROOF_BROKEN = "MISMATCH"

PG_TABLES = (
    "entries, submissions, documents, document_repeats, quarantine, attachments, attachment_parts, attachment_uses, "
    "reg_records, reg_blocks, reg_feedback, reg_labs, reg_waits"
)

POSTGRESQL = (
    f"VACUUM (FULL, ANALYZE) {PG_TABLES};",
    "CHECKPOINT;",
    "SELECT pg_switch_wal();",
    "pg_archivecleanup ARCHIVE OLDEST_WAL_TO_KEEP",
)
"""What a database administrator runs; afterwards base backups and replicas from before have to go, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that should not be, located. ``no`` counts from 1."""

    no: int
    code: str
    text: str
    log: str = ""
    index: int | None = None
    file: str = ""
    byte: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim with its outcome; ``missing`` says what a NOT_PROVABLE one would need."""

    no: int
    name: str
    outcome: str
    missing: tuple[str, ...] = ()
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureProof:
    """What was found out of one record."""

    record_id: str
    origin: str
    claims: tuple[Claim, ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """The worst outcome."""
        outcomes = {claim.outcome for claim in self.claims}
        return next(each for each in (REFUTED, NOT_PROVABLE, PROVEN) if each in outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What somebody still has of the record, to be looked for.

    Attributes:
        body: Its exact bytes.
        salt: Its salt.
    """

    body: bytes = b""
    salt: bytes = b""


def prove(
    database: Database,
    node: str,
    origin: str,
    record_id: str,
    folders: Sequence[Path],
    *,
    revision: int = 0,
    known: Known | None = None,
) -> ErasureProof:
    """Look at everything. The node must not run: on SQLite its database is written anew.

    Args:
        database: The node's database.
        node: Name of the node.
        origin: Node that stated the record.
        record_id: The record, in its 36-character form.
        folders: Folders whose files are looked through.
        revision: This one and those before it; 0: all of them.
        known: What is known of it from elsewhere.

    Raises:
        Refused: ``RECORD_REF_INVALID``, ``NOT_FOUND``, ``DATABASE_IN_USE`` or ``DATABASE_ERROR``.
    """
    raw = raw_id(record_id)
    if not raw:
        raise Refused([Problem("RECORD_REF_INVALID", "record", record_id[:36])])
    look = _Look()
    with database.read() as connection:
        found = leftovers.revisions(connection, origin, raw, own=origin == node)
        found = [each for each in found if each.revision <= revision or not revision]
        sought = _sought(connection, record_id, known or Known())
        if not found:
            raise Refused([Problem("NOT_FOUND", "record", record_id)])
        logs = {log.id: log.origin for log in log_store.heads(connection)}
        claims = [
            look.claim("TOMBSTONE", _standing(found), {"revisions": len(found)}),
            look.claim("BODY", _located(logs, (x for each in found for x in leftovers.in_log(connection, each)))),
            _proofs(look, connection, found),
            look.claim("COPIES", _located(logs, _copies(connection, origin, raw, found))),
        ]
    # A body that is there has to be erased first: then there is nothing to clean yet.
    claims.append(_files(look, database, folders, sought, erased=claims[0].outcome == PROVEN))
    return ErasureProof(record_id=record_id, origin=origin, claims=tuple(claims), findings=tuple(look.findings))


class _Look:
    """Findings while they are numbered."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._claims = 0

    def claim(
        self,
        name: str,
        found: Iterator[Finding],
        facts: dict[str, object] | None = None,
        missing: tuple[str, ...] = (),
    ) -> Claim:
        """A claim that holds where nothing was found against it, and nothing is missing."""
        before = len(self.findings)
        for each in found:
            self.findings.append(
                Finding(
                    no=len(self.findings) + 1,
                    code=each.code,
                    text=each.text,
                    log=each.log,
                    index=each.index,
                    file=each.file,
                    byte=each.byte,
                )
            )
        self._claims += 1
        outcome = REFUTED if len(self.findings) > before else NOT_PROVABLE if missing else PROVEN
        return Claim(no=self._claims, name=name, outcome=outcome, missing=missing, facts=facts or {})


def _standing(found: Sequence[ErasedRevision]) -> Iterator[Finding]:
    rows = [each for each in found if each.tombstone is not None]
    for each in rows:
        if each.tombstone != leftovers.ERASED:
            yield Finding(no=0, code=NOT_ERASED, text=f"revision {each.revision} {each.tombstone}".strip())
    if not rows:
        yield Finding(no=0, code=NOT_ERASED, text="no register row")


def _located(logs: dict[int, str], found: Iterator[Leftover]) -> Iterator[Finding]:
    for each in found:
        log = logs.get(each.log, "") if each.log is not None else ""
        yield Finding(no=0, code=LEFT_BEHIND, text=each.text, log=log, index=each.index)


def _copies(
    connection: Connection, origin: str, record_id: bytes, found: Sequence[ErasedRevision]
) -> Iterator[Leftover]:
    for each in found:
        yield from leftovers.in_registers(connection, origin, record_id, each.revision)
        yield from leftovers.in_intake(connection, record_id, each.revision)


def _proofs(look: _Look, connection: Connection, found: Sequence[ErasedRevision]) -> Claim:
    """Each entry hashes up to the root that both sides signed."""
    broken: list[Finding] = []
    missing: list[str] = []
    proven = 0
    for log_id, index in sorted({place for each in found for place in each.places}):
        log = log_store.head_by_id(connection, log_id)
        stored = log_store.entries_at(connection, log_id, [index]).get(index)
        note = log_store.first_checkpoint_covering(connection, log_id, index + 1)
        if log is None or stored is None:
            continue  # said by BODY
        if note is None:
            missing.append(f"CHECKPOINT {log.origin}#{index}")
            continue
        path = inclusion_proof(index, note.size, log_store.node_reader(connection, log_id))
        try:
            root = parse_note(note.note)[1].root
        except LogFormatError:
            root = b""
        if verify_inclusion(leaf_hash(stored.entry), index, note.size, path, root):
            proven += 1
        else:
            broken.append(Finding(no=0, code=PROOF_BROKEN, text=f"size {note.size}", log=log.origin, index=index))
    return look.claim("PROOFS", iter(broken), {"entries": proven}, tuple(missing))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sought:
    """What is looked for, and how many records state the same subject and are kept: its code is here rightly then."""

    needles: tuple[Needle, ...]
    records_of_subject: int


def _sought(connection: Connection, record_id: str, known: Known) -> _Sought:
    needles = [raw_scan.body_head(record_id)]
    if known.salt:
        needles.append(Needle(name="SALT", exact=(known.salt,)))
    pieces = leftovers.only_here(connection, raw_scan.pieces_of(known.body)) if known.body else []
    if pieces:
        needles.append(Needle(name="BODY", exact=tuple(pieces)))
    subject = kinds.subject_uscc(Record.FromString(known.body)) if known.body else ""
    others = leftovers.stated_of(connection, subject) if subject else 0
    if subject and not others:
        needles.append(Needle(name="SUBJECT", exact=(subject.encode(),)))
    return _Sought(needles=tuple(needles), records_of_subject=others)


def _files(look: _Look, database: Database, folders: Sequence[Path], sought: _Sought, *, erased: bool) -> Claim:
    if not erased:
        return look.claim("FILES", iter(()), missing=("ERASURE",))
    if not database.is_sqlite:
        return look.claim("FILES", iter(()), missing=POSTGRESQL)
    path = sqlite_path(database.url.render_as_string(hide_password=False))
    assert path is not None
    database.dispose()
    cleaned = raw_scan.clean(path)
    files = dict.fromkeys(file.resolve() for folder in folders for file in raw_scan.files_below(folder))
    for beside in (path, Path(f"{path}-wal"), Path(f"{path}-journal")):
        if beside.exists():
            files.setdefault(beside.resolve())
    facts: dict[str, object] = {
        "secure_delete": cleaned.secure_delete,
        "free_pages": cleaned.free_pages,
        "wal_bytes": cleaned.wal_bytes,
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
        "looked_for": [needle.name for needle in sought.needles],
        "records_of_subject": sought.records_of_subject,
    }
    missing = () if cleaned.whole else ("CLEANED",)
    found = (
        Finding(no=0, code=LEFT_BEHIND, text=find.needle, file=str(find.file), byte=find.byte)
        for find in raw_scan.scan(tuple(files), sought.needles)
    )
    return look.claim("FILES", found, facts, missing)
