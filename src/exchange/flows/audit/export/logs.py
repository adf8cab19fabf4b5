"""One log as files: hash tiles, entry bundles, bodies, notes, kept leaves, and the tail that nobody cosigned.

Every file is made anew from the database and compared with what an earlier run left; what is the same stays. So a run
that was killed goes on where it was, a later run adds what came, and a body that was erased since leaves the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from exchange.flows.audit.export.files import Target
from exchange.flows.audit.export.scope import Scope
from exchange.flows.audit.export.shown import Shown
from exchange.flows.audit.export.stamps import write_stamps
from exchange.flows.audit.folder import bodies, names, ustar
from exchange.flows.audit.folder.about import LogAbout
from exchange.flows.audit.folder.bodies import Absent, BodyArchive
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.folder.reading import NOTES_EACH
from exchange.storage.engine.database import Connection, Database
from exchange.storage.engine.transaction import LogHead
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredCheckpoint, StoredEntry
from exchange.storage.registers import registers
from exchange.tlog import tiles
from exchange.tlog.errors import LogFormatError
from exchange.tlog.note import merge
from exchange.tlog.tiles import Run
from exchange.tlog.tree import leaf_hash

BODY_BYTES: Final = 8 << 20
"""Bytes of bodies in memory at once."""

NOTE_PAGE: Final = 512

TRIES: Final = 100
"""How often the bodies of the tail are begun again because one of them was erased meanwhile."""


@dataclass(frozen=True, slots=True)
class LogPlan:
    """A log at the moment of the export.

    Attributes:
        head: Its head; what is appended later is for the next export.
        checkpoint: The last note that another node cosigned, with every signature line; None without one.
        size: Entries of that checkpoint; 0 without one.
    """

    head: LogHead
    checkpoint: bytes | None
    size: int


def plan(connection: Connection, head: LogHead) -> LogPlan:
    """Look up what a log's checkpoint is now."""
    last = log_store.last_checkpoint(connection, head.id)
    if last is None:
        return LogPlan(head, None, 0)
    of_size = log_store.checkpoints(connection, head.id, last.size - 1, NOTE_PAGE)
    return LogPlan(head, _joined(of_size), last.size)


class _Erased(Exception):
    """A body was erased between looking and reading."""


class LogExport:
    """Writes one log.

    Args:
        target: The folder.
        database: Read in short views.
        log: What to write.
        scope: What is left out.
        seen: Told how many entries were written.
    """

    def __init__(
        self, target: Target, database: Database, log: LogPlan, scope: Scope, seen: Callable[[int], None]
    ) -> None:
        self._target = target
        self._database = database
        self._log = log
        self._head = log.head
        self._folder = names.log_folder(log.head.origin)
        self._is_journal = log.head.use == "journal"
        self._scope = scope
        self._shown = Shown(scope.withheld, scope.subject)
        self._chooses = scope.chooses(log.head)
        self._seen = seen
        self._bundles: list[tuple[int, int]] = []
        self.withheld = 0
        """Bodies that were left out because they may not be shown."""
        self._is_partial = scope.kind != "whole"

    def write(self) -> LogAbout:
        """Write it; what stands there afterwards is told."""
        for run in tiles.runs(self._log.size):
            with self._database.read() as connection:
                self._run(connection, run)
            self._seen(run.width)
        for level in tiles.levels(self._log.size)[1:]:
            self._upper(level)
        promised = self._promised() if self._scope.kind in ("whole", "range") else 0
        self._notes()
        write_stamps(self._target, self._database, self._head.id, self._log.size, self._folder)
        if self._log.checkpoint is not None:
            self._target.put(f"{self._folder}/{names.CHECKPOINT}", self._log.checkpoint)
        head = self._head
        return LogAbout(
            id=head.id,
            origin=head.origin,
            use=head.use,
            peer=head.peer,
            lane=head.lane,
            epoch=head.epoch,
            retired=head.retired,
            size=self._log.size,
            promised=promised,
            bundles=tuple(self._bundles) if self._is_partial else None,
        )

    # -- what the checkpoint covers ------------------------------------------------------------------------------

    def _run(self, connection: Connection, run: Run) -> None:
        entries = log_store.entries(connection, self._head.id, run.first, run.end, bodies=False)
        hashes = b"".join(leaf_hash(each.entry) for each in entries)
        self._put(f"{self._folder}/tile/0", run, hashes)
        absent = {} if self._is_journal else self._absent(connection, entries)
        if not self._is_chosen(entries, absent):
            return
        if self._is_partial:
            self._choose(run.number)
        self._put(f"{self._folder}/tile/entries", run, tiles.pack(each.entry for each in entries))
        if self._is_journal:
            self._leaves(connection, run)
        else:
            self._bodies(connection, run, absent)

    def _upper(self, level: int) -> None:
        for run in tiles.runs(tiles.hashes_at(self._log.size, level)):
            with self._database.read() as connection:
                read = log_store.node_reader(connection, self._head.id)
                hashes = read([(tiles.HEIGHT * level, index) for index in range(run.first, run.end)])
            self._put(f"{self._folder}/tile/{level}", run, b"".join(hashes))

    def _put(self, room: str, run: Run, content: bytes) -> None:
        path = f"{room}/{run.name()}"
        self._target.put(path, content)
        self._target.drop_partial(room, tiles.number_path(run.number), path)

    def _is_chosen(self, entries: Sequence[StoredEntry], absent: Mapping[int, Absent]) -> bool:
        if self._scope.subject:
            if self._is_journal:
                return False
            return any(each.index not in absent or absent[each.index].reason != names.OUT_OF_SCOPE for each in entries)
        return self._chooses is None or self._chooses(entries)

    def _choose(self, number: int) -> None:
        if self._bundles and self._bundles[-1][1] == number:
            self._bundles[-1] = (self._bundles[-1][0], number + 1)
        else:
            self._bundles.append((number, number + 1))

    def _absent(self, connection: Connection, entries: Sequence[StoredEntry]) -> dict[int, Absent]:
        if not entries:
            return {}
        missing = log_store.absent_bodies(connection, self._head.id, entries[0].index, entries[-1].index + 1)
        absent = self._shown.absent(connection, entries, missing)
        self.withheld += sum(each.reason == names.WITHHELD for each in absent.values())
        return absent

    def _bodies(self, connection: Connection, run: Run, absent: Mapping[int, Absent]) -> None:
        room = f"{self._folder}/{names.BODIES}"
        path = f"{room}/{run.name('.tar')}"
        if not self._is_same(path, run, absent):
            with self._target.stream(path) as file:
                file.write(bodies.write_absent(absent))
                for piece in self._body_pieces(connection, run.first, run.end, absent):
                    file.write(piece)
                file.write(ustar.END)
        self._target.drop_partial(room, tiles.number_path(run.number), path)

    def _body_pieces(
        self, connection: Connection, start: int, end: int, absent: Mapping[int, Absent]
    ) -> Iterator[bytes]:
        while start < end:
            page = log_store.entries(connection, self._head.id, start, end, max_bytes=BODY_BYTES)
            for each in page:
                if each.index in absent:
                    continue
                if each.body is None or each.salt is None:
                    raise _Erased
                yield bodies.write_body(each.index, each.body, each.salt)
            start += len(page)

    def _is_same(self, path: str, run: Run, absent: Mapping[int, Absent]) -> bool:
        """Whether the archive of an earlier run holds these bodies, whole. A body itself never changes."""
        if self._target.disk.size(path) is None:
            return False
        try:
            with self._target.disk.open(path) as file:
                archive = BodyArchive(file, path, run.first, run.end)
                return archive.absent == absent and all(index not in absent for index in archive.indices())
        except FolderUnreadable:
            return False

    def _leaves(self, connection: Connection, run: Run) -> None:
        content = self._kept(connection, run.first, run.end)
        room = f"{self._folder}/{names.LEAVES}"
        if content:
            self._put(room, run, content)
        else:
            self._target.drop_partial(room, tiles.number_path(run.number))

    def _kept(self, connection: Connection, first: int, end: int) -> bytes:
        """Leaves kept beside a stretch of steps."""
        kept = registers.kept_leaves(connection, self._head.id, first, end - first)
        return b"".join(
            index.to_bytes(8, "big") + len(packed).to_bytes(4, "big") + packed for index, packed in kept if index < end
        )

    # -- what it does not cover ----------------------------------------------------------------------------------

    def _promised(self) -> int:
        size, end = self._log.size, self._head.size
        entries_path = f"{self._folder}/{names.PROMISED_ENTRIES}"
        bodies_path = f"{self._folder}/{names.PROMISED_BODIES}"
        leaves_path = f"{self._folder}/{names.PROMISED_LEAVES}"
        if size >= end:
            self._target.remove(entries_path)
            self._target.remove(bodies_path)
            self._target.remove(leaves_path)
            return 0
        self._target.put_pieces(entries_path, (tiles.pack(e.entry for e in page) for page in self._pages(size, end)))
        if self._is_journal:
            self._target.put_pieces(leaves_path, self._promised_leaves(size, end))
        else:
            for left in reversed(range(TRIES)):
                try:
                    self._target.put_pieces(bodies_path, self._promised_bodies(size, end))
                    break
                except _Erased:
                    if not left:
                        raise
        self._seen(end - size)
        return end - size

    def _promised_leaves(self, start: int, end: int) -> Iterator[bytes]:
        for first in range(start, end, tiles.WIDTH):
            with self._database.read() as connection:
                yield self._kept(connection, first, min(end, first + tiles.WIDTH))

    def _pages(self, start: int, end: int) -> Iterator[list[StoredEntry]]:
        for first in range(start, end, tiles.WIDTH):
            with self._database.read() as connection:
                yield log_store.entries(connection, self._head.id, first, min(end, first + tiles.WIDTH), bodies=False)

    def _promised_bodies(self, start: int, end: int) -> Iterator[bytes]:
        absent: dict[int, Absent] = {}
        for first in range(start, end, tiles.WIDTH):
            with self._database.read() as connection:
                page = log_store.entries(connection, self._head.id, first, min(end, first + tiles.WIDTH), bodies=False)
                absent |= self._absent(connection, page)
        yield bodies.write_absent(absent)
        for first in range(start, end, tiles.WIDTH):
            with self._database.read() as connection:
                yield from self._body_pieces(connection, first, min(end, first + tiles.WIDTH), absent)
        yield ustar.END

    # -- notes ---------------------------------------------------------------------------------------------------

    def _notes(self) -> None:
        room = f"{self._folder}/{names.NOTES}"
        number, members = 0, []
        for size, note in self._sizes():
            members.append(ustar.member(str(size), note))
            if len(members) == NOTES_EACH:
                self._target.put(f"{room}/{tiles.number_path(number)}.tar", b"".join(members) + ustar.END)
                number, members = number + 1, []
        if members:
            self._target.put(f"{room}/{tiles.number_path(number)}.tar", b"".join(members) + ustar.END)

    def _sizes(self) -> Iterator[tuple[int, bytes]]:
        """Notes up to the checkpoint, smallest first; those of one size by several cosigners joined to one."""
        waiting: list[StoredCheckpoint] = []
        above = 0
        while True:
            with self._database.read() as connection:
                page = log_store.checkpoints(connection, self._head.id, above, NOTE_PAGE)
            page = [each for each in page if each.size <= self._log.size]
            is_last = len(page) < NOTE_PAGE
            for each in page:
                if waiting and waiting[0].size != each.size:
                    yield waiting[0].size, _joined(waiting)
                    waiting = []
                waiting.append(each)
            if is_last:
                if waiting:
                    yield waiting[0].size, _joined(waiting)
                return
            # The page may end amid the notes of one size: those are read again.
            above = waiting[0].size - 1
            waiting = []


def _joined(notes: Sequence[StoredCheckpoint]) -> bytes:
    """One note with the lines of all; over different texts (which nobody signs honestly) the first stays."""
    joined = notes[0].note
    for other in notes[1:]:
        try:
            joined = merge(joined, other.note)
        except LogFormatError:
            continue
    return joined
