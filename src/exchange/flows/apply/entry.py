"""One log entry, taken apart once: what apply works on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from google.protobuf.message import DecodeError

from exchange.domain import kinds
from exchange.flows.instants import is_instant, micros_of
from exchange.flows.intake.ids import parse_id
from exchange.storage.logs.log_store import StoredEntry
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement


@dataclass(slots=True)
class ReadEntry:
    """An entry with its parts; parts that can not be read are None.

    Attributes:
        record: None when the body is absent or does not parse.
        problem: Reason code when the entry itself can not be read.
        natural_key: Natural key of the record; empty for kinds without one, and without a record.
    """

    index: int
    place: int
    raw: StoredEntry
    logged_at: int
    envelope: bytes
    statement: Statement | None
    record_id: bytes
    record: Record | None
    problem: str = ""
    natural_key: str = ""

    def drop_body(self) -> None:
        """Go on as if the body were not there: it had not arrived when the entry was ruled on."""
        self.raw = replace(self.raw, salt=None, body=None)
        self.record, self.natural_key, self.problem = None, "", ""

    @property
    def salt(self) -> bytes:
        """Salt of the body; empty when it is absent."""
        return self.raw.salt or b""

    @property
    def commitment(self) -> bytes:
        """Digest that the statement commits to."""
        return self.statement.commitments[0].digest if self.statement and self.statement.commitments else b""


def payload_of(entry: bytes) -> bytes:
    """The statement's exact bytes in an entry; empty when it can not be read."""
    try:
        return Envelope.FromString(LogEntry.FromString(entry).envelope).payload
    except DecodeError:
        return b""


def read_entry(raw: StoredEntry, place: int) -> ReadEntry:
    """Take an entry apart. Raises nothing: what is unreadable is named in ``problem``."""
    unreadable = ReadEntry(raw.index, place, raw, 0, b"", None, b"", None, "ENTRY_UNREADABLE")
    try:
        entry = LogEntry.FromString(raw.entry)
        statement = Statement.FromString(Envelope.FromString(entry.envelope).payload)
    except DecodeError:
        return unreadable
    record_id = parse_id(statement.record_id)
    if record_id is None or not statement.commitments or statement.revision < 1 or not is_instant(entry.logged_at):
        return unreadable
    read = ReadEntry(raw.index, place, raw, micros_of(entry.logged_at), entry.envelope, statement, record_id, None)
    if raw.body is not None:
        try:
            read.record = Record.FromString(raw.body)
        except DecodeError:
            read.problem = "BODY_UNREADABLE"
            return read
        if (
            kinds.kind_of(read.record) != statement.kind
            or read.record.header.record_id != statement.record_id
            or read.record.header.revision != statement.revision
        ):
            read.problem = "BODY_NOT_AS_STATED"
        elif statement.kind in kinds.KINDS:
            read.natural_key = kinds.natural_key(read.record) or ""
    return read
