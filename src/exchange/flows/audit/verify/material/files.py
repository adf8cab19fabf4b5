"""The folder against its own list of files: whether it is as it was handed over. Proves nothing of the unit.

What is strange is named, and neither opened nor followed. What an auditor's own machine leaves behind (a desktop's
notes about icons, a second name that a copying tool gave) speaks against nobody: it is told, and refutes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder import manifest
from exchange.flows.audit.folder.disk import LINKED, MAX_FILES, Disk
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.manifest import ManifestLine
from exchange.flows.audit.folder.names import MANIFEST, REGISTERS, UNLISTED
from exchange.flows.audit.verify.claims import Against, ClaimNo
from exchange.flows.audit.verify.crew import Crew
from exchange.flows.audit.watching import HASHING, Watch

FILES: Final = 64
"""Files that a process takes at once."""

_LITTER: Final = frozenset(
    {
        ".ds_store",
        ".fseventsd",
        ".spotlight-v100",
        ".trashes",
        "$recycle.bin",
        "desktop.ini",
        "lost+found",
        "system volume information",
        "thumbs.db",
    }
)
"""What desktops and file systems leave on a disk by themselves, in lower case; and ``._`` files of macOS."""


def check_files(folder: Path, crew: Crew, watch: Watch, listed: dict[str, str]) -> Iterator[Against]:
    """Every file that is not as the list says, is not listed, or is listed and not there.

    Args:
        folder: The folder.
        crew: Who hashes.
        watch: Told how many files were hashed.
        listed: Filled with the SHA-256, in hex, that the list tells of the registers' files, by path: what is read
            again later is compared.
    """
    disk = Disk(folder)
    there: set[str] = set()
    linked: list[str] = []
    for found in disk.walk():
        if not found.problem:
            there.add(found.path)
        if found.problem:
            yield _against("FILE_STRANGE", found.path, detail=found.problem, proven=not _is_litter(found.path))
        elif found.linked:
            linked.append(found.path)
    if linked:
        yield _against("FILE_STRANGE", linked[0], detail=f"{LINKED} ({len(linked)})", proven=False)
    lines: dict[str, ManifestLine] = {}
    try:
        for line in islice(manifest.read(disk), MAX_FILES):
            lines[line.path] = line
    except FolderUnreadable as error:
        # Behind the place where it breaks off nothing is listed, and it would be told of every file.
        yield _against("MANIFEST_BROKEN", error.file, error.byte, error.detail)
        return
    for path in sorted(there - lines.keys() - UNLISTED):
        if _is_litter(path):
            yield _against("FILE_STRANGE", path, proven=False)
        else:
            yield _against("FILE_NOT_LISTED", path)
    for path in sorted(lines.keys() - there):
        yield _against("FILE_NOT_THERE", path)
    held = [lines[path] for path in sorted(lines.keys() & there)]
    listed.update((each.path, each.sha256) for each in held if each.path.startswith(f"{REGISTERS}/"))
    parts = [(folder, tuple(held[at : at + FILES])) for at in range(0, len(held), FILES)]
    seen = watch(HASHING, len(held))
    for (_, lines_), changed in zip(parts, crew.map(changed_files, parts), strict=True):
        seen(len(lines_))
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


def _is_litter(path: str) -> bool:
    return any(name.startswith("._") or name.lower() in _LITTER for name in path.split("/"))


def _against(code: str, file: str, byte: int | None = None, detail: str = "", *, proven: bool = True) -> Against:
    return Against(ClaimNo.MATERIAL, Finding(code=code, file=file, byte=byte, detail=detail, proven=proven))
