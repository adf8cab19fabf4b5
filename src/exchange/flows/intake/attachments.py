"""Taking attachments from agencies, piece by piece, before or after the record that lists them.

The numbered walk of one piece:
  1 listed    digests, size and media type are such as a record may list; the piece is within the limits
  2 store     the piece, from where the file ends here; what is there already is passed over
  3 verify    once all of it is there: size, digests, media type; what does not fit is thrown away whole
An answer leaves after 2 and 3 are on disk. A crash leaves a shorter file, and the next call goes on from its end.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from exchange.domain.problems import Problem, Refused
from exchange.flows.access import AccessDenied, AgencyBook
from exchange.flows.context import Node
from exchange.flows.instants import micros
from exchange.storage.engine.writer import WorkClass
from exchange.storage.intake import attachments
from exchange.storage.intake.attachments import PART_BYTES, Held, Piece, Verdict
from exchange.v1.common_pb2 import Attachment
from exchange.v1.kind_pb2 import Lane
from exchange.v1.submission_service_pb2 import UploadAttachmentRequest, UploadAttachmentResponse

STAGED_BYTES = 256 << 20
"""Bytes that one agency may have here without a record that lists them: a dozen files of the largest size."""

ROW_BYTES = 2_048
"""Bytes that weigh as much as a row with the writer: eight pieces fill a batch."""

STAGED_FOR = timedelta(hours=24)
"""How long bytes are kept without a record that lists them: an agency that was away over night goes on."""


class UploadFlow:
    """The door for attachments.

    Args:
        node: The node.
        book: Agencies and grants.
        admit: Says for a lane why it takes nothing now (disk nearly full), or None.
    """

    def __init__(self, node: Node, book: AgencyBook, admit: Callable[[int], Problem | None]) -> None:
        self._node = node
        self._book = book
        self._admit = admit

    def upload(self, agency: str, request: UploadAttachmentRequest, now: datetime) -> UploadAttachmentResponse:
        """Take one piece.

        Raises:
            Refused: It is not such as a record may list, too large, or not what its digests say.
            AccessDenied: The agency may submit nothing.
        """
        # 1
        if not self._book.submits(agency):
            raise AccessDenied(Problem("NO_GRANT", "", "SUBMIT"))
        listed = request.attachment
        problems = self._problems(request)
        if problems:
            raise Refused(problems)
        # 2
        piece = Piece(
            attachment=listed,
            offset=request.offset,
            content=request.content,
            agency=agency,
            at=micros(now),
            staged_bytes=STAGED_BYTES,
        )
        stored = store(self._node, piece)
        # 3
        reason = verify(self._node, stored, listed)
        if reason:
            raise Refused([Problem(reason, "attachment")])
        return UploadAttachmentResponse(received=stored.received, complete=stored.received == stored.size)

    def _problems(self, request: UploadAttachmentRequest) -> list[Problem]:
        listed, types = request.attachment, self._node.tables.attachment_types
        problems = []
        if listed.media_type not in types.by_type:
            problems.append(Problem("ATTACHMENT_TYPE", "attachment.media_type"))
        elif not types.takes(listed):
            problems.append(Problem("ATTACHMENT_INVALID", "attachment"))
        if len(request.content) > PART_BYTES:
            problems.append(Problem("ATTACHMENT_PIECE", "content", f"{len(request.content)} > {PART_BYTES}"))
        if request.offset < 0:
            problems.append(Problem("RANGE_INVALID", "offset", str(request.offset)))
        refused = self._admit(Lane.LANE_REGISTRY)
        if refused is not None and request.content:
            problems.append(refused)
        return problems


def store(node: Node, piece: Piece) -> Held:
    """Store one piece, and say how much of the file is here then.

    Raises:
        Refused: ATTACHMENT_QUOTA.
    """
    rows = 1 + len(piece.content) // ROW_BYTES
    held: Held = node.writer.call(attachments.put_pieces, piece, WorkClass.BACKGROUND, rows=rows)
    return held


def expire(node: Node, now: datetime) -> int:
    """Drop what agencies handed in and no record came to list; gives how many files."""
    before = micros(now - STAGED_FOR)
    dropped: int = node.writer.call(attachments.expire, before, WorkClass.BACKGROUND)
    return dropped


def verify(node: Node, stored: Held, listed: Attachment) -> str:
    """Look at the whole file once all of it is there: keep it, or throw it away.

    Returns:
        Why it is not what was listed; empty when it is, or is not all there yet.
    """
    if stored.complete or stored.received != stored.size:
        return ""
    with node.database.read() as connection:
        content = attachments.whole(connection, stored.digest)
    reason = node.tables.attachment_types.problem(listed, content)
    node.writer.call(attachments.finish, Verdict(digest=stored.digest, sound=not reason), WorkClass.BACKGROUND)
    return reason
