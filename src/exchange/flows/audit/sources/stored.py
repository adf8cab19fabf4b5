"""A node's own database as a source of logs, and of registers to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exchange.flows.audit.sources.source import SourceEntry, SourceLog, SourceStamp
from exchange.storage.engine.database import Database
from exchange.storage.intake import attachments
from exchange.storage.logs import log_store, timestamps
from exchange.storage.registers import canonical, registers
from exchange.storage.registers.canonical import Bucket, RegisterPosition, RegisterRow, RowReader

PAGE: Final = 512
"""Rows read in one view."""

PAGE_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class StoredLogs:
    """The logs of a database, read in short views.

    Attributes:
        node: Name of the node.
        domain: Domain of its origins.
    """

    node: str
    domain: str
    database: Database

    def logs(self) -> list[SourceLog]:
        """Every log, in order of number."""
        with self.database.read() as connection:
            found = []
            for log in log_store.heads(connection):
                newest = log_store.last_checkpoint(connection, log.id)
                found.append(
                    SourceLog(
                        number=log.id,
                        origin=log.origin,
                        use=log.use,
                        peer=log.peer,
                        lane=log.lane,
                        epoch=log.epoch,
                        retired=log.retired,
                        proven=newest.size if newest else 0,
                        size=log.size,
                    )
                )
        return found

    def entries(self, log: SourceLog, start: int) -> Iterator[SourceEntry]:
        """Entries from ``start`` to the log's size, in order."""
        while start < log.size:
            with self.database.read() as connection:
                page = log_store.entries(
                    connection, log.number, start, min(log.size, start + PAGE), max_bytes=PAGE_BYTES
                )
            for raw in page:
                yield SourceEntry(raw.index, raw.entry, raw.salt, raw.body)
            start += len(page)

    def notes(self, log: SourceLog, above: int) -> Iterator[bytes]:
        """Its stored cosigned notes of sizes beyond ``above``, smallest first."""
        while True:
            with self.database.read() as connection:
                page = log_store.checkpoints(connection, log.number, above, PAGE)
            is_last = len(page) < PAGE
            if not is_last:
                # The last size may go on beyond the page: several cosigners stand at one size.
                page = [each for each in page if each.size < page[-1].size]
            for each in page:
                yield each.note
            if is_last:
                return
            above = page[-1].size

    def leaves(self, log: SourceLog, start: int) -> Iterator[tuple[int, bytes]]:
        """The digest leaves that were kept beside the journal's steps, from an index on."""
        while True:
            with self.database.read() as connection:
                page = registers.kept_leaves(connection, log.number, start, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            start = page[-1][0] + 1

    def stamps(self, log: SourceLog) -> Iterator[SourceStamp]:
        """The time stamps of its checkpoints, smallest first."""
        above = 0
        while True:
            with self.database.read() as connection:
                page = timestamps.of_log(connection, log.number, above, PAGE)
            for each in page:
                yield SourceStamp(each.size, each.note, each.token)
            if len(page) < PAGE:
                return
            above = page[-1].size

    def attachment(self, digest: bytes) -> bytes | None:
        """The bytes of an attachment, where all of it is here."""
        with self.database.read() as connection:
            held = attachments.held(connection, digest)
            return attachments.whole(connection, digest) if held is not None and held.complete else None


@dataclass(frozen=True, slots=True)
class StoredRegisters:
    """The registers of a database, read in short views."""

    database: Database

    def position(self) -> RegisterPosition:
        """Where they stand now."""
        with self.database.read() as connection:
            return canonical.position(connection)

    def runs(self, register: str, salt: bytes, after: str) -> tuple[Sequence[Bucket], bool]:
        """Runs of rows behind a key by their digests, and whether these are the last ones."""
        with self.database.read() as connection:
            found = RowReader(connection).buckets(register, salt, after)
        return found, not found

    def rows(self, register: str, after: str, until: str) -> Iterator[RegisterRow]:
        """Rows behind a key up to another one."""
        while True:
            with self.database.read() as connection:
                page = list(RowReader(connection).rows(register, after, until))
            yield from page
            if not page:
                return
            after = page[-1].key
