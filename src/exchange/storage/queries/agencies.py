"""The register of agencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from exchange.domain.problems import ExchangeError
from exchange.storage import schema
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import journal
from exchange.storage.registers import registers
from exchange.storage.registers.registers import Change
from exchange.v1.journal_pb2 import JournalEntry
from exchange.v1.security_service_pb2 import Agency


@dataclass(frozen=True, slots=True, kw_only=True)
class AgencyChange:
    """An agency as it is to be, with the journal entry that says so.

    Attributes:
        expected: The row as the change was made from; None where there was none. Another one makes the change fail.
    """

    agency: Agency
    event: JournalEntry
    expected: bytes | None


class AgencyChangedError(ExchangeError):
    """Somebody else changed the agency in between."""

    reason = "CONTENDED"


class KeyBoundError(ExchangeError):
    """Another agency holds one of the bound keys."""

    reason = "KEY_BOUND_TWICE"


def everything(connection: Connection) -> dict[str, bytes]:
    """Every agency, serialized, by name in order."""
    table = schema.agencies
    rows = connection.execute(select(table.c.name, table.c.agency).order_by(table.c.name))
    return {row.name: row.agency for row in rows}


def page(connection: Connection, after: str, limit: int) -> list[Agency]:
    """Agencies beyond a name, in order of name."""
    table = schema.agencies
    query = select(table.c.agency).where(table.c.name > after).order_by(table.c.name).limit(limit)
    return [Agency.FromString(row.agency) for row in connection.execute(query)]


def get(connection: Connection, name: str) -> bytes | None:
    """One agency, serialized."""
    table = schema.agencies
    return connection.execute(select(table.c.agency).where(table.c.name == name)).scalar()


def put(tx: Transaction, payloads: Sequence[AgencyChange]) -> list[int | Exception]:
    """Put agencies, each with its journal entry in the same transaction.

    Returns:
        For each payload, the index of its journal entry.
    """
    standing = everything(tx.connection)
    answers: list[int | Exception] = []
    for payload in payloads:
        name = payload.agency.name
        if standing.get(name) != payload.expected:
            answers.append(AgencyChangedError())
            continue
        wanted = set(payload.agency.bound_keys)
        if any(wanted & set(Agency.FromString(raw).bound_keys) for other, raw in standing.items() if other != name):
            answers.append(KeyBoundError())
            continue
        standing[name] = payload.agency.SerializeToString(deterministic=True)
        row = {"name": name, "agency": standing[name]}
        index = journal.append(tx, [payload.event])
        registers.write(tx, [Change("agencies", (name,), row)])
        answers.append(index)
    return answers
