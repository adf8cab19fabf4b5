"""An exported folder as a source of logs. What its hashes and signatures are worth, others look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from exchange.crypto.timestamps import MAX_TOKEN_BYTES
from exchange.domain.problems import Problem, Refused
from exchange.domain.validation.limits import ATTACHMENT_BYTES
from exchange.flows.audit.folder import names
from exchange.flows.audit.folder.about import LogAbout
from exchange.flows.audit.folder.bodies import BodyArchive
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.reading import Folder, LogFolder
from exchange.flows.audit.sources.source import PartRead, SourceEntry, SourceLog, SourceStamp
from exchange.tlog import tiles
from exchange.tlog.note import MAX_NOTE_BYTES

_DIGITS = 19
"""A size has fewer."""

BUNDLES: Final = 2
"""Bundles of a part: 512 entries."""


@dataclass(frozen=True, slots=True)
class BundlePart:
    """Some bundles of a log.

    Attributes:
        log: The log.
        runs: Which bundles.
        start: Index that the first entry of interest stands at.
    """

    log: LogFolder
    runs: tuple[tiles.Run, ...]
    start: int

    def __iter__(self) -> Iterator[SourceEntry]:
        """The entries in order, one body at a time in memory.

        Raises:
            FolderUnreadable: A bundle, or the archive of its bodies, is not there or not of the form.
        """
        for run in self.runs:
            bundle = self.log.bundle(run)
            if bundle is None:
                raise FolderUnreadable(self.log.bundle_path(run), "not there")
            with self.log.bodies(run) as archive:
                if archive is None and self.log.about.use != "journal":
                    raise FolderUnreadable(self.log.bodies_path(run), "not there")
                for each in _joined(run.first, bundle, archive):
                    if each.index >= self.start:
                        yield each

    def read(self, limit: int) -> PartRead:
        """The entries in order.

        Raises:
            FolderUnreadable: A bundle, or the archive of its bodies, is not there or not of the form.
        """
        found: list[SourceEntry] = []
        size = 0
        for each in self:
            size += len(each.entry) + len(each.body or b"")
            if size > limit:
                return PartRead(found, each.index)
            found.append(each)
        return PartRead(found)


def source_log(about: LogAbout) -> SourceLog:
    """A log as export.json tells of it."""
    return SourceLog(
        number=about.id,
        origin=about.origin,
        use=about.use,
        peer=about.peer,
        lane=about.lane,
        epoch=about.epoch,
        retired=about.retired,
        proven=about.size,
        size=about.size + about.promised,
    )


class ExportedLogs:
    """The logs of a folder; looked at anew each time that the logs are listed, as the folder may grow.

    Args:
        root: The folder.

    Raises:
        FolderUnreadable: It is no exported folder, or one that was not finished.
        Refused: ``EXPORT_NOT_WHOLE``: it holds a part of the logs only.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = self._open()
        self.node = self._folder.about.node
        self.domain = self._folder.about.domain

    def _open(self) -> Folder:
        folder = Folder(self._root)
        if not folder.about.is_whole:
            raise Refused([Problem("EXPORT_NOT_WHOLE", str(self._root), str(folder.about.scope.get("kind", "")))])
        return folder

    def logs(self) -> list[SourceLog]:
        """Every log, in order of number."""
        self._folder = self._open()
        return [source_log(each.about) for each in self._folder.logs]

    def _log(self, log: SourceLog) -> LogFolder:
        found = self._folder.log(log.origin)
        if found is None:
            raise FolderUnreadable(log.origin, "the log is not there any more")
        return found

    def entries(self, log: SourceLog, start: int) -> Iterator[SourceEntry]:
        """Entries from ``start`` to the log's size, in order.

        Raises:
            FolderUnreadable: A bundle, or the archive of its bodies, is not there or not of the form.
        """
        found = self._log(log)
        for part in self.parts(log, start):
            yield from part
        if log.size > log.proven:
            with found.promised_bodies() as archive:
                for each in _joined(log.proven, found.promised(), archive):
                    if each.index >= start:
                        yield each

    def parts(self, log: SourceLog, start: int) -> Iterator[BundlePart]:
        """What is proven of a log from ``start`` on, in parts of some hundred entries."""
        runs = tiles.runs(log.proven, start // tiles.WIDTH)
        while some := tuple(islice(runs, BUNDLES)):
            yield BundlePart(self._log(log), some, start)

    def notes(self, log: SourceLog, above: int) -> Iterator[bytes]:
        """Its stored cosigned notes of sizes beyond ``above``, smallest first; the checkpoint itself is the last.

        Raises:
            FolderUnreadable: An archive is not of the form.
        """
        found, last = self._log(log), above
        for size, note in found.notes(above):
            last = size
            yield note
        checkpoint = found.checkpoint()
        if checkpoint is not None and log.proven > last:
            yield checkpoint

    def leaves(self, log: SourceLog, start: int) -> Iterator[tuple[int, bytes]]:
        """The digest leaves that were kept beside the journal's steps, from an index on."""
        found = self._log(log)
        for run in tiles.runs(log.proven, start // tiles.WIDTH):
            for index, packed in found.leaves(run):
                if index >= start:
                    yield index, packed
        for index, packed in found.promised_leaves():
            if index >= start:
                yield index, packed

    def stamps(self, log: SourceLog) -> Iterator[SourceStamp]:
        """The time stamps of its checkpoints, smallest first.

        Raises:
            FolderUnreadable: A file of them can not be read.
        """
        found = self._log(log)
        sizes = set()
        for path in self._folder.disk.files(found.path(names.TIMESTAMPS)):
            stem, dot, kind = path.rpartition("/")[2].rpartition(".")
            if dot + kind == names.STAMP and stem.isascii() and stem.isdecimal() and len(stem) < _DIGITS:
                sizes.add(int(stem))
        for size in sorted(sizes):
            stem = found.path(f"{names.TIMESTAMPS}/{size}")
            note = self._folder.disk.read(f"{stem}{names.STAMPED}", MAX_NOTE_BYTES)
            token = self._folder.disk.read(f"{stem}{names.STAMP}", MAX_TOKEN_BYTES)
            if note is not None and token is not None:
                yield SourceStamp(size, note, token)

    def attachment(self, digest: bytes) -> bytes | None:
        """The bytes of an attachment, where the export has them.

        Raises:
            FolderUnreadable: The file is larger than any attachment, or can not be read.
        """
        name = digest.hex()
        return self._folder.disk.read(f"{names.ATTACHMENTS}/{name[:2]}/{name}", ATTACHMENT_BYTES)


def _joined(first: int, entries: Iterator[bytes] | list[bytes], archive: BodyArchive | None) -> Iterator[SourceEntry]:
    """Entries with the bodies beside them."""
    absent = archive.absent if archive is not None else {}
    bodies = archive.bodies() if archive is not None else iter(())
    for index, entry in enumerate(entries, first):
        if archive is None:
            yield SourceEntry(index, entry, None, None)
        elif index in absent:
            yield SourceEntry(index, entry, None, None, absent[index].reason)
        else:
            body = next(bodies)
            yield SourceEntry(index, entry, body.salt, body.body)
    next(bodies, None)  # whatever stands behind the last one is refused
