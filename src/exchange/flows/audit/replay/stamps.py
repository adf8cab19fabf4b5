"""Time stamps of a source, verified again before they are kept: in a database nobody asks whose word they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from exchange.crypto.timestamps import TimestampRefused, verify_timestamp
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.sources.source import Source, SourceStamp
from exchange.flows.instants import micros
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import LogHead, Transaction
from exchange.storage.logs import log_store, timestamps
from exchange.storage.logs.timestamps import StoredTimestamp
from exchange.tlog.checkpoint import parse_note
from exchange.tlog.errors import LogFormatError


class Stamps:
    """Puts time stamps into a database that has the logs already.

    Args:
        source: Where they are.
        database: Where the logs are, with their trees.
        roots: Authorities that are believed, PEM; empty: none is kept.

    Attributes:
        kept: How many were kept.
        left: How many the source has beside those.
    """

    def __init__(self, source: Source, database: Database, roots: bytes) -> None:
        self._source = source
        self._database = database
        self._roots = roots
        self.kept = 0
        self.left = 0

    def put(self, run: Callable[[Callable[[Transaction], object]], None]) -> Iterator[Finding]:
        """Keep those that hold, log by log.

        Yields:
            ``TIMESTAMP_REFUSED`` for those that do not: not proven, since another authority's token is no wrong one.
        """
        with self._database.read() as connection:
            heads = {log.origin: log for log in log_store.heads(connection)}
        for log in self._source.logs():
            covered = 0
            try:
                for each in self._source.stamps(log):
                    made = self._made(heads[log.origin], each, covered) if self._roots else None
                    if isinstance(made, StoredTimestamp):
                        run(lambda tx, made=made: timestamps.put(tx, [made]))  # type: ignore[misc]
                        self.kept, covered = self.kept + 1, each.size
                        continue
                    self.left += 1
                    if made is not None:
                        yield Finding(
                            code="TIMESTAMP_REFUSED", log=log.origin, index=each.size, detail=made, proven=False
                        )
            except FolderUnreadable as error:
                yield Finding(code=error.reason, file=error.file, byte=error.byte, detail=error.detail, proven=False)

    def _made(self, head: LogHead, stamp: SourceStamp, covered: int) -> StoredTimestamp | str:
        """The row, or why there is none."""
        try:
            _, checkpoint = parse_note(stamp.note)
            held = verify_timestamp(stamp.token, stamp.note, self._roots)
        except (LogFormatError, TimestampRefused) as error:
            return str(error)[:200]
        if (checkpoint.origin, checkpoint.size) != (head.origin, stamp.size) or not covered < stamp.size <= head.size:
            return f"the note is of {checkpoint.origin}, {checkpoint.size} entries"
        with self._database.read() as connection:
            if log_store.root(connection, head, stamp.size) != checkpoint.root:
                return "another root than the entries'"
            oldest = log_store.first_checkpoint_covering(connection, head.id, covered + 1)
        at = micros(held.at)
        return StoredTimestamp(
            log_id=head.id,
            size=stamp.size,
            note=stamp.note,
            token=stamp.token,
            stamped_at=at,
            since=oldest.cosigned_at if oldest is not None else at,
            service="",  # where it was asked for, no export says
        )
