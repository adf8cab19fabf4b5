"""Putting a node's exported logs into an empty database: logs first, then the registers that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from exchange.domain.catalogues.tables import Tables
from exchange.domain.problems import Problem, Refused
from exchange.flows.apply.again.rebuild import rebuild
from exchange.flows.apply.applier import ReplayedNode
from exchange.flows.audit.findings import Finding
from exchange.flows.audit.replay.loading import Loader
from exchange.flows.audit.replay.program import OtherProgram
from exchange.flows.audit.replay.walk import other_digest, unreadable
from exchange.flows.audit.sources.source import Source
from exchange.flows.status import RESTORED, set_flags
from exchange.storage.engine.database import Database
from exchange.storage.engine.migrate import migrate
from exchange.storage.engine.transaction import Transaction
from exchange.storage.logs import log_store


@dataclass(slots=True)
class Imported:
    """What was put there.

    Attributes:
        entries: Entries of all logs.
        steps: Steps that made the registers.
        findings: What does not fit; nothing of it keeps the import from ending.
    """

    logs: int = 0
    entries: int = 0
    steps: int = 0
    findings: list[Finding] = field(default_factory=list)


def import_logs(
    source: Source, url: str, tables: Tables, *, seen: Callable[[int], None] = lambda _count: None
) -> Imported:
    """Restore a node's logs into an empty database, and its registers by walking them.

    The node is marked as restored: its start signs nothing before its peers have shown what they hold. What lies
    beside the logs comes from nowhere: submissions and their keys, documents, quarantine, alarms.

    A crash leaves a database that is not empty, which is refused the next time: begin again with another one.

    Raises:
        Refused: ``DATABASE_NOT_EMPTY``, ``DATABASE_SCHEMA``.
    """
    migrate(url)
    database = Database(url)
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
            done.findings += Loader(source, change, trees=True, seen=seen).load()
        node = ReplayedNode(name=source.node, federation=source.domain, tables=tables)
        place = ("", 0)
        other = OtherProgram()
        try:
            for step in rebuild(node, database, database):
                done.steps += 1
                place = step.journal, step.index
                other.see(step)
                if not step.agrees:
                    done.findings += other.of_step(other_digest(step))
        except LookupError as error:
            done.findings.append(unreadable(*place, error))
        with database.read() as connection:
            heads = log_store.heads(connection)
        done.logs, done.entries = len(heads), sum(log.size for log in heads)
        database.checkpoint_wal(truncate=True)
    finally:
        database.dispose()
    return done
