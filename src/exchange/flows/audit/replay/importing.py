"""Putting a node's exported logs into an empty database: logs first, then the registers that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from exchange.domain.catalogues.tables import Tables
from exchange.domain.problems import Problem, Refused
from exchange.flows.apply.again.rebuild import rebuild
from exchange.flows.apply.again.replay import epochs
from exchange.flows.apply.applier import ReplayedNode
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.folder.errors import FolderUnreadable
from exchange.flows.audit.replay.beside import Beside, FromJournal, Submissions, is_seed_of
from exchange.flows.audit.replay.loading import Loader
from exchange.flows.audit.replay.program import OtherProgram
from exchange.flows.audit.replay.stamps import Stamps
from exchange.flows.audit.replay.walk import FAULTS, other_digest, unreadable
from exchange.flows.audit.sources.source import Source
from exchange.flows.audit.watching import WALKING, Watch, unwatched
from exchange.flows.instants import micros_of
from exchange.flows.status import RESTORED, set_flags
from exchange.storage.engine.database import DATABASE_ERRORS, Database
from exchange.storage.engine.migrate import migrate
from exchange.storage.engine.transaction import Transaction
from exchange.storage.intake import attachments
from exchange.storage.intake.attachments import Piece, Use, Verdict
from exchange.storage.logs import log_store
from exchange.v1.common_pb2 import Attachment


@dataclass(slots=True)
class Imported:
    """What was put there.

    Attributes:
        entries: Entries of all logs.
        steps: Steps that made the registers.
        beside: What came back beside them.
        findings: What does not fit; nothing of it keeps the import from ending.
    """

    logs: int = 0
    entries: int = 0
    steps: int = 0
    beside: Beside = field(default_factory=Beside)
    findings: list[Finding] = field(default_factory=list)


def import_logs(
    source: Source,
    url: str,
    tables: Tables,
    watch: Watch = unwatched,
    *,
    seed: bytes | None = None,
    tsa_roots: bytes = b"",
) -> Imported:
    """Restore a node's logs into an empty database, and its registers by walking them.

    The node is marked as restored: its start signs nothing before its peers have shown what they hold. Submissions
    come back by the tags of their entries, so that a call that is made again gets its first answer; quarantine, open
    alarms and the state of lanes by the journal, attachments and time stamps where the source has them. Documents come
    from nowhere.

    A crash leaves a database that is not empty, which is refused the next time: begin again with another one.

    Args:
        source: The logs.
        url: The database.
        tables: The tables of the domain.
        watch: Told of entries that are read, and of lines of the journal that are walked.
        seed: The node's first log seed; without it, or with another, no submission can be found again: none is made.
        tsa_roots: Authorities whose time stamps are believed, PEM; without them none is kept.

    Raises:
        Refused: ``DATABASE_NOT_EMPTY``, ``DATABASE_SCHEMA``; ``DATABASE_ERROR``: it can not be made or reached.
    """
    database = _made(url)
    done = Imported()
    try:
        with database.read() as connection:
            if log_store.heads(connection):
                raise Refused([Problem("DATABASE_NOT_EMPTY", "database.url")])
        with database.writer_connection() as writer:

            @contextmanager
            def change() -> Iterator[Transaction]:
                with writer.begin():
                    tx = Transaction(writer, is_sqlite=database.is_sqlite)
                    yield tx
                    tx.flush()

            with change() as tx:
                # First: an import that is cut off leaves nothing that signs.
                set_flags(tx, ((RESTORED, "1"),))
            sent = Submissions(seed) if seed is not None and is_seed_of(seed, source) else None
            number = sent.number if sent is not None else None
            done.findings += Loader(source, change, trees=True, number=number).load(watch)
            done.beside.submissions = sent.count if sent is not None else None

            def run(visit: Callable[[Transaction], None]) -> None:
                with change() as tx:
                    visit(tx)

            done.findings += _beside(database, run, done.beside)
        node = ReplayedNode(name=source.node, federation=source.domain, tables=tables)
        place = ("", 0)
        other = OtherProgram()
        listed: list[tuple[Use, int]] = []
        try:
            with database.read() as connection:
                seen = watch(WALKING, sum(end for _, end in epochs(connection)))
            for step in rebuild(node, database, database, lambda _book, _index, _event: bool(seen(1))):
                done.steps += 1
                place = step.journal, step.index
                listed += [
                    (Use(log_id=step.plan.source.id, index=index, attachment=each), micros_of(step.event.at))
                    for index, each in step.plan.attached
                ]
                other.see(step)
                if not step.agrees:
                    done.findings += other.of_step(other_digest(step))
        except FAULTS as error:
            done.findings.append(unreadable(*place, error))
        done.findings += _put_attachments(source, database, tables, listed, done.beside)
        done.findings += _put_stamps(source, database, tsa_roots, done.beside)
        with database.read() as connection:
            heads = log_store.heads(connection)
        done.logs, done.entries = len(heads), sum(log.size for log in heads)
        database.checkpoint_wal(truncate=True)
    finally:
        database.dispose()
    return done


def _made(url: str) -> Database:
    """A database with this program's tables."""
    try:
        migrate(url)
    except (OSError, *DATABASE_ERRORS) as error:
        raise Refused([Problem("DATABASE_ERROR", "database.url", str(error).partition("\n")[0][:200])]) from None
    return Database(url)


def _beside(
    database: Database, run: Callable[[Callable[[Transaction], None]], None], done: Beside
) -> Iterator[Finding]:
    """What the journal's lines leave open; nothing of it where one can not be read, or put."""
    try:
        told = FromJournal()
        with database.read() as connection:
            told.read(connection)
        told.put(run, done)
    except FAULTS as error:
        yield unreadable("", 0, error)


def _put_stamps(source: Source, database: Database, roots: bytes, done: Beside) -> Iterator[Finding]:
    with database.writer_connection() as writer:

        def run(visit: Callable[[Transaction], object]) -> None:
            with writer.begin():
                tx = Transaction(writer, is_sqlite=database.is_sqlite)
                visit(tx)
                tx.flush()

        stamps = Stamps(source, database, roots)
        yield from stamps.put(run)
    done.timestamps, done.timestamps_left = stamps.kept, stamps.left


def _put_attachments(
    source: Source, database: Database, tables: Tables, listed: list[tuple[Use, int]], done: Beside
) -> Iterator[Finding]:
    """What records list is put where the source has it; the rest is missing from now on: a node fetches its peers'."""
    put: set[bytes] = set()
    with database.writer_connection() as writer:
        for use, at in listed:
            digest = attachments.name_of(use.attachment)
            content = None
            try:
                content = source.attachment(digest) if digest not in put else None
            except FolderUnreadable as error:
                yield Finding(code=error.reason, file=error.file, detail=error.detail, proven=False)
            if content is not None and tables.attachment_types.problem(use.attachment, content):
                content = None
            with writer.begin():
                tx = Transaction(writer, is_sqlite=database.is_sqlite)
                attachments.use(tx, [use], at)
                if content is not None:
                    attachments.put_pieces(tx, list(_pieces(use.attachment, content, at)))
                    attachments.finish(tx, [Verdict(digest=digest, sound=True)])
                    put.add(digest)
                tx.flush()
    done.attachments = len(put)
    done.attachments_missing = len({attachments.name_of(use.attachment) for use, _ in listed} - put)


def _pieces(attachment: Attachment, content: bytes, at: int) -> Iterator[Piece]:
    for offset in range(0, len(content), attachments.PART_BYTES):
        piece = content[offset : offset + attachments.PART_BYTES]
        yield Piece(attachment=attachment, offset=offset, content=piece, agency="", at=at, staged_bytes=0)
