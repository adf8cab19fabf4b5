"""The registers of a running node, by an auditor's certificate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exchange.domain.journal_parts import PartsUnreadable, join
from exchange.storage.registers.canonical import Bucket, RegisterPosition, RegisterRow
from exchange.v1.audit_service_pb2 import ListRegisterDigestsRequest, ListRegisterDigestsResponse, StreamEntriesRequest
from exchange.v1.journal_pb2 import JournalEntry

if TYPE_CHECKING:
    from exchange.rpc.client import Client


@dataclass(frozen=True, slots=True)
class NodeRegisters:
    """What ``ListRegisterDigests`` answers.

    Attributes:
        node: A connection.
    """

    node: Client

    def position(self) -> RegisterPosition:
        """Where they stand now."""
        found = self._call(ListRegisterDigestsRequest()).position
        return RegisterPosition(found.journal, found.size, found.next_change)

    def runs(self, register: str, salt: bytes, after: str) -> tuple[Sequence[Bucket], bool]:
        """Runs of rows behind a key by their digests, and whether these are the last ones."""
        answer = self._call(ListRegisterDigestsRequest(register=register, salt=salt, after=after))
        return [Bucket(each.last, each.rows, each.digest) for each in answer.runs], answer.complete

    def rows(self, register: str, after: str, until: str) -> Iterator[RegisterRow]:
        """Rows behind a key up to another one."""
        while True:
            request = ListRegisterDigestsRequest(register=register, after=after, until=until, rows=True)
            answer = self._call(request)
            for each in answer.lines:
                yield RegisterRow(each.key, each.line)
            if answer.complete or not answer.lines:
                return
            after = answer.lines[-1].key

    def lines(self, journal: str, start: int, end: int) -> Iterator[tuple[str, int, JournalEntry]]:
        """Lines of its journal, unverified; a large event stands where its pieces are joined."""
        if start >= end:
            return
        request = StreamEntriesRequest(origin=journal, start=start, end=end)
        pieces: list[bytes] = []
        for message in self.node.stream(self.node.audit.StreamEntries, request):
            for each in message.entries:
                event = JournalEntry.FromString(each.entry)
                if event.HasField("part"):
                    pieces.append(each.entry)
                    continue
                if event.HasField("joined"):
                    # What is none stays the bare line: the rows that it should have made are found as they are.
                    with suppress(PartsUnreadable):
                        event = join(event, pieces[-event.joined.parts :])
                pieces.clear()
                yield journal, each.index, event

    def _call(self, request: ListRegisterDigestsRequest) -> ListRegisterDigestsResponse:
        return self.node.call(self.node.audit.ListRegisterDigests, request)
