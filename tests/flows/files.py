"""Attachments that tests hand in: bytes of each sort, how a record lists them, and how they get to a node."""

from __future__ import annotations

from hashlib import sha256

from exchange.flows.intake.attachments import UploadFlow
from exchange.flows.intake.submit import SubmitFlow
from exchange.storage.intake import attachments
from exchange.storage.intake.attachments import PART_BYTES
from exchange.v1.common_pb2 import Attachment
from exchange.v1.record_pb2 import Record
from exchange.v1.submission_service_pb2 import UploadAttachmentRequest, UploadAttachmentResponse
from tests.domain import records
from tests.world import Runtime, World

PDF, OFD = "application/pdf", "application/ofd"
HEADS = {
    PDF: b"%PDF-1.7\n",
    OFD: b"PK\x03\x04OFD.xml",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
}


class Everybody:
    """Agencies that may submit."""

    def submits(self, _agency: str) -> bool:
        """Every one."""
        return True


def made_file(size: int, number: int = 0, media_type: str = PDF) -> bytes:
    """A file of a size: the beginning of its type, and bytes that do not repeat from piece to piece."""
    head = HEADS[media_type]
    block = sha256(str(number).encode()).digest()
    rest = b"".join(sha256(block + place.to_bytes(4, "big")).digest() for place in range(size // 32 + 1))
    return (head + rest)[:size]


def listed(content: bytes, media_type: str = PDF, name: str = "处罚决定书.pdf", salt: bytes = b"s" * 32) -> Attachment:
    """How a record lists a file."""
    found = Attachment(name=name, media_type=media_type, size=len(content))
    found.digests.add(algorithm="SHA-256", digest=sha256(salt + content).digest(), salt=salt)
    return found


def penalty(attachment: Attachment, number: int = 1) -> Record:
    """A penalty of cq with a decision attached."""
    record = records.penalty()
    record.penalty_notice.decision_no = f"演环罚〔2025〕附{number}号"
    record.header.attachments.append(attachment)
    return record


def uploads(runtime: Runtime) -> UploadFlow:
    """The door of a node of the world."""
    door: SubmitFlow = runtime.core.submit
    return UploadFlow(runtime.node, Everybody(), door.admit)  # type: ignore[arg-type]


def hand_in(runtime: Runtime, attachment: Attachment, content: bytes, start: int = 0) -> UploadAttachmentResponse:
    """Hand a file in, piece by piece from a byte on."""
    answer = UploadAttachmentResponse()
    for offset in range(start, len(content), PART_BYTES):
        piece = content[offset : offset + PART_BYTES]
        request = UploadAttachmentRequest(attachment=attachment, offset=offset, content=piece)
        answer = uploads(runtime).upload("agency", request, runtime.node.clock())
    return answer


def held(world: World, name: str, attachment: Attachment) -> bytes | None:
    """The whole of an attachment as a node holds it; None while it does not."""
    with world.nodes[name].database.read() as connection:
        digest = attachments.name_of(attachment)
        found = attachments.held(connection, digest)
        return attachments.whole(connection, digest) if found is not None and found.complete else None
