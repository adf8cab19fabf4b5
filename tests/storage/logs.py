"""Commands for tests: appending to a log, failing in every way, and the tree computed by the book."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exchange.storage.engine.transaction import LogHead, NewEntry, Transaction
from exchange.storage.logs import log_store
from exchange.tlog.tree import EMPTY_ROOT, leaf_hash, node_hash

ORIGIN = "cq.exchange.example/to/sc/registry/1"


def open_log(tx: Transaction, payloads: Sequence[str]) -> list[LogHead]:
    """Open outbound logs by origin."""
    return [tx.open_log(origin, use="mirror", peer="sc", lane=2, epoch=1) for origin in payloads]


@dataclass(frozen=True)
class Append:
    """Entries to append to a log."""

    entries: tuple[bytes, ...]
    origin: str = ORIGIN


def append(tx: Transaction, payloads: Sequence[Append]) -> list[int]:
    """Append; answers the index of each payload's first entry."""
    done = []
    for payload in payloads:
        log = tx.open_log(payload.origin, use="mirror", peer="sc", lane=2, epoch=1)
        done.append(tx.append(log.id, [NewEntry.of(entry) for entry in payload.entries]))
    return done


def append_then_fail(tx: Transaction, payloads: Sequence[Append]) -> list[int]:
    """Append, then hit an error that nobody foresaw."""
    append(tx, payloads)
    tx.flush()
    raise RuntimeError("unforeseen")


def truncate(tx: Transaction, payloads: Sequence[int]) -> list[LogHead]:
    """Cut the log back to sizes."""
    return [
        log_store.truncate(tx, tx.open_log(ORIGIN, use="mirror", peer="sc", lane=2, epoch=1), size) for size in payloads
    ]


def naive_root(entries: Sequence[bytes]) -> bytes:
    """Root by the recursion of RFC 6962 §2.1, over everything, every time."""
    if not entries:
        return EMPTY_ROOT
    if len(entries) == 1:
        return leaf_hash(entries[0])
    split = 1 << ((len(entries) - 1).bit_length() - 1)
    return node_hash(naive_root(entries[:split]), naive_root(entries[split:]))
