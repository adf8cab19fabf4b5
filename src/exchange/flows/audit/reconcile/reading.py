"""One log as one side holds it, read once: its leaves, what its entries state, and what they speak of."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from google.protobuf.message import DecodeError

from exchange.crypto.sealing import matches
from exchange.domain.record_index import raw_id
from exchange.flows.audit.enum_names import enum_name
from exchange.flows.audit.sources.source import Source, SourceLog
from exchange.flows.audit.verify.keys.statements import Announced, Answered, accepted_keys
from exchange.flows.audit.watching import Seen
from exchange.flows.instants import is_instant, micros_of
from exchange.tlog.tree import HASH_SIZE, Frontier, NodeId, NodeReader, leaf_hash
from exchange.v1.answer_pb2 import AnswerVerb
from exchange.v1.common_pb2 import RecordRef
from exchange.v1.kind_pb2 import (
    KIND_ANSWER,
    KIND_KEY_ANNOUNCEMENT,
    KIND_MEASURE_FEEDBACK,
    KIND_RECOGNITION,
    KIND_REPAIR_NOTICE,
    KIND_REVOCATION_NOTICE,
)
from exchange.v1.recognition_pb2 import Recognition
from exchange.v1.record_pb2 import Record
from exchange.v1.repair_notice_pb2 import RepairEffect
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

UNREADABLE: Final = 255
"""Stands for the kind of an entry that states nothing that can be read."""

ID_SIZE: Final = 16

_READ: Final = frozenset(
    (
        KIND_ANSWER,
        KIND_KEY_ANNOUNCEMENT,
        KIND_MEASURE_FEEDBACK,
        KIND_RECOGNITION,
        KIND_REPAIR_NOTICE,
        KIND_REVOCATION_NOTICE,
    )
)
"""Kinds whose bodies are read: they speak of other records, or tell keys."""

Ref = tuple[str, bytes]
"""A record by origin and id."""


@dataclass(frozen=True, slots=True)
class Act:
    """A repair or revocation: what it ends, and the effects that it asks for."""

    index: int
    record: Ref
    notice: Ref
    effects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spoken:
    """What an answer or a feedback is about."""

    index: int
    kind: int
    about: Ref
    effect: str
    confirms: bool


@dataclass(slots=True)
class ReadLog:
    """A log as one side holds it.

    Attributes:
        leaves: Leaf hashes, one after the other.
        kinds: Kind of each entry, by number.
        ids: Record id of each entry.
        logged: When each was logged, by its owner's clock, in microseconds; 0 where it can not be read.
        mismatched: Entries whose bodies are not those that were committed to: what they say is not read.
    """

    log: SourceLog
    leaves: bytearray = field(default_factory=bytearray)
    kinds: bytearray = field(default_factory=bytearray)
    ids: bytearray = field(default_factory=bytearray)
    logged: array[int] = field(default_factory=lambda: array("q"))
    recognitions: list[tuple[int, Recognition]] = field(default_factory=list)
    spoken: list[Spoken] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    announced: list[Announced] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    mismatched: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Entries."""
        return len(self.kinds)

    def leaf(self, index: int) -> bytes:
        """Leaf hash of an entry."""
        return bytes(self.leaves[index * HASH_SIZE : (index + 1) * HASH_SIZE])

    def roots(self, sizes: Iterable[int]) -> dict[int, bytes]:
        """Root at each of some sizes, none beyond the log's."""
        frontier, found = Frontier(), {}
        for size in sorted({each for each in sizes if each <= self.size}):
            frontier, _ = frontier.extend([self.leaf(index) for index in range(frontier.size, size)])
            found[size] = frontier.root()
        return found

    def nodes(self) -> NodeReader:
        """Complete subtrees, for proofs."""

        def read(wanted: Sequence[NodeId]) -> list[bytes]:
            return [
                Frontier().extend([self.leaf(at) for at in range(index << level, (index + 1) << level)])[0].root()
                for level, index in wanted
            ]

        return read

    def difference(self, other: ReadLog) -> int | None:
        """First index at which two sides hold other entries; None when one is the beginning of the other."""
        end = min(self.size, other.size)
        if self.leaves[: end * HASH_SIZE] == other.leaves[: end * HASH_SIZE]:
            return None
        return next(index for index in range(end) if self.leaf(index) != other.leaf(index))


def read_log(source: Source, log: SourceLog, seen: Seen) -> ReadLog:
    """Read a log of records once."""
    read = ReadLog(log)
    for each in source.entries(log, 0):
        seen(1)
        read.leaves += leaf_hash(each.entry)
        try:
            entry = LogEntry.FromString(each.entry)
            statement = Statement.FromString(Envelope.FromString(entry.envelope).payload)
        except DecodeError:
            statement, entry = Statement(), LogEntry()
        record_id = raw_id(statement.record_id)
        read.kinds.append(statement.kind if record_id and 0 < statement.kind < UNREADABLE else UNREADABLE)
        read.ids += record_id or bytes(ID_SIZE)
        read.logged.append(micros_of(entry.logged_at) if is_instant(entry.logged_at) else 0)
        if statement.kind in _READ and each.body is not None:
            if not matches(statement, each.body, each.salt or b""):
                read.mismatched.append(each.index)
                continue
            try:
                record = Record.FromString(each.body)
            except DecodeError:
                continue
            _take(read, each.index, (statement.origin, record_id), record)
            if statement.kind == KIND_KEY_ANNOUNCEMENT:
                read.announced.append(_announced(read, each.index, entry, each.body))
            elif statement.kind == KIND_ANSWER:
                read.answered += _answered(read, each.index, entry, each.body)
    return read


def _announced(read: ReadLog, index: int, entry: LogEntry, body: bytes) -> Announced:
    origin = read.log.origin
    return Announced(
        node=origin.partition(".")[0], logged_at=read.logged[index], log=origin, index=index,
        envelope=entry.envelope, body=body,
    )  # fmt: skip


def _answered(read: ReadLog, index: int, entry: LogEntry, body: bytes) -> Iterator[Answered]:
    """What an answer says of announced keys, if anything."""
    about, accepted = accepted_keys(body)
    if accepted:
        yield Answered(
            about=about, accepted=accepted, log=read.log.origin, logged_at=read.logged[index], envelope=entry.envelope
        )


def _take(read: ReadLog, index: int, own: Ref, record: Record) -> None:
    """Keep what a record speaks of."""
    match record.WhichOneof("body"):
        case "recognition":
            read.recognitions.append((index, record.recognition))
        case "measure_feedback":
            about = _ref(record.measure_feedback.notice)
            read.spoken.append(Spoken(index, KIND_MEASURE_FEEDBACK, about, "", confirms=False))
        case "answer":
            answer = record.answer
            confirms = answer.verb == AnswerVerb.ANSWER_VERB_CONFIRMED
            read.spoken.append(Spoken(index, KIND_ANSWER, _ref(answer.record), answer.effect, confirms=confirms))
        case "repair_notice" | "revocation_notice" as name:
            act = getattr(record, name)
            effects = tuple(enum_name(RepairEffect, each, "REPAIR_EFFECT_") for each in act.effects)
            read.acts.append(Act(index, own, _ref(act.notice), effects))


def _ref(reference: RecordRef) -> Ref:
    return reference.origin, raw_id(reference.record_id)
