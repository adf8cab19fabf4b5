"""The register of rotations: each row is the fold of what the journal says of one rotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from exchange.domain import rotation as rotations
from exchange.domain.problems import ExchangeError
from exchange.storage import schema
from exchange.storage.engine.transaction import NewEntry, Transaction
from exchange.storage.logs import journal
from exchange.storage.registers import registers
from exchange.storage.registers.registers import Change
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.rotation_pb2 import Rotation


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationChange:
    """Steps of one rotation, in order, with what they append to outbound logs.

    Attributes:
        events: Journal entries, each with its time and a ``rotation_stepped``.
        expected: The row that the steps were decided on; None before START. Another one makes the change fail.
        append: Sealed entries by origin of the log that they go to.
    """

    events: Sequence[JournalEntry]
    expected: bytes | None
    append: Sequence[tuple[str, NewEntry]] = field(default=())


class RotationChangedError(ExchangeError):
    """Somebody else took the rotation a step on in between."""

    reason = "CONTENDED"


def everything(connection: Connection) -> list[Rotation]:
    """Every rotation, in order of number."""
    table = schema.rotations
    rows = connection.execute(select(table.c.rotation).order_by(table.c.number))
    return [Rotation.FromString(row.rotation) for row in rows]


def get(connection: Connection, number: int) -> bytes | None:
    """One rotation, serialized."""
    table = schema.rotations
    return connection.execute(select(table.c.rotation).where(table.c.number == number)).scalar()


def next_number(connection: Connection) -> int:
    """The number that the next rotation gets."""
    return (connection.execute(select(func.max(schema.rotations.c.number))).scalar() or 0) + 1


def steps(connection: Connection, number: int) -> list[tuple[int, int]]:
    """Where the journal has each step of a rotation: (log id, index), in order."""
    table = schema.rotation_steps
    query = select(table.c.log_id, table.c.idx).where(table.c.number == number).order_by(table.c.seq)
    return [(row.log_id, row.idx) for row in connection.execute(query)]


def changes_of(state: Connection, event: JournalEntry, log_id: int, index: int) -> list[Change]:
    """The row changes that one step makes, on the registers as they stand.

    Args:
        state: Where the registers are read.
        event: The journal entry of the step.
        log_id: The journal's epoch that it stands in.
        index: Its index there.

    Raises:
        StepNotAllowed: The step does not follow.
    """
    step = event.rotation_stepped
    known = get(state, step.rotation)
    rotation = rotations.take(Rotation.FromString(known) if known is not None else None, step, event.at)
    row = {
        "number": rotation.number,
        "key": rotation.key,
        "open": rotations.is_open(rotation),
        "rotation": rotation.SerializeToString(deterministic=True),
    }
    seq = len(steps(state, rotation.number))
    place = {"number": rotation.number, "seq": seq, "log_id": log_id, "idx": index}
    return [
        Change("rotations", (rotation.number,), row),
        Change("rotation_steps", (rotation.number, seq), place, fresh=True),
    ]


def put(tx: Transaction, payloads: Sequence[RotationChange]) -> list[Rotation | Exception]:
    """Take rotations further: journal, register and announcements in one transaction.

    Returns:
        For each payload, the rotation behind its steps.
    """
    return [_put(tx, payload) for payload in payloads]


def _put(tx: Transaction, payload: RotationChange) -> Rotation | Exception:
    tx.write_now(schema.rotations)
    tx.write_now(schema.rotation_steps)
    number = payload.events[0].rotation_stepped.rotation
    if get(tx.connection, number) != payload.expected:
        return RotationChangedError()
    key = payload.events[0].rotation_stepped.key
    if payload.expected is None and any(_is_of(each, key) for each in everything(tx.connection)):
        return RotationChangedError()
    targets = [(tx.head(origin), entry) for origin, entry in payload.append]
    if any(log is None or log.retired for log, _ in targets):
        return RotationChangedError()
    for log, entry in targets:
        assert log is not None
        tx.append(log.id, [entry])
    first = journal.append(tx, payload.events)
    book = journal.head_in(tx)
    for offset, event in enumerate(payload.events):
        registers.write(tx, changes_of(tx.connection, event, book.id, first + offset))
        tx.write_now(schema.rotations)
        tx.write_now(schema.rotation_steps)
    return Rotation.FromString(get(tx.connection, number) or b"")


def _is_of(rotation: Rotation, key: str) -> bool:
    return rotation.key == key and rotations.is_open(rotation)
