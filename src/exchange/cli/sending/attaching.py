"""Files that are attached to a record: how they are listed, and how they get to the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exchange.cli.adapter_set import domain_tables
from exchange.crypto.mac import hmac_sha256
from exchange.domain.problems import Problem, Refused
from exchange.domain.validation.limits import ATTACHMENT_BYTES
from exchange.v1.common_pb2 import Attachment
from exchange.v1.submission_service_pb2 import UploadAttachmentRequest, UploadAttachmentResponse

if TYPE_CHECKING:
    from exchange.rpc.client import Client

PIECE_BYTES: Final = 1 << 20
"""Bytes of one call, as many as a node takes."""


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file to attach.

    Attributes:
        listed: As the record lists it.
    """

    path: Path
    listed: Attachment
    content: bytes


def read_attachments(paths: Sequence[Path], key: bytes) -> tuple[AttachedFile, ...]:
    """Read files and say how a record lists them.

    The salt follows from the caller's private key and the file: the same file is listed the same way again, so that the
    same command is the same call, and nobody without the key can test a guess at the file against the digest.

    Args:
        paths: The files.
        key: The caller's private key, as it lies in its file.

    Raises:
        Refused: ``ATTACHMENT_TYPE``, ``ATTACHMENT_INVALID``: such a file is not taken; ``FILE_MISSING``.
    """
    types, problems, found = domain_tables().attachment_types, [], []
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            problems.append(Problem("FILE_MISSING", str(path), error.strerror or ""))
            continue
        known = types.of_name(path.name)
        if known is None or not known.fits(content):
            problems.append(Problem("ATTACHMENT_TYPE", str(path)))
            continue
        if len(content) > ATTACHMENT_BYTES:
            problems.append(Problem("ATTACHMENT_INVALID", str(path), f"{len(content)} > {ATTACHMENT_BYTES}"))
            continue
        salt = hmac_sha256(key, b"attachment salt" + sha256(content).digest())
        listed = Attachment(name=path.name, media_type=known.media_type, size=len(content))
        listed.digests.add(algorithm="SHA-256", digest=sha256(salt + content).digest(), salt=salt)
        found.append(AttachedFile(path, listed, content))
    if problems:
        raise Refused(problems)
    return tuple(found)


def upload(client: Client, call: Callable[[Any, Any], Any], files: Sequence[AttachedFile]) -> Iterator[int]:
    """Hand files in, each from where the node has it; gives the bytes of each piece.

    Args:
        client: The connection.
        call: Makes a call, and makes it again as long as that may help.
        files: The files.

    Raises:
        CallFailed: Refused, or no answer.
    """
    method = client.submissions.UploadAttachment
    for file in files:
        answer: UploadAttachmentResponse = call(method, UploadAttachmentRequest(attachment=file.listed))
        while not answer.complete:
            start = answer.received
            piece = file.content[start : start + PIECE_BYTES]
            answer = call(method, UploadAttachmentRequest(attachment=file.listed, offset=start, content=piece))
            yield len(piece)
