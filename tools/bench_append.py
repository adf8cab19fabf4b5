"""Signed records for the bench's audit, appended to a stopped node's outbound logs: a million in some minutes.

Sealed and signed by the node's own code and key, put into its tree by the transaction of its writer, and cosigned by
the peer's mirror key, as the door and the delivery do. Left out are the rest of the door, the peer's copy and the
decisions on both sides: what an export and its verification do not look at. The nodes are not to be started again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

from exchange.crypto.ed25519 import Cosigner, NoteSigner
from exchange.crypto.keys import derive_log_key, load_ed25519, load_seed
from exchange.crypto.sealing import SHA_256
from exchange.crypto.signers.key_file import read_signer
from exchange.flows.intake.ids import new_id
from exchange.flows.intake.seal import seal
from exchange.storage.engine.database import Database
from exchange.storage.engine.transaction import NewEntry, Transaction
from exchange.storage.logs import log_store
from exchange.storage.logs.log_store import StoredCheckpoint
from exchange.tlog.checkpoint import Checkpoint
from exchange.tlog.origin import LogName, mirror_name
from tests.rigs.pair import DOMAIN, NodeFolder
from tools.bench_load import Records

SEALED: Final = 2_048
"""Records that a process seals at once."""

DELIVERED: Final = 256
"""Entries of one cosigned checkpoint: what a lane sends at once from the beginning."""

TAG: Final = bytes(64)
"""As long as the tag of a submission."""

LANES: Final = {"penalty": "registry", "monitoring": "telemetry"}
WAITING: Final = 4

Part = tuple[str, str, str, str, int, int, datetime]
"""Of one kind: key file, node, peer, kind, first number, count, instant."""


def append(node: NodeFolder, peer: NodeFolder, counts: dict[str, int], jobs: int) -> None:
    """Append records.

    Args:
        node: Whose they are; it does not run.
        peer: Who cosigns.
        counts: Records by kind, ``penalty`` or ``monitoring``.
        jobs: Processes that seal.
    """
    seed = load_seed((node.folder / "keys/log.seed").read_bytes())
    mirror = Cosigner(mirror_name(peer.name, DOMAIN), load_ed25519((peer.folder / "keys/mirror.pem").read_bytes()))
    database = Database(f"sqlite:///{node.database}")
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool, database.writer_connection() as connection:
        parts = _parts(node, peer, counts)
        waiting = [(part[3], pool.submit(sealed, part)) for part in islice(parts, WAITING)]
        while waiting:
            kind, made = waiting.pop(0)
            origin = str(LogName.outbound(node.name, DOMAIN, peer.name, LANES[kind]))
            signer = NoteSigner(origin, derive_log_key(seed, origin))
            with connection.begin():
                tx = Transaction(connection, is_sqlite=True)
                _put(tx, signer, mirror, made.result())
                tx.flush()
            waiting += [(part[3], pool.submit(sealed, part)) for part in islice(parts, 1)]
            database.checkpoint_wal()
    database.dispose()


def _parts(node: NodeFolder, peer: NodeFolder, counts: dict[str, int]) -> Iterator[Part]:
    """In turns, so that both kinds end together."""
    key, now = str(node.folder / "keys/sign-p256.pem"), datetime.now(UTC)
    total = sum(counts.values())
    turns = sorted(
        ((first + SEALED) / count, kind, first) for kind, count in counts.items() for first in range(0, count, SEALED)
    )
    for share, kind, first in turns:
        at = now + timedelta(microseconds=share * total)
        yield key, node.name, peer.name, kind, first, min(SEALED, counts[kind] - first), at


def sealed(part: Part) -> list[NewEntry]:
    """Records of some numbers, sealed and signed."""
    key, name, peer, kind, first, count, at = part
    keys = SimpleNamespace(signers=(read_signer(Path(key).read_bytes()),))
    node = cast("Any", SimpleNamespace(federation=DOMAIN, name=name, commitments=(SHA_256,), keys=keys))
    records = Records(kind, 1024)
    made = []
    for number in range(first, first + count):
        record = records.make(number).record
        record.header.record_id, record.header.revision = str(new_id(at)), 1
        made.append(seal(node, record, [peer], at + timedelta(microseconds=number - first), tag=TAG).entry)
    return made


def _put(tx: Transaction, signer: NoteSigner, mirror: Cosigner, entries: list[NewEntry]) -> None:
    head = tx.head(signer.name)
    assert head is not None, "the node has started once, so it has its logs"
    notes = []
    while entries:
        entries, part = entries[DELIVERED:], entries[:DELIVERED]
        tx.append(head.id, part)
        grown = tx.heads[head.id]
        note = signer.sign_checkpoint(Checkpoint(grown.origin, grown.size, grown.frontier.root()))
        time_ = int(time.time())
        notes.append(StoredCheckpoint(grown.size, mirror.name, mirror.cosign(note, time_), time_ * 1_000_000))
    log_store.store_checkpoints(tx, head.id, notes)
