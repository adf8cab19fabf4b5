"""Attachments: which media types are taken, and whether bytes are what the record says of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from exchange.domain.catalogues.table_file import Row
from exchange.domain.validation.limits import ATTACHMENT_BYTES
from exchange.v1.common_pb2 import Attachment

DIGEST_BYTES: Final = 32
"""Of SHA-256."""

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]+")
_ENDING = re.compile(r"\.[a-z0-9]{1,8}")


@dataclass(frozen=True, kw_only=True, slots=True)
class AttachmentType:
    """One media type.

    Attributes:
        magic: First bytes of every such file.
        contains: A text that stands somewhere in it; empty where the first bytes say enough.
    """

    media_type: str
    ending: str
    magic: bytes
    contains: bytes

    def fits(self, content: bytes) -> bool:
        """Whether bytes are of this type, as far as that shows without opening them."""
        return content.startswith(self.magic) and self.contains in content


@dataclass(frozen=True, slots=True)
class AttachmentTypes:
    """The media types that are taken."""

    by_type: Mapping[str, AttachmentType]

    def of_name(self, name: str) -> AttachmentType | None:
        """The type of a file by its ending; None where such files are not taken."""
        lower = name.lower().replace(".jpeg", ".jpg")
        return next((each for each in self.by_type.values() if lower.endswith(each.ending)), None)

    def takes(self, attachment: Attachment) -> bool:
        """Whether such an attachment is fetched and kept at all: digests, size and type are as a record may list."""
        return (
            len(attachment.digests) > 0
            and all(
                each.algorithm == "SHA-256" and len(each.digest) == DIGEST_BYTES and each.salt
                for each in attachment.digests
            )
            and 1 <= attachment.size <= ATTACHMENT_BYTES
            and attachment.media_type in self.by_type
        )

    def problem(self, attachment: Attachment, content: bytes) -> str:
        """Why bytes are not what a record lists: a reason code, empty when they are.

        1. size
        2. every digest, over its salt and the bytes
        3. media type, which is in the list and shows in the bytes
        """
        if len(content) != attachment.size:
            return "ATTACHMENT_SIZE"
        for digest in attachment.digests:
            if hashlib.sha256(digest.salt + content).digest() != digest.digest:
                return "ATTACHMENT_DIGEST"
        known = self.by_type.get(attachment.media_type)
        return "" if known is not None and known.fits(content) else "ATTACHMENT_TYPE"


def load_attachment_types(file: Row) -> AttachmentTypes:
    """Read ``attachment_types.toml``.

    Raises:
        TableError: A type is listed twice or has no first bytes.
    """
    for head in ("edition", "source", "status"):
        file.text(head)
    found: dict[str, AttachmentType] = {}
    for row in file.rows("type"):
        media_type, ending, magic = row.text("media_type"), row.text("ending"), row.text("magic")
        row.text("name")
        if not _MEDIA_TYPE.fullmatch(media_type) or media_type in found:
            raise row.wrong("media_type", "is no media type, or is listed twice")
        if not _ENDING.fullmatch(ending):
            raise row.wrong("ending", "is a dot and lower case letters or digits")
        if len(magic) < 4 or len(magic) % 2 or not re.fullmatch(r"[0-9a-f]+", magic):
            raise row.wrong("magic", "is at least two bytes in hex")
        contains = row.text("contains", "-").removeprefix("-").encode()
        found[media_type] = AttachmentType(
            media_type=media_type, ending=ending, magic=bytes.fromhex(magic), contains=contains
        )
        row.end()
    file.end()
    return AttachmentTypes(found)
