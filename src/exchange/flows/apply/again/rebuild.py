"""Making a node's registers anew in an empty database, out of nothing but its logs and its journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from exchange.flows.apply.again.journaled import changes_of
from exchange.flows.apply.again.replay import Replay, ReplayedStep, Stop, nowhere, write_replayed
from exchange.flows.apply.applier import Applier
from exchange.flows.apply.steps import StepPlan
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import LogHead, Transaction
from exchange.storage.registers import registers
from exchange.storage.registers.registers import Change
from exchange.v1.journal_pb2 import JournalEntry

Visit = Callable[[Transaction], None]


def rebuild(node: Applier, source: Database, target: Database, stop: Stop = nowhere) -> Iterator[ReplayedStep]:
    """Replay every step of a node's journal into another database; its registers must equal the live ones.

    Args:
        node: Whose journal it is: names and tables. Its keys, peers and clock are not used.
        source: Where logs and journal lie. They are read up to the sizes that they have when this begins.
        target: An empty database with the same tables. Only its registers are written.
        stop: Asked before each line of the journal whether to end there.

    Yields:
        Each step as it was computed again; ``agrees`` says whether the journal's running digest is met.
    """
    with target.writer_connection() as connection:

        def run(visit: Visit) -> None:
            with connection.begin():
                tx = Transaction(connection, is_sqlite=target.is_sqlite)
                visit(tx)
                tx.flush()

        def write(changes: Sequence[Change], next_seq: int, step: StepPlan | None) -> None:
            run(lambda tx: _done(write_replayed(tx, [(changes, next_seq, step)])))

        def take(book: LogHead, index: int, event: JournalEntry) -> None:
            run(lambda tx: registers.write(tx, changes_of(tx.connection, event, book.id, index)))

        yield from Replay(node, source, target, write, take).steps(stop)


def _done(_results: object) -> None:
    """A handler's answers are for its callers."""
