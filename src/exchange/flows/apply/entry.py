"""One log entry, taken apart once: what apply works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from google.protobuf.message import DecodeError

from exchange.flows.apply.facts import Description, EntryFacts, EntryMessages, describe
from exchange.storage.logs.log_store import StoredEntry
from exchange.v1.kind_pb2 import Kind
from exchange.v1.record_pb2 import Record
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement


class ReadEntry:
    """An entry with its parts; parts that can not be read are None.

    Args:
        facts: What was read off its bytes.
        place: Its place in the step.
        raw: The entry, or what gives it.
        parts: The messages that it was read off, where that was done here.
    """

    __slots__ = ("_envelope", "_raw", "_record", "_statement", "facts", "index", "place", "record_id")

    def __init__(
        self,
        facts: EntryFacts,
        place: int,
        raw: StoredEntry | Callable[[int], StoredEntry],
        parts: EntryMessages | None = None,
    ) -> None:
        self._raw = raw
        self.index = facts.place_in_log
        self.place = place
        self.facts = facts
        self.record_id = facts.record_id
        self._envelope: bytes | None = parts.envelope if parts is not None else None
        self._statement: Statement | None = parts.statement if parts is not None else None
        self._record: Record | None = parts.record if parts is not None else None

    # Bytes are fetched, and protobuf messages made, when somebody asks: a replay whose facts were read elsewhere seldom
    # does.

    @property
    def raw(self) -> StoredEntry:
        """The entry as it lies in the log."""
        if not isinstance(self._raw, StoredEntry):
            self._raw = self._raw(self.index)
        return self._raw

    @property
    def envelope(self) -> bytes:
        """The envelope's exact bytes; empty when the entry can not be read."""
        if self._envelope is None:
            self._envelope = LogEntry.FromString(self.raw.entry).envelope if self.is_readable else b""
        return self._envelope

    @property
    def statement(self) -> Statement | None:
        """The statement; None when the entry can not be read."""
        if self._statement is None and self.is_readable:
            self._statement = Statement.FromString(Envelope.FromString(self.envelope).payload)
        return self._statement

    @property
    def record(self) -> Record | None:
        """The record; None when the body is absent or does not parse."""
        if self._record is None and self.facts.has_record:
            assert self.raw.body is not None
            self._record = Record.FromString(self.raw.body)
        return self._record

    @property
    def is_readable(self) -> bool:
        """Whether it is an entry at all."""
        return self.record_id != b""

    @property
    def has_record(self) -> bool:
        """Whether there is a record."""
        return self.facts.has_record

    @property
    def kind(self) -> Kind.ValueType:
        """Kind that the statement names; KIND_UNSPECIFIED when the entry can not be read."""
        return self.facts.kind

    @property
    def logged_at(self) -> int:
        """In microseconds."""
        return self.facts.logged_at

    @property
    def problem(self) -> str:
        """Reason code when the entry itself can not be read."""
        return self.facts.problem

    @property
    def natural_key(self) -> str:
        """Natural key of the record; empty for kinds without one, and without a record."""
        return self.facts.natural_key

    @property
    def salt(self) -> bytes:
        """Salt of the body; empty when it is absent."""
        return self.facts.salt

    @property
    def has_body(self) -> bool:
        """Whether the body is here."""
        return self.facts.has_body

    @property
    def commitment(self) -> bytes:
        """Digest that the statement commits to."""
        return self.facts.commitment

    def description(self, origin: str) -> Description:
        """What the record says of itself.

        Args:
            origin: Whose record it is.

        Raises:
            ValueError: It is of no kind that this edition knows.
        """
        if self.facts.description is None:
            assert self.record is not None
            self.facts = self.facts._replace(description=describe(self.record, self.facts, origin))
        assert self.facts.description is not None
        return self.facts.description

    def drop_body(self) -> None:
        """Go on as if the body were not there: it had not arrived when the entry was ruled on."""
        self._raw = replace(self.raw, salt=None, body=None)
        self._record = None
        self.facts = self.facts._replace(
            salt=b"",
            has_body=False,
            has_record=False,
            has_attachments=False,
            natural_key="",
            problem="",
            named=(),
            before="",
            description=None,
        )


def payload_of(entry: bytes) -> bytes:
    """The statement's exact bytes in an entry; empty when it can not be read."""
    try:
        return Envelope.FromString(LogEntry.FromString(entry).envelope).payload
    except DecodeError:
        return b""


def read_entry(raw: StoredEntry, place: int) -> ReadEntry:
    """Take an entry apart. Raises nothing: what is unreadable is named in ``problem``."""
    parts = EntryMessages(raw)
    return ReadEntry(parts.facts, place, raw, parts)
