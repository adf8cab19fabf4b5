"""The editions that lie beside the logs, against what the journal says of them: who brought which in, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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

_OF_ONE = frozenset({"ENTRY_CHANGED", "ENTRY_UNREADABLE"})
_OF_BUNDLES = frozenset({"BUNDLE_MALFORMED", "BUNDLE_MISSING", "READ_AGAIN_DIFFERS"})
"""What is found of one entry, of 256; all else is about the log."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """Entries that are not the ones that were signed, or not there: what they say of editions is nobody's word.

    Attributes:
        entries: Log and index.
        bundles: Log and number of bundles that hold some.
        logs: Logs of which nobody knows where they are.
    """

    entries: frozenset[tuple[str, int]] = frozenset()
    bundles: frozenset[tuple[str, int]] = frozenset()
    logs: frozenset[str] = frozenset()

    @classmethod
    def by(cls, findings: Iterable[Against]) -> Doubted:
        """What speaks against the entries of some logs."""
        entries, bundles, logs = set(), set(), set()
        for each in findings:
            found = each.finding
            if each.no not in (ClaimNo.ENTRIES_UNCHANGED, ClaimNo.NONE_MISSING):
                continue
            if found.index is not None and found.code in _OF_ONE:
                entries.add((found.log, found.index))
            elif found.index is not None and found.code in _OF_BUNDLES:
                bundles.add((found.log, found.index // WIDTH))
            else:
                logs.add(found.log)
        return cls(frozenset(entries), frozenset(bundles), frozenset(logs))

    def holds(self, log: str, index: int) -> bool:
        """Whether an entry may be one of them."""
        return log in self.logs or (log, index // WIDTH) in self.bundles or (log, index) in self.entries

    def any_of(self, log: str) -> bool:
        """Whether any entry of a log may be."""
        return log in self.logs or any(each == log for each, _ in self.bundles | self.entries)


def check_editions(
    disk: Disk,
    material: Material,
    told: Iterable[EditionLine],
    joined: Iterable[tuple[str, int]],
    doubted: Doubted,
) -> Iterator[Against]:
    """Everything in which history and editions differ from the journal.

    1. Each line of the history is the one that its line of the journal gives, and none is missing.
    2. The bytes of each edition are there, and no others.

    Of a part of the journal only what is here is looked at, and nothing is told by entries that are in doubt.

    Args:
        disk: The folder as files.
        material: The folder.
        told: What the journal's lines give.
        joined: Log and index of lines that stand for several entries.
        doubted: Entries that say nothing.
    """
    logs = {log.origin: log for log in material.logs}
    wanted = {(each.log, each.index): each for each in told}
    unsure: set[tuple[str, int]] = set()
    for origin, index in joined:
        found = _joined(material, logs[origin], index)
        if found is not None:
            wanted[origin, index] = found
        elif doubted.any_of(origin):
            unsure.add((origin, index))  # one of its pieces may be what is in doubt
    wanted = {place: each for place, each in wanted.items() if not doubted.holds(*place)}
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
            is_open = key is not None and (doubted.holds(*key) or key in unsure)
            if key is None or log is None or (_is_here(log, key[1]) and not is_open):
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
    whole = material.whole and not any(doubted.any_of(log.origin) for log in material.logs if log.is_journal)
    for met in disk.walk(names.EDITIONS):
        if whole and not met.problem and met.path not in files and met.path != HISTORY:
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
