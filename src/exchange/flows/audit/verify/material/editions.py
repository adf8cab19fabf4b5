"""The editions that lie beside the logs, against what the journal says of them: who brought which in, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256

from google.protobuf.message import DecodeError

from exchange.domain.journal_parts import PartsUnreadable, join, pieces_of
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.about import LogAbout
from exchange.flows.audit.folder.disk import Disk
from exchange.flows.audit.folder.editions import HISTORY, MAX_HISTORY_BYTES, EditionLine, edition_line
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.verify.claims import Against, ClaimNo
from exchange.flows.audit.verify.material.disk import Material
from exchange.tlog.tiles import WIDTH, run_of
from exchange.v1.journal_pb2 import JournalEntry

PIECE = 1 << 20
"""Bytes hashed at once."""

CODE = "EDITIONS_DIFFER"


def check_editions(
    disk: Disk, material: Material, told: Iterable[EditionLine], joined: Iterable[tuple[str, int]]
) -> Iterator[Against]:
    """Everything in which history and editions differ from the journal.

    1. Each line of the history is the one that its line of the journal gives, and none is missing.
    2. The bytes of each edition are there, and no others.

    Of a part of the journal only what is here is looked at.

    Args:
        disk: The folder as files.
        material: The folder.
        told: What the journal's lines give.
        joined: Log and index of lines that stand for several entries.
    """
    logs = {log.origin: log for log in material.logs}
    wanted = {(each.log, each.index): each for each in told}
    for origin, index in joined:
        found = _joined(material, logs[origin], index)
        if found is not None:
            wanted[origin, index] = found
    # 1
    left = dict(wanted)
    try:
        history = disk.read(HISTORY, MAX_HISTORY_BYTES)
    except FolderUnreadable as error:
        yield _against(error.file, byte=error.byte, detail=error.detail)
        return
    if history is None:
        yield _against(HISTORY, detail="not there")
        return
    at = 0
    for line in history.splitlines(keepends=True):
        key = _key(line)
        given = left.pop(key, None) if key is not None else None
        if given is None or given.line != line:
            log = logs.get(key[0]) if key is not None else None
            if key is None or log is None or _is_here(log, key[1]):
                yield _against(
                    HISTORY,
                    log=log.origin if log is not None else "",
                    index=key[1] if key is not None and log is not None else None,
                    byte=at,
                    detail="the journal has no such line",
                )
        at += len(line)
    for each in left.values():
        yield _against(HISTORY, log=each.log, index=each.index, detail="the journal's line is not in it")
    # 2
    files = {each.path: each for each in wanted.values()}
    for path, each in sorted(files.items()):
        problem = _content(disk, each)
        if problem:
            yield _against(path, log=each.log, index=each.index, detail=problem)
    for met in disk.walk(names.EDITIONS):
        if material.whole and not met.problem and met.path not in files and met.path != HISTORY:
            yield _against(met.path, detail="the journal brought in no such edition")


def _joined(material: Material, log: LogAbout, index: int) -> EditionLine | None:
    """The edition of a line that stands for pieces; None where it brings none in, or can not be joined."""
    raw = _entry(material, log, index)
    try:
        line = JournalEntry.FromString(raw)
        pieces = [_entry(material, log, each) for each in pieces_of(line, index)]
        made = edition_line(log.origin, index, join(line, pieces))
    except (DecodeError, PartsUnreadable):
        return None
    return made[0] if made is not None else None


def _entry(material: Material, log: LogAbout, index: int) -> bytes:
    run = run_of(log.size, index // WIDTH) if index < log.size else None
    entries = material.entries(log, run) if run is not None else material.promised(log)
    at = index % WIDTH if run is not None else index - log.size
    return entries.found[at][1] if at < len(entries.found) else b"\xff"


def _is_here(log: LogAbout, index: int) -> bool:
    return index >= log.size or log.has_bundle(index // WIDTH)


def _key(line: bytes) -> tuple[str, int] | None:
    try:
        origin, index, *_ = line.decode("utf-8").split("\t")
    except ValueError:
        return None
    return (origin, int(index)) if index.isascii() and index.isdecimal() and len(index) < 19 else None


def _content(disk: Disk, told: EditionLine) -> str:
    """Why the bytes of an edition are not those that the journal has; empty when they are."""
    digest = sha256()
    try:
        with disk.open(told.path) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    except FolderUnreadable as error:
        return error.detail
    return "" if digest.hexdigest() == told.digest else f"sha256 {digest.hexdigest()}"


def _against(
    file: str, *, log: str = "", index: int | None = None, byte: int | None = None, detail: str = ""
) -> Against:
    return Against(ClaimNo.MATERIAL, Finding(code=CODE, log=log, index=index, file=file, byte=byte, detail=detail))
