"""Which bodies of a log go into the folder: the law of the tombstone holds here as on every door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from exchange.domain.record_index import raw_id
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.bodies import Absent
from exchange.storage.engine.database import Connection
from exchange.storage.logs.log_store import StoredEntry
from exchange.storage.registers import registers
from exchange.v1.statement_pb2 import Envelope, LogEntry, Statement

_ERASED = "ERASED"


@dataclass(frozen=True, slots=True)
class Shown:
    """Rule by which bodies are shown.

    Attributes:
        withheld: Show those, too, that a repair, revocation or withdrawal withholds.
        subject: Only bodies of this firm's records; empty for all.
    """

    withheld: bool = False
    subject: str = ""

    def absent(
        self, connection: Connection, entries: Sequence[StoredEntry], missing: Iterable[int]
    ) -> dict[int, Absent]:
        """Entries whose bodies do not go into the folder, with the reason.

        Args:
            connection: A view in which the entries were read, too.
            entries: Entries of a log that has bodies.
            missing: Those whose bodies the node does not have.
        """
        gone = set(missing)
        statements = {each.index: statement_in(each.entry) for each in entries}
        keys = {(said.origin, raw_id(said.record_id)) for said in statements.values() if said is not None}
        rows = registers.records_of(connection, {key for key in keys if key[1]}) if keys else {}
        found: dict[int, Absent] = {}
        for index, said in statements.items():
            revisions = rows.get((said.origin, raw_id(said.record_id)), ()) if said is not None else ()
            reason = self._reason(said, revisions, is_gone=index in gone)
            if reason:
                found[index] = Absent(index, reason, said.record_id if said is not None else "")
        return found

    def concerns(self, rows: Iterable[Mapping[str, object]]) -> bool:
        """Whether any of a record's rows is about the firm that the export is about."""
        return not self.subject or any(row["subject"] == self.subject for row in rows)

    def _reason(self, said: Statement | None, rows: Sequence[Mapping[str, object]], *, is_gone: bool) -> str:
        if said is None:
            return names.MISSING if is_gone else names.OUT_OF_SCOPE if self.subject else ""
        own = next((row for row in rows if row["revision"] == said.revision), None)
        newest = next((row for row in rows if row["newest"]), None)
        ends = [str(row["tombstone"]) for row in (own, newest) if row is not None and row["tombstone"]]
        if own is not None and own["tombstone"] == _ERASED:
            return names.ERASED
        if is_gone:
            return names.ERASED if own is None and _ERASED in ends else names.MISSING
        if not self.concerns(rows):
            return names.OUT_OF_SCOPE
        # A revision that was erased says nothing of the others; what withholds the newest one withholds the earlier.
        if not self.withheld and any(end != _ERASED for end in ends):
            return names.WITHHELD
        return ""


def statement_in(entry: bytes) -> Statement | None:
    """The statement of an entry; None where it can not be read."""
    try:
        said = Statement.FromString(Envelope.FromString(LogEntry.FromString(entry).envelope).payload)
    except DecodeError:
        return None
    return said if len(said.record_id) <= 64 and said.record_id.isprintable() else None
