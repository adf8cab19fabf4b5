"""The recorded decisions about an entry, read where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exchange.domain.record_index import is_recognised_kind
from exchange.flows.apply.deciding.ruling import Ruling, rulings_in
from exchange.flows.apply.entry import ReadEntry, read_entry
from exchange.storage.engine.database import Connection
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import log_store
from exchange.storage.queries import decided
from exchange.storage.registers import registers
from exchange.v1.recognition_pb2 import DecisionCause, Recognition

TAIL = 512
"""Entries of our own log, not applied yet, in which a decision of just now is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One decision about one entry.

    Attributes:
        log: Origin of the log that it stands in.
    """

    ruling: Ruling
    revision: int
    cause: int
    message: Recognition
    log: str
    index: int


def decisions_about(connection: Connection, log: LogHead, entry: ReadEntry) -> list[Told]:
    """Every decision about an entry, the newest first: ours about a mirror, or a peer's about a log of ours."""
    found: list[Told] = []
    for log_id, index in decided.about(connection, log.id, entry.index):
        source = log_store.head_by_id(connection, log_id)
        raw = log_store.entries_at(connection, log_id, [index]).get(index)
        if source is not None and raw is not None:
            found += _told(read_entry(raw, 0), source, entry)
    if log.use == "mirror":
        found += [each for each in _just_now(connection, log, entry) if each not in found]
    newest = {each.revision: each for each in reversed(found)}
    return [newest[revision] for revision in sorted(newest, reverse=True)]


def _just_now(connection: Connection, log: LogHead, entry: ReadEntry) -> Iterator[Told]:
    """Decisions of ours that apply has not seen in our own log yet."""
    source = log_store.current(connection, "outbound", log.peer, log.lane)
    if source is None:
        return
    position = registers.next_indices(connection).get(source.id, 0)
    for raw in log_store.entries(connection, source.id, position, min(source.size, position + TAIL)):
        made = read_entry(raw, 0)
        if made.record is not None and made.record.recognition.answered_log == log.origin:
            yield from _told(made, source, entry)


def _told(made: ReadEntry, source: LogHead, entry: ReadEntry) -> Iterator[Told]:
    """What one Recognition says of an entry; its default, where no item speaks of the entry's arrival."""
    if made.record is None:
        return
    message = made.record.recognition
    default, items = rulings_in(message)
    arrived = False
    for item in items:
        if item.index == entry.index:
            arrived = arrived or item.cause == DecisionCause.DECISION_CAUSE_ARRIVAL
            yield Told(
                ruling=item.ruling,
                revision=item.revision,
                cause=item.cause,
                message=message,
                log=source.origin,
                index=made.index,
            )
    answered = entry.statement is not None and is_recognised_kind(entry.statement.kind)
    if default is not None and answered and not arrived and message.first <= entry.index < message.end:
        yield Told(
            ruling=default,
            revision=1,
            cause=DecisionCause.DECISION_CAUSE_ARRIVAL,
            message=message,
            log=source.origin,
            index=made.index,
        )
