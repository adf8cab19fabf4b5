"""Giving a peer its own entries back from our mirror of its log."""

from __future__ import annotations

from exchange.flows.context import Node, Peer
from exchange.flows.link.deliver_limits import MAX_ENTRIES
from exchange.flows.link.mirror import NotYourLogError
from exchange.storage.logs import log_store
from exchange.v1.relay_service_pb2 import FetchEntriesRequest, FetchEntriesResponse
from exchange.v1.statement_pb2 import Body

FETCH_BYTES = 3 << 20
"""Bytes of entries and bodies in one answer."""

MAX_NOTES = 256
"""Cosigned notes in one answer: about 100 KB."""


def fetch_entries(node: Node, peer: Peer, request: FetchEntriesRequest) -> FetchEntriesResponse:
    """Entries of the caller's own log, with their bodies and the notes that cover them.

    Raises:
        NotYourLogError: We hold no mirror of such a log of the caller.
    """
    with node.database.read() as connection:
        log = log_store.head(connection, request.origin)
        if log is None or log.use != "mirror" or log.peer != peer.name or request.start < 0:
            raise NotYourLogError
        end = min(log.size, request.start + min(max(request.limit, 1), MAX_ENTRIES))
        entries = log_store.entries(connection, log.id, request.start, end, max_bytes=FETCH_BYTES)
        notes = []
        if request.with_notes and entries:
            found = log_store.checkpoints_between(connection, log.id, request.start + 1, entries[-1].index + 1)
            if len(found) > MAX_NOTES:
                # Every note that covers an entry comes with it: fewer entries, and the rest with the next call.
                found = found[:MAX_NOTES]
                entries = [entry for entry in entries if entry.index < found[-1].size]
            notes = [note.note for note in found]
    return FetchEntriesResponse(
        entries=[entry.entry for entry in entries],
        bodies=[Body(record=entry.body or b"", salt=entry.salt or b"") for entry in entries],
        size=log.size,
        notes=notes,
    )
