"""The registers of a running node, by an auditor's certificate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
        """Lines of its journal, unverified."""
        if start >= end:
            return
        request = StreamEntriesRequest(origin=journal, start=start, end=end)
        for message in self.node.stream(self.node.audit.StreamEntries, request):
            for each in message.entries:
                yield journal, each.index, JournalEntry.FromString(each.entry)

    def _call(self, request: ListRegisterDigestsRequest) -> ListRegisterDigestsResponse:
        return self.node.call(self.node.audit.ListRegisterDigests, request)
