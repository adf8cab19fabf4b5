"""The folder against its own list of files: whether it is as it was handed over. Proves nothing of the unit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder import manifest
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.manifest import ManifestLine
from exchange.flows.audit.folder.names import MANIFEST, UNLISTED
from exchange.flows.audit.verify.claims import Against, ClaimNo
from exchange.flows.audit.verify.crew import Crew

FILES: Final = 64
"""Files that a process takes at once."""


def check_files(folder: Path, crew: Crew) -> Iterator[Against]:
    """Every file that is not as the list says, is not listed, or is listed and not there."""
    disk = Disk(folder)
    lines: dict[str, ManifestLine] = {}
    try:
        for line in manifest.read(disk):
            lines[line.path] = line
    except FolderUnreadable as error:
        # Behind the place where it breaks off nothing is listed, and it would be told of every file.
        yield _against("MANIFEST_BROKEN", error.file, error.byte, error.detail)
        return
    there: set[str] = set()
    try:
        there.update(disk.files())
    except FolderUnreadable as error:
        yield _against("FILE_STRANGE", error.file, detail=error.detail)
        return
    for path in sorted(there - lines.keys() - UNLISTED):
        yield _against("FILE_NOT_LISTED", path)
    for path in sorted(lines.keys() - there):
        yield _against("FILE_NOT_THERE", path)
    listed = [lines[path] for path in sorted(lines.keys() & there)]
    parts = [(folder, tuple(listed[at : at + FILES])) for at in range(0, len(listed), FILES)]
    for changed in crew.map(changed_files, parts):
        for path, detail in changed:
            yield _against("FILE_CHANGED", path, detail=detail)


def changed_files(part: tuple[Path, tuple[ManifestLine, ...]]) -> list[tuple[str, str]]:
    """Paths whose bytes are not those of the list, each with what is there."""
    folder, lines = part
    disk = Disk(folder)
    changed = []
    for line in lines:
        try:
            found = manifest.line_of(disk, line.path)
        except FolderUnreadable as error:
            changed.append((line.path, error.detail))
            continue
        if found != line:
            changed.append((line.path, f"sha256 {found.sha256} of {found.size} bytes, {MANIFEST} {line.sha256}"))
    return changed


def _against(code: str, file: str, byte: int | None = None, detail: str = "") -> Against:
    return Against(ClaimNo.MATERIAL, Finding(code=code, file=file, byte=byte, detail=detail))
