"""What an entry's bytes say, read once: it follows from nothing else, so that any process can read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from exchange.domain import kinds
from exchange.domain.record_index import RecordIndex, index_of, raw_id
from exchange.domain.references import named_by
from exchange.flows.apply.changes.parts import parts_of
from exchange.flows.instants import is_instant, micros_of
from exchange.flows.intake.ids import parse_id
from exchange.storage.logs.log_store import StoredEntry
from exchange.v1.kind_pb2 import KIND_UNSPECIFIED, Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement


class Description(NamedTuple):
    """What a record that takes effect says in its row, and in the rows of its parts.

    Attributes:
        filed: What queries filter on.
        authority: USCC of who issued it.
        supersedes: Id of the record that it takes the place of; None without one.
        parts: Register and row of each part, without its number.
        leaves: Digest leaves of the parts if the first one has the number ``numbered``; empty where nobody made them.
    """

    filed: RecordIndex
    authority: str
    supersedes: bytes | None
    parts: tuple[tuple[str, dict[str, Any]], ...]
    numbered: int = 0
    leaves: tuple[bytes, ...] = ()


class EntryFacts(NamedTuple):
    """What apply works on: where an entry stands, and what its bytes and those of its body say.

    Attributes:
        place_in_log: Its index.
        salt: Of the body; empty when it is absent.
        has_body: Whether the body is here.
        logged_at: In microseconds.
        record_id: 16 bytes; empty where the entry can not be read.
        commitment: Digest that the statement commits to.
        has_record: Whether the body is here and parses.
        has_attachments: Whether it lists any.
        problem: Reason code when the entry itself, or its body, can not be read.
        natural_key: Natural key of the record; empty for kinds without one, and without a record.
        named: Origin and id of each record whose rows a ruling on this one looks at.
        before: Natural key of the record that has to stand before this one; empty without one.
        description: None without a record, or where it was not asked for.
    """

    place_in_log: int
    salt: bytes = b""
    has_body: bool = False
    logged_at: int = 0
    record_id: bytes = b""
    revision: int = 0
    kind: Kind.ValueType = KIND_UNSPECIFIED
    erasure_class: int = 0
    commitment: bytes = b""
    has_record: bool = False
    has_attachments: bool = False
    problem: str = ""
    natural_key: str = ""
    named: tuple[tuple[str, bytes], ...] = ()
    before: str = ""
    description: Description | None = None


def facts_of(raw: StoredEntry, origin: str) -> EntryFacts:
    """What an entry's bytes say, with the description of its record where there can be one.

    Args:
        raw: The entry.
        origin: Whose entry it is.
    """
    parts = EntryMessages(raw)
    facts = parts.facts
    if parts.record is None or facts.problem:
        return facts
    try:
        return facts._replace(description=describe(parts.record, facts, origin))
    except Exception:  # noqa: BLE001 - whatever it is, it is raised again where the record takes effect, if it does
        return facts


class EntryMessages:
    """The messages of an entry, and what they say."""

    __slots__ = ("envelope", "facts", "record", "statement")

    def __init__(self, raw: StoredEntry) -> None:
        body = raw.body
        self.facts = EntryFacts(raw.index, raw.salt or b"", body is not None, problem="ENTRY_UNREADABLE")
        self.envelope = b""
        self.statement: Statement | None = None
        self.record: Record | None = None
        try:
            entry = LogEntry.FromString(raw.entry)
            statement = Statement.FromString(Envelope.FromString(entry.envelope).payload)
        except DecodeError:
            return
        record_id = parse_id(statement.record_id)
        if record_id is None or not statement.commitments or statement.revision < 1 or not is_instant(entry.logged_at):
            return
        self.envelope, self.statement = entry.envelope, statement
        problem = natural_key = before = ""
        has_attachments = False
        named: tuple[tuple[str, bytes], ...] = ()
        if body is not None:
            try:
                self.record = Record.FromString(body)
            except DecodeError:
                problem = "BODY_UNREADABLE"
            else:
                problem, natural_key = _as_stated(self.record, statement)
                named, before = tuple(_named_by(self.record)), _key_before(self.record)
                has_attachments = len(self.record.header.attachments) > 0
        self.facts = EntryFacts(
            raw.index,
            raw.salt or b"",
            body is not None,
            micros_of(entry.logged_at),
            record_id,
            statement.revision,
            statement.kind,
            statement.erasure_class,
            statement.commitments[0].digest,
            self.record is not None,
            has_attachments,
            problem,
            natural_key,
            named,
            before,
        )


def _as_stated(record: Record, statement: Statement) -> tuple[str, str]:
    """Why a body is not the one that its statement is about, and its natural key."""
    header = record.header
    if (
        kinds.kind_of(record) != statement.kind
        or header.record_id != statement.record_id
        or header.revision != statement.revision
    ):
        return "BODY_NOT_AS_STATED", ""
    return "", kinds.natural_key(record) or "" if statement.kind in kinds.KINDS else ""


def _named_by(record: Record) -> Iterator[tuple[str, bytes]]:
    """Records whose rows a record's ruling looks at."""
    named = named_by(record)
    for each in named.touched if named.spoken_of is None else (*named.touched, named.spoken_of):
        raw = raw_id(each.record_id)
        if raw:
            yield each.origin, raw


def _key_before(record: Record) -> str:
    """Natural key of the record that has to stand before this one; empty without one."""
    line = kinds.spec_of(record)
    return line.succeeds(record) if line is not None else ""


def describe(record: Record, facts: EntryFacts, origin: str) -> Description:
    """What a record says of itself.

    Args:
        record: The record.
        facts: What else its entry says.
        origin: Whose record it is.

    Raises:
        ValueError: It is of no kind that this edition knows.
    """
    index = index_of(record)
    header = record.header
    row: Mapping[str, Any] = {
        "origin": origin,
        "record_id": facts.record_id,
        "revision": facts.revision,
        "area": index.area,
    }
    supersedes = raw_id(header.supersedes.record_id) or None if header.HasField("supersedes") else None
    return Description(index, header.authority.uscc, supersedes, tuple(parts_of(record, row)))
