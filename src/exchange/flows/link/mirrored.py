"""What the writer does for the mirror: entries and cosigned notes in one transaction, and bodies that came late."""

from collections.abc import Sequence
from dataclasses import dataclass

from exchange.storage.engine.transaction import NewEntry, Transaction
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredCheckpoint
from exchange.storage.registers import registers


@dataclass(frozen=True, slots=True, kw_only=True)
class MirroredRun:
    """A verified run of entries, ready to be stored.

    Attributes:
        size: Entries that the mirror held when the run was verified: it must still be so.
    """

    origin: str
    peer: str
    lane: int
    epoch: int
    size: int
    entries: Sequence[NewEntry]
    notes: Sequence[StoredCheckpoint]


def store_mirrored(tx: Transaction, payloads: Sequence[MirroredRun]) -> list[int | None]:
    """Append verified runs, each answered by its log's number.

    None where the mirror grew meanwhile: the sender goes on from where it stands.
    """
    answers: list[int | None] = []
    for run in payloads:
        log = tx.head(run.origin)
        if (log.size if log else 0) != run.size:
            answers.append(None)
            continue
        log = log or tx.open_log(run.origin, use="mirror", peer=run.peer, lane=run.lane, epoch=run.epoch)
        tx.append(log.id, run.entries)
        log_store.store_checkpoints(tx, log.id, run.notes)
        answers.append(log.id)
    return answers


def keep_renewed(tx: Transaction, payloads: Sequence[tuple[int, StoredCheckpoint]]) -> list[None]:
    """Put a note in the place of the one held for the same size: it has a line more."""
    for log_id, note in payloads:
        log_store.store_checkpoints(tx, log_id, [note])
    return [None] * len(payloads)


def store_bodies(tx: Transaction, payloads: Sequence[Sequence[tuple[int, int, bytes, bytes]]]) -> list[list[bool]]:
    """Put bodies that are still waited for. One that was erased meanwhile, or came before, is not taken."""
    answers = []
    for payload in payloads:
        wanted = registers.still_missing(tx, [(log_id, index) for log_id, index, *_ in payload])
        answers.append([each[:2] in wanted and log_store.put_body(tx, *each) for each in payload])
    return answers
