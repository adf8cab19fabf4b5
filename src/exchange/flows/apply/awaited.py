"""Records that deferred entries wait for: how they are named, and whether they have come."""

from __future__ import annotations

from typing import Final

from exchange.domain.record_index import raw_id
from exchange.storage import registers
from exchange.storage.database import Connection

REFERENCE: Final = "REFERENCE"
"""Begins what is waited for."""

_RECORD: Final = "RECORD"
_FACT: Final = "FACT"


def record(record_id: str) -> str:
    """Any revision of a record, whoever states it."""
    return f"{REFERENCE}:{_RECORD}:{record_id}"


def fact(natural_key: str) -> str:
    """The record of the same origin that states a natural key; for kinds whose keys are codes alone."""
    return f"{REFERENCE}:{_FACT}:{natural_key}"


def is_record(token: str) -> bool:
    """Whether what is waited for is a record."""
    return token.startswith((f"{REFERENCE}:{_RECORD}:", f"{REFERENCE}:{_FACT}:"))


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
    return sort == _FACT and (origin, name) in registers.holders_of(connection, [name])
