"""Records that deferred entries wait for: how they are named, and whether they have come."""

from __future__ import annotations

from typing import Final

from exchange.domain.recognising.recognition import LAB
from exchange.domain.record_index import raw_id
from exchange.storage.engine.database import Connection
from exchange.storage.queries import labs
from exchange.storage.registers import registers

REFERENCE: Final = "REFERENCE"
"""Begins what is waited for."""

_RECORD: Final = "RECORD"
_FACT: Final = "FACT"
_LAB: Final = LAB


def record(record_id: str) -> str:
    """Any revision of a record, whoever states it."""
    return f"{REFERENCE}:{_RECORD}:{record_id}"


def fact(natural_key: str) -> str:
    """The record of the same origin that states a natural key; for kinds whose keys are codes alone."""
    return f"{REFERENCE}:{_FACT}:{natural_key}"


def is_record(token: str) -> bool:
    """Whether what is waited for is a record."""
    return token.startswith(tuple(f"{REFERENCE}:{sort}:" for sort in (_RECORD, _FACT, _LAB)))


def has_come(connection: Connection, origin: str, what: str) -> bool:
    """Whether what is waited for has come.

    Args:
        connection: Where.
        origin: Node whose entry waits.
        what: What stands behind ``REFERENCE:``.
    """
    sort, _, name = what.partition(":")
    if sort == _RECORD:
        return bool(registers.records_named(connection, raw_id(name)))
    if sort == _LAB:
        return labs.is_stated(connection, name)
    return sort == _FACT and (origin, name) in registers.holders_of(connection, [name])
