"""The node's registers of one moment, row by row, to lay beside what the logs give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from exchange.flows.audit.export.files import Target
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.about import write_json
from exchange.storage.engine.database import Connection, Database
from exchange.storage.registers import canonical
from exchange.storage.registers.canonical import REGISTERS, RowReader

TRIES: Final = 3
"""Times that reading begins anew because the node went on meanwhile; then all is read in one view, which keeps the
write-ahead log from being emptied for as long."""


def write_registers(target: Target, database: Database) -> None:
    """Write every register, and where the registers stood.

    True afterwards: the rows are of one moment. Logs that are looked up later reach at least as far.
    """
    for _ in range(TRIES):
        with database.read() as connection:
            before = canonical.position(connection)
        for register in REGISTERS:
            target.put_pieces(_path(register), _pages(database, register))
        with database.read() as connection:
            after = canonical.position(connection)
        if before == after:
            break
    else:
        with database.read() as connection:
            after = canonical.position(connection)
            for register in REGISTERS:
                target.put_pieces(_path(register), _in_one(connection, register))
    told = {"journal": after.journal, "size": after.size, "next_change": after.next_seq}
    target.put(f"{names.REGISTERS}/{names.POSITION}", write_json(told))


def _path(register: str) -> str:
    return f"{names.REGISTERS}/{register}.jsonl"


def _pages(database: Database, register: str) -> Iterator[bytes]:
    last = ""
    while True:
        with database.read() as connection:
            page = list(RowReader(connection).rows(register, last))
        if not page:
            return
        yield "".join(f"{row.line}\n" for row in page).encode()
        last = page[-1].key


def _in_one(connection: Connection, register: str) -> Iterator[bytes]:
    last = ""
    while page := list(RowReader(connection).rows(register, last)):
        yield "".join(f"{row.line}\n" for row in page).encode()
        last = page[-1].key
