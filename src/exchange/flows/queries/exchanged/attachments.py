"""Attachments of records: read by whoever may read the record, and withheld with it."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.domain.problems import Problem, Refused
from exchange.flows.access import NotFound
from exchange.flows.context import Node
from exchange.flows.intake.ids import format_id
from exchange.flows.queries.exchanged.records import RecordQueries
from exchange.flows.queries.ground.reading import Asked
from exchange.storage.intake import attachments
from exchange.storage.logs import log_store
from exchange.v1.common_pb2 import Attachment
from exchange.v1.record_pb2 import Record
from exchange.v1.record_service_pb2 import GetAttachmentRequest

PIECE_BYTES = 512 << 10
"""Bytes of one message: small enough that a slow reader holds up little memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAttachment:
    """An attachment that the caller may read, and where it is listed."""

    listed: Attachment
    log_id: int
    index: int


class AttachmentQueries:
    """Queries of attachments.

    Args:
        node: The node.
        stated: Finds records for their readers.
    """

    def __init__(self, node: Node, stated: RecordQueries) -> None:
        self._node = node
        self._stated = stated

    def find(self, asked: Asked, request: GetAttachmentRequest) -> FoundAttachment:
        """The attachment at a place of a record's header.

        Raises:
            Refused: The reference is ill-formed; ATTACHMENT_WITHHELD with its record; ATTACHMENT_MISSING here.
            NotFound: No such record, or it lists no such attachment.
            AccessDenied: The record may not be read.
        """
        with self._node.database.read() as connection:
            row = self._stated.find(connection, asked, request.ref)
            if row.tombstone:
                raise Refused([Problem("ATTACHMENT_WITHHELD", "ref", row.tombstone)])
            stored = log_store.entries_at(connection, row.log_id, [row.idx])[row.idx]
            listed = Record.FromString(stored.body or b"").header.attachments
            if not 0 <= request.place < len(listed):
                raise NotFound(f"{format_id(row.record_id)} {request.place}")
            found = listed[request.place]
            if not 0 <= request.offset <= found.size:
                raise Refused([Problem("RANGE_INVALID", "offset", str(request.offset))])
            held = attachments.held(connection, attachments.name_of(found)) if found.digests else None
            if held is None or not held.complete:
                raise Refused([Problem("ATTACHMENT_MISSING", "place", found.media_type)])
        self._stated.told(asked, row)
        return FoundAttachment(listed=found, log_id=row.log_id, index=row.idx)

    def piece(self, found: FoundAttachment, offset: int) -> bytes:
        """The piece that begins at an offset.

        Raises:
            Refused: ATTACHMENT_WITHHELD: it was withheld or erased meanwhile.
        """
        digest = attachments.name_of(found.listed)
        with self._node.database.read() as connection:
            shown = attachments.listed_by(connection, found.log_id, found.index, digest)
            content = attachments.read(connection, digest, offset, PIECE_BYTES) if shown else b""
        if not content:
            raise Refused([Problem("ATTACHMENT_WITHHELD", "ref")])
        return content
