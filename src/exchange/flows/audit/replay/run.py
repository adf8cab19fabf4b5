"""One replay: logs of a source into a database of their own, walked, and compared with what stands elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, Self

from exchange.domain.catalogues.tables import Tables
from exchange.flows.apply.again.ahead import Ahead
from exchange.flows.apply.again.replay import ReplayedStep, Stop, nowhere
from exchange.flows.apply.applier import ReplayedNode
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.processes import Helpers, pool, worth
from exchange.flows.audit.replay.causes import Beyond, explain
from exchange.flows.audit.replay.comparing import MAX_ROWS, Difference, Registers, compare
from exchange.flows.audit.replay.loading import Loader
from exchange.flows.audit.replay.walk import FAULTS, Walk, Walked, unreadable
from exchange.flows.audit.sources.source import Source
from exchange.flows.audit.watching import Watch, unwatched
from exchange.flows.instants import micros, micros_of
from exchange.storage.engine.scratch import Scratch
from exchange.storage.registers import canonical
from exchange.storage.registers.canonical import RegisterPosition, RowReader
from exchange.v1.journal_pb2 import JournalEntry

TRIES: Final = 3
"""Times that a comparison begins again because the node went on meanwhile."""


_HELPING: Final = ("exchange.flows.apply.again.ahead", "exchange.flows.audit.sources.exported")
"""Where the work of other processes is found."""


def until(index: int) -> Stop:
    """Stop before a line of the journal's newest epoch that is walked."""
    return lambda book, at, _event: not book.retired and at >= index


def as_of(instant: datetime) -> Stop:
    """Stop before the first line that is later than an instant."""
    limit = micros(instant)
    return lambda _book, _at, event: micros_of(event.at) > limit


def at_position(position: RegisterPosition) -> Stop:
    """Stop where registers stood when they were read."""
    return lambda book, at, _event: book.origin == position.journal and at >= position.size


class ReplayRun:
    """A replay of one node's logs.

    Args:
        source: The logs.
        tables: The tables of the domain.
        folder: Where the database is made; the system's place for temporary files when None.
        jobs: Processes that read, this one among them; 0: as many as the logs are worth.
    """

    def __init__(
        self,
        source: Source,
        tables: Tables,
        *,
        folder: Path | None = None,
        jobs: int = 0,
    ) -> None:
        self._stack = ExitStack()
        self._scratch = self._stack.enter_context(Scratch(folder))
        jobs = jobs or worth(sum(log.size for log in source.logs()))
        helpers = Helpers(self._stack.enter_context(pool(jobs - 1)), *_HELPING) if jobs > 1 else None
        self._loader = Loader(source, self._scratch.change, trees=False, helpers=helpers)
        node = ReplayedNode(name=source.node, federation=source.domain, tables=tables)
        ahead = None
        if helpers is not None:
            entries = self._scratch.entries_file
            ahead = Ahead(node.name, helpers.executor, entries, jobs - 1, lambda: helpers.have_begun)
        self._walk = Walk(node, self._scratch, ahead)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @property
    def done(self) -> Walked:
        """How far it came."""
        return self._walk.done

    @property
    def scratch(self) -> Scratch:
        """The database that it made."""
        return self._scratch

    def go(
        self,
        stop: Stop = nowhere,
        see: Callable[[ReplayedStep], None] = lambda _step: None,
        watch: Watch = unwatched,
    ) -> Iterator[Finding]:
        """Load what the source holds by now, and walk on. Findings come as they are met."""
        yield from self._loader.load(watch)
        self._scratch.share()
        yield from self._walk.on(stop, see, watch)

    def take_lines(self, lines: Iterator[tuple[str, int, JournalEntry]]) -> None:
        """Carry out lines of the journal behind those that were walked, as far as they change registers by themselves.

        Args:
            lines: Origin of the journal's epoch, index and line.
        """
        with self._scratch.read() as connection:
            books = {log.origin: log for log in canonical.journals(connection)}
        for origin, index, event in lines:
            if origin in books:
                self._walk.take(books[origin], index, event)

    def compare(self, found: Registers) -> Iterator[Finding]:
        """Every row that differs from other registers, with the entry that should have made it.

        Yields:
            ``REGISTERS_BEHIND`` where they stand before what was walked; ``REGISTER_ROW_DIFFERS``, ``…_MISSING`` and
            ``…_ADDED``; ``REGISTER_ROW_NEWER``, not proven, where a later step may have changed the row, and
            ``REGISTER_ROW_WITHHELD`` where it follows from a body that the source does not show;
            ``REGISTER_ROWS_MORE`` where there are more than are told one by one. Nothing where the walk broke off, and
            nothing proven, behind a ``PROJECTION_OTHER``, where another program made some of the rows.
        """
        if self._walk.halted:
            return
        try:
            yield from self._compare(found)
        except FolderUnreadable:
            raise
        except FAULTS as error:
            yield unreadable(self._walk.done.journal, self._walk.done.next - 1, error)

    def _compare(self, found: Registers) -> Iterator[Finding]:
        with self._scratch.read() as made:
            mine = canonical.position(made)
            for _ in range(TRIES):
                before = found.position()
                differences = list(islice(compare(RowReader(made, known_logs=False), found), MAX_ROWS + 1))
                theirs = found.position()
                if before.next_seq == theirs.next_seq:
                    break
            if theirs.next_seq < mine.next_seq:
                yield Finding(code="REGISTERS_BEHIND", detail=f"{theirs.next_seq} < {mine.next_seq}")
            beyond = _beyond(mine, theirs, differences)
            beyond.kept_back = self._loader.kept_back
            for finding in explain(made, differences[:MAX_ROWS], beyond):
                yield from self._walk.other.of_row(finding)
            if len(differences) > MAX_ROWS:
                yield Finding(code="REGISTER_ROWS_MORE", detail=f"> {MAX_ROWS}")


def _beyond(mine: RegisterPosition, theirs: RegisterPosition, differences: list[Difference]) -> Beyond:
    if theirs.next_seq <= mine.next_seq:
        return Beyond()
    beyond = Beyond(mine)
    for each in differences:
        row = each.found
        if each.register == "reg_records" and row is not None and row.get("seq", 0) >= mine.next_seq:
            beyond.records.add((row["origin"], row["record_id"], row["revision"]))
    return beyond
