"""Time stamps in a folder: a third party's word beside the cosignatures, by authorities that the caller believes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exchange.crypto.timestamps import MAX_TOKEN_BYTES, TimestampRefused, verify_timestamp
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.about import LogAbout
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.verify.material.disk import Material
from exchange.tlog.checkpoint import parse_note
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import MAX_NOTE_BYTES, parse_decimal

NOTE, TOKEN = names.STAMPED, names.STAMP
REFUSED = "TIMESTAMP_REFUSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """A time stamp that holds: the log had these entries, under these signatures, at ``at`` at the latest.

    Attributes:
        log: Origin of the log.
        size: Entries.
        at: Time of the token.
        signer: Subject of its certificate.
    """

    log: str
    size: int
    at: datetime
    signer: str


def check_stamps(folder: Path, roots: bytes) -> Iterator[Stamp | Finding]:
    """Look at every token of a folder, log by log.

    1. The note beside it is a checkpoint of this log and of the size that its name says.
    2. Its root is that of the folder's own tiles at this size: the stamped log is the one that lies here.
    3. The token is over this note, by an authority that leads to the given roots.

    Who signed the note is not looked at: that is what the other claims are about.

    Args:
        folder: The exported folder.
        roots: Certificates of the authorities that are believed, PEM.

    Raises:
        FolderUnreadable: It does not say which logs it holds, or a link or device lies in it.
        CertificateUnreadable: The roots can not be read.
    """
    material, disk = Material(folder), Disk(folder)
    for log in material.logs:
        room = f"{log.folder}/{names.TIMESTAMPS}"
        for path in disk.files(room):
            if path.endswith(TOKEN):
                yield _check(material, disk, log, path, roots)
            elif disk.size(path.removesuffix(NOTE) + TOKEN) is None:
                yield Finding(code=REFUSED, log=log.origin, file=path, detail="a note without a token")


def _check(material: Material, disk: Disk, log: LogAbout, path: str, roots: bytes) -> Stamp | Finding:
    stem = path.removesuffix(TOKEN)
    try:
        size = parse_decimal(stem.rpartition("/")[2])
        note = disk.read(f"{stem}{NOTE}", MAX_NOTE_BYTES)
        token = disk.read(path, MAX_TOKEN_BYTES)
        if note is None or token is None:
            return Finding(code=REFUSED, log=log.origin, file=path, detail="a token without its note")
        _, checkpoint = parse_note(note)  # 1
        if (checkpoint.origin, checkpoint.size) != (log.origin, size):
            detail = f"the note is of {checkpoint.origin}, {checkpoint.size} entries"
            return Finding(code=REFUSED, log=log.origin, index=size, file=path, detail=detail)
        root = material.root_at(log, size)  # 2
        if root is None:
            detail = "the tiles to this size are not here"
            return Finding(code=REFUSED, log=log.origin, index=size, file=path, detail=detail, proven=False)
        if root != checkpoint.root:
            return Finding(code=REFUSED, log=log.origin, index=size, file=path, detail="another root than the tiles'")
        held = verify_timestamp(token, note, roots)  # 3
    except (LogFormatError, FolderUnreadable, TimestampRefused) as error:
        return Finding(code=REFUSED, log=log.origin, file=path, detail=str(error)[:200])
    return Stamp(log=log.origin, size=size, at=held.at, signer=held.signer)
