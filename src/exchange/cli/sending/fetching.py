"""Fetching an attachment into a file: from where an earlier try ended, and whole only when its digests say so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exchange.cli.adapter_set import domain_tables
from exchange.domain.problems import Problem, Refused
from exchange.v1.common_pb2 import Attachment, RecordRef
from exchange.v1.record_service_pb2 import GetAttachmentRequest

if TYPE_CHECKING:
    from exchange.rpc.client import Client


def fetch_attachment(client: Client, ref: RecordRef, place: int, output: Path | None) -> tuple[Attachment, Path]:
    """Fetch one attachment of a record.

    What came is kept in ``NAME.part`` beside the file, and is gone on from the next time.

    Args:
        client: The connection.
        ref: The record.
        place: Place of the attachment in its header, from 0.
        output: Where to write; None: by the attachment's name, in this folder.

    Returns:
        The attachment as the record lists it, and the file.

    Raises:
        CallFailed: Refused, or the connection was lost: the same command goes on.
        Refused: The bytes are not what the record lists; nothing of them is kept.
    """
    begun = Path(f"{output}.part") if output is not None else Path(f"{ref.record_id}-{place + 1}.part")
    offset = begun.stat().st_size if begun.exists() else 0
    listed = Attachment()
    with begun.open("ab") as file:
        request = GetAttachmentRequest(ref=ref, place=place, offset=offset)
        for piece in client.stream(client.records.GetAttachment, request):
            if piece.HasField("attachment"):
                listed.CopyFrom(piece.attachment)
            file.write(piece.content)
    content = begun.read_bytes()
    reason = domain_tables().attachment_types.problem(listed, content)
    if reason:
        begun.unlink()
        raise Refused([Problem(reason, str(output or listed.name))])
    # The name is somebody else's: no folder of it is followed.
    target = output or Path(Path(listed.name.replace("\\", "/")).name or begun.stem)
    begun.replace(target)
    return listed, target
