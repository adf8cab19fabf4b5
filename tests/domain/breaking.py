"""Breaking sound records, one rule at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from exchange.v1.record_pb2 import Record
from tests.domain.records import SOUND


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A sound record and what is done to it.

    Attributes:
        name: For people and test ids.
        sound: Key of ``records.SOUND``.
        mutate: Breaks one rule, in place.
        reason: Code that must be among the problems.
        place: Field path that must be named with it.
    """

    name: str
    sound: str
    mutate: Callable[[Record], object]
    reason: str
    place: str

    def at(self, place: str) -> BadRecord:
        """The same, named at another place than the field that was set."""
        return replace(self, place=place)

    def make(self) -> Record:
        """The bad record."""
        record = SOUND[self.sound]()
        self.mutate(record)
        return record


def put(path: str, value: object) -> Callable[[Record], None]:
    """Assign to a field by its path; ``a.0.b`` walks into a repeated field."""

    def mutate(record: Record) -> None:
        *walk, last = path.split(".")
        message: object = record
        for step in walk:
            message = message[int(step)] if step.isdigit() else getattr(message, step)  # type: ignore[index]
        if last.isdigit():
            message[int(last)] = value  # type: ignore[index]
        else:
            setattr(message, last, value)

    return mutate


def clear(path: str) -> Callable[[Record], None]:
    """Clear a field by its path."""

    def mutate(record: Record) -> None:
        *walk, last = path.split(".")
        message: object = record
        for step in walk:
            message = message[int(step)] if step.isdigit() else getattr(message, step)  # type: ignore[index]
        message.ClearField(last)  # type: ignore[attr-defined]

    return mutate


def together(*mutations: Callable[[Record], object]) -> Callable[[Record], None]:
    """Several changes that together break one rule."""

    def mutate(record: Record) -> None:
        for each in mutations:
            each(record)

    return mutate


def bad(sound: str, path: str, value: object, reason: str, name: str = "") -> BadRecord:
    """A record in which one field has a wrong value; the field is the place."""
    place = "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in path.split(".")).lstrip(".")
    return BadRecord(name or f"{place} {reason}", sound, put(path, value), reason, place)
