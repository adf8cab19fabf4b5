"""Records of a later edition of the schema: what this one has no name for can not be written, and is told as lost."""

from __future__ import annotations

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from exchange.domain.losses import SOME_VALUES
from exchange.domain.problems import Problem
from exchange.v1.record_pb2 import Record


def without_later_values(record: Record) -> tuple[Record, tuple[Problem, ...]]:
    """The record without enumerators that this edition does not have, and the fields where they stood.

    The record itself where it has none.
    """
    places = sorted(set(_clear(record, "", change=False)))
    if not places:
        return record, ()
    known = Record()
    known.CopyFrom(record)
    _clear(known, "", change=True)
    return known, tuple(Problem(SOME_VALUES, place) for place in places)


def _clear(message: Message, prefix: str, *, change: bool) -> list[str]:
    """Paths of fields with unknown enumerators, without the places in lists; taken out when they are to be."""
    found: list[str] = []
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        several = value if field.is_repeated else (value,)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in several:
                found += _clear(each, f"{path}.", change=change)
        elif field.enum_type is not None:
            known = [each for each in several if each in field.enum_type.values_by_number]
            if len(known) != len(several):
                found.append(path)
                if change:
                    message.ClearField(field.name)
                if change and field.is_repeated:
                    getattr(message, field.name).extend(known)
    return found
